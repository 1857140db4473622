"""One lesion is one part: which one is meant is named, or the mask is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metasight.errors import VolumeError
from metasight.volumes.parts import label_parts, one_part
from metasight.volumes.volume import Mask, Volume

SCAN = Volume.from_array(
    np.zeros((40, 40, 40)), unit="HU", spacing_mm=(1.0, 1.0, 2.0), origin_mm=(5.0, 6.0, 7.0)
)


def cube(inside: np.ndarray, z: int, y: int, x: int, edge: int = 4) -> None:
    inside[z : z + edge, y : y + edge, x : x + edge] = 1


def mask_of(*cubes: tuple[int, ...]) -> Mask:
    inside = np.zeros((40, 40, 40), dtype=np.uint8)
    for one in cubes:
        cube(inside, *one)
    return Mask.from_array(inside, on=SCAN, name="lesion", notes=("before",))


def test_one_part_is_itself() -> None:
    mask = mask_of((4, 4, 4))
    assert one_part(mask) is mask
    assert one_part(mask, at_mm=(11.0, 12.0, 19.0)) is mask


def test_parts_that_touch_by_a_corner_are_one() -> None:
    mask = mask_of((4, 4, 4), (8, 8, 8))
    assert label_parts(mask)[1] == 1
    assert one_part(mask) is mask


def test_a_speck_far_away_is_refused_or_left_out_with_a_note() -> None:
    mask = mask_of((4, 4, 4), (30, 30, 30, 1))
    with pytest.raises(VolumeError, match="several parts") as caught:
        one_part(mask)
    assert caught.value.value == "2 parts, 98% of the voxels in the largest"
    kept = one_part(mask, rule="largest")
    assert kept.n_voxels == 64 and kept.name == "lesion"
    assert kept.notes == (
        "before",
        "the largest part of 2 is measured (0.13 ml); 1 left out (0.00 ml)",
    )


def test_two_lesions_of_one_size_have_no_largest() -> None:
    with pytest.raises(VolumeError, match="two are of one size"):
        one_part(mask_of((4, 4, 4), (4, 20, 20)), rule="largest")


def test_missing_slices_are_not_two_lesions_whatever_the_rule() -> None:
    mask = mask_of((4, 4, 4), (9, 4, 4, 6))
    for told in ({}, {"rule": "largest"}, {"at_mm": (11.0, 12.0, 17.0)}):
        with pytest.raises(VolumeError, match="slices are missing"):
            one_part(mask, **told)


@pytest.mark.parametrize(
    ("at_mm", "voxels"),
    [
        ((10.0, 11.0, 17.0), 64),  # in the first
        ((35.0, 36.0, 17.0), 27),  # in the second
        ((38.0, 36.0, 17.0), 27),  # a little beside it
    ],
)
def test_the_part_at_a_point(at_mm, voxels) -> None:
    found = one_part(mask_of((4, 4, 4), (4, 29, 29, 3)), at_mm=at_mm)
    assert found.n_voxels == voxels
    assert "the part at the given point of 2" in found.notes[-1]


@pytest.mark.parametrize(
    ("at_mm", "problem"),
    [((21.0, 21.0, 17.0), "in no part"), ((0.0, 0.0, 0.0), "in no part")],
)
def test_a_point_beside_every_part_is_refused(at_mm, problem) -> None:
    with pytest.raises(VolumeError, match=problem) as caught:
        one_part(mask_of((4, 4, 4), (4, 29, 29)), at_mm=at_mm)
    assert "mm away" in caught.value.value
    with pytest.raises(VolumeError, match=problem):
        one_part(mask_of((4, 4, 4)), at_mm=at_mm)


def test_a_point_between_two_parts_is_refused() -> None:
    with pytest.raises(VolumeError, match="between parts"):
        one_part(mask_of((4, 4, 4), (4, 4, 12)), at_mm=(15.0, 12.0, 17.0))


@given(
    st.lists(
        st.tuples(*[st.integers(0, 34)] * 3, st.integers(1, 5)), min_size=1, max_size=4, unique=True
    ),
    st.sampled_from(["refuse", "largest"]),
)
def test_what_is_measured_is_always_one_part(cubes, rule) -> None:
    mask = mask_of(*cubes)
    try:
        found = one_part(mask, rule=rule)
    except VolumeError:
        assert label_parts(mask)[1] > 1
        return
    assert label_parts(found)[1] == 1
    assert not np.any(found.array & ~mask.array)
    if found.n_voxels < mask.n_voxels:
        assert rule == "largest" and "left out" in found.notes[-1]
