"""The cube round a lesion: centred on it, in the patient's axes, with air beyond the scan."""

from __future__ import annotations

import numpy as np
import pytest

from metasight.cohort.settings import CropSettings
from metasight.errors import VolumeError
from metasight.features.cropping import crop_of
from metasight.lesions.solidity import solidity_of
from metasight.volumes.volume import Mask, Volume

SETTINGS = CropSettings(spacing_mm=1.5, edge_voxels=16)


def ball_scan(
    spacing=(0.75, 0.75, 1.5), origin=(-20.0, 5.0, 100.0), radius=6.0, shape=(40, 80, 80)
):
    """A ball of 40 HU in lung of −850, its centre in the middle of the scan."""
    z, y, x = np.indices(shape).astype(float)
    middle = (np.array(shape) - 1) / 2
    away = np.sqrt(
        ((z - middle[0]) * spacing[2]) ** 2
        + ((y - middle[1]) * spacing[1]) ** 2
        + ((x - middle[2]) * spacing[0]) ** 2
    )
    inside = away <= radius
    scan = Volume.from_array(
        np.where(inside, 40.0, -850.0), unit="HU", spacing_mm=spacing, origin_mm=origin
    )
    return scan, Mask.from_array(inside, on=scan)


def cut(ct, lesion, pet=None, settings=SETTINGS):
    return crop_of(ct, lesion, pet, solidity_of(ct, lesion), settings)


def test_the_lesion_lies_in_the_middle_with_its_volume():
    crop = cut(*ball_scan())
    assert crop.ct_hu.shape == (16, 16, 16)
    middle = np.argwhere(crop.mask).mean(axis=0)
    np.testing.assert_allclose(middle, 7.5, atol=0.15)
    assert crop.mask.sum() * 1.5**3 == pytest.approx(4 / 3 * np.pi * 6**3, rel=0.15)
    assert crop.held_share == 1.0
    assert crop.diameter_mm == pytest.approx(12, abs=1.0)


def test_the_cube_follows_a_lesion_that_moves():
    """A lesion 6 mm to the left and 9 mm up in the scan gives the same cube."""
    ct, lesion = ball_scan()
    moved = np.roll(ct.array, (6, 8), axis=(0, 2)), np.roll(lesion.array, (6, 8), axis=(0, 2))
    other = ct.of_array(moved[0])
    one, two = cut(ct, lesion), cut(other, Mask.from_array(moved[1], on=other))
    np.testing.assert_array_equal(one.mask, two.mask)
    assert np.abs(one.ct_hu.astype(int) - two.ct_hu).max() <= 1


def test_where_the_scan_lies_does_not_matter():
    one = cut(*ball_scan())
    two = cut(*ball_scan(origin=(300.0, -80.0, 0.0)))
    np.testing.assert_array_equal(one.mask, two.mask)
    assert np.abs(one.ct_hu.astype(int) - two.ct_hu).max() <= 1


def test_scanners_of_different_pixels_give_alike_cubes():
    fine = cut(*ball_scan((0.5, 0.5, 1.0), shape=(60, 110, 110)))
    coarse = cut(*ball_scan((0.75, 0.75, 1.5)))
    far = np.abs(fine.ct_hu.astype(int) - coarse.ct_hu)
    assert np.mean(far) < 25
    assert np.mean(fine.mask == coarse.mask) > 0.97


def test_beyond_the_scan_is_air():
    ct, lesion = ball_scan()
    low = Volume.from_array(
        ct.array[15:], unit="HU", spacing_mm=ct.spacing_mm, origin_mm=(-20.0, 5.0, 122.5)
    )
    crop = cut(low, Mask.from_array(lesion.array[15:], on=low))
    # the scan begins 6.75 mm below the ball's middle; the cube reaches 11.25 mm down
    assert (crop.ct_hu[0] == -1000).all()
    assert crop.ct_hu[8, 0, 0] > -900


def test_a_lesion_larger_than_the_cube_is_cut_and_says_so():
    """A ball of 20 mm radius in a cube of 24 mm edge."""
    ct, lesion = ball_scan((1.0, 1.0, 1.0), radius=20.0, shape=(60, 60, 60))
    crop = cut(ct, lesion)
    assert crop.mask.all()
    assert crop.held_share == pytest.approx(24**3 / (4 / 3 * np.pi * 20**3), rel=0.05)


def test_uptake_lies_where_the_ct_does():
    """PET of 4 mm voxels, hot in one place 9 mm to the left of the lesion."""
    ct, lesion = ball_scan()
    middle = ct.grid.to_mm((np.array(ct.grid.size) - 1) / 2)
    uptake = np.zeros((20, 20, 20))
    uptake[10, 10, 12] = 8.0
    pet = Volume.from_array(
        uptake, unit="SUVbw", spacing_mm=(4.0,) * 3, origin_mm=tuple(middle - [39, 40, 40])
    )
    crop = cut(ct, lesion, pet)
    assert crop.suv.shape == crop.ct_hu.shape
    # the hot voxel's centre is at x = −39 + 48 = 9 mm from the middle: index 7.5 + 6
    z, y, x = np.unravel_index(int(crop.suv.argmax()), crop.suv.shape)
    assert x in (13, 14)
    assert {z, y} <= {7, 8}
    assert crop.suv.min() >= 0


def test_a_scan_in_another_unit_and_a_lesion_that_vanishes():
    ct, lesion = ball_scan()
    whole = solidity_of(ct, lesion)
    with pytest.raises(VolumeError, match="another unit"):
        crop_of(ct.of_array(ct.array, unit="SUVbw"), lesion, None, whole, SETTINGS)
    with pytest.raises(VolumeError, match="another unit"):
        crop_of(ct, lesion, ct, whole, SETTINGS)
    one = np.zeros(lesion.array.shape)
    one[20, 40, 40] = 1
    with pytest.raises(VolumeError, match="smaller than a voxel") as error:
        crop_of(ct, Mask.from_array(one, on=ct), None, whole, SETTINGS)
    assert "finer spacing" in error.value.remedy
