"""Size, solid part and pure ground glass of simulated lesions, their masks given."""

from __future__ import annotations

import numpy as np
import pytest

from metasight.errors import VolumeError
from metasight.lesions.solidity import Solidity, solidity_of
from metasight.simulate.lung.phantom import SimulatedScan, draw_phantom
from metasight.simulate.lung.settings import NoduleSettings, ScanSettings, ThoraxSettings
from metasight.volumes.volume import Mask, Volume

KERNELS = ("soft", "standard", "sharp")
SIZES_MM = ((8, 0), (16, 0), (28, 0), (40, 0), (12, 7), (18, 8), (22, 14), (30, 9), (38, 28),
            (9, 9), (20, 20), (34, 34))  # fmt: skip


@pytest.fixture(scope="module")
def measured() -> list[tuple[SimulatedScan, Solidity]]:
    out = []
    for number, (whole, solid) in enumerate(SIZES_MM):
        settings = ThoraxSettings(
            vessel_ends=600,
            nodule=NoduleSettings(
                diameter_mm=whole, solid_diameter_mm=solid, ground_glass_hu=-640 + 10 * number,
                margin="lobulated" if number % 2 else "smooth",
            ),
            scan=ScanSettings(kernel=KERNELS[number % 3], interval_mm=1.0, thickness_mm=1.0),
        )  # fmt: skip
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
