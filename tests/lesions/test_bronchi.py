"""The proximal bronchial tree of tubes: carina, lengths along the airway, hila on both sides."""

from __future__ import annotations

import numpy as np
import pytest

from metasight.lesions.bronchi import find_bronchi
from metasight.segmentation.lung import Lungs
from metasight.volumes.volume import Mask, Volume

SHAPE, STEP = (110, 60, 150), 2.0
FORK = 70  # slice of the carina: 140 mm
MIDDLE, ROW = 75, 30


def tree(*, bronchus_mm: float = 7.0, two: bool = True) -> np.ndarray:
    """A trachea of 14 mm, and main bronchi that fall by half a voxel a voxel to each side."""
    z, y, x = np.indices(SHAPE)
    wide = np.hypot(x - MIDDLE, y - ROW) * STEP <= 8
    trachea = wide & (z >= FORK)
    out = np.abs(x - MIDDLE)
    radius = bronchus_mm / 2
    falling = np.hypot((z - (FORK - out / 2)) * 0.894, y - ROW) * STEP <= max(radius, STEP)
    reach = (out <= 50) & ((x < MIDDLE) | two)
    return trachea | (falling & reach)


def lungs_with(airways: np.ndarray | None, origin=(0.0, 0.0, 0.0)) -> Lungs:
    scan = Volume.from_array(np.zeros(SHAPE), unit="HU", spacing_mm=(STEP,) * 3, origin_mm=origin)
    lung = np.zeros(SHAPE, dtype=bool)
    lung[5:60, 10:50, 5:60] = True
    own = Mask.from_array(lung, on=scan)
    return Lungs(
        right=own,
        left=own,
        right_whole=own,
        left_whole=own,
        airways=None if airways is None else Mask.from_array(airways, on=scan),
    )


def test_the_carina_lies_where_the_trachea_parts():
    found = find_bronchi(lungs_with(tree()))
    x, y, z = found.carina_mm
    assert (x, y) == pytest.approx((MIDDLE * STEP, ROW * STEP), abs=2.5)
    assert z == pytest.approx(FORK * STEP, abs=8)


def test_everything_moves_with_the_scan():
    one, two = (find_bronchi(lungs_with(tree(), o)) for o in ((0.0, 0, 0), (-70.0, 30, -900)))
    shift = np.array([-70.0, 30, -900])
    np.testing.assert_allclose(two.carina_mm, one.carina_mm + shift)
    np.testing.assert_allclose(two.proximal_mm, one.proximal_mm + shift)
    for a, b in zip(one.hila_mm, two.hila_mm, strict=True):
        np.testing.assert_allclose(b, a + shift)


def test_hila_lie_four_to_five_and_a_half_centimetres_along_the_airway():
    found = find_bronchi(lungs_with(tree()))
    for sign, hilum in zip((-1, 1), found.hila_mm, strict=True):
        way = hilum - found.carina_mm
        assert way[0] * sign > 0  # the right lung has the smaller x
        assert 38 < np.linalg.norm(way) < 56
        assert way[2] < 0


def test_the_proximal_tree_ends_eight_centimetres_on_and_two_above():
    found = find_bronchi(lungs_with(tree()))
    height = found.proximal_mm[:, 2] - found.carina_mm[2]
    assert 14 < height.max() <= 20
    away = np.linalg.norm(found.proximal_mm - found.carina_mm, axis=1)
    assert 60 < away.max() <= 80


def test_narrow_bronchi_are_not_proximal():
    wide = find_bronchi(lungs_with(tree(bronchus_mm=9.0)))
    narrow = find_bronchi(lungs_with(tree(bronchus_mm=5.0)))
    side = [np.abs(f.proximal_mm[:, 0] - f.carina_mm[0]).max() for f in (wide, narrow)]
    assert side[0] > 50
    assert side[1] < 20
    # the hilum is found by the way, not by the width
    assert narrow.hila_mm[0] is not None


def test_without_airways_or_without_a_fork_there_is_none():
    assert find_bronchi(lungs_with(None)) is None
    assert find_bronchi(lungs_with(tree(two=False))) is None
    z, y, x = np.indices(SHAPE)
    trachea = (np.hypot(x - MIDDLE, y - ROW) * STEP <= 8) & (z >= FORK)
    assert find_bronchi(lungs_with(trachea)) is None


def test_a_bronchus_that_was_not_followed_has_no_hilum():
    cut = tree()
    cut[:, :, MIDDLE + 12 :] = False  # the left one ends 24 mm off the middle
    found = find_bronchi(lungs_with(cut))
    assert found.hila_mm[1] is None
    assert found.hila_mm[0] is not None
