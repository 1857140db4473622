"""How much of a small body's brightness slices and point spread leave."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from metasight.lesions.hidden_core import (
    HIDDEN_MM,
    SOLID_HU,
    contrast_left,
    least_brightest_hu,
)


def test_thicker_slices_leave_less_and_larger_bodies_keep_more():
    by_slice = [contrast_left(HIDDEN_MM, (dz, 0.7, 0.7), 0.5) for dz in (1.0, 2.0, 3.0, 5.0)]
    assert by_slice == sorted(by_slice, reverse=True)
    assert by_slice[0] > 0.5
    assert by_slice[2] < 0.3
    assert contrast_left(20.0, (1.0, 0.7, 0.7), 0.5) == pytest.approx(1.0, abs=0.01)


def test_it_is_what_a_scanned_ball_has_at_the_worst_place():
    """The ball drawn finely, blurred, averaged over slices and sampled half a voxel off."""
    fine, half = 0.2, 12.0
    at = np.arange(-half, half, fine)
    z, y, x = np.meshgrid(at, at, at, indexing="ij", sparse=True)
    ball = ((z - 1.5) ** 2 + (y - 0.35) ** 2 + (x - 0.35) ** 2 <= 1.5**2).astype(float)
    seen = ndimage.uniform_filter1d(ball, round(3.0 / fine), axis=0)
    seen = ndimage.gaussian_filter(seen, [0.5 / fine, *[np.hypot(0.7, 0.5) / fine] * 2])
    middle = int(np.argmin(np.abs(at)))
    truth = seen[middle, middle, middle]
    assert contrast_left(3.0, (3.0, 0.7, 0.7), 0.5) == pytest.approx(truth, abs=0.04)


def test_noise_and_slices_lower_what_a_hidden_part_must_reach():
    thin = least_brightest_hu(-600.0, 20.0, (1.0, 0.7, 0.7), 0.5)
    assert -600 < thin < SOLID_HU
    assert least_brightest_hu(-600.0, 20.0, (3.0, 0.7, 0.7), 0.5) < thin
    assert least_brightest_hu(-600.0, 40.0, (1.0, 0.7, 0.7), 0.5) == pytest.approx(thin - 40)
