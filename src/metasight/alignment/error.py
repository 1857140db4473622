"""How far off an alignment is likely to be, where, and whether it may be used.

The error is read from blocks that the kept model has not seen (`refine`): each is looked for again
over a much wider window than the fit used. In a wrong placement the best match lies anywhere in
the window, in a right one near the middle. The distances are turned into the alignment's own error
by two numbers per quantile. What an expert measures holds the expert's error too, which is added.
All six are calibrated on pairs whose truth is known (``bench/alignment.py --gate``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from metasight.alignment.matching import Blocks, Pair, joined, warp
from metasight.alignment.pieces import held_out
from metasight.alignment.placement import Placement
from metasight.alignment.refine import Refined, ground
from metasight.alignment.section import Image

Floats = NDArray[np.float64]

TILES = 16  # along the unit: the section's longer side, or 1,024 pixels of it
_REACH = 1.2  # tiles: how far a block speaks for its surroundings
_PRIOR_BLOCKS = 2.0  # weight of the whole section's blocks against those near a tile
_NEAR = 0.015  # of the unit
_OVERLAPPING = 4.0
_AT_ONCE = 256  # tiles
_MARKED_PX = 512  # along the longer side, where tissue without a counterpart is counted
_LEAST_SCORE = 0.01
_FINEST_UM = 2.0  # half a pixel: no distance is known better
_LEAST_TISSUE = 0.1  # of a tile that must be shared tissue
_LEAST_SHARED = 0.6  # of a tile's tissue that must lie on tissue of the moving section
_BESIDE = 0.25  # tiles: how far a piece's border makes what lies beside it uncertain
# quantiles 0.05, 0.15 … 0.95 and 0.9 of the standard normal distribution
_NORMAL = np.array([-1.645, -1.036, -0.674, -0.385, -0.126, 0.126, 0.385, 0.674, 1.036, 1.645])
_NORMAL_P90 = 1.2816


@dataclass(frozen=True, kw_only=True)
class Check:
    """Blocks looked for again under a model that had not seen them.

    Attributes
    ----------
    points_um
        (n, 2) centres on the fixed section.
    distance_um
        (n,) how far from its place each fits best; the window's reach where no peak was found.
    score
        (n,) correlation there.
    radius_um
        Reach of the window: what an unrelated section would give is about 0.75 of it.
    """

    points_um: Floats
    distance_um: Floats
    score: Floats
    radius_um: float


@dataclass(frozen=True, kw_only=True)
class ErrorMap:
    """Predicted error of an alignment, as an expert would measure it.

    Attributes
    ----------
    p50_um, p90_um
        Median and 90th percentile of the distance between where a point of the fixed section's
        tissue is put and where an expert would mark it, over the whole section. The expert's own
        error is part of it; `own` is without.
    tile_p50_um, tile_p90_um
        (rows, columns) the same for each tile; NaN where too little of its tissue lies on tissue
        of the moving section, and beside the border of two pieces.
    tile_um
        Side of a tile.
    origin_um
        (x, y) of the first tile's corner on the fixed section.
    in_place
        Share of the checked blocks found again within 1.5 % of the section's extent (of 1,024
        pixels of it), 0 to 1: the lower end of its 90 % interval.
    """

    p50_um: float
    p90_um: float
    tile_p50_um: Floats
    tile_p90_um: Floats
    tile_um: float
    origin_um: tuple[float, float]
    in_place: float

    def own(self, calibration: Calibration | None = None) -> ErrorMap:
        """The alignment's own error: without what an expert's marks add."""
        known = calibration or CALIBRATION

        def without(value: Floats, marks_um: float) -> Floats:
            return np.asarray(np.sqrt(np.maximum(value**2 - marks_um**2, 0.0)), dtype=np.float64)

        return replace(
            self,
            p50_um=float(without(np.array(self.p50_um), known.marks_p50_um)),
            p90_um=float(without(np.array(self.p90_um), known.marks_p90_um)),
            tile_p50_um=without(self.tile_p50_um, known.marks_p50_um),
            tile_p90_um=without(self.tile_p90_um, known.marks_p90_um),
        )

    def with_tiles(
        self,
        known: NDArray[np.bool_],
        own_p50_um: Floats,
        own_p90_um: Floats,
        calibration: Calibration | None = None,
    ) -> ErrorMap:
        """The same tiles with other errors of their own, to which the marks' are added.

        Parameters
        ----------
        known
            (rows, columns) tiles that the errors are of, row by row.
        own_p50_um, own_p90_um
            (n,); a tile whose error is NaN has none.
        """
        marks = calibration or CALIBRATION
        p50 = np.hypot(own_p50_um, marks.marks_p50_um)
        p90 = np.hypot(own_p90_um, marks.marks_p90_um)
        maps = np.full((2, *known.shape), np.nan)
        maps[:, known] = p50, p90
        there = np.isfinite(p50)
        whole = pooled(p50[there], p90[there])
        return replace(
            self, p50_um=whole[0], p90_um=whole[1], tile_p50_um=maps[0], tile_p90_um=maps[1]
        )

    def tile_centres_um(self) -> Floats:
        """Centres (n, 2) of the tiles that have an error, row by row."""
        row, column = np.nonzero(np.isfinite(self.tile_p50_um))
        centres = (np.stack([column, row], axis=1) + 0.5) * self.tile_um
        return np.asarray(centres + self.origin_um, dtype=np.float64)

    def at(self, points_um: Floats) -> tuple[Floats, Floats]:
        """p50 and p90 at points (n, 2) of the fixed section; NaN off the tiles with tissue."""
        rows, columns = self.tile_p50_um.shape
        x, y = np.floor((points_um - self.origin_um) / self.tile_um).T.astype(int)
        inside = (x >= 0) & (y >= 0) & (x < columns) & (y < rows)
        x, y = np.clip(x, 0, columns - 1), np.clip(y, 0, rows - 1)
        p50 = np.where(inside, self.tile_p50_um[y, x], np.nan)
        return p50, np.where(inside, self.tile_p90_um[y, x], np.nan)


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Own error = factor · distance ** power per quantile, µm; experts' marks add theirs.

    Attributes
    ----------
    factor_p50, power_p50, factor_p90, power_p90
        See above.
    marks_p50_um, marks_p90_um
        Of an expert's marks on a pair without any other error.
    """

    factor_p50: float
    power_p50: float
    factor_p90: float
    power_p90: float
    marks_p50_um: float
    marks_p90_um: float

    def errors(self, distance_um: Floats, *, marked: bool = True) -> tuple[Floats, Floats]:
        """p50 and p90 of the error for local distances (`local_distance_um`), with the marks'."""
        distance = np.maximum(distance_um, _FINEST_UM)
        p50 = self.factor_p50 * distance**self.power_p50
        # where little is known both are large; the median never exceeds the 90th percentile
        p90 = np.maximum(self.factor_p90 * distance**self.power_p90, 1.2 * p50)
        if not marked:
            return p50, p90
        return np.hypot(p50, self.marks_p50_um), np.hypot(p90, self.marks_p90_um)


# python bench/alignment.py --pairs F && python bench/alignment.py --gate F
CALIBRATION = Calibration(
    factor_p50=1.4,
    power_p50=0.788,
    factor_p90=2.061,
    power_p90=0.99,
    marks_p50_um=17.2,
    marks_p90_um=46.4,
)


def check(pair: Pair, placement: Placement, refined: tuple[Refined, ...]) -> Check:
    """Look for blocks again, each under the model fitted without its surroundings."""
    unit = pair.unit_px
    blocks = Blocks(size=max(24, unit // 6), step=max(8, unit // 18), radius=max(12, unit // 14))
    reach = blocks.radius * pair.fixed.spacing_um
    grounds = [ground(placement.labels, number, pair) for number in range(len(refined))]
    found = joined(
        [held_out(pair, r, blocks, own) for r, own in zip(refined, grounds, strict=True)]
    )
    away = np.linalg.norm(found.offsets_um, axis=1)
    return Check(
        points_um=found.points_um,
        distance_um=np.where(found.at_edge, reach, np.minimum(away, reach)),
        score=found.score,
        radius_um=reach,
    )


def predict(
    pair: Pair, placement: Placement, checked: Check, calibration: Calibration = CALIBRATION
) -> ErrorMap:
    """Turn checked blocks into the error of every tile and of the pair."""
    unit = pair.unit_um
    tile = unit / TILES
    known = _tiles_with_error(pair, placement, tile)
    row, column = np.nonzero(known)
    centres = np.array(pair.fixed.origin_um) + (np.stack([column, row], axis=1) + 0.5) * tile
    p50, p90 = calibration.errors(local_distance_um(checked, centres, tile))
    maps = np.full((2, *known.shape), np.nan)
    maps[:, row, column] = p50, p90
    whole = pooled(p50, p90)
    return ErrorMap(
        p50_um=whole[0],
        p90_um=whole[1],
        tile_p50_um=maps[0],
        tile_p90_um=maps[1],
        tile_um=tile,
        origin_um=pair.fixed.origin_um,
        in_place=in_place(checked, unit),
    )


def in_place(checked: Check, unit_um: float) -> float:
    """Share of the blocks found again within 1.5 % of the unit, at the least.

    The lower end of Wilson's 90 % interval (J Am Stat Assoc 1927;22:209): a few blocks in place
    prove little. Blocks overlap, so four count as one. 0 where there are none.
    """
    n = len(checked.distance_um) / _OVERLAPPING
    if n == 0:
        return 0.0
    share = float((checked.distance_um < _NEAR * unit_um).mean())
    z2 = _NORMAL[-1] ** 2
    half = float(_NORMAL[-1] * np.sqrt(share * (1 - share) / n + z2 / (4 * n**2)))
    return float((share + z2 / (2 * n) - half) / (1 + z2 / n))


def local_distance_um(checked: Check, centres_um: Floats, tile_um: float) -> Floats:
    """Median distance of the blocks round each point, (n,).

    Blocks are weighted by nearness and by how well they fit; all blocks of the section together
    hold each median back.
    """
    n = len(checked.points_um)
    if n == 0:
        return np.full(len(centres_um), checked.radius_um)
    order = np.argsort(checked.distance_um, kind="stable")
    points, distance = checked.points_um[order], checked.distance_um[order]
    trust = np.maximum(checked.score[order], _LEAST_SCORE) ** 2
    out = np.empty(len(centres_um))
    for start in range(0, len(out), _AT_ONCE):  # thousands of tiles and blocks on a whole section
        some = slice(start, start + _AT_ONCE)
        apart = points[None, :, :] - centres_um[some, None, :]
        away = np.linalg.norm(apart, axis=2) / (_REACH * tile_um)
        weight = (np.exp(-0.5 * away**2) + _PRIOR_BLOCKS / n) * trust
        total = np.cumsum(weight, axis=1)
        middle = (total < total[:, -1:] / 2).sum(axis=1)
        out[some] = distance[np.minimum(middle, n - 1)]
    return out


def shared_tissue(pair: Pair, placement: Placement) -> Image:
    """Tissue of the fixed section that lies on tissue of the moving one, 0 or 1 on its grid."""
    covered = np.zeros_like(pair.fixed.tissue)
    for number, piece in enumerate(placement.pieces):
        there = warp(pair.moving.tissue, pair.moving, pair.fixed, piece) > 0.5
        own = ground(placement.labels, number, pair)
        covered += there if own is None else own * there
    return np.asarray(covered * pair.fixed.tissue, dtype=np.float32)


def unmatched(pair: Pair, placement: Placement) -> float:
    """Share of tissue that has no counterpart although both sections have such tissue, 0 to 1.

    The smaller of two shares: of the fixed section's tissue that lies on glass, and of the moving
    section's that nothing lies on. Missing tissue is missing on one side; a torn-off piece that
    was not found is on both.
    """
    step = max(1, max(pair.fixed.shape) // _MARKED_PX)
    row, column = np.nonzero(pair.fixed.tissue[::step, ::step])
    x, y = pair.fixed.centres_um()
    put = placement.points(np.stack([x[::step][column], y[::step][row]], axis=1))
    spacing = pair.moving.spacing_um * step
    tissue = pair.moving.tissue[::step, ::step] > 0
    at = np.floor((put - pair.moving.origin_um) / spacing).astype(int)
    rows, columns = tissue.shape
    inside = (at >= 0).all(axis=1) & (at[:, 0] < columns) & (at[:, 1] < rows)
    taken = np.zeros(tissue.shape, np.uint8)
    taken[at[inside, 1], at[inside, 0]] = 1
    on_tissue = np.zeros(len(at), dtype=np.bool_)
    on_tissue[inside] = tissue[at[inside, 1], at[inside, 0]]
    # points lie apart where the map stretches: close the gaps between them
    closed = cv2.morphologyEx(taken, cv2.MORPH_CLOSE, np.ones((7, 7), np.uint8))
    if not len(at) or not tissue.any():
        return 1.0
    return float(min(1 - on_tissue.mean(), 1 - closed[tissue].mean()))


def _tiles_with_error(pair: Pair, placement: Placement, tile_um: float) -> NDArray[np.bool_]:
    """Tiles, (rows, columns), enough of whose tissue has a counterpart, away from any border."""
    shared = shared_tissue(pair, placement)
    share_of_tile, tissue = (_mean_by_tile(i, tile_um, pair) for i in (shared, pair.fixed.tissue))
    there = (share_of_tile >= _LEAST_TISSUE) & (share_of_tile >= _LEAST_SHARED * tissue)
    if len(placement.pieces) == 1:
        return there
    # a tile's tissue, and a little beyond it, belongs to one piece alone
    width = int(_BESIDE * tile_um / pair.fixed.spacing_um)
    kernel = np.ones((2 * width + 1, 2 * width + 1), np.uint8)
    pieces = np.zeros(there.shape)
    for number in range(len(placement.pieces)):
        own = ground(placement.labels, number, pair)
        if own is None:
            continue
        near = cv2.dilate((own * pair.fixed.tissue).astype(np.uint8), kernel)
        pieces += _mean_by_tile(near.astype(np.float32), tile_um, pair) > 0
    return np.asarray(there & (pieces <= 1), dtype=np.bool_)


def _mean_by_tile(image: Image, tile_um: float, pair: Pair) -> Floats:
    columns, rows = (int(np.ceil(n / tile_um - 1e-9)) for n in pair.fixed.size_um)
    edges = [
        np.round(np.arange(n + 1) * tile_um / pair.fixed.spacing_um).astype(int)
        for n in (rows, columns)
    ]
    means = np.zeros((rows, columns))
    for row in range(rows):
        for column in range(columns):
            part = image[edges[0][row] : edges[0][row + 1], edges[1][column] : edges[1][column + 1]]
            means[row, column] = float(part.mean()) if part.size else 0.0
    return means


def pooled(p50: Floats, p90: Floats) -> tuple[float, float]:
    """p50 and p90 over tiles, each tile's error taken as log-normal; infinite without tiles."""
    if len(p50) == 0:
        return float("inf"), float("inf")
    spread = np.log(p90 / p50) / _NORMAL_P90
    errors = p50[:, None] * np.exp(spread[:, None] * _NORMAL[None, :])
    return float(np.quantile(errors, 0.5)), float(np.quantile(errors, 0.9))
