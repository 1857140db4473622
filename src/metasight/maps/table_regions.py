"""Regions of a table laid on a map's grid: which pixels each covers, and what was counted there."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import shapely

from metasight.cohort.region_table import RegionRow
from metasight.errors import MarkerError
from metasight.maps.density import DensityMap
from metasight.maps.regions import LEAST_SUPPORT, Regions

Floats32 = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

NO_VALUE = "the row states no value"
OFF_TISSUE = f"less than {LEAST_SUPPORT:.0%} of the region is on the slide’s tissue"
TOO_LARGE = "the region is larger than a training tile (tile_um of [slides.maps])"
_FINE = 8  # points a pixel's side by which its covered share is told


@dataclass(frozen=True, kw_only=True)
class PlacedRegion:
    """A region on a grid.

    Attributes
    ----------
    region
        Its row.
    row, column
        Of the first pixel of ``covered``; inside the grid.
    covered
        Share of each pixel that the region covers, shape ``(y, x)``; what lies off the grid is cut
        off.
    area_mm2
        Of the whole region.
    on_tissue
        Share of the region on the grid's tissue.
    """

    region: RegionRow
    row: int
    column: int
    covered: Floats32
    area_mm2: float
    on_tissue: float

    @property
    def window(self) -> tuple[slice, slice]:
        """Its pixels of the grid."""
        high, wide = self.covered.shape
        return slice(self.row, self.row + high), slice(self.column, self.column + wide)

    @property
    def is_learnt_from(self) -> bool:
        """Whether its row states cells: a score alone is only compared."""
        return any(v.told != "score" for v in self.region.values)

    def counts(self, markers: Sequence[str]) -> Floats32:
        """Cells of each marker in the region; NaN where the table has neither count nor density."""
        out = np.full(len(markers), np.nan, dtype=np.float32)
        for told in self.region.values:
            if told.told != "score" and told.marker in markers:
                factor = self.area_mm2 if told.told == "per_mm2" else 1.0
                out[markers.index(told.marker)] = told.value * factor
        return out


def lay_regions(
    regions: Sequence[RegionRow], tissue: Mask, *, spacing_um: float, mpp: float
) -> list[PlacedRegion]:
    """Lay regions on the grid of a slide that begins at its upper left corner.

    Parameters
    ----------
    regions
        Of one slide.
    tissue
        The slide's tissue on the grid, shape ``(y, x)``.
    spacing_um
        Side of a pixel.
    mpp
        µm a pixel of the slide's largest level, for regions in pixels.

    Returns
    -------
    Those that touch the grid, in the order given.
    """
    placed = []
    for region in regions:
        outline = region.polygon_um(mpp)
        x0, y0, x1, y1 = (v / spacing_um for v in outline.bounds)
        columns = max(math.floor(x0), 0), min(math.ceil(x1), tissue.shape[1])
        rows = max(math.floor(y0), 0), min(math.ceil(y1), tissue.shape[0])
        if columns[0] >= columns[1] or rows[0] >= rows[1]:
            continue
        at = [
            (np.arange(a * _FINE, b * _FINE) + 0.5) * spacing_um / _FINE for a, b in (rows, columns)
        ]
        shapely.prepare(outline)
        inside = shapely.contains_xy(outline, at[1][None, :], at[0][:, None])
        shape = (rows[1] - rows[0], _FINE, columns[1] - columns[0], _FINE)
        share = inside.reshape(shape).mean(axis=(1, 3))
        on = tissue[rows[0] : rows[1], columns[0] : columns[1]]
        pixel_um2 = spacing_um**2
        placed.append(
            PlacedRegion(
                region=region,
                row=rows[0],
                column=columns[0],
                covered=share.astype(np.float32),
                area_mm2=outline.area / 1e6,
                on_tissue=float((share * on).sum() * pixel_um2 / outline.area),
            )
        )
    return placed


def unusable(
    regions: Sequence[RegionRow],
    placed: Sequence[PlacedRegion],
    *,
    longest_px: int | None = None,
) -> Counter[str]:
    """Reason → how many regions cannot be used for it.

    Parameters
    ----------
    regions, placed
        Given to and returned by :func:`lay_regions`.
    longest_px
        Side of a training tile in pixels of the grid; None where regions are only compared.
    """
    reasons: Counter[str] = Counter()
    on_grid = {id(p.region): p for p in placed}
    for region in regions:
        found = on_grid.get(id(region))
        reason = OFF_TISSUE if found is None else why_unusable(found, longest_px=longest_px)
        if reason:
            reasons[reason] += 1
    return reasons


def why_unusable(placed: PlacedRegion, *, longest_px: int | None = None) -> str:
    """Why a region cannot be used; empty where it can. See :func:`unusable`."""
    if not placed.region.values:
        return NO_VALUE
    if placed.on_tissue < LEAST_SUPPORT:
        return OFF_TISSUE
    if longest_px is not None and max(placed.covered.shape) > longest_px:
        return TOO_LARGE
    return ""


@dataclass(frozen=True, kw_only=True)
class TileRegions:
    """Regions of a patient's tiles; a tile with fewer regions than another has empty ones.

    Attributes
    ----------
    covered
        float32 (tile, region, k, k), share of each pixel that the region covers; all 0 for an
        empty one.
    count
        float32 (tile, region, marker) cells; NaN where not told.
    markers
        Names.
    """

    covered: Floats32
    count: Floats32
    markers: tuple[str, ...]

    def __post_init__(self) -> None:
        n, r = self.covered.shape[:2]
        if self.count.shape != (n, r, len(self.markers)):
            raise MarkerError(
                "regions of training tiles differ in shape", value=f"{self.count.shape}"
            )
        if not ((self.covered >= 0).all() and (self.covered <= 1).all()):
            raise MarkerError("a region covers between none and all of a pixel")
        if np.nanmin(self.count, initial=0.0) < 0:
            raise MarkerError("a region of a training tile has a negative count")


def of_tiles(
    placed: Sequence[PlacedRegion],
    corners: Sequence[tuple[int, int]],
    k: int,
) -> TileRegions:
    """Each region in the first tile that holds all of it.

    Parameters
    ----------
    placed
        That can be learnt from.
    corners
        Column and row of each tile's first pixel.
    k
        Side of a tile, in pixels of the map.
    """
    told = {v.marker for p in placed for v in p.region.values if v.told != "score"}
    markers = tuple(sorted(told))
    own: list[list[PlacedRegion]] = [[] for _ in corners]
    for region in placed:
        at = next((n for n, c in enumerate(corners) if _holds(c, region, k)), None)
        if at is not None:
            own[at].append(region)
    most = max((len(o) for o in own), default=0)
    covered = np.zeros((len(corners), most, k, k), dtype=np.float32)
    count = np.full((len(corners), most, len(markers)), np.nan, dtype=np.float32)
    for tile, (column, row) in enumerate(corners):
        for number, region in enumerate(own[tile]):
            rows, columns = region.window
            there = (
                slice(rows.start - row, rows.stop - row),
                slice(columns.start - column, columns.stop - column),
            )
            covered[tile, number][there] = region.covered
            count[tile, number] = region.counts(markers)
    return TileRegions(covered=covered, count=count, markers=markers)


def corners_of_regions(
    placed: Sequence[PlacedRegion], k: int, shape: tuple[int, int], taken: Sequence[tuple[int, int]]
) -> list[tuple[int, int]]:
    """Column and row of further tiles, so that every region lies whole in one.

    Parameters
    ----------
    placed
        None longer than a tile.
    k
        Side of a tile, in pixels of the map.
    shape
        Rows and columns of the map.
    taken
        Tiles that are there already.
    """
    found = list(taken)
    for region in sorted(placed, key=lambda p: (p.row // k, p.column, p.row)):
        if any(_holds(c, region, k) for c in found):
            continue
        high, wide = region.covered.shape
        # in the corner, so that regions below and to the right share the tile; not at its very
        # edge, where the network sees only one side
        edge = min(2, (k - high) // 2, (k - wide) // 2)
        found.append(
            (
                max(min(region.column - edge, shape[1] - k), 0),
                max(min(region.row - edge, shape[0] - k), 0),
            )
        )
    return found[len(taken) :]


def _holds(corner: tuple[int, int], region: PlacedRegion, k: int) -> bool:
    high, wide = region.covered.shape
    return (
        corner[0] <= region.column
        and corner[1] <= region.row
        and region.column + wide <= corner[0] + k
        and region.row + high <= corner[1] + k
    )


# ------------------------------------------------------------------ a painted map beside a table


def compare_with_table(
    patient: str,
    painted: DensityMap,
    placed: Sequence[PlacedRegion],
    marker: str,
    *,
    score: bool,
    nuclei: DensityMap | None = None,
) -> Regions:
    """A painted map's densities in the regions of a table, beside what the table says.

    Parameters
    ----------
    patient
        Pseudonym.
    painted
        On the grid that ``placed`` was laid on, with the error of regions of 128 µm.
    placed
        Regions that can be used.
    marker
        Plane of the map.
    score
        Whether the table's scores are compared, or its counts and densities.
    nuclei
        On the map's grid; first plane, for the baseline.

    Returns
    -------
    Regions
        Of those that state ``marker`` so. ``region_um`` is the side of a square of their mean
        area. The ceiling's displacement is none: the table speaks of the H&E's own section.
    """
    images = [painted.plane(marker), painted.error[painted.markers.index(marker)]]
    if nuclei is not None:
        images.append(nuclei.density[0])
    rows: list[tuple[float, float, float, float, float]] = []
    at: list[tuple[int, int]] = []
    for region in placed:
        value = _value(region, marker, score=score)
        own = region.covered * painted.support[region.window]
        if value is None or not own.sum() > 0:
            continue
        density, error, *more = (
            float((np.nan_to_num(i[region.window]) * own).sum() / own.sum()) for i in images
        )
        spread = _error_of_area(error, density, region.area_mm2)
        rows.append((density, value, spread, more[0] if more else math.nan, region.area_mm2))
        at.append((region.row, region.column))
    table = np.array(rows, dtype=np.float64).reshape(-1, 5)
    place = np.array(at, dtype=np.int64).reshape(-1, 2)
    noise = float(np.mean(table[:, 1] / table[:, 4])) if rows and not score else 0.0
    return Regions(
        patient=patient,
        generated=table[:, 0],
        measured=table[:, 1],
        error=table[:, 2],
        baseline=table[:, 3],
        row=place[:, 0],
        column=place[:, 1],
        noise_variance=noise,
        displaced_covariance=math.nan,
        region_um=1000 * math.sqrt(float(table[:, 4].mean())) if rows else math.nan,
    )


def _value(region: PlacedRegion, marker: str, *, score: bool) -> float | None:
    """The table's density, or its score, of a marker; None where it states none."""
    if not score:
        count = float(region.counts((marker,))[0])
        return count / region.area_mm2 if math.isfinite(count) else None
    scores = (v.value for v in region.region.values if v.marker == marker and v.told == "score")
    return next(scores, None)


_ERROR_MM2 = 0.128**2


def _error_of_area(error: float, density: float, area_mm2: float) -> float:
    """A map's error for a region of another area: its counting noise changes with the area."""
    variance = error**2 + density / area_mm2 - density / _ERROR_MM2
    return math.sqrt(max(variance, density / area_mm2))
