"""Distance to the nearest cell of a kind: G by Kaplan–Meier, and its random labelling.

A cell whose edge is nearer than its nearest neighbour has a censored distance: what lies behind
the edge might be nearer. G is therefore estimated by Kaplan–Meier on the distances, censored at
the distance to the edge (Baddeley and Gill, Ann Stat 1997;25:263), which uses every cell as long
as it is at risk and stays within [0, 1].
"""

# ruff: noqa: PLR0917 (numba kernels take their arguments by position)
# mypy: disallow-untyped-decorators=False

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from metasight.biomarkers.neighbours import Buckets, bucket_span
from metasight.engine.kernels import njit

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Kinds = npt.NDArray[np.int8]
Words = npt.NDArray[np.uint64]

_BITS = 64


@dataclass(frozen=True, kw_only=True)
class NearestCounts:
    """Nearest-neighbour distances grouped in bins, for the labels as they are and permuted.

    Attributes
    ----------
    radius_um
        Upper end of each bin, shape ``(bins,)``.
    kinds
        (from, to) of each row.
    events, censored
        Cells of the first kind whose nearest second one (whose edge) lies in a bin, shape
        ``(rows, labellings, bins)``; labelling 0 is the observed one.
    size
        Cells of the first kind, shape ``(rows, labellings)``.
    events_by_block, censored_by_block, size_by_block
        The same of the observed labelling, by block of tissue.
    """

    radius_um: Floats
    kinds: tuple[tuple[int, int], ...]
    events: Ints
    censored: Ints
    size: Ints
    events_by_block: Ints
    censored_by_block: Ints
    size_by_block: Ints


def grouped_g(events: Floats, censored: Floats, size: Floats) -> Floats:
    """G from grouped distances, over the last axis: life-table form of Kaplan–Meier.

    Those censored within a bin count as at risk for half of it. NaN once nobody is at risk any
    more, unless everyone had found his neighbour before: then it stays 1.
    """
    left = size[..., None] - (events + censored).cumsum(axis=-1)
    entering = left + events + censored
    at_risk = entering - censored / 2
    with np.errstate(invalid="ignore", divide="ignore"):
        hazard = np.where(at_risk > 0, events / at_risk, 0.0)
    survival = np.cumprod(1.0 - hazard, axis=-1)
    survival[(at_risk <= 0) & (survival > 0)] = np.nan
    return np.asarray(1.0 - survival, dtype=np.float64)


def restricted_mean_um(g: Floats, bin_um: float) -> Floats:
    """Mean nearest distance when those beyond the last bin count as there, µm.

    ∫ (1 − G) over the bins; needs no assumption about what lies further off.
    """
    before = np.concatenate([np.zeros((*g.shape[:-1], 1)), g[..., :-1]], axis=-1)
    return np.asarray(((2.0 - g - before) / 2).sum(axis=-1) * bin_um, dtype=np.float64)


def permuted_labels(
    kind: Kinds, n_kinds: int, permutations: int, rng: np.random.Generator
) -> Words:
    """Bit ``b`` of word ``w`` says whether a cell has a kind in labelling ``64 w + b``.

    Labelling 0 is the observed one; the others deal the same labels out anew over all cells.

    Returns
    -------
    array, shape ``(n, n_kinds, words)``: the words of one cell lie together
    """
    n_words = (permutations + 1) // _BITS
    flags = np.zeros((len(kind), n_kinds, n_words), dtype=np.uint64)
    labels = kind.copy()
    for number in range(permutations + 1):
        if number:
            rng.shuffle(labels)
        _mark(flags, labels, number // _BITS, np.uint64(1 << (number % _BITS)))
    return flags


@njit(cache=True)
def _mark(flags: Words, labels: Kinds, word: int, bit: np.uint64) -> None:
    for i in range(len(labels)):
        flags[i, labels[i], word] |= bit


@njit(cache=True)
def _look_round(
    i: int,
    x: Floats,
    y: Floats,
    start: Ints,
    shape: tuple[int, int],
    corner: tuple[float, float],
    side: float,
    reach: float,
    width: float,
    targets: Ints,
    flags: Words,
    seen: Words,
) -> None:
    """Which labellings have a cell of each target kind in each bin round cell ``i``."""
    seen[:] = 0
    c0, c1 = bucket_span(x[i], corner[0], side, shape[1])
    r0, r1 = bucket_span(y[i], corner[1], side, shape[0])
    for row in range(r0, r1 + 1):
        for j in range(start[row * shape[1] + c0], start[row * shape[1] + c1 + 1]):
            dx, dy = x[j] - x[i], y[j] - y[i]
            d2 = dx * dx + dy * dy
            if j == i or d2 > reach * reach:
                continue
            step = max(int(np.ceil(np.sqrt(d2) / width - 1e-9)) - 1, 0)
            for t in range(len(targets)):
                for w in range(seen.shape[2]):
                    seen[t, step, w] |= flags[j, targets[t], w]


@njit(cache=True)
def _count_bits(bits: np.uint64, first: int, out: Ints, step: int) -> None:
    number = first
    while bits:
        if bits & np.uint64(1):
            out[number, step] += 1
        bits >>= np.uint64(1)
        number += 1


@njit(cache=True)
def _count_nearest(
    x: Floats,
    y: Floats,
    start: Ints,
    shape: tuple[int, int],
    corner: tuple[float, float],
    side: float,
    reach: float,
    width: float,
    edge: Floats,
    block: Ints,
    sources: Ints,
    target_of: Ints,
    targets: Ints,
    flags: Words,
    events: Ints,
    censored: Ints,
    events_by_block: Ints,
    censored_by_block: Ints,
) -> None:
    n_bins, n_words = events.shape[2], flags.shape[2]
    seen = np.zeros((len(targets), n_bins, n_words), dtype=np.uint64)
    one = np.uint64(1)
    for i in range(len(x)):
        within = min(reach, edge[i])
        _look_round(i, x, y, start, shape, corner, side, within, width, targets, flags, seen)
        last = min(int(edge[i] / width), n_bins)
        for row in range(len(sources)):
            for w in range(n_words):
                open_ = flags[i, sources[row], w]
                for step in range(min(last + 1, n_bins)):
                    new = seen[target_of[row], step, w] & open_
                    open_ &= ~new
                    if new:
                        _count_bits(new, w * 64, events[row], step)
                        if w == 0 and new & one:
                            events_by_block[row, block[i], step] += 1
                if last < n_bins and open_:
                    _count_bits(open_, w * 64, censored[row], last)
                    if w == 0 and open_ & one:
                        censored_by_block[row, block[i], last] += 1


def count_nearest(
    buckets: Buckets,
    edge_um: Floats,
    kind: Kinds,
    block: Ints,
    *,
    kinds: Sequence[tuple[int, int]],
    n_kinds: int,
    n_blocks: int,
    reach_um: float,
    bin_um: float,
    permutations: int,
    rng: np.random.Generator,
) -> NearestCounts:
    """Group the nearest distances of the observed and of all permuted labellings in one pass.

    64 labellings travel in one machine word, so that a permutation costs next to nothing.

    Parameters
    ----------
    buckets
        All cells of the window.
    edge_um, kind, block
        Distance to the edge, kind and block of tissue of each cell, in bucket order.
    kinds
        (from, to) to count.
    n_kinds, n_blocks
        Their numbers.
    reach_um, bin_um
        Largest distance and step.
    permutations
        One less than a multiple of 64.
    rng
        For the permutations.
    """
    flags = permuted_labels(kind, n_kinds, permutations, rng)
    n_bins = round(reach_um / bin_um)
    targets = np.array(sorted({b for _, b in kinds}), dtype=np.int64)
    sources = np.array([a for a, _ in kinds], dtype=np.int64)
    target_of = np.array([targets.tolist().index(b) for _, b in kinds], dtype=np.int64)
    shape = (len(kinds), permutations + 1, n_bins)
    blocks = (len(kinds), n_blocks, n_bins)
    events, censored = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
    by_block, edge_by_block = np.zeros(blocks, dtype=np.int64), np.zeros(blocks, dtype=np.int64)
    _count_nearest(
        buckets.x_um,
        buckets.y_um,
        buckets.start,
        (buckets.n_rows, buckets.n_columns),
        buckets.corner_um,
        buckets.side_um,
        reach_um,
        bin_um,
        edge_um,
        block,
        sources,
        target_of,
        targets,
        flags,
        events,
        censored,
        by_block,
        edge_by_block,
    )
    sizes = np.bincount(kind, minlength=n_kinds)
    in_block = [np.bincount(block[kind == a], minlength=n_blocks) for a, _ in kinds]
    return NearestCounts(
        radius_um=np.arange(1, n_bins + 1, dtype=np.float64) * bin_um,
        kinds=tuple(kinds),
        events=events,
        censored=censored,
        size=np.repeat(sizes[sources][:, None], permutations + 1, axis=1).astype(np.int64),
        events_by_block=by_block,
        censored_by_block=edge_by_block,
        size_by_block=np.asarray(in_block, dtype=np.int64),
    )
