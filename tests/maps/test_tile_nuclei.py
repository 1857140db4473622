"""Nuclei on tiles: each in every tile it lies in, at its pixel, and back from the file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from maps.painted_sections import made_up, tiles_of
from metasight.errors import MarkerError
from metasight.maps.nucleus_looks import N_LOOKS, SlideNuclei
from metasight.maps.tile_nuclei import TileNuclei, inside, lay_nuclei
from metasight.maps.training_tiles import load_nuclei, load_tiles, save_tiles, tiles_header


def nuclei_at(*at: tuple[float, float]) -> SlideNuclei:
    x, y = np.array(at).T
    looks = np.arange(len(at), dtype=np.float32)[:, None].repeat(N_LOOKS, axis=1)
    return SlideNuclei(x_um=x, y_um=y, looks=looks)


def test_every_tile_has_the_nuclei_that_lie_in_it() -> None:
    nuclei = nuclei_at((0.0, 0.0), (40.0, 17.0), (63.9, 63.9), (64.0, 0.0), (500.0, 500.0))
    found = lay_nuclei(nuclei, [(0, 0), (2, 0)], 4, 16.0)
    assert found.tile.tolist() == [0, 0, 0, 1, 1, 1]
    assert found.looks[:, 0].tolist() == [0, 1, 2, 1, 2, 3]
    assert found.pixel.tolist() == [0, 1 * 4 + 2, 15, 1 * 4 + 0, 3 * 4 + 1, 2]


def test_a_tile_without_a_nucleus() -> None:
    found = lay_nuclei(nuclei_at((900.0, 900.0)), [(0, 0)], 4, 16.0)
    assert len(found) == 0


def test_points_on_a_grid() -> None:
    own, at = inside(np.array([0, -1, 1, 2]), np.array([2, 0, 0, 0]), (2, 3))
    assert own.tolist() == [0, 2]
    assert at.tolist() == [2, 3]


def test_numbers_that_do_not_fit() -> None:
    looks = np.zeros((2, N_LOOKS), np.float32)
    place = np.zeros(2, np.int32)
    with pytest.raises(MarkerError, match="differ in shape"):
        TileNuclei(looks=looks[:, 1:], tile=place, pixel=place)
    with pytest.raises(MarkerError, match="no finite numbers"):
        TileNuclei(looks=looks + np.nan, tile=place, pixel=place)
    with pytest.raises(MarkerError, match="order"):
        TileNuclei(looks=looks, tile=np.array([1, 0], np.int32), pixel=place)


def test_the_file_gives_back_the_nuclei_of_a_tile(tmp_path: Path) -> None:
    tiles = tiles_of(made_up(3, 1024), tmp_path, "A")
    assert tiles.nuclei is not None
    save_tiles(tiles, tmp_path / "A.h5")
    header = tiles_header(tmp_path / "A.h5")
    assert header.nuclei == len(tiles.nuclei) > 1000
    assert header.area_mm2 == pytest.approx(len(tiles) * 0.512**2)
    np.testing.assert_array_equal(load_nuclei(tmp_path / "A.h5").looks, tiles.nuclei.looks)
    second = load_tiles(tmp_path / "A.h5", slice(1, 2)).nuclei
    assert second is not None
    own = tiles.nuclei.tile == 1
    np.testing.assert_array_equal(second.looks, tiles.nuclei.looks[own])
    np.testing.assert_array_equal(second.pixel, tiles.nuclei.pixel[own])
    assert set(second.tile.tolist()) == {0}
