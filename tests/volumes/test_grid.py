"""Where voxels lie: indices and millimetres are each other's inverse, impossible grids refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given
from hypothesis import strategies as st

from metasight.errors import VolumeError
from metasight.volumes.grid import Grid, check_grid, check_size, directions

AXES = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


def turned(degrees: float) -> tuple[float, ...]:
    """About z: the first axis towards the second."""
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return (c, -s, 0, s, c, 0, 0, 0, 1)


GRID = Grid(size=(4, 3, 2), spacing_mm=(0.5, 1.0, 2.0), origin_mm=(10, 20, 30), direction=AXES)


def test_an_index_in_millimetres_by_hand():
    assert GRID.to_mm(np.array([2, 1, 1])).tolist() == [11.0, 21.0, 32.0]
    # turned by 90° about z, x steps of 0.5 mm go along y and y steps of 1 mm go along −x
    quarter = replace(GRID, direction=turned(90))
    np.testing.assert_allclose(quarter.to_mm(np.array([2, 1, 1])), [9.0, 21.0, 32.0], atol=1e-12)
    assert GRID.voxel_volume_mm3 == 1.0


def test_corners_are_the_first_and_last_voxels():
    corners = GRID.corners_mm
    assert corners.min(axis=0).tolist() == [10, 20, 30]
    assert corners.max(axis=0).tolist() == [11.5, 22, 32]
    assert len(np.unique(corners, axis=0)) == 8


numbers = st.floats(-500, 500)
spacings = st.floats(0.05, 20)


@given(
    st.tuples(numbers, numbers, numbers),
    st.tuples(spacings, spacings, spacings),
    st.floats(-40, 40),
    st.tuples(numbers, numbers, numbers),
)
def test_to_millimetres_and_back(origin, spacing, degrees, index):
    grid = Grid(size=(9, 9, 9), spacing_mm=spacing, origin_mm=origin, direction=turned(degrees))
    at = np.array([index, (0.0, 0.0, 0.0)])
    np.testing.assert_allclose(grid.to_index(grid.to_mm(at)), at, atol=1e-6)
    # a turn keeps lengths: one step along an axis is its spacing
    steps = grid.to_mm(np.eye(3)) - grid.to_mm(np.zeros(3))
    np.testing.assert_allclose(np.linalg.norm(steps, axis=1), spacing, rtol=1e-9)


def test_the_grid_of_an_image_is_where_simpleitk_puts_its_voxels():
    image = sitk.Image((4, 3, 2), sitk.sitkFloat32)
    image.SetSpacing((0.5, 1.0, 2.0))
    image.SetOrigin((1.0, -2.0, 3.0))
    image.SetDirection(turned(20))
    grid = Grid.of(image)
    for index in ((0, 0, 0), (3, 1, 0), (1, 2, 1)):
        np.testing.assert_allclose(
            grid.to_mm(np.array(index)), image.TransformIndexToPhysicalPoint(index), atol=1e-9
        )


def test_grids_match_up_to_what_six_decimals_leave():
    assert GRID.matches(replace(GRID, origin_mm=(10.04, 20, 30)))
    assert not GRID.matches(replace(GRID, origin_mm=(10.06, 20, 30)))
    assert not GRID.matches(replace(GRID, size=(4, 3, 3)))
    # 0.0011 mm too long a step stays within 0.05 mm over four voxels, and is another spacing
    assert not GRID.matches(replace(GRID, spacing_mm=(0.5011, 1.0, 2.0)))
    # 0.1° over a grid of 400 mm is 0.7 mm at its far end
    wide = replace(GRID, size=(400, 400, 2), spacing_mm=(1.0, 1.0, 2.0))
    assert not wide.matches(replace(wide, direction=turned(0.1)))
    assert wide.distance_mm(replace(wide, origin_mm=(13, 24, 30))) == pytest.approx(5.0)


def test_a_difference_in_words():
    moved = replace(GRID, origin_mm=(10, 23, 34))
    assert GRID.difference(moved) == "corners up to 5.00 mm apart"
    assert GRID.difference(replace(GRID, size=(4, 3, 4))).startswith(
        "4 × 3 × 2 voxels, the scan 4 × 3 × 4;"
    )


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"size": (4, 0, 2)}, "no voxels"),
        ({"size": (3000, 3000, 3000)}, "claims more than 600,000,000 voxels"),
        ({"spacing_mm": (0.04, 1.0, 2.0)}, "spacing must be 0.05 to 20 mm"),
        ({"spacing_mm": (0.5, 1.0, 20.1)}, "spacing must be 0.05 to 20 mm"),
        ({"spacing_mm": (0.5, float("nan"), 2.0)}, "spacing must be"),
        ({"origin_mm": (0.0, float("inf"), 0.0)}, "position is not a number"),
        ({"direction": (1, 0.1, 0, 0, 1, 0, 0, 0, 1)}, "not at right angles"),
        ({"direction": (-1, 0, 0, 0, 1, 0, 0, 0, 1)}, "do not run to the patient's left"),
        ({"direction": (-1, 0, 0, 0, -1, 0, 0, 0, 1)}, "do not run to the patient's left"),
        ({"direction": (0, 1, 0, 1, 0, 0, 0, 0, 1)}, "do not run to the patient's left"),
        ({"direction": turned(50)}, "do not run to the patient's left"),
    ],
)
def test_grids_that_no_scan_of_a_patient_has(changes, problem):
    with pytest.raises(VolumeError, match=problem):
        check_grid(replace(GRID, **changes), "volume")


def test_grids_that_a_scan_has():
    check_grid(GRID, "volume")
    check_grid(replace(GRID, direction=turned(30)), "volume")
    with pytest.raises(VolumeError, match="three-dimensional"):
        check_grid(None, "volume")


def test_a_claimed_size_is_multiplied_without_overflow():
    with pytest.raises(VolumeError, match="claims more than") as error:
        check_size((65535, 65535, 65535, 65535), "file 1")
    assert error.value.value.startswith(
        "65535 × 65535 × 65535 × 65535 = 18,445,618,199,572,250,625"
    )


def test_directions_are_made_orthonormal_and_right_handed():
    rounded = (0.9998, 0.0175, 0.0, -0.0174, 0.9998, 0.0)  # one degree, with four decimals
    axes = directions(rounded)
    np.testing.assert_allclose(axes.T @ axes, np.eye(3), atol=1e-12)
    assert np.linalg.det(axes) == pytest.approx(1)
    np.testing.assert_allclose(axes[:, 0], rounded[:3], atol=2e-4)
    np.testing.assert_allclose(axes[:, 1], rounded[3:], atol=2e-4)


@pytest.mark.parametrize("bad", [(1, 0, 0, 0.1, 1, 0), (2, 0, 0, 0, 1, 0), (0, 0, 0, 0, 1, 0)])
def test_directions_that_are_none(bad):
    with pytest.raises(VolumeError, match="not unit vectors at right angles"):
        directions(bad)
