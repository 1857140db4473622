"""The box that a region fills: what is measured of a lesion need not look at the whole scan."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Booleans = npt.NDArray[np.bool_]
Box = tuple[slice, slice, slice]


def box_of(region: Booleans, margin: tuple[int, int, int] = (0, 0, 0)) -> Box:
    """Slices along z, y, x that hold a region and ``margin`` voxels more, within the array.

    Empty slices for an empty region.
    """
    low, high = [0, 0, 0], list(region.shape)
    part = region
    for axis in range(3):  # each look is at what is left
        there = np.flatnonzero(part.any(axis=tuple(a for a in range(3) if a != axis)))
        if not len(there):
            return slice(0, 0), slice(0, 0), slice(0, 0)
        low[axis], high[axis] = int(there[0]), int(there[-1]) + 1
        z, y, x = (slice(a, b) for a, b in zip(low, high, strict=True))
        part = region[z, y, x]
    z, y, x = (
        slice(max(a - m, 0), min(b + m, n))
        for a, b, m, n in zip(low, high, margin, region.shape, strict=True)
    )
    return z, y, x
