"""Regions of a table on a grid: areas, tissue, one tile each, and a map beside them by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from maps.test_regions import density
from metasight.cohort.region_table import RegionRow, RegionValue
from metasight.errors import MarkerError
from metasight.maps.table_regions import (
    NO_VALUE,
    OFF_TISSUE,
    TOO_LARGE,
    TileRegions,
    compare_with_table,
    corners_of_regions,
    lay_regions,
    of_tiles,
    unusable,
)

TISSUE = np.ones((40, 60), bool)


def disc(x: float, y: float, diameter: float = 55.0, **told: float) -> RegionRow:
    kinds = {"score": "score", "per_mm2": "per_mm2"}
    values = tuple(
        RegionValue(marker="CD3", told=kinds.get(name, "count"), value=value)  # type: ignore[arg-type]
        for name, value in told.items()
    )
    return RegionRow(slide="s", row=2, unit="um", x=x, y=y, diameter=diameter, values=values)


def box(x0: float, y0: float, x1: float, y1: float, count: float = 1.0) -> RegionRow:
    corners = ((x0, y0), (x1, y0), (x1, y1), (x0, y1))
    value = RegionValue(marker="CD3", told="count", value=count)
    return RegionRow(slide="s", row=3, unit="um", outline=corners, values=(value,))


def laid(*regions: RegionRow, tissue: np.ndarray = TISSUE):
    return lay_regions(regions, tissue, spacing_um=16.0, mpp=0.5)


def test_a_box_covers_its_pixels():
    (found,) = laid(box(24, 16, 64, 32))
    assert (found.row, found.column) == (1, 1)
    assert found.covered.tolist() == [[0.5, 1.0, 1.0]]
    assert found.area_mm2 == pytest.approx(40 * 16 / 1e6)
    assert found.on_tissue == pytest.approx(1)


def test_a_disc_covers_its_area():
    (found,) = laid(disc(301.0, 217.0, 55.0, count=3))
    assert found.covered.sum() * 256 == pytest.approx(math.pi * 27.5**2, rel=0.03)
    assert found.area_mm2 == pytest.approx(math.pi * 27.5**2 / 1e6)
    rows, columns = np.indices(found.covered.shape)
    x = (found.covered * (columns + found.column + 0.5)).sum() / found.covered.sum() * 16
    y = (found.covered * (rows + found.row + 0.5)).sum() / found.covered.sum() * 16
    assert (x, y) == pytest.approx((301, 217), abs=1.0)


def test_counts_and_densities_come_to_cells():
    (one,) = laid(box(0, 0, 100, 100, count=7))
    assert one.counts(("CD20", "CD3"))[1] == 7
    assert math.isnan(one.counts(("CD20", "CD3"))[0])
    (two,) = laid(disc(200, 200, 100, per_mm2=1000))
    assert two.counts(("CD3",))[0] == pytest.approx(1000 * math.pi * 50**2 / 1e6)
    (three,) = laid(disc(200, 200, 100, score=40))
    assert math.isnan(three.counts(("CD3",))[0])
    assert not three.is_learnt_from


def test_what_cannot_be_used_is_counted_by_its_reason():
    half = TISSUE.copy()
    half[:, 30:] = False
    regions = (
        disc(100, 100, count=1),
        disc(700, 100, count=1),  # on the grid, off the tissue
        disc(5000, 100, count=1),  # off the grid
        disc(100, 100),  # states nothing
        disc(200, 200, 200, count=1),
    )
    placed = laid(*regions, tissue=half)
    assert len(placed) == 4
    told = unusable(regions, placed, longest_px=8)
    assert told == {OFF_TISSUE: 2, NO_VALUE: 1, TOO_LARGE: 1}
    assert unusable(regions, placed)[TOO_LARGE] == 0


def test_a_region_that_the_slide_cuts_is_not_used():
    (cut,) = laid(disc(0, 300, 55, count=1))
    assert cut.on_tissue == pytest.approx(0.5, abs=0.02)
    assert unusable((cut.region,), [cut]) == {OFF_TISSUE: 1}


def test_every_region_lies_whole_in_one_tile():
    rng = np.random.default_rng(0)
    regions = [disc(float(x), float(y), 55, count=1) for x, y in rng.uniform(30, 600, (60, 2))]
    regions = [r for r in regions if r.x < 930 and r.y < 610]
    placed = laid(*regions)
    corners = corners_of_regions(placed, 16, TISSUE.shape, [])
    assert all(0 <= c <= 60 - 16 and 0 <= r <= 40 - 16 for c, r in corners)
    tiles = of_tiles(placed, corners, 16)
    assert np.isfinite(tiles.count).sum() == len(regions)
    assert tiles.covered.sum() == pytest.approx(sum(p.covered.sum() for p in placed), rel=1e-5)
    assert corners_of_regions(placed, 16, TISSUE.shape, corners) == []


def test_a_region_lands_at_its_place_in_the_tile():
    placed = laid(box(160, 96, 192, 128, count=4))
    tiles = of_tiles(placed, [(20, 20), (8, 4)], 16)
    assert tiles.covered.shape == (2, 1, 16, 16)
    assert not tiles.covered[0].any()
    assert math.isnan(tiles.count[0, 0, 0])
    assert np.argwhere(tiles.covered[1, 0]).tolist() == [[2, 2], [2, 3], [3, 2], [3, 3]]
    assert tiles.count[1, 0, 0] == 4


def test_regions_of_tiles_are_checked():
    covered = np.zeros((1, 1, 4, 4), np.float32)
    with pytest.raises(MarkerError, match="differ in shape"):
        TileRegions(covered=covered, count=np.zeros((1, 2, 1), np.float32), markers=("CD3",))
    with pytest.raises(MarkerError, match="between none and all"):
        TileRegions(covered=covered + 2, count=np.zeros((1, 1, 1), np.float32), markers=("CD3",))
    with pytest.raises(MarkerError, match="negative count"):
        TileRegions(covered=covered, count=np.full((1, 1, 1), -1, np.float32), markers=("CD3",))


def test_a_map_beside_the_table_by_hand():
    image = np.zeros((40, 60), np.float32)
    image[6:8, 10:12] = 1000.0
    image[6:8, 12:14] = 3000.0
    painted = density(image, error=400.0)
    placed = laid(box(160, 96, 192, 128, count=2), box(160, 96, 224, 128, count=9))
    found = compare_with_table("P", painted, placed, "CD3", score=False)
    assert found.generated.tolist() == pytest.approx([1000.0, 2000.0])
    assert found.measured.tolist() == pytest.approx([2 / 0.001024, 9 / 0.002048])
    # the error is that of 128 µm; a smaller region has more counting noise
    wanted = math.sqrt(400**2 + 1000 / 0.001024 - 1000 / 0.128**2)
    assert found.error[0] == pytest.approx(wanted)
    assert found.region_um == pytest.approx(1000 * math.sqrt((0.001024 + 0.002048) / 2))
    assert not len(compare_with_table("P", painted, placed, "CD3", score=True))


def test_scores_are_compared_apart():
    painted = density(np.full((40, 60), 500, np.float32))
    placed = laid(disc(200, 200, score=30), disc(400, 200, count=3))
    found = compare_with_table("P", painted, placed, "CD3", score=True, nuclei=painted)
    assert found.measured.tolist() == [30]
    assert found.baseline.tolist() == pytest.approx([500])
    assert found.noise_variance == 0
