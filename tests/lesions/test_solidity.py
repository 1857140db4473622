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
        if scan.lesion.attenuation == "ground-glass":
            assert found.pure_ground_glass in {"yes", "cannot be told"}  # vessels are in some
        else:
            assert found.pure_ground_glass == "no"
        assert (found.attenuation == "undecided") == bool(found.doubts)


def test_the_solid_share_is_near_the_truth(
    measured: list[tuple[SimulatedScan, Solidity]],
) -> None:
    for scan, found in measured:
        assert scan.lesion is not None
        # a border drawn half a voxel off is worth more of a small lesion's volume
        near = 0.06 if scan.lesion.whole.longest_mm > 12.5 else 0.12
        assert found.main.ctr_volume == pytest.approx(scan.lesion.ctr_3d, abs=near)
        assert [p.threshold_hu for p in found.parts] == [-160, -250, -300, -350]


def test_the_true_ratio_is_within_the_range(
    measured: list[tuple[SimulatedScan, Solidity]],
) -> None:
    for scan, found in measured:
        assert scan.lesion is not None
        whole, solid = scan.lesion.whole, scan.lesion.solid
        true = max(solid.axial_mm, solid.coronal_mm, solid.sagittal_mm)
        true /= max(whole.axial_mm, whole.coronal_mm, whole.sagittal_mm)
        assert 0 <= found.ctr_lower <= found.main.ctr <= found.ctr_upper <= 1
        assert found.ctr_lower - 1e-6 <= true <= found.ctr_upper + 1e-6


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


def blurred_body(
    radius_mm: float, *, seed: int, outline_mm: float = 6.0, rim_hu: float = -600.0
) -> tuple[Volume, Mask]:
    """A ball of soft tissue in a ball of ground glass of 12 mm, with point spread and noise."""
    spacing = np.array([1.0, 0.75, 0.75])
    grid = np.ogrid[tuple(slice(-n, n + 1) for n in (12, 16, 16))]
    away = np.sqrt(sum((g * s) ** 2 for g, s in zip(grid, spacing, strict=True)))
    hu = np.where(away <= 6, rim_hu, -860.0)
    hu[away <= radius_mm] = 30.0
    noise = np.random.default_rng(seed).normal(0, 60, hu.shape)
    noise = ndimage.gaussian_filter(noise, 0.6 / spacing)
    hu = ndimage.gaussian_filter(hu, 0.8 / spacing) + noise
    scan = Volume.from_array(hu, unit="HU", spacing_mm=(0.75, 0.75, 1.0))
    return scan, Mask.from_array(away <= outline_mm, on=scan)


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


@pytest.mark.parametrize("outline_mm", [6.0, 7.0, 8.0])
def test_a_solid_lesion_in_a_generous_outline_is_solid(outline_mm: float) -> None:
    scan, mask = blurred_body(6.0, seed=4, outline_mm=outline_mm)
    found = solidity_of(scan, mask)
    assert found.attenuation == "solid"
    assert found.main.ctr == found.ctr_upper == 1.0
    assert found.doubts == ()


def test_the_core_alone_is_not_called_solid() -> None:
    scan, mask = blurred_body(3.0, seed=5, outline_mm=3.0)
    found = solidity_of(scan, mask)
    assert found.attenuation == "undecided"
    assert found.ctr_lower == 0.0
    assert "outside the outline" in "; ".join(found.doubts)


def in_slices(diameter_mm: float, distance_mm: float) -> Solidity:
    """A core half-way between two slices, in 12 mm of ground glass."""
    fine = np.ogrid[tuple(slice(-n, n + 1) for n in (48, 24, 24))]
    z, y, x = (g * s for g, s in zip(fine, (0.25, 0.5, 0.5), strict=True))
    off = distance_mm / 2
    hu = np.where(z**2 + y**2 + x**2 <= 6**2, -620.0, -860.0)
    hu[np.sqrt((z - off) ** 2 + y**2 + x**2) <= diameter_mm / 2] = 30.0
    hu = ndimage.gaussian_filter(hu, [0.0, 1.2, 1.2])
    hu = ndimage.uniform_filter1d(hu, round(distance_mm / 0.25), axis=0)
    step = round(distance_mm / 0.25)
    noise = np.random.default_rng(2).normal(0, 8, hu.shape)
    scan = Volume.from_array((hu + noise)[::step], unit="HU", spacing_mm=(0.5, 0.5, distance_mm))
    inside = (z**2 + y**2 + x**2 <= 6**2)[::step]
    return solidity_of(scan, Mask.from_array(inside, on=scan))


def test_slices_of_3_mm_that_hide_a_core_of_3_mm_are_said_to() -> None:
    found = in_slices(3.0, 3.0)
    assert found.pure_ground_glass != "yes"
    assert found.attenuation != "pure ground glass"
    assert found.ctr_upper >= 3 / 12 - 0.05
    assert in_slices(0.0, 3.0).pure_ground_glass == "yes"
    assert in_slices(0.0, 3.0).attenuation == "pure ground glass"


def test_a_vessel_through_ground_glass_is_no_solid_part_for_sure() -> None:
    shape, spacing = (31, 41, 41), (1.0, 0.8, 0.8)
    z, y, x = (
        (g - (n - 1) / 2) * s for g, n, s in zip(np.indices(shape), shape, spacing, strict=True)
    )
    hu = np.where(z**2 + y**2 + x**2 <= 100, -600.0, -860.0)
    hu[y**2 + z**2 <= 1.8**2] = 30.0
    scan = Volume.from_array(ndimage.gaussian_filter(hu, 0.6), unit="HU", spacing_mm=spacing[::-1])
    found = solidity_of(scan, Mask.from_array(z**2 + y**2 + x**2 <= 100, on=scan))
    assert found.attenuation == "undecided"
    assert found.pure_ground_glass == "cannot be told"
    assert "vessel" in found.doubts[0]
    assert found.ctr_lower == 0.0
