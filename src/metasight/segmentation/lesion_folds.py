"""Which patients a network that outlines lesions is trained without."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence


def fold_of(patient: str, n: int) -> int:
    """The fold, 0 to n − 1, in which a patient is left out; by the name alone."""
    return int.from_bytes(hashlib.sha256(patient.encode()).digest()[:8], "big") % n


def left_out(patients: Sequence[str], fold: int, n: int) -> tuple[list[int], list[int]]:
    """Places of the examples to train on and of those left out."""
    out = [k for k, p in enumerate(patients) if fold_of(p, n) == fold]
    return [k for k in range(len(patients)) if k not in set(out)], out
