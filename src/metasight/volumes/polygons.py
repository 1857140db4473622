"""Polygons to pixels: a pixel is inside if its centre is, by the even-odd rule. Pure geometry.

Which contours of one slice are one outline drawn again, which are holes and which parts is decided
here too, from their outlines in mm, never from the pixels that they happen to cover.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Booleans = npt.NDArray[np.bool_]

SAME_OUTLINE_MM = 0.5
"""Outlines nowhere farther apart than this, or than a pixel, are one outline drawn again: no
reader draws a wall that thin, and coordinates rounded or resampled on the way move by less."""
_ALONG = 1 / 3
"""Share of a contour's length that may run along the contour around it. A cavity with an
eccentric wall stays below; a copy of which one side was corrected does not."""
_SAMPLES = 4  # of an outline, in the distance within which two are the same


class AmbiguousOutlinesError(ValueError):
    """Contours of one slice that may be holes, and may be the same outline drawn again."""


@dataclass(frozen=True, kw_only=True)
class Filled:
    """One region on one slice.

    Attributes
    ----------
    inside
        (rows, columns).
    n_repeated
        Contours that were left out because another has the same outline.
    n_holes, hole_pixels
        Contours that cut a hole, and the pixels that they cut.
    """

    inside: Booleans
    n_repeated: int
    n_holes: int
    hole_pixels: int


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
    # each edge from its upper end: the direction of drawing changes no crossing, not by a rounding
    down = y0 <= y1
    x0, x1, y0, y1 = (np.where(down, a, b) for a, b in ((x0, x1), (x1, x0), (y0, y1), (y1, y0)))
    top = max(int(np.ceil(y0.min())), 0)
    bottom = min(int(np.ceil(y1.max())), rows)
    if top >= bottom:
        return inside
    y = np.arange(top, bottom)[:, None]
    crossed = (y0 <= y) & (y < y1)
    line, edge = np.nonzero(crossed)
    x = x0[edge] + (line + top - y0[edge]) * (x1[edge] - x0[edge]) / (y1[edge] - y0[edge])
    # every centre right of a crossing changes sides
    first = np.clip(np.ceil(x), 0, columns).astype(np.int64)
    toggles = np.zeros((bottom - top, columns + 1), dtype=np.int32)
    np.add.at(toggles, (line, first), 1)
    inside[top:bottom] = np.cumsum(toggles[:, :columns], axis=1) % 2 == 1
    return inside


def fill_all(
    polygons: Sequence[Floats],
    shape: tuple[int, int],
    *,
    pixel_mm: tuple[float, float] = (1.0, 1.0),
) -> Booleans:
    """Pixels of :func:`fill_region` alone."""
    return fill_region(polygons, shape, pixel_mm=pixel_mm).inside


def fill_region(
    polygons: Sequence[Floats],
    shape: tuple[int, int],
    *,
    pixel_mm: tuple[float, float] = (1.0, 1.0),
    xor: bool = False,
) -> Filled:
    """Fill the contours of one region on one slice.

    An outline that is drawn several times counts once. A contour that lies in what is filled so
    far is a hole; a contour in a hole is an island; two that cross are one region's parts. They
    are taken from the largest to the smallest, so the order in the file does not matter.

    Parameters
    ----------
    polygons
        Corners as in :func:`fill`.
    shape
        Rows and columns.
    pixel_mm
        Size of a pixel along x and y.
    xor
        The file says that contours cut holes (``CLOSEDPLANAR_XOR``): where they run along each
        other does not matter, and crossing contours cut where they overlap.

    Raises
    ------
    AmbiguousOutlinesError
        A contour within another follows its outline for a third of its way, or outlines are alike
        one by one but not all together: holes, or one outline drawn again, cannot be told.
    """
    kept, n_repeated = _once(polygons, pixel_mm)
    near_mm = _near_mm(pixel_mm)
    region = np.zeros(shape, dtype=np.bool_)
    n_holes = hole_pixels = 0
    outlines: list[Floats] = []
    for points in kept:
        mask = fill(points, shape)
        outline = points * np.asarray(pixel_mm)
        within = bool(mask.any()) and not np.any(mask & ~region)
        if within and not xor and any(_along(outline, o, near_mm) > _ALONG for o in outlines):
            raise AmbiguousOutlinesError("a contour runs along the one around it")
        outlines.append(outline)
        if within:
            n_holes, hole_pixels = n_holes + 1, hole_pixels + int(np.count_nonzero(mask))
        region = region ^ mask if xor else region & ~mask if within else region | mask
    return Filled(inside=region, n_repeated=n_repeated, n_holes=n_holes, hole_pixels=hole_pixels)


def distance_mm(one: Floats, other: Floats, step_mm: float) -> float:
    """Hausdorff distance of two closed outlines: the farthest that any point is from the other.

    Parameters
    ----------
    one, other
        (n, 2) corners in mm.
    step_mm
        Distance of the points that are looked at along each outline.
    """
    there = _to_outline(_sampled(one, step_mm), other).max()
    back = _to_outline(_sampled(other, step_mm), one).max()
    return float(max(there, back))


def _near_mm(pixel_mm: tuple[float, float]) -> float:
    return max(SAME_OUTLINE_MM, min(pixel_mm))


def _once(polygons: Sequence[Floats], pixel_mm: tuple[float, float]) -> tuple[list[Floats], int]:
    """Each outline once, the largest first, and how many were left out."""
    near_mm = _near_mm(pixel_mm)
    scale = np.asarray(pixel_mm)
    polygons = [_one_round(p) for p in polygons]
    # a total order of the outlines themselves: which copy is kept does not hang on the file's order
    order = sorted(range(len(polygons)), key=lambda i: (-_area(polygons[i]), _name(polygons[i])))
    boxes = np.array([[*p.min(axis=0), *p.max(axis=0)] for p in polygons]) * [*scale, *scale]
    kept: list[int] = []
    copies: list[int] = []
    for index in order:
        outline = polygons[index] * scale

        def alike(others: list[int], index: int = index, outline: Floats = outline) -> bool:
            # most pairs are told apart by their boxes
            apart = np.abs(boxes[others] - boxes[index]).max(axis=1) if others else np.array([])
            return any(
                distance_mm(polygons[others[k]] * scale, outline, near_mm / _SAMPLES) < near_mm
                for k in np.flatnonzero(apart < near_mm)
            )

        if alike(kept):
            copies.append(index)
        elif alike(copies):
            raise AmbiguousOutlinesError("outlines are alike one by one, but not all together")
        else:
            kept.append(index)
    return [polygons[k] for k in kept], len(copies)


def _one_round(points: Floats) -> Floats:
    """A contour that goes round several times, once; its closing point left out."""
    moved = np.any(points != np.roll(points, 1, axis=0), axis=1)
    own = points[moved] if moved.any() else points[:1]
    for rounds in range(len(own) // 3, 1, -1):
        if len(own) % rounds == 0:
            turns = own.reshape(rounds, -1, 2)
            if np.all(turns == turns[:1]):
                return np.asarray(turns[0])
    return np.asarray(own)


def _along(inner: Floats, outer: Floats, near_mm: float) -> float:
    """Share of the inner outline that runs along the outer one."""
    gap = _to_outline(_sampled(inner, near_mm / _SAMPLES), outer)
    return float(np.mean(gap < near_mm))


def _area(points: Floats) -> float:
    """Area of a polygon; rounded, so that the same outline from another corner has the same."""
    x, y = points.T
    return round(abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2, 6)


def _name(points: Floats) -> tuple[float, ...]:
    return tuple(np.round(np.sort(points, axis=0), 6).ravel().tolist())


def _sampled(points: Floats, step: float) -> Floats:
    """Points along a closed outline, no farther apart than ``step``; at most some 4,000."""
    ends = np.roll(points, -1, axis=0)
    lengths = np.linalg.norm(ends - points, axis=1)
    step = max(step, float(lengths.sum()) / 4000)
    parts = np.maximum(np.ceil(lengths / step), 1).astype(int)
    edge = np.repeat(np.arange(len(points)), parts)
    first = np.concatenate([[0], np.cumsum(parts)[:-1]])
    share = (np.arange(len(edge)) - first[edge]) / parts[edge]
    return np.asarray(points[edge] + share[:, None] * (ends - points)[edge])


def _to_outline(points: Floats, outline: Floats) -> Floats:
    """Distance of each point to a closed outline."""
    starts = outline
    along = np.roll(outline, -1, axis=0) - starts
    square = np.maximum((along**2).sum(axis=1), 1e-18)
    nearest = np.full(len(points), np.inf)
    for first in range(0, len(points), 512):  # bounded memory, whatever the number of corners
        offset = points[first : first + 512, None, :] - starts[None]
        share = np.clip((offset * along).sum(axis=2) / square, 0.0, 1.0)
        gap = np.linalg.norm(offset - share[..., None] * along, axis=2)
        nearest[first : first + 512] = gap.min(axis=1)
    return nearest
