"""Uptake: the published maximum of a real PET, known answers, and a PET that misses the lesion."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from metasight.errors import VolumeError
from metasight.lesions.uptake import uptake_of
from metasight.volumes.masks import read_mask
from metasight.volumes.pet import read_pet
from metasight.volumes.volume import Mask, Volume


def test_suvmax_of_a_real_tumour(shared: Path, tmp_path: Path) -> None:
    source = next((shared / "data" / "volumes" / "pet-sts001").glob("*.zip"))
    with zipfile.ZipFile(source) as archive:
        archive.extractall(tmp_path)
    pet = read_pet(tmp_path)
    found = uptake_of(pet, read_mask(next(tmp_path.rglob("mask/*.dcm")), pet, region="GTV_Mass"))
    assert found.suvmax == pytest.approx(7.911, abs=0.001)
    assert found.suvmean < found.suvpeak < found.suvmax
    assert found.volume_4_ml < found.volume_41_ml < found.volume_2_5_ml  # 41 % is an SUV of 3.24


def ball(shape: tuple[int, ...], spacing: float, radius: float) -> np.ndarray:
    grid = np.indices(shape)
    middle = (np.array(shape)[:, None, None, None] - 1) / 2
    return np.asarray(((grid - middle) ** 2).sum(axis=0) * spacing**2 <= radius**2)


def test_an_even_ball_has_one_value_everywhere() -> None:
    """Radius 21 mm: 38.8 ml of SUV 6 in a background of 0.5, mask on a finer grid than the PET."""
    shape = (21, 21, 21)
    suv = np.where(ball(shape, 4.0, 26.0), 6.0, 0.5)
    pet = Volume.from_array(suv, unit="SUVbw", spacing_mm=(4.0, 4.0, 4.0))
    fine = (81, 81, 81)
    scan = Volume.from_array(np.zeros(fine), unit="HU", spacing_mm=(1.0, 1.0, 1.0))
    lesion = Mask.from_array(ball(fine, 1.0, 21.0), on=scan)
    found = uptake_of(pet, lesion)
    for value in (found.suvmax, found.suvpeak, found.suvmean):
        assert value == pytest.approx(6.0)
    truth = 4 / 3 * np.pi * 21**3 / 1000
    assert found.volume_41_ml == pytest.approx(truth, rel=0.05)
    assert found.tlg_4 == pytest.approx(6 * truth, rel=0.05)


def test_the_maximum_is_not_blurred_and_the_peak_is() -> None:
    suv = np.full((15, 15, 15), 2.0)
    suv[7, 7, 7] = 12.0
    pet = Volume.from_array(suv, unit="SUVbw", spacing_mm=(4.0, 4.0, 4.0))
    found = uptake_of(pet, Mask.from_array(ball((15, 15, 15), 4.0, 14.0), on=pet))
    assert found.suvmax == 12.0
    # the voxel's 64 mm³ lie wholly within the sphere's 1000
    assert found.suvpeak == pytest.approx(2 + 10 * 0.064, rel=0.03)
    assert found.volume_41_ml == pytest.approx(0.064)


def test_a_lesion_outside_the_pet_is_refused() -> None:
    pet = Volume.from_array(np.ones((9, 9, 9)), unit="SUVbw", spacing_mm=(4.0, 4.0, 4.0))
    scan = Volume.from_array(
        np.zeros((20, 20, 20)), unit="HU", spacing_mm=(1.0, 1.0, 1.0), origin_mm=(100.0, 0.0, 0.0)
    )
    with pytest.raises(VolumeError, match="the PET does not cover the lesion"):
        uptake_of(pet, Mask.from_array(np.ones((20, 20, 20)), on=scan))
    with pytest.raises(VolumeError, match="another unit"):
        uptake_of(scan, Mask.from_array(np.ones((20, 20, 20)), on=scan))
