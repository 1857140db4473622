"""Size, solid part and pure ground glass of simulated lesions, their masks given."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from metasight.errors import VolumeError
from metasight.lesions.solidity import Solidity, solidity_of
from metasight.simulate.lung.phantom import SimulatedScan, draw_phantom
from metasight.simulate.lung.settings import NoduleSettings, ScanSettings, ThoraxSettings
from metasight.volumes.volume import Mask, Volume

KERNELS = ("soft", "standard", "sharp")
SIZES_MM = (
    (8, 0),
    (16, 0),
    (28, 0),
    (40, 0),
    (12, 7),
    (18, 8),
    (22, 14),
    (30, 9),
    (38, 28),
    (9, 9),
    (20, 20),
    (34, 34),
)


@pytest.fixture(scope="module")
def measured() -> list[tuple[SimulatedScan, Solidity]]:
    out = []
    for number, (whole, solid) in enumerate(SIZES_MM):
        settings = ThoraxSettings(
            vessel_ends=600,
            nodule=NoduleSettings(
                diameter_mm=whole,
                solid_diameter_mm=solid,
                ground_glass_hu=-640 + 10 * number,
                margin="lobulated" if number % 2 else "smooth",
            ),
            scan=ScanSettings(kernel=KERNELS[number % 3], interval_mm=1.0, thickness_mm=1.0),
        )
        scan = draw_phantom(settings, 100 + number, crop_mm=whole + 20)
        z, y, x = scan.spacing_mm
        volume = Volume.from_array(scan.ct_hu, unit="HU", spacing_mm=(x, y, z))
        out.append((scan, solidity_of(volume, Mask.from_array(scan.lesion_mask, on=volume))))
    return out


def test_size_is_right_within_a_voxel(measured: list[tuple[SimulatedScan, Solidity]]) -> None:
    for scan, found in measured:
        assert scan.lesion is not None
        true = scan.lesion.whole
        longest = max(true.axial_mm, true.coronal_mm, true.sagittal_mm)
        assert abs(found.whole.longest_mm - longest) <= max(scan.spacing_mm)
        assert found.whole.volume_mm3 == pytest.approx(true.volume_mm3, rel=0.1)


def test_pure_ground_glass_is_told(measured: list[tuple[SimulatedScan, Solidity]]) -> None:
    for scan, found in measured:
        assert scan.lesion is not None
        assert (found.pure_ground_glass == "yes") == (scan.lesion.attenuation == "ground-glass")


def test_the_solid_share_is_near_the_truth(
    measured: list[tuple[SimulatedScan, Solidity]],
) -> None:
    for scan, found in measured:
        assert scan.lesion is not None
        # a border drawn half a voxel off is worth more of a small lesion's volume
        near = 0.06 if scan.lesion.whole.longest_mm > 12.5 else 0.12
        assert found.main.ctr_volume == pytest.approx(scan.lesion.ctr_3d, abs=near)
        assert [p.threshold_hu for p in found.parts] == [-160, -250, -300, -350]


def test_a_mask_of_one_voxel_is_measured() -> None:
    scan = Volume.from_array(np.full((9, 9, 9), 30.0), unit="HU", spacing_mm=(0.8, 0.8, 1.0))
    inside = np.zeros((9, 9, 9))
    inside[4, 4, 4] = 1
    found = solidity_of(scan, Mask.from_array(inside, on=scan))
    assert 0 < found.whole.longest_mm < 3
    assert 0 <= found.main.ctr <= 1


def test_a_mask_off_the_grid_and_no_threshold_are_refused() -> None:
    scan = Volume.from_array(np.zeros((9, 9, 9)), unit="HU", spacing_mm=(1.0, 1.0, 1.0))
    other = Volume.from_array(np.zeros((9, 9, 9)), unit="HU", spacing_mm=(1.0, 1.0, 2.0))
    with pytest.raises(VolumeError, match="not on the scan's grid"):
        solidity_of(scan, Mask.from_array(np.ones((9, 9, 9)), on=other))
    with pytest.raises(VolumeError, match="no threshold"):
        solidity_of(scan, Mask.from_array(np.ones((9, 9, 9)), on=scan), thresholds_hu=())


def blurred_body(radius_mm: float, *, seed: int) -> tuple[Volume, Mask]:
    """A ball of soft tissue in a ball of ground glass of 12 mm, with point spread and noise."""
    spacing = np.array([1.0, 0.75, 0.75])
    grid = np.ogrid[tuple(slice(-n, n + 1) for n in (12, 16, 16))]
    away = np.sqrt(sum((g * s) ** 2 for g, s in zip(grid, spacing, strict=True)))
    hu = np.where(away <= 6, -600.0, -860.0)
    hu[away <= radius_mm] = 30.0
    noise = np.random.default_rng(seed).normal(0, 60, hu.shape)
    noise = ndimage.gaussian_filter(noise, 0.6 / spacing)
    hu = ndimage.gaussian_filter(hu, 0.8 / spacing) + noise
    scan = Volume.from_array(hu, unit="HU", spacing_mm=(0.75, 0.75, 1.0))
    return scan, Mask.from_array(away <= 6, on=scan)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_body_that_the_blur_takes_the_top_of_is_measured(seed: int) -> None:
    scan, mask = blurred_body(2.0, seed=seed)
    found = solidity_of(scan, mask)
    assert found.pure_ground_glass == "no"
    assert found.main.longest_mm == pytest.approx(4.0, abs=0.8)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_noise_is_no_solid_body(seed: int) -> None:
    scan, mask = blurred_body(0.0, seed=seed)
    assert solidity_of(scan, mask).pure_ground_glass == "yes"


def test_a_solid_lesion_is_no_larger_than_itself() -> None:
    scan, mask = blurred_body(6.0, seed=3)
    found = solidity_of(scan, mask)
    assert found.attenuation == "solid"
    assert found.main.longest_mm == found.whole.longest_mm
    assert found.main.ctr == found.main.ctr_volume == 1.0
