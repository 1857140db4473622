"""Noise is the noise that was put in, not texture, borders or what the scanner cut off."""

from __future__ import annotations

import numpy as np
import pytest

from metasight.volumes.chest import find_chest
from metasight.volumes.ct_noise import noise_in_air, noise_in_lung, noise_in_tissue
from metasight.volumes.volume import Volume

SMOOTHED = 1 / (2 * np.sqrt(np.pi))
"""White noise on pixels of 1 mm keeps this share of its deviation under a Gaussian of 1 mm."""


def chest_of(sd: dict[str, float], *, floor: float = -3000.0, fat: bool = False) -> Volume:
    """A body with lungs in air, on 1 × 1 × 3 mm, with white noise of its own in each."""
    rng = np.random.default_rng(0)
    kind = np.zeros((30, 200, 200), dtype=np.int64)  # air, tissue, lung
    kind[:, 30:170, 30:170] = 1
    kind[3:27, 60:140, 40:95] = kind[3:27, 60:140, 105:160] = 2
    voxels = np.array([-1000.0, 40.0, -850.0])[kind]
    if fat:
        voxels[:, 30:45, 30:170] = -100.0
    spread = np.array([sd["air"], sd["tissue"], sd["lung"]])[kind]
    voxels = np.maximum(voxels + rng.normal(0, 1, voxels.shape) * spread, floor)
    return Volume.from_array(voxels, unit="HU", spacing_mm=(1.0, 1.0, 3.0))


@pytest.fixture(scope="module")
def uneven():
    scan = chest_of({"air": 20.0, "tissue": 40.0, "lung": 60.0})
    return scan, find_chest(scan)


@pytest.mark.parametrize(
    ("measure", "sd"), [(noise_in_air, 20.0), (noise_in_tissue, 40.0), (noise_in_lung, 60.0)]
)
def test_each_region_has_its_own_noise(uneven, measure, sd):
    assert measure(*uneven) == pytest.approx(sd * SMOOTHED, rel=0.12)


def test_noise_scales_with_what_is_put_in():
    found = []
    for sd in (10.0, 30.0):
        scan = chest_of(dict.fromkeys(("air", "tissue", "lung"), sd))
        found.append(noise_in_tissue(scan, find_chest(scan)))
    assert found[1] / found[0] == pytest.approx(3, rel=0.1)


def test_fat_beside_muscle_is_no_noise():
    """A border of 140 HU within a window spreads more than any noise; most windows have none."""
    scan = chest_of({"air": 20.0, "tissue": 20.0, "lung": 20.0}, fat=True)
    assert noise_in_tissue(scan, find_chest(scan)) == pytest.approx(20 * SMOOTHED, rel=0.15)


def test_vessels_are_not_the_noise_of_the_lung():
    scan = chest_of({"air": 20.0, "tissue": 20.0, "lung": 20.0})
    voxels = scan.array.copy()
    voxels[:, 60:140:25, 40:160] = 0.0  # a vessel each 25 mm
    vessels = scan.of_array(voxels)
    assert noise_in_lung(vessels, find_chest(vessels)) == pytest.approx(20 * SMOOTHED, rel=0.2)


def test_air_that_is_cut_off_at_the_lowest_value_cannot_be_measured():
    """At −1024 one in eight values of air with a noise of 20 HU is cut off."""
    scan = chest_of({"air": 20.0, "tissue": 20.0, "lung": 20.0}, floor=-1024.0)
    assert noise_in_air(scan, find_chest(scan)) is None


def test_without_lungs_nothing_is_measured_at_their_height():
    voxels = np.random.default_rng(0).normal(40, 10, (12, 80, 80))
    scan = Volume.from_array(voxels, unit="HU", spacing_mm=(1.0, 1.0, 3.0))
    chest = find_chest(scan)
    assert noise_in_lung(scan, chest) is None
    assert noise_in_tissue(scan, chest) is None
    assert noise_in_air(scan, chest) is None
