"""Signed distances of the thorax: exact where they are exact, and one lobe for every point."""

from __future__ import annotations

import numpy as np
import pytest

from metasight.simulate.lung.forms import (
    COARSE_FROM,
    COARSE_MM,
    COARSE_SHAPE,
    GRAIN_MM,
    interpolated_at,
    joined,
    radial,
    share_inside,
    tiled,
    tube_level,
)


@pytest.mark.parametrize(
    ("level", "share"),
    [(-3.0, 1.0), (-1.0, 1.0), (-0.5, 0.75), (0.0, 0.5), (0.5, 0.25), (2.0, 0.0)],
)
def test_a_voxel_of_two_millimetres_is_cut_by_a_plane(level, share):
    assert share_inside(level, 2.0) == share


def test_a_tube_is_a_capsule():
    ends, radii = np.array([0.0, 0, 0, 10, 0, 0]), np.array([2.0, 2.0])
    assert tube_level(ends, radii, 5.0, 3.0, 4.0) == pytest.approx(5 - 2)
    assert tube_level(ends, radii, -3.0, 0.0, 4.0) == pytest.approx(5 - 2)  # beyond its end
    assert tube_level(ends, radii, 5.0, 0.0, 0.0) == pytest.approx(-2)
    point = np.array([1.0, 1, 1, 1, 1, 1])
    assert tube_level(point, radii, 1.0, 1.0, 4.0) == pytest.approx(1.0)
    cone = np.array([4.0, 0.0])
    assert tube_level(ends, cone, 5.0, 2.0, 0.0) == pytest.approx(0.0)


def test_an_ellipse_without_corners_has_its_axes():
    assert radial(30.0, 0.0, 30.0, 20.0, 0.0) == pytest.approx(0)
    assert radial(0.0, 25.0, 30.0, 20.0, 0.0) == pytest.approx(5)
    assert radial(0.0, 0.0, 30.0, 20.0, 0.0) == -20
    # fuller corners take in more
    assert radial(21.0, 14.0, 30.0, 20.0, 0.4) < radial(21.0, 14.0, 30.0, 20.0, 0.0)


def test_a_smooth_union_is_the_smaller_one_and_never_more():
    rng = np.random.default_rng(0)
    for a, b in rng.uniform(-20, 20, (200, 2)):
        found = joined(a, b, 6.0)
        assert found <= min(a, b) + 1e-12
        assert found >= min(a, b) - 6.0 / 4 - 1e-12
        assert found == pytest.approx(joined(b, a, 6.0))
    assert joined(0.0, 10.0, 6.0) == 0.0


def test_the_coarse_grid_is_trilinear_and_holds_at_its_edge():
    z, y, x = np.indices(COARSE_SHAPE).astype(float)
    grid = (2 * x - 3 * y + z).astype(np.float32)
    rng = np.random.default_rng(1)
    index = rng.uniform(1, np.array(COARSE_SHAPE[::-1]) - 2, (50, 3))
    points = np.array(COARSE_FROM) + COARSE_MM * index
    wanted = 2 * index[:, 0] - 3 * index[:, 1] + index[:, 2]
    np.testing.assert_allclose(interpolated_at(grid, points), wanted, atol=1e-3)
    far = np.array([COARSE_FROM]) - 1000.0
    assert interpolated_at(grid, far)[0] == pytest.approx(0.0)


def test_the_tile_of_grain_repeats_without_a_seam():
    tile = np.random.default_rng(2).normal(size=(64, 64, 64)).astype(np.float32)
    period = 64 * GRAIN_MM
    for shift in ((period, 0, 0), (0, -period, 0), (0, 0, 2 * period)):
        one = tiled(tile, 12.3, -45.6, 78.9)
        two = tiled(tile, 12.3 + shift[0], -45.6 + shift[1], 78.9 + shift[2])
        assert two == pytest.approx(one, abs=1e-4)
    edge = np.linspace(-1e-4, 1e-4, 3) - 1000.0 + 64 * 20 * GRAIN_MM
    values = [tiled(tile, x, 0.0, 0.0) for x in edge]
    assert np.ptp(values) < 1e-2
