"""Masks of another grid: copied where voxels coincide, resampled where the study says so."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from metasight.errors import VolumeError
from metasight.volumes.placing import placed
from metasight.volumes.volume import Mask, Volume

SCAN = Volume.from_array(
    np.zeros((40, 50, 60)), unit="HU", spacing_mm=(1.0, 1.0, 2.0), origin_mm=(-30.0, 5.0, 100.0)
)
CENTRE_MM = np.array([0.0, 30.0, 140.0])


def ball(
    spacing: tuple[float, float, float], origin: tuple[float, ...], size: tuple[int, int, int]
) -> Mask:
    """A ball of 12 mm radius on a grid of its own."""
    image = sitk.Image(size, sitk.sitkUInt8)
    image.SetSpacing(spacing)
    image.SetOrigin(origin)
    z, y, x = np.indices(size[::-1])
    place = np.stack([x, y, z], axis=-1) * spacing + origin
    inside = np.linalg.norm(place - CENTRE_MM, axis=-1) <= 12.0
    filled = sitk.GetImageFromArray(inside.astype(np.uint8))
    filled.CopyInformation(image)
    return Mask(image=filled, name="ball", notes=("before",))


ON_SCAN = ball((1.0, 1.0, 2.0), (-30.0, 5.0, 100.0), (60, 50, 40))


def test_a_mask_on_the_grid_is_itself() -> None:
    assert placed(ON_SCAN, SCAN) is ON_SCAN
    assert placed(ON_SCAN, SCAN, "resample") is ON_SCAN


@pytest.mark.parametrize("rule", ["same", "resample"])
def test_a_cropped_mask_is_copied_voxel_for_voxel(rule) -> None:
    cropped = ball((1.0, 1.0, 2.0), (-15.0, 12.0, 124.0), (32, 37, 17))
    found = placed(cropped, SCAN, rule)
    np.testing.assert_array_equal(found.array, ON_SCAN.array)
    assert found.name == "ball" and found.notes[0] == "before"
    assert "part of the scan's grid" in found.notes[1]


def test_a_margin_of_the_mask_beyond_the_scan_does_no_harm() -> None:
    wider = ball((1.0, 1.0, 2.0), (-35.0, 0.0, 90.0), (70, 60, 50))
    np.testing.assert_array_equal(placed(wider, SCAN).array, ON_SCAN.array)


@pytest.mark.parametrize(
    ("spacing", "origin", "size"),
    [
        ((0.5, 0.5, 1.0), (-20.0, 10.0, 120.0), (80, 80, 40)),
        ((1.5, 1.5, 1.5), (-20.0, 10.0, 120.0), (28, 28, 28)),
        ((0.8, 0.8, 3.0), (-20.3, 10.1, 120.2), (52, 52, 14)),
        ((1.0, 1.0, 2.0), (-29.5, 5.0, 100.0), (59, 50, 40)),
    ],
)
def test_another_grid_is_refused_until_the_study_says_resample(spacing, origin, size) -> None:
    other = ball(spacing, origin, size)
    with pytest.raises(VolumeError, match="not on the scan's grid") as caught:
        placed(other, SCAN)
    assert 'mask_grid = "resample"' in caught.value.remedy
    found = placed(other, SCAN, "resample")
    assert found.volume_ml == pytest.approx(ON_SCAN.volume_ml, rel=0.05)
    both = np.count_nonzero(found.array & ON_SCAN.array)
    dice = 2 * both / (found.n_voxels + ON_SCAN.n_voxels)
    assert dice > 0.93
    assert "ml before" in found.notes[-1]


def test_a_turned_grid_is_resampled() -> None:
    turned = ball((1.0, 1.0, 2.0), (-30.0, 5.0, 100.0), (60, 50, 40)).image
    angle = np.radians(10)
    cos, sin = float(np.cos(angle)), float(np.sin(angle))
    turned.SetDirection((cos, -sin, 0, sin, cos, 0, 0, 0, 1))
    with pytest.raises(VolumeError, match="not on the scan's grid"):
        placed(Mask(image=turned), SCAN)
    found = placed(Mask(image=turned), SCAN, "resample")
    assert found.volume_ml == pytest.approx(ON_SCAN.volume_ml, rel=0.03)


def test_a_region_beyond_the_scan_is_refused() -> None:
    short = Volume.from_array(
        np.zeros((15, 50, 60)), unit="HU", spacing_mm=(1.0, 1.0, 2.0), origin_mm=(-30.0, 5.0, 100.0)
    )
    for mask in (ON_SCAN, ball((0.5, 0.5, 1.0), (-20.0, 10.0, 120.0), (80, 80, 40))):
        with pytest.raises(VolumeError, match="beyond the scan"):
            placed(mask, short, "resample")


def test_a_region_that_resampling_would_change_is_refused() -> None:
    sheet = np.zeros((40, 60, 60), dtype=np.uint8)
    sheet[20, 10:50, 10:50] = 1
    image = sitk.GetImageFromArray(sheet)
    image.SetSpacing((0.5, 0.5, 0.5))
    image.SetOrigin((-20.0, 10.0, 120.3))
    with pytest.raises(VolumeError, match=r"volume too much|smaller than a voxel"):
        placed(Mask(image=image), SCAN, "resample")
