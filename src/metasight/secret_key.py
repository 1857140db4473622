"""Whether a secret key can be guessed; asked of the vault's key and of a de-identification's."""

from __future__ import annotations

import itertools


def is_guessable(key: bytes) -> bool:
    """Whether a key is far from random: few values, few steps between them, or a typed text.

    Parameters
    ----------
    key
        16 bytes or more. Of as many random ones fewer than half differ once in 10^8 keys of 16
        bytes, and once in 10^15 of 32.
    """
    steps = {(b - a) % 256 for a, b in itertools.pairwise(key)}
    is_text = all(32 <= byte < 127 for byte in key)
    return len(set(key)) < len(key) / 2 or len(steps) < len(key) / 2 or is_text
