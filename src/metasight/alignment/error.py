"""How far off an alignment is likely to be, where, and whether it may be used.

The error is read from blocks that the kept model has not seen (`refine`): each is looked for again
over a much wider window than the fit used. In a wrong placement the best match lies anywhere in
the window, in a right one near the middle. The distances are turned into the error that an expert
would measure by two numbers per quantile, calibrated on pairs whose truth is known
(``bench/alignment.py --calibrate``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metasight.alignment.matching import Blocks, Pair, warp
from metasight.alignment.placement import Placement
from metasight.alignment.refine import Refined, ground, squares
from metasight.alignment.section import Image

Floats = NDArray[np.float64]

TILES = 16  # along the longer side of the section
_REACH = 1.2  # tiles: how far a block speaks for its surroundings
_PRIOR_BLOCKS = 2.0  # weight of the whole section's blocks against those near a tile
_NEAR = 0.015  # of the section's extent


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
    """Predicted error of an alignment.

    Attributes
    ----------
    p50_um, p90_um
        Median and 90th percentile of the distance between where a point of the fixed section's
        tissue is put and where an expert would put it, over the whole section.
    tile_p50_um, tile_p90_um
        (rows, columns) the same for each tile; NaN where either section has no tissue.
    tile_um
        Side of a tile.
    origin_um
        (x, y) of the first tile's corner on the fixed section.
    in_place
        Share of the checked blocks found again within 1.5 % of the section's extent, 0 to 1.
    """

    p50_um: float
    p90_um: float
    tile_p50_um: Floats
    tile_p90_um: Floats
    tile_um: float
    origin_um: tuple[float, float]
    in_place: float

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
    """Error = factor · distance ** power, distances and errors as shares of the extent.

    Attributes
    ----------
    factor_p50, factor_p90
        See above.
    power
        Shared by both.
    """

    factor_p50: float
    factor_p90: float
    power: float


CALIBRATION = Calibration(factor_p50=1.0, factor_p90=2.0, power=1.0)


def check(pair: Pair, placement: Placement, refined: tuple[Refined, ...]) -> Check:
    """Look for blocks again, each under the model fitted without its surroundings."""
    longest = max(pair.fixed.shape)
    blocks = Blocks(
        size=max(24, longest // 6), step=max(8, longest // 18), radius=max(12, longest // 14)
    )
    x, y = np.meshgrid(*pair.fixed.centres_um())
    white = squares(np.stack([x.ravel(), y.ravel()], axis=1), pair).reshape(pair.fixed.shape)
    points, distances, scores = [], [], []
    reach = blocks.radius * pair.fixed.spacing_um
    for number, piece in enumerate(refined):
        own = ground(placement.labels, number, pair)
        for colour, model in ((white, piece.without[0]), (~white, piece.without[1])):
            where = colour.astype(np.float32) if own is None else own * colour
            found = pair.match(model, blocks, where=where)
            away = np.linalg.norm(found.offsets_um, axis=1)
            points.append(found.points_um)
            distances.append(np.where(found.at_edge, reach, np.minimum(away, reach)))
            scores.append(found.score)
    return Check(
        points_um=np.concatenate(points),
        distance_um=np.concatenate(distances),
        score=np.concatenate(scores),
        radius_um=reach,
    )


def predict(
    pair: Pair, placement: Placement, checked: Check, calibration: Calibration = CALIBRATION
) -> ErrorMap:
    """Turn checked blocks into the error of every tile and of the pair."""
    extent = max(pair.fixed.size_um)
    tile = extent / TILES
    columns, rows = (int(np.ceil(n / tile - 1e-9)) for n in pair.fixed.size_um)
    local = np.full((rows, columns), np.nan)
    tissue = shared_tissue(pair, placement)
    for row in range(rows):
        for column in range(columns):
            centre = np.array(pair.fixed.origin_um) + (np.array([column, row]) + 0.5) * tile
            if _share(tissue, column * tile, row * tile, tile, pair) > 0.1:
                local[row, column] = local_distance(checked, centre, tile)
    shares = np.maximum(local / extent, 1e-6) ** calibration.power * extent
    p50, p90 = calibration.factor_p50 * shares, calibration.factor_p90 * shares
    near = checked.distance_um < _NEAR * extent
    whole = _pooled(p50, p90)
    return ErrorMap(
        p50_um=whole[0],
        p90_um=whole[1],
        tile_p50_um=p50,
        tile_p90_um=p90,
        tile_um=tile,
        origin_um=pair.fixed.origin_um,
        in_place=float(near.mean()) if len(near) else 0.0,
    )


def local_distance(checked: Check, centre_um: Floats, tile_um: float) -> float:
    """Weighted median distance of the blocks round a point, held back by the whole section's."""
    n = len(checked.points_um)
    if n == 0:
        return checked.radius_um
    away = np.linalg.norm(checked.points_um - centre_um, axis=1) / (_REACH * tile_um)
    weight = np.exp(-0.5 * away**2) + _PRIOR_BLOCKS / n
    order = np.argsort(checked.distance_um, kind="stable")
    total = np.cumsum(weight[order])
    middle = int(np.searchsorted(total, total[-1] / 2))
    return float(checked.distance_um[order[min(middle, n - 1)]])


def shared_tissue(pair: Pair, placement: Placement) -> Image:
    """Tissue of the fixed section that lies on tissue of the moving one, 0 or 1 on its grid."""
    covered = np.zeros_like(pair.fixed.tissue)
    for number, piece in enumerate(placement.pieces):
        there = warp(pair.moving.tissue, pair.moving, pair.fixed, piece) > 0.5
        own = ground(placement.labels, number, pair)
        covered += there if own is None else own * there
    return np.asarray(covered * pair.fixed.tissue, dtype=np.float32)


def _share(tissue: Image, left: float, top: float, side: float, pair: Pair) -> float:
    a, b, c, d = (round(v / pair.fixed.spacing_um) for v in (top, top + side, left, left + side))
    part = tissue[a:b, c:d]
    return float(part.mean()) if part.size else 0.0


def _pooled(p50: Floats, p90: Floats) -> tuple[float, float]:
    """Quantiles over all tiles, each tile's error taken as log-normal."""
    known = np.isfinite(p50)
    if not known.any():
        return float("inf"), float("inf")
    z = np.array([-1.645, -1.036, -0.674, -0.385, -0.126, 0.126, 0.385, 0.674, 1.036, 1.645])
    spread = np.log(p90[known] / p50[known]) / 1.2816
    errors = p50[known][:, None] * np.exp(spread[:, None] * z[None, :])
    return float(np.quantile(errors, 0.5)), float(np.quantile(errors, 0.9))
