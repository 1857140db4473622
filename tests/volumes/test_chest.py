"""Regions of a chest made of boxes: each is found where it was put, at any fineness of voxels."""

from __future__ import annotations

import numpy as np
import pytest

from metasight.errors import VolumeError
from metasight.volumes.chest import (
    at_noise_resolution,
    edge_of_view,
    find_aorta,
    find_chest,
    robust_sd,
)
from metasight.volumes.volume import Volume

AIR, LUNG, TISSUE, BLOOD = -1000.0, -850.0, 40.0, 45.0


def boxes(step: int = 1, *, shift: float = 0.0, gas: float = LUNG) -> Volume:
    """A body of 150 × 175 mm over 100 mm with two lungs of 50 × 75 mm and an aorta.

    A little noise; on voxels of 2.5 mm, or ``step`` times finer in the plane.
    """
    hu = np.full((40, 80, 90), AIR)
    hu[:, 10:70, 10:80] = TISSUE
    hu[5:35, 25:55, 18:38] = hu[5:35, 25:55, 52:72] = gas
    fine = np.repeat(np.repeat(hu, step, axis=1), step, axis=2) + shift
    # air that is one constant in all slices would be what lies outside the field of view
    fine += np.random.default_rng(0).normal(0, 3, fine.shape)
    return Volume.from_array(fine, unit="HU", spacing_mm=(2.5 / step, 2.5 / step, 2.5))


@pytest.mark.parametrize("step", [1, 2])
def test_lungs_body_and_air_have_their_volumes(step):
    chest = find_chest(boxes(step))
    assert chest.factor == (1, step, step)
    assert chest.block_mm == (2.5, 2.5, 2.5)
    assert chest.block_ml == pytest.approx(0.015625)
    lungs_ml = chest.lungs.sum() * chest.block_ml
    assert lungs_ml == pytest.approx(2 * 30 * 30 * 20 * 0.015625)
    assert chest.body.sum() == 40 * 60 * 70 - chest.lungs.sum()
    assert chest.outside_air.sum() == 40 * (80 * 90 - 60 * 70)
    assert not (chest.lungs & (chest.body | chest.outside_air)).any()
    # what lies between parts of the body is within, and the air round it is not
    assert chest.within[20, 10:70, 10:80].all()
    assert not chest.within[20, 5].any()


def test_a_plane_counts_with_ten_square_centimetres_of_lung():
    # each plane of lungs has 2 · 30 · 20 blocks of 6.25 mm² = 75 cm²
    assert find_chest(boxes()).lung_planes == (5, 34)
    hu = boxes().array.copy()
    hu[5, 25:55, 18:38] = hu[5, 25:55, 52:72] = TISSUE
    hu[5, 25:41, 18:28] = LUNG  # 160 blocks: 10 cm², which is enough
    hu[34, 25:55, 18:38] = hu[34, 25:55, 52:72] = TISSUE
    hu[34, 25:40, 18:28] = LUNG  # 150 blocks: 9.4 cm², which is not
    planes = find_chest(Volume.from_array(hu, unit="HU", spacing_mm=(2.5,) * 3)).lung_planes
    assert planes == (5, 33)


@pytest.mark.parametrize("gas", [AIR, -980.0])
def test_gas_that_is_as_light_as_air_is_no_lung(gas):
    """Bowel holds air, not parenchyma."""
    chest = find_chest(boxes(gas=gas))
    assert not chest.lungs.any()
    assert chest.lung_planes is None


@pytest.mark.parametrize("shift", [-30.0, 60.0])
def test_a_wrong_offset_does_not_hide_the_lungs(shift):
    """Lung is told from this scan's own air, so that the offset can be measured and told."""
    whole = find_chest(boxes())
    assert whole.lungs.any()
    np.testing.assert_array_equal(find_chest(boxes(shift=shift)).lungs, whole.lungs)


@pytest.mark.parametrize(
    ("gas", "shift", "is_lung"), [(-930.0, -40.0, True), (-975.0, 60.0, False)]
)
def test_lung_is_told_from_the_scans_own_air(gas, shift, is_lung):
    """70 HU above its air is lung, though it reads −970; 25 above is air, though it reads −915."""
    assert find_chest(boxes(gas=gas, shift=shift)).lungs.any() == is_lung


def test_air_under_a_couch_is_no_lung_although_it_reads_as_one():
    hu = boxes().array.copy()
    hu[:, 72:79, 5:85] = LUNG  # below the body, with nothing beyond it
    chest = find_chest(Volume.from_array(hu, unit="HU", spacing_mm=(2.5,) * 3))
    np.testing.assert_array_equal(chest.lungs, find_chest(boxes()).lungs)


def test_small_pockets_of_gas_are_no_lung():
    hu = boxes().array.copy()
    hu[5:35, 25:55, 18:38] = hu[5:35, 25:55, 52:72] = TISSUE
    hu[10:20, 30:40, 20:36] = LUNG  # 1600 blocks: 25 ml
    assert not find_chest(Volume.from_array(hu, unit="HU", spacing_mm=(2.5,) * 3)).lungs.any()


def test_the_field_of_view_is_a_circle_where_the_corners_are_one_constant():
    rng = np.random.default_rng(0)
    hu = boxes().array + rng.normal(0, 5, (40, 80, 90))
    y, x = np.mgrid[:80, :90]
    outside = np.hypot((y - 39.5) / 40, (x - 44.5) / 45) > 1
    hu[:, outside] = -2000.0
    chest = find_chest(Volume.from_array(hu, unit="HU", spacing_mm=(2.5,) * 3))
    np.testing.assert_array_equal(chest.view, ~outside)
    rim = edge_of_view(chest.view)
    assert rim.any()
    assert not (rim & outside).any()
    # every block of the rim touches the outside or the image's edge
    grown = np.pad(chest.view, 1)
    near = grown[:-2, 1:-1] & grown[2:, 1:-1] & grown[1:-1, :-2] & grown[1:-1, 2:]
    np.testing.assert_array_equal(rim, chest.view & ~near)


def test_blocks_become_voxels_and_the_remainder_is_none():
    chest = find_chest(boxes(2))
    blocks = np.zeros((80, 90), dtype=bool)
    blocks[3, 4] = True
    voxels = chest.at_voxels(blocks, (161, 181))
    assert np.argwhere(voxels).tolist() == [[6, 8], [6, 9], [7, 8], [7, 9]]


def test_the_aorta_is_the_most_even_disc_left_of_the_spine():
    """25 mm wide, left (larger x) of the middle and 40 mm before the lungs' back."""
    rng = np.random.default_rng(1)
    hu = boxes(2).array + rng.normal(0, 12, (40, 160, 180))
    y, x = np.mgrid[:160, :180] * 1.25
    centre = (100.0, 122.0)  # row, column in mm; the lungs' back is at 137.5, their middle at 112.5
    disc = np.hypot(y - centre[0], x - centre[1]) < 12.5
    hu[:, disc] = BLOOD + rng.normal(0, 4, (40, int(disc.sum())))
    volume = Volume.from_array(hu, unit="HU", spacing_mm=(1.25, 1.25, 2.5))
    found = find_aorta(volume, find_chest(volume))
    assert found is not None
    place = np.median(found.centres[:, 1:], axis=0) * 1.25
    assert np.hypot(*(place - centre)) < 6
    assert found.hu == pytest.approx(BLOOD, abs=2)
    # white noise of 4 HU on 1.25 mm, smoothed by 1 mm: 4 · 1.25 / (2 √π) = 1.41
    assert found.noise_hu == pytest.approx(1.41, rel=0.25)


def test_without_lungs_there_is_no_aorta():
    volume = boxes(gas=TISSUE)
    assert find_aorta(volume, find_chest(volume)) is None


def test_noise_is_stated_after_smoothing_by_a_millimetre():
    rng = np.random.default_rng(2)
    white = rng.normal(0, 40, (1, 300, 300))
    for mm in (0.5, 1.0):
        volume = Volume.from_array(white, unit="HU", spacing_mm=(mm, mm, 3.0))
        # a Gaussian of σ mm leaves s · pixel / (2 √π σ) of white noise
        wanted = 40 * mm / (2 * np.sqrt(np.pi))
        assert robust_sd(at_noise_resolution(volume, 0)) == pytest.approx(wanted, rel=0.05)


def test_a_robust_deviation_does_not_see_a_few_outliers():
    values = np.random.default_rng(3).normal(5, 2, 20_000)
    assert robust_sd(values) == pytest.approx(2, rel=0.03)
    values[:1000] = 1e6
    assert robust_sd(values) == pytest.approx(2, rel=0.12)
    # by hand: median 3, distances 2 1 0 1 97, their median 1
    assert robust_sd(np.array([1.0, 2, 3, 4, 100])) == pytest.approx(1.4826)


def test_a_pet_has_no_chest_in_hounsfield_units():
    with pytest.raises(VolumeError, match="another unit"):
        find_chest(Volume.from_array(np.ones((4, 8, 8)), unit="SUVbw", spacing_mm=(4.0,) * 3))
