"""Tiles of a slide: each once, at its place, in the file's own order."""

from __future__ import annotations

import numpy as np
import pytest

from metasight.slides.picture import PictureReader
from metasight.slides.reading import read_tiles
from metasight.slides.tiling import TileGrid
from slide_files import tissue_like


@pytest.fixture
def slide(tmp_path):
    import cv2

    rgb = tissue_like(100, 140)
    cv2.imwrite(str(tmp_path / "a.png"), rgb[..., ::-1])
    return PictureReader(tmp_path / "a.png", name="slide", mpp=1.0), rgb


@pytest.mark.parametrize("step", [20, 13])
def test_each_tile_once_with_its_own_pixels(slide, step):
    reader, rgb = slide
    grid = TileGrid(width=140, height=100, mpp=1.0, tile_size=20, step=step)
    asked = np.argwhere(np.ones((grid.rows, grid.columns), bool))
    rng = np.random.default_rng(0)
    seen = {}
    for row, column, pixels in read_tiles(reader, grid, rng.permutation(asked)):
        assert (row, column) not in seen
        seen[row, column] = pixels
        y, x = row * step, column * step
        np.testing.assert_array_equal(pixels, rgb[y : y + 20, x : x + 20])
    assert len(seen) == len(asked)


def test_only_the_tiles_asked_for(slide):
    reader, _ = slide
    grid = TileGrid(width=140, height=100, mpp=1.0, tile_size=20, step=20)
    asked = np.array([[3, 5], [0, 1], [0, 0]])
    found = [(r, c) for r, c, _ in read_tiles(reader, grid, asked)]
    assert sorted(found) == [(0, 0), (0, 1), (3, 5)]
    assert list(read_tiles(reader, grid, asked[:0])) == []
