"""Patterns of tissue: normalised, periodic, running as their direction says, and repeatable."""

from __future__ import annotations

import numpy as np
import pytest

from metasight.simulate.breast import texture

MPP = 1.0


def test_fibres_are_standard_normal_in_every_direction():
    found = texture.fibres(MPP)
    assert found.shape == (texture.DIRECTIONS, texture.TILE_PX, texture.TILE_PX)
    np.testing.assert_allclose(found.std(axis=(1, 2)), 1, rtol=1e-3)
    np.testing.assert_allclose(found.mean(axis=(1, 2)), 0, atol=0.05)


@pytest.mark.parametrize(("direction", "along"), [(0, 1), (4, 0)])
def test_fibres_change_less_along_their_direction_than_across(direction, along):
    """Direction 0 runs along x, the last axis; a quarter turn on, along y."""
    one = texture.fibres(MPP)[direction]
    steps = [np.abs(np.diff(one, axis=axis)).mean() for axis in (0, 1)]
    assert steps[along] < 0.5 * steps[1 - along]


def test_patterns_go_on_over_the_edge_of_their_tile():
    for tile in (texture.fibres(MPP)[3], texture.grain(MPP)):
        within = np.abs(np.diff(tile, axis=0)).mean()
        over = np.abs(tile[0] - tile[-1]).mean()
        assert over < 1.5 * within


def test_walls_of_fat_cells_are_thin_and_between_0_and_1():
    walls = texture.fat_walls(MPP)
    assert walls.shape == (512, 512)
    assert walls.min() == 0
    assert walls.max() == 1
    assert 0.02 < (walls > 0.5).mean() < 0.15


def test_the_camera_s_noise_is_white():
    noise = texture.camera_noise()
    assert noise.std() == pytest.approx(1, abs=0.01)
    assert abs(np.corrcoef(noise[:-1], noise[1:])[0, 1]) < 0.01
