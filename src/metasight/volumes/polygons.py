"""Polygons to pixels: a pixel is inside if its centre is, by the even-odd rule. Pure geometry."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Booleans = npt.NDArray[np.bool_]


def fill(points_xy: Floats, shape: tuple[int, int]) -> Booleans:
    """Pixels whose centre lies inside a closed polygon, even-odd.

    A keyhole (an outer and an inner ring joined by a double edge) gives a ring: the double edge is
    crossed twice. A centre on an edge belongs to the polygon on its left or upper side only, so
    that polygons that share an edge share no pixel.

    Parameters
    ----------
    points_xy
        (n, 2) corners in pixels: the centre of pixel (row 0, column 0) is (0, 0).
    shape
        Rows and columns; parts of the polygon beyond are cut off.
    """
    inside = np.zeros(shape, dtype=np.bool_)
    if len(points_xy) < 3:
        return inside
    rows, columns = shape
    x0, y0 = points_xy.T
    x1, y1 = np.roll(points_xy, -1, axis=0).T
    top = max(int(np.ceil(y0.min())), 0)
    bottom = min(int(np.ceil(y0.max())), rows)
    if top >= bottom:
        return inside
    y = np.arange(top, bottom)[:, None]
    crossed = (np.minimum(y0, y1) <= y) & (y < np.maximum(y0, y1))
    line, edge = np.nonzero(crossed)
    x = x0[edge] + (line + top - y0[edge]) * (x1[edge] - x0[edge]) / (y1[edge] - y0[edge])
    # every centre right of a crossing changes sides
    first = np.clip(np.ceil(x), 0, columns).astype(np.int64)
    toggles = np.zeros((bottom - top, columns + 1), dtype=np.int32)
    np.add.at(toggles, (line, first), 1)
    inside[top:bottom] = np.cumsum(toggles[:, :columns], axis=1) % 2 == 1
    return inside


def fill_all(polygons: Sequence[Floats], shape: tuple[int, int]) -> Booleans:
    """Fill the contours of one region on one slice.

    A contour that lies in what is filled so far is a hole; a contour in a hole is an island; two
    that cross are one region's parts, drawn twice where they overlap. They are taken from the
    largest to the smallest, so the order in the file does not matter.

    Parameters
    ----------
    polygons
        Corners as in :func:`fill`.
    shape
        Rows and columns.
    """
    masks = [fill(p, shape) for p in polygons]
    masks.sort(key=lambda m: -int(np.count_nonzero(m)))
    region = np.zeros(shape, dtype=np.bool_)
    for mask in masks:
        if mask.any() and not np.any(mask & ~region):
            region &= ~mask
        else:
            region |= mask
    return region
