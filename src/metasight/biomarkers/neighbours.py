"""Cells in buckets, so that whoever is near is found without a distance matrix.

Cells are sorted by square bucket; those within ``side_um`` of a cell lie in the nine buckets
round it. Memory is linear in the cells and the window's area.
"""

# ruff: noqa: PLR0917 (numba kernels take their arguments by position)
# mypy: disallow-untyped-decorators=False

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from metasight.engine.kernels import njit

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Buckets:
    """Positions sorted by bucket.

    Attributes
    ----------
    x_um, y_um
        In bucket order, shape ``(n,)``.
    order
        Index of each into the caller's cells.
    start
        Cells of bucket ``b`` are ``start[b]:start[b + 1]``; buckets run along x first.
    n_columns, n_rows
        Buckets along x and y.
    side_um
        Side of a bucket: the largest distance that can be asked for.
    corner_um
        (x, y) of the first bucket's corner.
    """

    x_um: Floats
    y_um: Floats
    order: Ints
    start: Ints
    n_columns: int
    n_rows: int
    side_um: float
    corner_um: tuple[float, float]

    def __len__(self) -> int:
        return len(self.x_um)


def in_buckets(x_um: Floats, y_um: Floats, side_um: float) -> Buckets:
    """Sort positions into buckets of ``side_um``; ties keep the caller's order."""
    x0, y0 = (float(x_um.min()), float(y_um.min())) if len(x_um) else (0.0, 0.0)
    column = np.floor((x_um - x0) / side_um).astype(np.int64)
    row = np.floor((y_um - y0) / side_um).astype(np.int64)
    n_columns = int(column.max(initial=0)) + 1
    n_rows = int(row.max(initial=0)) + 1
    bucket = row * n_columns + column
    order = np.argsort(bucket, kind="stable").astype(np.int64)
    sizes = np.bincount(bucket, minlength=n_columns * n_rows)
    return Buckets(
        x_um=x_um[order],
        y_um=y_um[order],
        order=order,
        start=np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        n_columns=n_columns,
        n_rows=n_rows,
        side_um=side_um,
        corner_um=(x0, y0),
    )


@njit(cache=True, inline="always")
def bucket_span(value: float, corner: float, side: float, n: int) -> tuple[int, int]:
    """First and last bucket (included) that can hold a neighbour along one axis."""
    at = int((value - corner) / side)
    return max(at - 1, 0), min(at + 1, n - 1)


@njit(cache=True)
def _near(
    i: int,
    x: Floats,
    y: Floats,
    start: Ints,
    shape: tuple[int, int],
    corner: tuple[float, float],
    side: float,
    reach: float,
    found: Ints,
) -> int:
    """Fill ``found`` with the neighbours of ``i`` within ``reach``; -1 where it is too short."""
    n = 0
    c0, c1 = bucket_span(x[i], corner[0], side, shape[1])
    r0, r1 = bucket_span(y[i], corner[1], side, shape[0])
    for row in range(r0, r1 + 1):
        for j in range(start[row * shape[1] + c0], start[row * shape[1] + c1 + 1]):
            dx, dy = x[j] - x[i], y[j] - y[i]
            if j != i and dx * dx + dy * dy <= reach * reach:
                if n == len(found):
                    return -1
                found[n] = j
                n += 1
    return n


@njit(cache=True)
def _contacts(
    x: Floats,
    y: Floats,
    start: Ints,
    shape: tuple[int, int],
    corner: tuple[float, float],
    side: float,
    reach: float,
    pairs: npt.NDArray[np.int32],
) -> int:
    """Count touching pairs, and write as many as ``pairs`` has room for.

    Two cells touch when nothing stands between them: no third centre lies strictly inside the
    disc whose diameter they are (Gabriel's rule). On a lattice, ties touch.
    """
    n = 0
    found = np.empty(64, dtype=np.int64)
    for i in range(len(x)):
        k = _near(i, x, y, start, shape, corner, side, reach, found)
        while k < 0:
            found = np.empty(2 * len(found), dtype=np.int64)
            k = _near(i, x, y, start, shape, corner, side, reach, found)
        for a in range(k):
            j = found[a]
            if j < i:
                continue
            mx, my = (x[i] + x[j]) / 2, (y[i] + y[j]) / 2
            radius2 = ((x[i] - x[j]) ** 2 + (y[i] - y[j]) ** 2) / 4
            free = True
            for b in range(k):
                h = found[b]
                if h != j and (x[h] - mx) ** 2 + (y[h] - my) ** 2 < radius2 * (1 - 1e-9):
                    free = False
                    break
            if free:
                if n < len(pairs):
                    pairs[n, 0], pairs[n, 1] = i, j
                n += 1
    return n


def touching_pairs(buckets: Buckets, contact_um: float) -> npt.NDArray[np.int32]:
    """Pairs of cells that touch, shape ``(pairs, 2)``, in bucket order.

    A segmentation tells which cells share a border; from centres alone, cells touch that are at
    most ``contact_um`` apart with no third cell in the disc between them (the Gabriel graph,
    Gabriel and Sokal, Syst Zool 1969;18:259, cut at the contact distance). The rule is local, so
    it does not depend on the field of view but within ``contact_um`` of its edge.
    """
    if contact_um > buckets.side_um:
        raise ValueError("contact_um exceeds the buckets' side")
    place = (
        buckets.x_um,
        buckets.y_um,
        buckets.start,
        (buckets.n_rows, buckets.n_columns),
        buckets.corner_um,
        buckets.side_um,
        contact_um,
    )
    # a planar graph has fewer than 3 n edges, and a Gabriel graph is planar but for ties
    pairs = np.empty((3 * len(buckets) + 16, 2), dtype=np.int32)
    n = _contacts(*place, pairs)
    if n > len(pairs):
        pairs = np.empty((n, 2), dtype=np.int32)
        _contacts(*place, pairs)
    return pairs[:n]


@njit(cache=True)
def _local_counts(
    x: Floats,
    y: Floats,
    start: Ints,
    shape: tuple[int, int],
    corner: tuple[float, float],
    side: float,
    reach: float,
    kind: npt.NDArray[np.int8],
    counts: npt.NDArray[np.int32],
) -> None:
    for i in range(len(x)):
        c0, c1 = bucket_span(x[i], corner[0], side, shape[1])
        r0, r1 = bucket_span(y[i], corner[1], side, shape[0])
        for row in range(r0, r1 + 1):
            for j in range(start[row * shape[1] + c0], start[row * shape[1] + c1 + 1]):
                dx, dy = x[j] - x[i], y[j] - y[i]
                if j != i and dx * dx + dy * dy <= reach * reach:
                    counts[i, kind[j]] += 1


def neighbours_of_each_kind(
    buckets: Buckets, kind: npt.NDArray[np.int8], reach_um: float, n_kinds: int
) -> npt.NDArray[np.int32]:
    """Cells of each kind within ``reach_um`` of each cell, itself left out, ``(n, n_kinds)``."""
    if reach_um > buckets.side_um:
        raise ValueError("reach_um exceeds the buckets' side")
    counts = np.zeros((len(buckets), n_kinds), dtype=np.int32)
    _local_counts(
        buckets.x_um,
        buckets.y_um,
        buckets.start,
        (buckets.n_rows, buckets.n_columns),
        buckets.corner_um,
        buckets.side_um,
        reach_um,
        kind,
        counts,
    )
    return counts
