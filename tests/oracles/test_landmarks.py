"""Landmark errors in µm and as shares of the diagonal."""

from __future__ import annotations

import numpy as np
import pytest

from alignment.made_up import turn
from metasight.alignment.section import Section
from metasight.alignment.transform import Transform
from metasight.errors import AlignmentError
from oracles.landmarks import landmark_error_um, relative_error

FIXED = np.array([[0.0, 0.0], [100.0, 50.0], [30.0, 200.0]])


def test_distances_on_the_moving_section():
    shift = Transform.affine(turn(0, (10.0, 0.0)), (500.0, 500.0))
    moving = FIXED + np.array([[10, 0], [13, 4], [10, -7]])
    assert landmark_error_um(shift, FIXED, moving).tolist() == [0.0, 5.0, 7.0]
    assert landmark_error_um(Transform(), FIXED, FIXED + np.array([6, 8])).tolist() == [10.0] * 3


def test_the_error_is_measured_on_the_moving_section_not_the_fixed_one():
    """A map that doubles lengths doubles what a landmark is off."""
    double = Transform.affine(np.array([[2.0, 0, 0], [0, 2.0, 0]]), (500.0, 500.0))
    assert landmark_error_um(double, FIXED + np.array([3, 4]), 2 * FIXED) == pytest.approx(
        [10.0] * 3
    )


def test_shares_of_the_diagonal():
    section = Section(rgb=np.zeros((300, 400, 3), np.uint8), mpp=2.0)
    assert section.diagonal_um == 1000.0
    assert relative_error(np.array([5.0, 10.0]), section).tolist() == [0.005, 0.01]


@pytest.mark.parametrize("n", [0, 2])
def test_landmarks_come_in_pairs(n):
    with pytest.raises(AlignmentError, match="come in pairs") as error:
        landmark_error_um(Transform(), FIXED[: n or 0], FIXED if n else FIXED[:0])
    assert error.value.value == (f"{n} and 3" if n else "0 and 0")
