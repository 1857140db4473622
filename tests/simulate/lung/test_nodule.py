"""A shape's sizes against dense voxels and against shapes whose sizes are known."""

from __future__ import annotations

import numpy as np
import pytest

from metasight.errors import VolumeError
from metasight.simulate.lung.nodule import Shape, draw_shape, draw_spicules, solid_within


def ellipsoid(a: float, b: float, c: float) -> Shape:
    return Shape(
        centre_mm=(3.0, -2.0, 5.0), half_axes_mm=(a, b, c), turn=np.eye(3), bumps=np.empty((0, 5))
    )


def test_an_ellipsoid_has_its_known_sizes() -> None:
    shape = ellipsoid(10, 7, 5)
    assert shape.longest_mm == pytest.approx(20, rel=0.002)
    assert shape.volume_mm3 == pytest.approx(4 / 3 * np.pi * 350, rel=0.005)
    longest, across, area, z = shape.largest_section(2)
    assert longest == pytest.approx(20, rel=0.002)
    assert across == pytest.approx(14, rel=0.005)
    assert area == pytest.approx(np.pi * 70, rel=0.005)
    assert z == pytest.approx(5, abs=0.3)
    assert shape.longest_in_plane(0) == pytest.approx(14, rel=0.005)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("lobulated", [False, True])
def test_drawn_shapes_agree_with_dense_voxels(seed: int, *, lobulated: bool) -> None:
    rng = np.random.default_rng(seed)
    shape = draw_shape(rng, centre_mm=np.zeros(3), longest_mm=16, lobulated=lobulated)
    line = np.arange(-10, 10.1, 0.4)
    points = np.stack(np.meshgrid(line, line, line, indexing="ij"), axis=-1)
    inside = shape.level(points) < 0
    assert inside.sum() * 0.4**3 == pytest.approx(shape.volume_mm3, rel=0.015)
    by_slice = []
    for k in range(len(line)):
        found = np.argwhere(inside[:, :, k]) * 0.4
        if len(found) > 3:
            edge = found[:: max(1, len(found) // 400)]
            by_slice.append(np.sqrt(((found[:, None] - edge[None]) ** 2).sum(-1)).max())
    assert max(by_slice) == pytest.approx(shape.longest_in_plane(2), abs=0.6)
    assert shape.longest_mm == pytest.approx(16, abs=0.02)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("ratio", [0.25, 0.5, 0.9])
def test_a_solid_part_lies_inside_and_has_its_size(seed: int, ratio: float) -> None:
    rng = np.random.default_rng(seed)
    whole = draw_shape(rng, centre_mm=np.zeros(3), longest_mm=20, lobulated=seed % 2 == 0)
    solid = solid_within(rng, whole, 20 * ratio)
    assert solid.longest_mm == pytest.approx(20 * ratio, rel=0.002)
    outside = whole.level(solid.surface)
    assert outside.max() < 0.35
    assert 0.7 < solid.volume_mm3 / (whole.volume_mm3 * ratio**3) < 1.25


def test_a_solid_part_larger_than_the_body_is_refused() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(VolumeError, match="smaller than the lesion"):
        solid_within(rng, ellipsoid(5, 5, 5), 11)


def test_spicules_start_inside_and_end_outside() -> None:
    rng = np.random.default_rng(0)
    shape = ellipsoid(9, 8, 7)
    strands = draw_spicules(
        rng, shape, spiculated=True, pleura_mm=np.array([40.0, 0, 0]), vessel_mm=None
    )
    assert (shape.level(strands.ends[:, :3]) < 0).all()
    assert (shape.level(strands.ends[:, 3:]) > 1).all()
    assert len(strands) > 50
