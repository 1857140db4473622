"""Distances against scipy's exact transform, and where there is nothing to be near to."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from metasight.volumes.distance import depth_in, distance_to

SPACINGS = [(1.0, 1.0, 1.0), (3.0, 0.7, 0.9)]


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("share", [0.001, 0.05, 0.5, 0.999])
@pytest.mark.parametrize("shape", [(17, 23, 31), (1, 9, 40), (30, 2, 2)])
def test_equal_to_scipys(
    shape: tuple[int, ...], share: float, spacing: tuple[float, float, float]
) -> None:
    region = np.random.default_rng(1).random(shape) < share
    region[0, 0, 0], region[-1, -1, -1] = True, False
    expected = ndimage.distance_transform_edt(~region, sampling=spacing)
    assert distance_to(region, spacing) == pytest.approx(expected, abs=1e-4)
    inside = ndimage.distance_transform_edt(region, sampling=spacing)
    assert depth_in(region, spacing) == pytest.approx(inside, abs=1e-4)


def test_nothing_is_near_an_empty_region() -> None:
    assert np.isinf(distance_to(np.zeros((3, 4, 5), dtype=bool), (1.0, 1.0, 1.0))).all()


def test_a_slice_of_a_larger_array_is_read_as_it_lies() -> None:
    whole = np.random.default_rng(2).random((12, 14, 16)) < 0.1
    part = whole[::2, :, 3:11]
    expected = ndimage.distance_transform_edt(~part, sampling=(2.0, 1.0, 1.0))
    assert distance_to(part, (2.0, 1.0, 1.0)) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("share", [0.0005, 0.02, 0.5])
@pytest.mark.parametrize("most_mm", [0.7, 1.0, 3.0, 2 * 3**0.5, 9.1])
def test_up_to_a_most_nothing_changes_and_beyond_all_is_infinite(
    share: float, spacing: tuple[float, float, float], most_mm: float
) -> None:
    region = np.random.default_rng(3).random((19, 23, 31)) < share
    region[5, 5, 5] = True
    whole, part = distance_to(region, spacing), distance_to(region, spacing, most_mm=most_mm)
    near = whole <= most_mm
    assert np.array_equal(part <= most_mm, near)
    assert np.array_equal(part[near], whole[near])
    assert np.isinf(part[whole > most_mm * 1.001]).all()
