"""Phantoms: repeatable, shaped like a thorax, and what is said of them is what is drawn."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from metasight.errors import VolumeError
from metasight.simulate.lung.phantom import SimulatedScan, draw_phantom
from metasight.simulate.lung.settings import NoduleSettings, ScanSettings, ThoraxSettings

COARSE = ScanSettings(pixel_mm=1.6, interval_mm=2.0, thickness_mm=2.0, noise=0.5)


@pytest.fixture(scope="module")
def whole() -> SimulatedScan:
    return draw_phantom(ThoraxSettings(scan=COARSE), 3)


def crop(seed: int, **nodule: object) -> SimulatedScan:
    settings = ThoraxSettings(nodule=NoduleSettings.model_validate(nodule))
    return draw_phantom(settings, seed, crop_mm=50)


def test_the_same_seed_gives_the_same_bytes(whole: SimulatedScan) -> None:
    again = draw_phantom(ThoraxSettings(scan=COARSE), 3)
    other = draw_phantom(ThoraxSettings(scan=COARSE), 4)
    assert again.ct_hu.tobytes() == whole.ct_hu.tobytes()
    assert again.lesion == whole.lesion
    assert other.lesion != whole.lesion


def test_organs_have_their_ct_numbers(whole: SimulatedScan) -> None:
    ct = whole.ct_hu

    def middle(mask: np.ndarray) -> float:
        return float(np.median(ct[ndimage.binary_erosion(mask)]))

    assert -890 < middle(whole.lungs) < -820
    assert 30 < middle(whole.aorta) < 55
    assert 45 < middle(whole.liver) < 75
    assert middle(whole.airway) < -930
    assert middle(~whole.body) < -990


def test_two_lungs_of_five_lobes_inside_the_field(whole: SimulatedScan) -> None:
    ml = np.bincount(whole.lobes.ravel(), minlength=6)[1:] * np.prod(whole.spacing_mm) / 1000
    assert 2200 < ml.sum() < 4500
    assert all(ml > 120)
    assert ml[1] == ml.min()  # the middle lobe is the smallest
    parts, _ = ndimage.label(whole.lungs)
    sizes = np.sort(np.bincount(parts.ravel())[1:])
    assert sizes[-2:].sum() / sizes.sum() > 0.99
    assert sizes[-2] > 0.35 * sizes[-1]
    for face in (
        whole.lungs[0],
        whole.lungs[-1],
        whole.lungs[:, 0],
        whole.lungs[:, -1],
        whole.lungs[..., 0],
        whole.lungs[..., -1],
    ):
        assert not face.any()


def test_airways_are_one_tube_that_reaches_both_lungs(whole: SimulatedScan) -> None:
    scan = ScanSettings(noise=0, pixel_mm=1.2, interval_mm=2.0, thickness_mm=2.0)
    fine = draw_phantom(ThoraxSettings(scan=scan), 3)
    parts, _ = ndimage.label(fine.airway, np.ones((3, 3, 3)))
    sizes = np.bincount(parts.ravel())[1:]
    assert sizes.max() / sizes.sum() > 0.97
    x = fine.origin_mm[0] + np.flatnonzero(fine.airway.any(axis=(0, 1))) * fine.spacing_mm[2]
    assert x.min() < -40
    assert x.max() > 40
    assert fine.proximal_tree().sum() < fine.airway.sum()


@pytest.mark.parametrize("margin", ["smooth", "lobulated", "spiculated"])
def test_a_lesion_is_as_large_as_asked_and_as_said(margin: str) -> None:
    scan = crop(5, diameter_mm=20, solid_diameter_mm=12, margin=margin)
    lesion = scan.lesion
    assert lesion is not None
    assert lesion.whole.longest_mm == pytest.approx(20, abs=0.05)
    assert lesion.solid.longest_mm == pytest.approx(12, abs=0.05)
    assert lesion.ctr_1d == pytest.approx(0.6, abs=0.005)
    voxel = np.prod(scan.spacing_mm)
    assert scan.lesion_mask.sum() * voxel == pytest.approx(lesion.whole.volume_mm3, rel=0.02)
    assert scan.solid_mask.sum() * voxel == pytest.approx(lesion.solid.volume_mm3, rel=0.03)
    assert not (scan.solid_mask & ~scan.lesion_mask).any()
    assert lesion.whole.axial_mm <= lesion.whole.longest_mm + 0.01
    # the outline on the largest axial plane, from the voxels of the mask
    k = round((lesion.whole.section_z_mm - scan.origin_mm[2]) / scan.spacing_mm[0])
    points = np.argwhere(scan.lesion_mask[k]) * scan.spacing_mm[1]
    apart = np.sqrt(((points[:, None] - points[None]) ** 2).sum(axis=-1)).max()
    assert apart == pytest.approx(lesion.whole.section_longest_mm, abs=1.6)


def test_ct_numbers_of_the_parts() -> None:
    scan = crop(
        6, diameter_mm=24, solid_diameter_mm=12, ground_glass_hu=-600, solid_hu=20, texture_hu=0
    )
    solid = ndimage.binary_erosion(scan.solid_mask, iterations=2)
    glass = ndimage.binary_erosion(scan.lesion_mask, iterations=2)
    glass &= ~ndimage.binary_dilation(scan.solid_mask, iterations=2)
    assert np.median(scan.ct_hu[solid]) == pytest.approx(20, abs=12)
    assert np.median(scan.ct_hu[glass]) == pytest.approx(-600, abs=15)


def test_pure_ground_glass_has_no_solid_part() -> None:
    scan = crop(7, diameter_mm=15, solid_diameter_mm=0)
    assert scan.lesion is not None
    assert scan.lesion.attenuation == "ground-glass"
    assert scan.lesion.ctr_1d == scan.lesion.ctr_3d == 0
    assert not scan.solid_mask.any()


def test_it_lies_where_it_was_asked_to() -> None:
    central = crop(8, diameter_mm=12, solid_diameter_mm=12, central=True)
    outer = crop(8, diameter_mm=12, solid_diameter_mm=12, central=False, lobe=3)
    pleural = crop(8, diameter_mm=12, solid_diameter_mm=12, pleura="attached")
    assert central.lesion is not None
    assert outer.lesion is not None
    assert pleural.lesion is not None
    assert central.lesion.place.central_2cm
    assert not outer.lesion.place.central_2cm
    assert outer.lesion.place.bronchi_gap_mm > 22
    assert outer.lesion.place.lobe == 3
    assert outer.lesion.place.pleura_gap_mm > 3.5
    assert pleural.lesion.place.pleura_gap_mm < 0.6
    assert outer.lesion.place.hilum_ratio > central.lesion.place.hilum_ratio


def test_a_crop_shows_the_same_thorax(whole: SimulatedScan) -> None:
    part = draw_phantom(ThoraxSettings(scan=COARSE), 3, crop_mm=60)
    first = np.round((np.array(part.origin_mm) - whole.origin_mm)[::-1] / whole.spacing_mm)
    cut = tuple(slice(int(a), int(a) + n) for a, n in zip(first, part.ct_hu.shape, strict=True))
    assert (whole.lesion_mask[cut] == part.lesion_mask).all()
    assert (whole.labels[cut] == part.labels).mean() > 0.9999
    assert part.lesion == whole.lesion


def test_distances_are_those_of_the_voxels() -> None:
    scan = draw_phantom(
        ThoraxSettings(
            nodule=NoduleSettings(diameter_mm=16, solid_diameter_mm=16, central=False),
            scan=ScanSettings(noise=0, interval_mm=0.8, thickness_mm=0.8),
        ),
        11,
        crop_mm=90,
    )
    assert scan.lesion is not None
    away = ndimage.distance_transform_edt(scan.lungs, sampling=scan.spacing_mm)
    gap = away[scan.lesion_mask].min()
    assert gap == pytest.approx(scan.lesion.place.pleura_gap_mm, abs=1.5)


def test_a_cleared_lesion_has_lung_all_round() -> None:
    scan = crop(13, diameter_mm=16, solid_diameter_mm=16, clearance_mm=3.0)
    near = ndimage.binary_dilation(scan.lesion_mask, iterations=3)
    ring = near & ~ndimage.binary_dilation(scan.lesion_mask, iterations=2)
    assert (scan.ct_hu[ring] > -500).mean() < 0.01


def test_a_lesion_that_fits_nowhere_is_refused() -> None:
    with pytest.raises(VolumeError, match="fits nowhere"):
        crop(1, diameter_mm=60, solid_diameter_mm=60, lobe=2)


def test_a_solid_part_larger_than_the_lesion_is_refused() -> None:
    with pytest.raises(ValueError, match="larger than diameter_mm"):
        NoduleSettings(diameter_mm=10, solid_diameter_mm=11)
