"""How well one segmentation agrees with another."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from metasight.errors import MarkerError

Floats = npt.NDArray[np.float64]


def dice(first: npt.NDArray[np.generic], second: npt.NDArray[np.generic]) -> float:
    """Dice overlap of two masks (or label images, whatever is not 0); NaN if both are empty.

    Raises
    ------
    MarkerError
        Their shapes differ.
    """
    if first.shape != second.shape:
        raise MarkerError(
            "masks of different shape cannot be compared",
            value=f"{first.shape} and {second.shape}",
        )
    a, b = first != 0, second != 0
    total = int(a.sum()) + int(b.sum())
    return 2 * int((a & b).sum()) / total if total else float("nan")
