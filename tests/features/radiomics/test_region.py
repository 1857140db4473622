"""IBSI's steps from scan and mask to grey levels: each on numbers that one can follow."""

from __future__ import annotations

import numpy as np
import pytest

from metasight.errors import VolumeError
from metasight.features.radiomics.region import Region, discretise, prepare, tight
from metasight.features.radiomics.settings import RadiomicsSettings
from metasight.volumes.volume import Mask, Volume


def settings(**over) -> RadiomicsSettings:
    told = {
        "families": ("GLCM",),
        "aggregations": ("3D:mrg",),
        "interpolation": "none",
        "rounding": False,
        "intensity_range": None,
        "outlier_sigma": None,
        "bin_size": 25.0,
        "bin_start": "minimum",
    }
    return RadiomicsSettings(**{**told, **over})


def of(values) -> Region:
    image = np.asarray(values, dtype=float).reshape(1, 1, -1)
    inside = np.ones(image.shape, dtype=bool)
    return Region(
        intensities=image, morphological=inside, inside=inside, spacing_zyx_mm=(1.0, 1.0, 1.0)
    )


def levels(values, **over):
    found, n = discretise(of(values), settings(**over))
    return found.ravel().tolist(), n


def test_bins_of_a_size_begin_where_they_are_told_to():
    values = [-490, -476, -475, -400, -401]
    assert levels(values) == ([1, 1, 1, 4, 4], 4)  # from −490: −490 … −465
    assert levels(values, intensity_range=(-500, 400), bin_start="range") == ([1, 1, 2, 5, 4], 5)
    assert levels(values, bin_start="multiple") == ([1, 1, 2, 5, 4], 5)  # from −500


def test_a_number_of_bins_divides_the_range_and_the_highest_value_is_in_the_last():
    values = [0, 9.9, 10, 20, 30, 39.9, 40]
    assert levels(values, bin_size=None, bin_number=4) == ([1, 1, 2, 3, 4, 4, 4], 4)


def test_equal_values_are_one_level():
    assert levels([7, 7], bin_size=None, bin_number=8) == ([1, 1], 8)
    assert levels([7, 7]) == ([1, 1], 1)


def test_a_shift_of_all_values_keeps_levels_that_begin_at_the_minimum():
    values = np.random.default_rng(0).normal(0, 100, 50)
    for over in ({}, {"bin_size": None, "bin_number": 16}):
        assert levels(values, **over) == levels(values + 1024, **over)


def test_too_many_levels_are_a_bin_size_in_another_unit():
    with pytest.raises(VolumeError, match="too many grey levels") as error:
        levels([0, 30_000])
    assert error.value.value == "1201"
    assert "unit" in error.value.remedy


def scan(array: np.ndarray, spacing=(1.0, 1.0, 1.0), unit="HU") -> Volume:
    return Volume.from_array(array, unit=unit, spacing_mm=spacing)


@pytest.fixture
def ramp():
    """Intensity is x in mm: 1.5 mm a voxel from 0; a mask of 4 × 4 × 4 voxels."""
    array = np.broadcast_to(np.arange(20) * 1.5, (12, 12, 20)).copy()
    inside = np.zeros(array.shape, dtype=bool)
    inside[4:8, 4:8, 8:12] = True
    volume = scan(array, (1.5, 1.5, 1.5))
    return volume, Mask.from_array(inside, on=volume)


def test_without_interpolation_nothing_changes(ramp):
    volume, mask = ramp
    region = prepare(volume, mask, settings())
    assert region.spacing_zyx_mm == (1.5, 1.5, 1.5)
    assert sorted(set(region.values)) == [12.0, 13.5, 15.0, 16.5]
    assert region.values.size == 64
    assert tight(region).intensities.shape == (4, 4, 4)


def test_the_new_grid_shares_its_centre_with_the_old_one(ramp):
    """A ramp stays a ramp: intensity is still the place in mm, at places of the new grid.

    20 voxels of 1.5 mm are 30 mm, 15 of 2 mm; the first lies at (0 + 28.5 − 28) / 2 = 0.25 mm.
    """
    volume, mask = ramp
    over = {"interpolation": "linear", "spacing_zyx_mm": (2.0, 2.0, 2.0)}
    region = prepare(volume, mask, settings(**over))
    found = np.unique(np.round(region.values, 9))
    np.testing.assert_allclose((found - 0.25) % 2, 0, atol=1e-9)
    # the mask reaches from 11.25 to 17.25 mm: voxels at 12.25, 14.25, 16.25
    np.testing.assert_allclose(found, [12.25, 14.25, 16.25])


@pytest.mark.parametrize("method", ["linear", "cubic"])
def test_a_volume_survives_interpolation(ramp, method):
    volume, mask = ramp
    over = {"interpolation": method, "spacing_zyx_mm": (0.5, 0.5, 0.5)}
    region = prepare(volume, mask, settings(**over))
    assert region.morphological.sum() * 0.125 == pytest.approx(64 * 1.5**3, rel=0.15)
    assert region.values.mean() == pytest.approx(14.25, abs=0.02)


def test_an_axis_can_be_left_alone(ramp):
    volume, mask = ramp
    over = {"interpolation": "linear", "spacing_zyx_mm": (None, 1.0, 1.0)}
    assert prepare(volume, mask, settings(**over)).spacing_zyx_mm == (1.5, 1.0, 1.0)


def test_rounding_is_to_whole_numbers(ramp):
    volume, mask = ramp
    over = {"interpolation": "linear", "spacing_zyx_mm": (2.0, 2.0, 2.0), "rounding": True}
    assert set(prepare(volume, mask, settings(**over)).values) == {12.0, 14.0, 16.0}


def test_resegmentation_keeps_its_ends_and_the_drawn_region(ramp):
    volume, mask = ramp
    region = prepare(volume, mask, settings(intensity_range=(13.5, 15.0)))
    assert set(region.values) == {13.5, 15.0}
    assert region.morphological.sum() == 64
    assert region.inside.sum() == 32


def test_outliers_are_measured_by_the_population_deviation():
    """Nine of 0 and one of 10: mean 1, deviation 3; 10 lies 3 deviations off."""
    array = np.zeros((1, 1, 10))
    array[0, 0, 9] = 10.0
    volume = scan(array)
    mask = Mask.from_array(np.ones(array.shape), on=volume)
    kept = prepare(volume, mask, settings(outlier_sigma=3.0)).inside.sum()
    assert kept == 10  # exactly on the limit
    assert prepare(volume, mask, settings(outlier_sigma=2.9)).inside.sum() == 9


def test_resegmentation_comes_before_the_outliers():
    """1e6 is out of range; were it in, nothing else would be an outlier."""
    array = np.concatenate([np.zeros(20), [10.0], [1e6]]).reshape(1, 1, -1)
    volume = scan(array)
    mask = Mask.from_array(np.ones(array.shape), on=volume)
    over = {"intensity_range": (-100, 100), "outlier_sigma": 3.0}
    assert set(prepare(volume, mask, settings(**over)).values) == {0.0}


def test_units_that_differ_between_patients_are_refused(ramp):
    volume, mask = ramp
    counts = volume.of_array(volume.array, unit="CNTS")
    with pytest.raises(VolumeError, match="another unit"):
        prepare(counts, mask, settings())


def test_nothing_left_on_a_coarse_grid(ramp):
    volume, _ = ramp
    one = np.zeros(volume.array.shape, dtype=bool)
    one[5, 5, 9] = True
    over = {"interpolation": "linear", "spacing_zyx_mm": (6.0, 6.0, 6.0)}
    with pytest.raises(VolumeError, match="nothing of the region is left") as error:
        prepare(volume, Mask.from_array(one, on=volume), settings(**over))
    assert "too coarse" in error.value.remedy
