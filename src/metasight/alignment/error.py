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
_OVERLAPPING = 4.0
_LEAST_SCORE = 0.01
_FINEST = 0.0005  # of the extent: half a pixel
_LEAST_TISSUE = 0.1
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
        Share of the checked blocks found again within 1.5 % of the section's extent, 0 to 1:
        the lower end of its 90 % interval.
    """

    p50_um: float
    p90_um: float
    tile_p50_um: Floats
    tile_p90_um: Floats
    tile_um: float
    origin_um: tuple[float, float]
    in_place: float

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
    """Error = factor · distance ** power per quantile, both as shares of the section's extent.

    Attributes
    ----------
    factor_p50, power_p50, factor_p90, power_p90
        See above.
    """

    factor_p50: float
    power_p50: float
    factor_p90: float
    power_p90: float

    def errors(self, distance: Floats) -> tuple[Floats, Floats]:
        """p50 and p90 of the error for local distances (`local_distance`), shares of the extent."""
        distance = np.maximum(distance, _FINEST)
        p50 = self.factor_p50 * distance**self.power_p50
        # where little is known both are large; the median never exceeds the 90th percentile
        p90 = np.maximum(self.factor_p90 * distance**self.power_p90, 1.2 * p50)
        return p50, p90


# python bench/alignment.py --pairs F && python bench/alignment.py --gate F
CALIBRATION = Calibration(factor_p50=0.1115, power_p50=0.6, factor_p90=0.9618, power_p90=0.8)


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
    tissue = _tiles_with_tissue(shared_tissue(pair, placement), tile, pair)
    row, column = np.nonzero(tissue)
    centres = np.array(pair.fixed.origin_um) + (np.stack([column, row], axis=1) + 0.5) * tile
    p50, p90 = calibration.errors(local_distance(checked, centres, extent))
    maps = np.full((2, *tissue.shape), np.nan)
    maps[:, row, column] = p50 * extent, p90 * extent
    whole = pooled(p50 * extent, p90 * extent)
    return ErrorMap(
        p50_um=whole[0],
        p90_um=whole[1],
        tile_p50_um=maps[0],
        tile_p90_um=maps[1],
        tile_um=tile,
        origin_um=pair.fixed.origin_um,
        in_place=in_place(checked, extent),
    )


def in_place(checked: Check, extent_um: float) -> float:
    """Share of the blocks found again within 1.5 % of the extent, at the least.

    The lower end of Wilson's 90 % interval (J Am Stat Assoc 1927;22:209): a few blocks in place
    prove little. Blocks overlap, so four count as one. 0 where there are none.
    """
    n = len(checked.distance_um) / _OVERLAPPING
    if n == 0:
        return 0.0
    share = float((checked.distance_um < _NEAR * extent_um).mean())
    z2 = _NORMAL[-1] ** 2
    half = float(_NORMAL[-1] * np.sqrt(share * (1 - share) / n + z2 / (4 * n**2)))
    return float((share + z2 / (2 * n) - half) / (1 + z2 / n))


def local_distance(checked: Check, centres_um: Floats, extent_um: float) -> Floats:
    """Median distance of the blocks round each point, as a share of the extent, (n,).

    Blocks are weighted by nearness and by how well they fit; all blocks of the section together
    hold each median back.
    """
    n = len(checked.points_um)
    if n == 0:
        return np.full(len(centres_um), checked.radius_um / extent_um)
    order = np.argsort(checked.distance_um, kind="stable")
    points, distance = checked.points_um[order], checked.distance_um[order]
    trust = np.maximum(checked.score[order], _LEAST_SCORE) ** 2
    reach = _REACH * extent_um / TILES
    away = np.linalg.norm(points[None, :, :] - centres_um[:, None, :], axis=2) / reach
    weight = (np.exp(-0.5 * away**2) + _PRIOR_BLOCKS / n) * trust
    total = np.cumsum(weight, axis=1)
    middle = (total < total[:, -1:] / 2).sum(axis=1)
    return np.asarray(distance[np.minimum(middle, n - 1)] / extent_um, dtype=np.float64)


def shared_tissue(pair: Pair, placement: Placement) -> Image:
    """Tissue of the fixed section that lies on tissue of the moving one, 0 or 1 on its grid."""
    covered = np.zeros_like(pair.fixed.tissue)
    for number, piece in enumerate(placement.pieces):
        there = warp(pair.moving.tissue, pair.moving, pair.fixed, piece) > 0.5
        own = ground(placement.labels, number, pair)
        covered += there if own is None else own * there
    return np.asarray(covered * pair.fixed.tissue, dtype=np.float32)


def _tiles_with_tissue(tissue: Image, tile_um: float, pair: Pair) -> NDArray[np.bool_]:
    """Tiles of which shared tissue covers at least a tenth, (rows, columns)."""
    columns, rows = (int(np.ceil(n / tile_um - 1e-9)) for n in pair.fixed.size_um)
    edges = [
        np.round(np.arange(n + 1) * tile_um / pair.fixed.spacing_um).astype(int)
        for n in (rows, columns)
    ]
    there = np.zeros((rows, columns), dtype=np.bool_)
    for row in range(rows):
        for column in range(columns):
            part = tissue[
                edges[0][row] : edges[0][row + 1], edges[1][column] : edges[1][column + 1]
            ]
            there[row, column] = part.size > 0 and float(part.mean()) >= _LEAST_TISSUE
    return there


def pooled(p50: Floats, p90: Floats) -> tuple[float, float]:
    """p50 and p90 over tiles, each tile's error taken as log-normal; infinite without tiles."""
    if len(p50) == 0:
        return float("inf"), float("inf")
    spread = np.log(p90 / p50) / _NORMAL_P90
    errors = p50[:, None] * np.exp(spread[:, None] * _NORMAL[None, :])
    return float(np.quantile(errors, 0.5)), float(np.quantile(errors, 0.9))
