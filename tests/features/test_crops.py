"""Crops of lesions: the right place, the right values, nothing invented, the same bytes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from metasight.cohort.settings import CropSettings
from metasight.errors import VolumeError
from metasight.features.cropping import crop_of
from metasight.features.crops import CropFolder, LesionCrop, read_crop, write_crop
from metasight.lesions.solidity import solidity_of
from metasight.volumes.volume import Mask, ScanFacts, Volume

SPACING_MM = (0.8, 0.8, 2.0)
ORIGIN_MM = (-90.0, 40.0, -300.0)
CENTRE_MM = np.array([-60.0, 70.0, -250.0])
RADIUS_MM = 9.0


def grid_points(shape: tuple[int, int, int], spacing: tuple[float, ...], origin) -> np.ndarray:
    """x, y, z of every voxel, (z, y, x, 3)."""
    index = np.stack(np.indices(shape)[::-1], axis=-1)
    return np.asarray(origin) + index * np.asarray(spacing)


def scan(radius_mm: float = RADIUS_MM, facts: ScanFacts | None = None) -> tuple[Volume, Mask]:
    """A ball of 40 HU in lung of −850 HU whose density rises by 1 HU/mm to the left."""
    points = grid_points((50, 80, 80), SPACING_MM, ORIGIN_MM)
    inside = np.linalg.norm(points - CENTRE_MM, axis=-1) <= radius_mm
    hu = np.where(inside, 40.0, -850.0 + (points[..., 0] - CENTRE_MM[0]))
    ct = Volume.from_array(
        hu, unit="HU", spacing_mm=SPACING_MM, origin_mm=ORIGIN_MM, facts=facts or ScanFacts()
    )
    return ct, Mask.from_array(inside, on=ct)


def pet_of(value: float = 5.0, facts: ScanFacts | None = None) -> Volume:
    points = grid_points((30, 20, 20), (4.0, 4.0, 4.0), ORIGIN_MM)
    suv = np.where(np.linalg.norm(points - CENTRE_MM, axis=-1) <= 12.0, value, 0.5)
    return Volume.from_array(
        suv,
        unit="SUVbw",
        spacing_mm=(4.0, 4.0, 4.0),
        origin_mm=ORIGIN_MM,
        facts=facts or ScanFacts(),
    )


def crop(pet: Volume | None = None, **settings: float) -> LesionCrop:
    ct, mask = scan()
    return crop_of(ct, mask, pet, solidity_of(ct, mask), CropSettings(**settings))


def test_a_crop_shows_the_lesion_in_its_middle_at_its_size():
    found = crop(pet_of())
    assert found.ct_hu.shape == found.mask.shape == (48, 48, 48)
    middle = np.argwhere(found.mask).mean(axis=0)
    np.testing.assert_allclose(middle, 23.5, atol=0.35)
    volume = found.mask.sum() * found.spacing_mm**3
    assert volume == pytest.approx(4 / 3 * np.pi * RADIUS_MM**3, rel=0.05)
    assert np.median(found.ct_hu[found.mask]) == pytest.approx(40, abs=3)
    assert found.held_share == 1.0
    assert found.attenuation == "solid"
    assert found.diameter_mm == pytest.approx(2 * RADIUS_MM, abs=1.5)
    assert found.suv is not None
    assert found.suv[found.mask].mean() == pytest.approx(5, abs=0.3)


def test_axes_are_the_patients_and_values_lie_where_they_were_measured():
    found = crop()
    lung = found.ct_hu[24, 5, :].astype(float)  # a row towards the patient's left
    inside = lung > -950
    rise = np.polyfit(np.flatnonzero(inside) * 1.5, lung[inside], 1)[0]
    assert rise == pytest.approx(1.0, abs=0.05)
    assert abs(np.polyfit(np.arange(20), found.ct_hu[24, 8:28, 8].astype(float), 1)[0]) < 0.05


def test_beyond_the_scan_is_air_and_without_pet_nothing_stands_for_it():
    found = crop()
    assert found.suv is None
    # the scan ends 30 mm from the lesion towards the right; the crop goes on to 36 mm
    assert (found.ct_hu[:, :, 0] <= -999).all()


def test_a_lesion_larger_than_its_crop_is_cut_and_the_share_is_told():
    found = crop(spacing_mm=0.75, edge_voxels=16)  # 12 mm of a ball of 18 mm
    assert found.held_share == pytest.approx(0.56, abs=0.05)  # by integration over the ball
    assert found.mask[8, 8, 8]


@pytest.mark.parametrize("radius_mm", [3.5, 5.0, 14.0])
def test_a_lesion_that_fits_is_held_whole_however_coarse_the_voxels(radius_mm: float):
    ct, mask = scan(radius_mm)
    found = crop_of(ct, mask, None, solidity_of(ct, mask), CropSettings(spacing_mm=3.0))
    assert found.held_share == 1.0


def test_the_grid_does_not_depend_on_the_scans_own():
    fine = crop()
    ct, mask = scan()
    origin = (ORIGIN_MM[0], ORIGIN_MM[1], ORIGIN_MM[2] + 10)
    shifted = Volume.from_array(ct.array[5:], unit="HU", spacing_mm=SPACING_MM, origin_mm=origin)
    own = Mask.from_array(mask.array[5:], on=shifted)
    again = crop_of(shifted, own, None, solidity_of(shifted, own), CropSettings())
    np.testing.assert_array_equal(again.mask, fine.mask)
    assert np.abs(again.ct_hu[fine.mask].astype(int) - fine.ct_hu[fine.mask]).max() <= 1


def test_pet_of_another_examination_is_refused():
    ct, mask = scan(facts=ScanFacts(frame_of_reference="1.2"))
    other = pet_of(facts=ScanFacts(frame_of_reference="1.3"))
    with pytest.raises(VolumeError, match="frame of reference"):
        crop_of(ct, mask, other, solidity_of(ct, mask), CropSettings())


def test_a_lesion_smaller_than_a_voxel_is_refused():
    ct, _ = scan()
    one = np.zeros(ct.array.shape, dtype=bool)
    one[25, 40, 40] = True
    mask = Mask.from_array(one, on=ct)
    whole = solidity_of(*scan())
    with pytest.raises(VolumeError, match="smaller than a voxel"):
        crop_of(ct, mask, None, whole, CropSettings(spacing_mm=5.0, edge_voxels=16))


def test_a_file_gives_the_crop_back_and_the_same_crop_the_same_bytes(tmp_path: Path):
    found = crop(pet_of())
    for name in ("a", "b"):
        write_crop(found, tmp_path / f"{name}.h5")
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()
    read = CropFolder(tmp_path).read("a")
    for name in ("ct_hu", "mask", "suv"):
        np.testing.assert_array_equal(getattr(read, name), getattr(found, name))
    for name in ("spacing_mm", "attenuation", "diameter_mm", "held_share"):
        assert getattr(read, name) == getattr(found, name)
    told = CropFolder(tmp_path).described("a")
    assert told["crop middle_hu"] == pytest.approx(np.median(found.ct_hu))


@pytest.mark.parametrize("how", ["no file", "no HDF5", "no array", "no attribute"])
def test_a_broken_file_is_refused(tmp_path: Path, how: str):
    path = tmp_path / "a.h5"
    if how == "no HDF5":
        path.write_bytes(b"text")
    elif how != "no file":
        write_crop(crop(), path)
        with h5py.File(path, "a") as file:
            gone, name = (file, "mask") if how == "no array" else (file.attrs, "spacing_mm")
            del gone[name]
    with pytest.raises(VolumeError, match="cannot be read"):
        read_crop(path, "a")


@pytest.mark.parametrize(
    "change",
    [
        {"mask": np.zeros((48, 48, 48), dtype=bool)},
        {"mask": np.ones((8, 8, 8), dtype=bool)},
        {"suv": np.full((48, 48, 48), np.nan, dtype=np.float16)},
        {"diameter_mm": 0.0},
        {"suv": np.full((48, 48, 48), -1, dtype=np.float16)},
        {"spacing_mm": float("nan")},
        {"held_share": 1.2},
        {"attenuation": "undecided"},
    ],
)
def test_a_crop_that_exists_is_usable(change):
    with pytest.raises(VolumeError):
        replace(crop(), **change)
