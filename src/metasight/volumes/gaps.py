"""Slices that a region's stack of contours or masks lacks: found, and filled where a study allows.

A reader who draws every second slice, an export that drops some, and a planning system that draws
on thick slices all leave a region with holes across the table. Its volume is then short by the
slices that are missing, so such a region is refused unless the study says how much may be filled.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Booleans = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

NEAR_MM = 10.0
"""Parts that face each other across less than this are one region with slices missing; two lesions
so near above each other are told apart by drawing them as two regions."""

_FACING = 0.5  # of the smaller area
_ALIKE = 0.2  # of the larger area


def missing_between(drawn: Sequence[int], slices: Booleans) -> tuple[tuple[int, int], ...]:
    """Neighbouring drawn slices with undrawn ones between them that the region must run through.

    Parameters
    ----------
    drawn
        Rising numbers of the slices with a contour.
    slices
        (z, y, x) the region as drawn.

    Returns
    -------
    Pairs (last before the gap, first after it) whose areas overlap in the plane. Areas that do not
    are two parts, one beginning where the other has ended.
    """
    return tuple(
        (low, high)
        for low, high in pairwise(drawn)
        if high - low > 1 and bool(np.any(slices[low] & slices[high]))
    )


def between(below: Booleans, above: Booleans, share: float) -> Booleans:
    """The area between two slices, by linear interpolation of the distance to their outlines.

    Parameters
    ----------
    below, above
        (rows, columns), neither empty.
    share
        Of the way from ``below`` to ``above``, 0 to 1.

    Notes
    -----
    Shape-based interpolation, Raya and Udupa 1990 (doi:10.1109/42.52980).
    """
    return np.asarray((1 - share) * _signed(below) + share * _signed(above) > 0)


def fill_between(slices: Booleans, low: int, high: int) -> None:
    """Fill the slices between two drawn ones, in place."""
    box = _box(slices[low] | slices[high])
    for place in range(low + 1, high):
        share = (place - low) / (high - low)
        slices[place][box] = between(slices[low][box], slices[high][box], share)


def facing_parts(labels: npt.NDArray[np.int32], step_mm: float) -> tuple[tuple[int, int], ...]:
    """Pairs of parts that one region with slices missing would leave.

    Parameters
    ----------
    labels
        (z, y, x) 0 outside, parts from 1.
    step_mm
        Distance of slices.

    Returns
    -------
    Pairs (below, above) of which one ends less than 10 mm before the other begins, over the same
    place in the plane. A stray voxel over a lesion faces too little of it to be a part of it.
    """
    found = ndimage.find_objects(labels)
    pairs = []
    for low, own in enumerate(found, start=1):
        for high, other in enumerate(found, start=1):
            if own is None or other is None or low == high:
                continue
            last, first = own[0].stop - 1, other[0].start
            empty = first - last - 1
            if empty < 1 or empty * step_mm > NEAR_MM:
                continue
            below, above = labels[last] == low, labels[first] == high
            areas = sorted((np.count_nonzero(below), np.count_nonzero(above)))
            facing = np.count_nonzero(below & above)
            if facing >= _FACING * areas[0] and areas[0] >= _ALIKE * areas[1]:
                pairs.append((low, high))
    return tuple(pairs)


def _signed(area: Booleans) -> Floats:
    """Distance to the outline in pixels, above 0 inside."""
    padded = np.pad(area, 1)
    inside = ndimage.distance_transform_edt(padded)
    outside = ndimage.distance_transform_edt(~padded)
    return np.asarray((inside - outside)[1:-1, 1:-1])


def _box(area: Booleans) -> tuple[slice, slice]:
    rows, columns = np.flatnonzero(area.any(axis=1)), np.flatnonzero(area.any(axis=0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
