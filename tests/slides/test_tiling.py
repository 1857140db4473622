"""Tiles as geometry: properties that hold for every slide."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from metasight.slides.tiling import TileGrid, reading_order

sizes = st.integers(1, 700)
grids = st.builds(
    TileGrid,
    width=sizes,
    height=sizes,
    mpp=st.sampled_from([0.25, 0.5, 1.0]),
    tile_size=st.integers(8, 128),
    step=st.integers(1, 128),
)


@given(grids)
@settings(deadline=None)
def test_every_tile_lies_on_the_slide_and_no_more_would(grid: TileGrid) -> None:
    if len(grid):
        last = grid.region(grid.rows - 1, grid.columns - 1)
        assert last.x + last.width <= grid.width
        assert last.y + last.height <= grid.height
        assert last.x + grid.step + grid.tile_size > grid.width
        assert last.y + grid.step + grid.tile_size > grid.height
    else:
        assert grid.tile_size > min(grid.width, grid.height)


@given(grids)
@settings(deadline=None)
def test_tiles_a_step_apart_cover_each_pixel_once(grid: TileGrid) -> None:
    grid = TileGrid(
        width=grid.width,
        height=grid.height,
        mpp=grid.mpp,
        tile_size=grid.tile_size,
        step=grid.tile_size,
    )
    seen = np.zeros((grid.height, grid.width), int)
    for row in range(grid.rows):
        for column in range(grid.columns):
            r = grid.region(row, column)
            seen[r.y : r.y + r.height, r.x : r.x + r.width] += 1
    inner = seen[: grid.rows * grid.tile_size, : grid.columns * grid.tile_size]
    assert (inner == 1).all()
    assert seen.sum() == inner.sum()


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.5, 1.0]), st.sampled_from([1, 2, 4, 7]))
@settings(max_examples=40, deadline=None)
def test_tissue_share_is_the_share_of_a_tiles_pixels(seed: int, mpp: float, factor: int) -> None:
    rng = np.random.default_rng(seed)
    coarse = rng.random((30, 40)) > 0.5
    fine = np.kron(coarse, np.ones((factor, factor), bool))  # the mask at the tiles' resolution
    grid = TileGrid(width=40 * factor, height=30 * factor, mpp=mpp, tile_size=13, step=9)
    share = grid.tissue_share(coarse, mpp * factor)
    assert share.shape == (grid.rows, grid.columns)
    for row in range(grid.rows):
        for column in range(grid.columns):
            r = grid.region(row, column)
            expected = fine[r.y : r.y + r.height, r.x : r.x + r.width].mean()
            # one pixel of the mask is cut at each edge: exact for the linear share of its square
            assert abs(share[row, column] - expected) < 1e-9


@given(grids, st.integers(1, 900))
@settings(deadline=None)
def test_reading_order_has_each_tile_once(grid: TileGrid, strip: int) -> None:
    tiles = np.argwhere(np.ones((min(grid.rows, 40), min(grid.columns, 40)), bool))
    read = list(reading_order(grid, tiles, strip_pixels=strip))
    together = np.concatenate(read) if read else np.zeros((0, 2), int)
    assert len(together) == len(tiles)
    assert {tuple(t) for t in together} == {tuple(t) for t in tiles}
    for part in read:
        assert len(set(part[:, 1] * grid.step // strip)) == 1
        assert (np.diff(part[:, 0]) >= 0).all()


def test_on_tissue_leaves_out_glass() -> None:
    mask = np.zeros((10, 10), bool)
    mask[:5] = True
    grid = TileGrid(width=100, height=100, mpp=1.0, tile_size=20, step=20)
    kept = grid.on_tissue(mask, 10.0, 0.5)
    assert kept[:, 0].max() == 2  # rows 40–60 are half tissue
    assert len(kept) == 15
    assert len(grid.on_tissue(mask, 10.0, 0.51)) == 10
