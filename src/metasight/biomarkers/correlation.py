"""Cross-type K, L and pair-correlation functions, and what random labelling would give.

Translation-corrected (Ohser 1983; Baddeley, Rubak and Turner, *Spatial Point Patterns*, 2015,
§7.4): a pair at lag h counts |W| / |W ∩ (W + h)|, with the overlap from the raster window, so
that an L-shaped or holed tissue is corrected as exactly as a square. The estimator assumes that
the density is the same all over the window; where it is not, K is to be read against random
labelling, which keeps every position and deals the labels out anew.
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
from metasight.maps.window import TissueWindow

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Kinds = npt.NDArray[np.int8]


@dataclass(frozen=True, kw_only=True)
class PairSums:
    """Weighted pairs by distance.

    Attributes
    ----------
    radius_um
        Upper end of each bin, shape ``(bins,)``.
    kinds
        (a, b) of each row of ``by_block``.
    by_block
        Σ weights of ordered pairs whose first cell lies in a block, not cumulative, shape
        ``(blocks, rows, bins)``.
    total, squared, row_squared
        Over all cells whatever their kind, cumulative in distance, shape ``(bins,)``: Σ w,
        Σ w² and Σ_i (Σ_j w)², which fix the mean and variance under random labelling.
    size
        Cells of each kind.
    area_um2
        Area of the window.
    """

    radius_um: Floats
    kinds: tuple[tuple[int, int], ...]
    by_block: Floats
    total: Floats
    squared: Floats
    row_squared: Floats
    size: Ints
    area_um2: float

    def pairs_of(self, row: int) -> float:
        """Ordered pairs of cells of the two kinds of ``row``."""
        a, b = self.kinds[row]
        return float(self.size[a]) * float(self.size[b] - (a == b))

    def k_um2(self, row: int) -> Floats:
        """K̂(r) of a row's kinds, µm²: expected cells b within r of a cell a, per density of b.

        NaN where one of the kinds has no cell. πr² if the kinds are independent and the density
        even.
        """
        return self._k(self.by_block[:, row].sum(axis=0).cumsum(), row)

    def l_um(self, row: int) -> Floats:
        """L̂(r) = √(K̂/π), µm; r under independence."""
        return np.asarray(np.sqrt(self.k_um2(row) / np.pi), dtype=np.float64)

    def pair_correlation(self, row: int) -> Floats:
        """Mean pair correlation within each bin; 1 under independence."""
        rings = np.diff(np.pi * self.radius_um**2, prepend=0.0)
        return np.diff(self.k_um2(row), prepend=0.0) / rings

    def _k(self, weights: Floats, row: int) -> Floats:
        pairs = self.pairs_of(row)
        return weights * (self.area_um2 / pairs) if pairs > 0 else np.full(len(weights), np.nan)

    def random_labelling(self, row: int) -> tuple[Floats, Floats]:
        """Mean and standard deviation of K̂ when the labels are dealt out anew, µm².

        Exact moments over all permutations (join counts: Cliff and Ord, *Spatial Processes*,
        1981, ch. 2), so no permutation is drawn.
        """
        a, b = self.kinds[row]
        n = float(self.size.sum())
        p, q = float(self.size[a]), float(self.size[b])
        one, two = self.squared, self.row_squared - self.squared
        four = self.total**2 - 2 * one - 4 * two
        falling = [n * (n - 1), n * (n - 1) * (n - 2), n * (n - 1) * (n - 2) * (n - 3)]
        if min(falling) <= 0:
            nothing = np.full(len(self.total), np.nan)
            return nothing, nothing
        if a == b:
            pairs = [p * (p - 1), p * (p - 1) * (p - 2), p * (p - 1) * (p - 2) * (p - 3)]
            terms = 2 * one * pairs[0], 4 * two * pairs[1], four * pairs[2]
        else:
            pairs = [p * q, p * q * (p + q - 2), p * (p - 1) * q * (q - 1)]
            # ordered pairs that share the first or the last cell; sharing crosswise is void
            terms = one * pairs[0], two * pairs[1], four * pairs[2]
        mean = self.total * pairs[0] / falling[0]
        second = sum(term / f for term, f in zip(terms, falling, strict=True))
        deviation = np.sqrt(np.maximum(second - mean**2, 0.0))
        return self._k(mean, row), self._k(deviation, row)


@njit(cache=True)
def _weight(dx: float, dy: float, table: Floats, spacing: float, m: int) -> float:
    """Area of the window over its overlap at a lag, bilinear in the overlap."""
    u, v = dx / spacing + m, dy / spacing + m
    i, j = int(u), int(v)
    fu, fv = u - i, v - j
    below = table[j, i] * (1 - fu) + table[j, i + 1] * fu
    above = table[j + 1, i] * (1 - fu) + table[j + 1, i + 1] * fu
    return float(1.0 / (below * (1 - fv) + above * fv))


@njit(cache=True)
def _sum_pairs(
    x: Floats,
    y: Floats,
    start: Ints,
    shape: tuple[int, int],
    corner: tuple[float, float],
    side: float,
    reach: float,
    width: float,
    kind: Kinds,
    block: Ints,
    row_of: Ints,
    table: Floats,
    spacing: float,
    by_block: Floats,
    all_kinds: Floats,
) -> None:
    m = table.shape[0] // 2
    n_bins = all_kinds.shape[1]
    own = np.empty(n_bins)
    for i in range(len(x)):
        own[:] = 0.0
        c0, c1 = bucket_span(x[i], corner[0], side, shape[1])
        r0, r1 = bucket_span(y[i], corner[1], side, shape[0])
        for row in range(r0, r1 + 1):
            for j in range(start[row * shape[1] + c0], start[row * shape[1] + c1 + 1]):
                dx, dy = x[j] - x[i], y[j] - y[i]
                d2 = dx * dx + dy * dy
                if j == i or d2 > reach * reach:
                    continue
                # a pair at exactly r counts as within r
                step = max(int(np.ceil(np.sqrt(d2) / width - 1e-9)) - 1, 0)
                w = _weight(dx, dy, table, spacing, m)
                own[step] += w
                all_kinds[1, step] += w * w
                wanted = row_of[kind[i], kind[j]]
                if wanted >= 0:
                    by_block[block[i], wanted, step] += w
        running = 0.0
        for step in range(n_bins):
            running += own[step]
            all_kinds[0, step] += own[step]
            all_kinds[2, step] += running * running


def sum_pairs(
    buckets: Buckets,
    window: TissueWindow,
    kind: Kinds,
    block: Ints,
    *,
    kinds: Sequence[tuple[int, int]],
    n_kinds: int,
    n_blocks: int,
    reach_um: float,
    bin_um: float,
) -> PairSums:
    """Go once through all pairs of cells within ``reach_um``.

    Parameters
    ----------
    buckets
        All cells, inside ``window``.
    window
        For the edge correction.
    kind, block
        Kind and tissue block of each cell, in bucket order.
    kinds
        Ordered kinds (a, b) to sum.
    n_kinds, n_blocks
        Their numbers.
    reach_um, bin_um
        Largest distance and step; ``reach_um`` is a multiple of ``bin_um``.
    """
    if reach_um > buckets.side_um:
        raise ValueError("reach_um exceeds the buckets' side")
    n_bins = round(reach_um / bin_um)
    row_of = np.full((n_kinds, n_kinds), -1, dtype=np.int64)
    for row, (a, b) in enumerate(kinds):
        row_of[a, b] = row
    table = window.set_covariance_um2(reach_um) / window.area_um2
    # a lag at which the window does not overlap itself has no pair; keep the division finite
    table = np.maximum(table, 1e-9)
    by_block = np.zeros((n_blocks, len(kinds), n_bins))
    all_kinds = np.zeros((3, n_bins))
    _sum_pairs(
        buckets.x_um,
        buckets.y_um,
        buckets.start,
        (buckets.n_rows, buckets.n_columns),
        buckets.corner_um,
        buckets.side_um,
        reach_um,
        bin_um,
        kind,
        block,
        row_of,
        table,
        window.spacing_um,
        by_block,
        all_kinds,
    )
    return PairSums(
        radius_um=np.arange(1, n_bins + 1, dtype=np.float64) * bin_um,
        kinds=tuple(kinds),
        by_block=by_block,
        total=all_kinds[0].cumsum(),
        squared=all_kinds[1].cumsum(),
        row_squared=all_kinds[2],
        size=np.bincount(kind, minlength=n_kinds).astype(np.int64),
        area_um2=window.area_um2,
    )
