"""Training tiles: cells counted where they lie, where nobody looked left out, the same bytes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from maps.painted_sections import MARKERS, made_up, tiles_of, write_slide
from metasight.alignment.error import ErrorMap
from metasight.cohort.region_table import RegionRow, RegionValue
from metasight.errors import MarkerError
from metasight.maps.cells import cells_of
from metasight.maps.training_tiles import (
    MarkedSection,
    TilesSettings,
    collect_tiles,
    load_tiles,
    on_grid,
    over_white,
    save_tiles,
    tiles_header,
)
from metasight.maps.window import TissueWindow
from metasight.slides.opening import open_slide

WHOLE = np.ones((64, 64), bool)


@pytest.fixture(scope="module")
def slide_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("slide") / "he.tif"
    write_slide(made_up(1, 1024), path)
    return path


def collected(path: Path, window: TissueWindow, **settings: float):
    at = [100.0, 100.0, 600.0, 900.0]
    cells = cells_of(at, [100.0, 101.0, 40.0, 900.0], ["CD3", "CD3", "CD3", "o"], ["CD3", "o"])
    marked = type(cells)(**{**vars(cells), "positive": {"CD3": cells.of_types(["CD3"])}})
    section = MarkedSection(
        cells=marked, window=window, section="mIHC", error_um=lambda x, y: x / 100
    )
    with open_slide(path, name="he") as slide:
        return collect_tiles(slide, WHOLE, 16.0, {"CD3": section}, TilesSettings(**settings))


def test_cells_are_counted_where_they_lie(slide_path: Path) -> None:
    tiles = collected(slide_path, TissueWindow(mask=WHOLE, spacing_um=16.0))
    assert len(tiles) == 4
    assert tiles.rgb.shape == (4, 512, 512, 3)
    assert tiles.density[0, 0, 6, 6] == pytest.approx(2 / (16**2 / 1e6))
    assert tiles.density[1, 0, 2, (600 - 512) // 16] > 0
    assert np.count_nonzero(tiles.density) == 2  # the cell that is not positive counts nothing
    assert tiles.p90_um[:, 0].tolist() == pytest.approx([2.56, 7.68, 2.56, 7.68])
    with open_slide(slide_path, name="he") as slide:
        from metasight.slides.reader import Region

        own = slide.read(Region(x=512, y=0, width=512, height=512), 1.0)
    assert np.abs(tiles.rgb[1].astype(int) - own).max() <= 12  # over white glass, else the same


def test_where_nobody_looked_says_nothing(slide_path: Path) -> None:
    left = WHOLE.copy()
    left[:, 32:] = False
    tiles = collected(slide_path, TissueWindow(mask=left, spacing_um=16.0))
    assert len(tiles) == 2  # tiles of the right half show nothing of the section
    assert tiles.support.all()
    shifted = TissueWindow(mask=left[:, :32], spacing_um=16.0, origin_um=(256.0, 0.0))
    moved = collected(slide_path, shifted)
    assert moved.support[0, 0, :, :16].sum() == 0
    assert moved.density[0].sum() == 0  # the cells at 100 µm lie outside the window


def test_nothing_is_learnt_from_a_tile_whose_misplacement_is_not_known(slide_path: Path) -> None:
    """Two tiles beside a tear: no cell of the section is laid on them, the others keep theirs."""
    cells = cells_of([100.0, 600.0], [100.0, 40.0], ["CD3", "CD3"], ["CD3"])
    marked = type(cells)(**{**vars(cells), "positive": {"CD3": cells.of_types(["CD3"])}})
    section = MarkedSection(
        cells=marked,
        window=TissueWindow(mask=WHOLE, spacing_um=16.0),
        section="mIHC",
        error_um=lambda x, _: np.where(x < 512, np.nan, 20.0),
    )
    with open_slide(slide_path, name="he") as slide:
        tiles = collect_tiles(slide, WHOLE, 16.0, {"CD3": section}, TilesSettings())
    known = tiles.corner_um[:, 0] >= 512
    assert not tiles.support[~known].any()
    assert not tiles.density[~known].any()
    assert tiles.support[known].all()
    assert tiles.density[known].sum() > 0
    assert np.isfinite(tiles.p90_um).all()


def test_most_tiles_are_drawn_evenly_and_the_same_each_time(slide_path: Path) -> None:
    window = TissueWindow(mask=WHOLE, spacing_um=16.0)
    few = [collected(slide_path, window, tile_um=128, most_tiles=16, seed=s) for s in (1, 1, 2)]
    assert len(few[0]) == 16
    assert np.array_equal(few[0].corner_um, few[1].corner_um)
    assert not np.array_equal(few[0].corner_um, few[2].corner_um)
    assert len(np.unique(few[0].corner_um[:, 1])) == 8  # from every row of tiles


def test_files_come_back_equal_and_with_the_same_bytes(tmp_path: Path) -> None:
    tiles = tiles_of(made_up(2, 512), tmp_path, "P")
    paths = [tmp_path / "a.h5", tmp_path / "b.h5"]
    for path in paths:
        save_tiles(tiles, path)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    back = load_tiles(paths[0])
    for name in ("rgb", "density", "support", "p90_um", "corner_um"):
        assert np.array_equal(getattr(back, name), getattr(tiles, name))
    assert tiles_header(paths[0]).markers == MARKERS
    assert len(load_tiles(paths[0], slice(0, 1))) == 1


def test_a_damaged_or_foreign_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.h5"
    path.write_bytes(b"not HDF5 at all")
    with pytest.raises(MarkerError, match=r"x\.h5: the training tiles cannot be read"):
        load_tiles(path)
    with pytest.raises(MarkerError, match="cannot be read"):
        load_tiles(tmp_path / "missing.h5")


def test_no_target_no_tissue_and_no_positivity_are_refused(slide_path: Path) -> None:
    patient = made_up(1, 512)
    window = TissueWindow(mask=WHOLE, spacing_um=16.0)
    section = MarkedSection(
        cells=patient.cells, window=window, section="m", error_um=lambda x, _: x * 0
    )
    with open_slide(slide_path, name="he") as slide:
        with pytest.raises(MarkerError, match="nothing to learn"):
            collect_tiles(slide, WHOLE, 16.0, {})
        with pytest.raises(MarkerError, match="no tile"):
            collect_tiles(slide, ~WHOLE | np.eye(64, dtype=bool), 16.0, {"CD3": section})
        with pytest.raises(MarkerError, match="does not state which cells are positive"):
            collect_tiles(slide, WHOLE, 16.0, {"Ki-67": section})


def test_the_error_of_a_tile_is_its_own_and_not_known_where_it_has_none() -> None:
    errors = ErrorMap(
        p50_um=5.0,
        p90_um=30.0,
        tile_p50_um=np.array([[5.0, np.nan]]),
        tile_p90_um=np.array([[12.0, np.nan]]),
        tile_um=100.0,
        origin_um=(0.0, 0.0),
        in_place=1.0,
    )
    section = MarkedSection(
        cells=made_up(1, 256).cells,
        section="m",
        error_um=errors,
        window=TissueWindow(mask=WHOLE, spacing_um=16.0),
    )
    found = section.p90_um(np.array([50.0, 150.0]), np.array([50.0, 50.0]))
    np.testing.assert_array_equal(found, [12.0, np.nan])


def test_glass_is_made_white_and_tissue_with_it() -> None:
    rgb = np.array([[[230, 200, 240], [115, 100, 120]]], np.uint8)
    white = over_white(rgb, np.array([230.0, 200, 240]))
    assert white[0, 0].tolist() == [255, 255, 255]
    assert np.abs(white[0, 1].astype(int) - 127).max() <= 1


def test_a_window_lands_on_the_grid_of_the_slide() -> None:
    window = TissueWindow(mask=np.ones((4, 4), bool), spacing_um=8.0, origin_um=(32.0, 16.0))
    found = on_grid(window, 16.0, (5, 5))
    assert np.argwhere(found).tolist() == [[1, 2], [1, 3], [2, 2], [2, 3]]


def spot(x: float, y: float, diameter: float, count: float) -> RegionRow:
    value = RegionValue(marker="CD3", told="count", value=count)
    return RegionRow(slide="he", row=2, unit="um", x=x, y=y, diameter=diameter, values=(value,))


def test_regions_alone_make_tiles_and_come_back(slide_path: Path, tmp_path: Path) -> None:
    spots = [spot(520.0, 500.0, 55.0, 4), spot(600.0, 505.0, 55.0, 0), spot(0.0, 0.0, 55.0, 9)]
    spots.append(spot(400.0, 400.0, 700.0, 90))
    with open_slide(slide_path, name="he") as slide:
        tiles = collect_tiles(slide, WHOLE, 16.0, {}, TilesSettings(), regions=spots)
    assert tiles.regions is not None
    assert len(tiles) == 1  # both spots, which lie across the border of the usual tiles
    assert np.sort(tiles.regions.count[0, :, 0]).tolist() == [0, 4]  # off the slide; too large
    area = tiles.regions.covered[0].sum(axis=(1, 2)) * 256
    assert area == pytest.approx([np.pi * 27.5**2] * 2, rel=0.05)
    rows, columns = np.nonzero(tiles.regions.covered[0, 0] > 0.5)
    y, x = ((i.mean() + 0.5) * 16 + tiles.corner_um[0, a] for i, a in ((rows, 1), (columns, 0)))
    assert (x, y) == pytest.approx((520, 500), abs=8)
    paths = [tmp_path / "a.h5", tmp_path / "b.h5"]
    for path in paths:
        save_tiles(tiles, path)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert tiles_header(paths[0]).region_markers == ("CD3",)
    back = load_tiles(paths[0], slice(0, 1)).regions
    assert back is not None
    np.testing.assert_array_equal(back.covered, tiles.regions.covered)
    np.testing.assert_array_equal(back.count, tiles.regions.count)


def test_a_larger_tile_holds_a_larger_region(slide_path: Path) -> None:
    with open_slide(slide_path, name="he") as slide:
        tiles = collect_tiles(
            slide,
            WHOLE,
            16.0,
            {},
            TilesSettings(tile_um=768.0),
            regions=[spot(400.0, 400.0, 700.0, 90)],
        )
    assert tiles.rgb.shape == (1, 768, 768, 3)
    assert tiles.regions is not None
    assert tiles.regions.count.tolist() == [[[90.0]]]


def test_scores_are_not_learnt_from(slide_path: Path) -> None:
    value = RegionValue(marker="CD3", told="score", value=30)
    row = RegionRow(slide="he", row=2, unit="um", x=500, y=500, diameter=90, values=(value,))
    with open_slide(slide_path, name="he") as slide, pytest.raises(MarkerError, match="no tile"):
        collect_tiles(slide, WHOLE, 16.0, {}, TilesSettings(), regions=[row])
