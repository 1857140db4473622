"""Missing slices of a region: which there are, and what is put there."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metasight.volumes.gaps import between, facing_parts, fill_between, missing_between


def disc(radius: float, x: float = 20.0, size: int = 40) -> np.ndarray:
    rows, columns = np.indices((size, size))
    return np.hypot(rows - 20.0, columns - x) <= radius


def test_a_gap_is_between_areas_that_overlap() -> None:
    slices = np.zeros((9, 40, 40), dtype=bool)
    slices[1] = slices[3] = slices[4] = disc(6)
    slices[7] = disc(3, x=35)
    assert missing_between([1, 3, 4, 7], slices) == ((1, 3),)
    assert missing_between([3, 4], slices) == ()
    assert missing_between([3], slices) == ()


@given(st.floats(3, 12), st.floats(3, 12), st.floats(0, 1))
def test_between_two_discs_lies_a_disc_of_the_radius_between(low, high, share) -> None:
    found = between(disc(low), disc(high), share)
    radius = (1 - share) * low + share * high
    assert np.sqrt(found.sum() / np.pi) == pytest.approx(radius, abs=0.8)


@given(st.floats(2, 12), st.floats(0, 1))
def test_between_equal_areas_lies_the_same_area(radius, share) -> None:
    np.testing.assert_array_equal(between(disc(radius), disc(radius), share), disc(radius))


def test_slices_are_filled_in_place_and_others_left() -> None:
    slices = np.zeros((6, 40, 40), dtype=bool)
    slices[1], slices[4] = disc(4), disc(10)
    fill_between(slices, 1, 4)
    areas = slices.sum(axis=(1, 2))
    assert areas[0] == areas[5] == 0
    assert list(areas[1:5]) == sorted(areas[1:5])
    assert areas[2] == pytest.approx(np.pi * 36, rel=0.1)


def parts(*bodies: tuple[slice, np.ndarray]) -> np.ndarray:
    labels = np.zeros((30, 40, 40), dtype=np.int32)
    for number, (places, area) in enumerate(bodies, start=1):
        labels[places][:, area] = number
    return labels


@pytest.mark.parametrize(
    ("first", "second", "facing"),
    [
        ((slice(2, 6), disc(6)), (slice(7, 12), disc(6)), True),
        ((slice(2, 6), disc(6)), (slice(7, 12), disc(4, x=22)), True),
        ((slice(2, 6), disc(6)), (slice(7, 12), disc(6, x=35)), False),  # beside each other
        ((slice(2, 6), disc(8)), (slice(7, 8), disc(1)), False),  # a stray speck
        ((slice(2, 6), disc(6)), (slice(20, 25), disc(6)), False),  # 28 mm apart: two lesions
    ],
)
def test_parts_of_one_region_with_slices_missing(first, second, facing) -> None:
    assert facing_parts(parts(first, second), 2.0) == (((1, 2),) if facing else ())
    # the numbers of the parts do not matter
    assert facing_parts(parts(second, first), 2.0) == (((2, 1),) if facing else ())
