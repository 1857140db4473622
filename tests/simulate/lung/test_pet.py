"""PET of a nodule: part of each voxel, blur of the scanner, and the SUVmax that is left."""

from __future__ import annotations

import numpy as np
import pytest

from metasight.simulate.lung.nodule import Shape
from metasight.simulate.lung.pet import _STEP_MM, _share
from metasight.simulate.lung.raster import Grid


def ball(radius: float, centre=(0.0, 0.0, 0.0)) -> Shape:
    return Shape(
        centre_mm=centre, half_axes_mm=(radius,) * 3, turn=np.eye(3), bumps=np.empty((0, 5))
    )


def grid(half: int = 8, spacing=(3.0, 3.0, 3.0)) -> Grid:
    shape = (2 * half + 1,) * 3
    origin = tuple(-half * s for s in spacing[::-1])
    return Grid(shape=shape, spacing_mm=spacing, origin_mm=origin)


@pytest.mark.parametrize("radius", [4.0, 9.0])
@pytest.mark.parametrize("spacing", [(3.0, 3.0, 3.0), _STEP_MM])
def test_shares_of_voxels_add_to_the_volume(radius, spacing):
    field = grid(spacing=spacing)
    share = _share(ball(radius), field)
    volume = share.sum() * np.prod(spacing)
    assert volume == pytest.approx(4 / 3 * np.pi * radius**3, rel=0.02)
    assert share.min() == 0
    assert share.max() == pytest.approx(1)


def test_a_voxel_across_the_surface_is_counted_in_part():
    """A plane through a voxel's middle: samples at −0.4, −0.2, 0, 0.2 and 0.4 of its side."""
    share = _share(ball(300.0, (-300.0, 0.0, 0.0)), grid(half=1))
    assert share[1, 1, 0] == 1
    assert share[1, 1, 2] == 0
    assert share[1, 1, 1] == pytest.approx(2 / 5, abs=0.11)


def test_the_first_axis_of_the_grid_is_z():
    field = grid(spacing=(6.0, 3.0, 3.0))
    share = _share(ball(4.0, (9.0, 0.0, 0.0)), field)
    peak = np.unravel_index(share.argmax(), share.shape)
    z, y, x = (axis[i] for axis, i in zip(field.axes(), peak, strict=True))
    assert (z, y) == (0, 0)
    assert x == 9


def test_a_field_with_other_voxels_covers_the_same_millimetres():
    field = Grid(shape=(30, 40, 50), spacing_mm=(2.0, 1.0, 1.0), origin_mm=(10.0, -5.0, 3.0))
    other = field.with_spacing((4.0, 2.0, 2.5))
    assert other.shape == (15, 20, 20)
    for axis in range(3):
        ends = [
            (g.origin_mm[2 - axis] - g.spacing_mm[axis] / 2, g.shape[axis] * g.spacing_mm[axis])
            for g in (field, other)
        ]
        assert ends[0] == pytest.approx(ends[1])
    assert field.with_spacing((500.0, 1.0, 1.0)).shape[0] == 1
