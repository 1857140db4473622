"""Secret keys in files, of a vault and of a de-identification: random, and not guessable."""

from __future__ import annotations

import itertools
import os
import secrets
from pathlib import Path

KEY_BYTES = 32


def write_new_key(path: Path) -> None:
    """Write 256 random bits as hexadecimal digits to a new file of its owner's alone (0600).

    Raises
    ------
    OSError
        There is a file already, or it cannot be written.
    """
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(secrets.token_hex(KEY_BYTES) + "\n")


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
