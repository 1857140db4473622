"""Channels of a crop: windows by hand, and the cube's symmetries."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lesion_crops import crop_of
from metasight.models.volume_network_inputs import (
    MASK_CHANNEL,
    Targets,
    altered,
    channels,
    hash_of,
    windowed,
)


@pytest.fixture
def crop():
    return crop_of(np.random.default_rng(0), 0.5, pet=True)


@pytest.mark.parametrize(
    ("hu", "lung", "soft"),
    [
        (-1350, -1, -1),
        (150, 1, 0.55),
        (-600, 0, -1),
        (-160, 0.5866667, -1),
        (40, 0.8533333, 0),
        (240, 1, 1),
        (3000, 1, 1),
    ],
)
def test_windows_fill_minus_one_to_one(hu, lung, soft):
    value = np.array([hu], np.float32)
    assert windowed(value, -1350, 150)[0] == pytest.approx(lung, abs=1e-6)
    assert windowed(value, -160, 240)[0] == pytest.approx(soft, abs=1e-6)


def test_channels(crop):
    out = channels(crop)
    assert out.shape == (5, 16, 16, 16)
    np.testing.assert_array_equal(out[MASK_CHANNEL] > 0, crop.mask)
    np.testing.assert_allclose(out[3], np.log1p(crop.suv.astype(np.float32)), rtol=1e-6)
    assert (out[4] == 1).all()
    without = channels(replace(crop, suv=None))
    assert not without[3:].any()
    np.testing.assert_array_equal(without[:3], out[:3])


def test_uptake_beyond_30_is_no_more(crop):
    hot = replace(crop, suv=np.full(crop.mask.shape, 60000, np.float16))
    np.testing.assert_allclose(channels(hot)[3], np.log(31.0), rtol=1e-6)


def test_turning_keeps_voxels_together_and_loses_none(crop):
    """With neither noise nor dropout an altered crop holds the same voxels elsewhere."""
    rng = np.random.default_rng(1)
    wanted, seen = voxels(channels(crop)), set()
    for _ in range(200):
        other = altered(crop, rng, noise_hu=0.0, pet_dropout=0.0)
        np.testing.assert_array_equal(voxels(other), wanted)
        seen.add(other[0].tobytes())
    assert len(seen) > 40  # of the cube's 48 symmetries


def voxels(cube):
    """The five values of each voxel, in an order that does not depend on where it lies."""
    rows = cube.reshape(5, -1).T
    return rows[np.lexsort(rows.T)]


def test_pet_is_left_out_as_often_as_said(crop):
    rng = np.random.default_rng(2)
    there = [altered(crop, rng, noise_hu=0.0, pet_dropout=0.3)[4].max() for _ in range(400)]
    assert np.mean(there) == pytest.approx(0.7, abs=0.07)


def test_noise_is_of_the_ct_alone(crop):
    rng = np.random.default_rng(3)
    other = altered(crop, rng, noise_hu=50.0, pet_dropout=0.0)
    assert other[2].sum() == crop.mask.sum()
    assert np.sort(other[3].ravel()) == pytest.approx(np.sort(channels(crop)[3].ravel()))
    assert np.sort(other[0].ravel()) != pytest.approx(np.sort(channels(crop)[0].ravel()))


def test_targets_are_measured_and_never_the_outcome(crop):
    undecided = replace(crop, attenuation="", diameter_mm=float(np.e**2))
    found = Targets.of([replace(crop, attenuation="solid"), undecided], np.array([2, 0]))
    assert found.attenuation.tolist() == [2, -1]
    assert found.log_diameter[1] == pytest.approx(2.0)
    part = found.take(np.array([1]))
    assert (part.stage.tolist(), part.attenuation.tolist()) == ([0], [-1])


def test_the_hash_changes_with_all_that_is_learnt_from(crop):
    targets = Targets.of([crop], np.array([1]))
    fold = np.array([0])
    one = hash_of([crop], targets, fold)
    assert one == hash_of([replace(crop, where="elsewhere")], targets, fold)
    suv = crop.suv.copy()
    suv[0, 0, 0] += 1
    hu = crop.ct_hu.copy()
    hu[0, 0, 0] += 1
    for other in (replace(crop, suv=suv), replace(crop, suv=None), replace(crop, ct_hu=hu)):
        assert hash_of([other], targets, fold) != one
    assert hash_of([crop], replace(targets, stage=np.array([2])), fold) != one
    assert hash_of([crop], targets, np.array([1])) != one
