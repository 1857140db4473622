"""Defects, and the files a patient comes in: read by the program's own readers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from scipy import ndimage

from metasight.errors import VolumeError
from metasight.simulate.lung.defects import (
    DEFECTS,
    HARMLESS,
    UNUSABLE,
    scan_with,
    spoilt,
    write_with,
)
from metasight.simulate.lung.dicom import CtSeries, Machine, Study, write_ct, write_pet
from metasight.simulate.lung.masks import ROI, write_nifti, write_rtstruct, write_seg
from metasight.simulate.lung.pet import draw_pet
from metasight.simulate.lung.phantom import SimulatedScan, draw_phantom, scan_of
from metasight.simulate.lung.settings import NoduleSettings, ScanSettings, ThoraxSettings
from metasight.volumes.dicom import read_series
from metasight.volumes.masks import read_mask
from metasight.volumes.pet import read_pet

SETTINGS = ThoraxSettings(
    nodule=NoduleSettings(diameter_mm=28, solid_diameter_mm=28, suv=8),
    scan=ScanSettings(pixel_mm=1.6, interval_mm=2.0, thickness_mm=2.0),
)
STUDY = Study(
    patient="SIM-0001",
    date="20240105",
    female=False,
    age_years=66,
    weight_kg=74.04,
    height_m=1.72,
    centre="North",
    seed=1,
)
SERIES = CtSeries(
    name="ct",
    number=2,
    thickness_mm=2.0,
    contrast=False,
    machine=Machine(manufacturer="SIEMENS", model="simulated", kernel="B30f", kvp=120, mas=110),
)


@pytest.fixture(scope="module")
def scan() -> SimulatedScan:
    return draw_phantom(SETTINGS, 2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, scan: SimulatedScan) -> Path:
    out = tmp_path_factory.mktemp("patient")
    slices = write_ct(out / "CT", STUDY, SERIES, scan.ct_hu, scan.grid)
    whole = scan.thorax.lesion.whole
    write_rtstruct(
        out / "lesion-rt.dcm", STUDY, STUDY.uid("ct"), dict(enumerate(slices)), whole, scan.grid
    )
    write_seg(out / "lesion-seg.dcm", STUDY, slices, scan.lesion_mask)
    write_nifti(out / "lesion.nii.gz", scan.lesion_mask, scan.grid)
    pet = draw_pet(scan.thorax, scan.grid, np.random.default_rng(0))
    write_pet(out / "PT", STUDY, pet, dose_mbq=290)
    return out


def test_a_series_reads_back_as_it_was_drawn(folder: Path, scan: SimulatedScan) -> None:
    volume = read_series(folder / "CT")
    assert (volume.array == scan.ct_hu).all()
    assert volume.spacing_zyx_mm == pytest.approx(scan.spacing_mm)
    assert volume.grid.origin_mm == pytest.approx(scan.origin_mm)


@pytest.mark.parametrize("name", ["lesion-rt.dcm", "lesion-seg.dcm", "lesion.nii.gz"])
def test_masks_read_back_as_they_were_drawn(folder: Path, scan: SimulatedScan, name: str) -> None:
    volume = read_series(folder / "CT")
    found = read_mask(folder / name, volume, region=None if "nii" in name else ROI).array > 0
    both = (found & scan.lesion_mask).sum()
    dice = 2 * both / (found.sum() + scan.lesion_mask.sum())
    # outlines are cut at each slice's middle, the mask counts 27 samples a voxel
    assert dice > (0.97 if "rt" in name else 0.9999)


def test_pet_reads_back_as_suv(folder: Path, scan: SimulatedScan) -> None:
    pet = draw_pet(scan.thorax, scan.grid, np.random.default_rng(0))
    volume = read_pet(folder / "PT")
    assert np.abs(volume.array - pet.suv).max() < 0.002
    assert 5.5 < pet.suvmax < 8.0  # 28 mm are not blurred away
    liver = pet.suv[:8, 20:40, 10:30]
    assert np.median(liver) == pytest.approx(2.2, abs=0.25)


def test_every_file_says_that_it_is_simulated(folder: Path) -> None:
    for path in folder.rglob("*.dcm"):
        ds = pydicom.dcmread(path, stop_before_pixels=True)
        assert "SIM-0001" in str(ds.PatientName)
        assert ds.SeriesDescription.startswith("SIMULATED")
    assert "simulated" in sitk.ReadImage(str(folder / "lesion.nii.gz")).GetMetaData("descrip")


def test_the_same_study_gives_the_same_bytes(
    folder: Path, tmp_path: Path, scan: SimulatedScan
) -> None:
    slices = write_ct(tmp_path / "CT", STUDY, SERIES, scan.ct_hu, scan.grid)
    write_seg(tmp_path / "lesion-seg.dcm", STUDY, slices, scan.lesion_mask)
    for path in tmp_path.rglob("*.dcm"):
        same = folder / path.relative_to(tmp_path)
        assert path.read_bytes() == same.read_bytes(), path.name


def test_names_are_all_used() -> None:
    assert set(UNUSABLE) | set(HARMLESS) == set(DEFECTS)
    assert len(DEFECTS) == 11


def written(defect: str, scan: SimulatedScan, out: Path) -> Path:
    spoiled = spoilt(defect, scan, np.random.default_rng(3))
    write_with(defect, out, STUDY, SERIES, spoiled, np.random.default_rng(4))
    return out


@pytest.mark.parametrize(
    "defect", ["slice missing", "duplicate slice", "wrong offset", "truncated file"]
)
def test_broken_series_are_refused(defect: str, scan: SimulatedScan, tmp_path: Path) -> None:
    with pytest.raises(VolumeError):
        read_series(written(defect, scan, tmp_path))


@pytest.mark.parametrize("defect", HARMLESS)
def test_the_good_series_is_found_beside_others(
    defect: str, scan: SimulatedScan, tmp_path: Path
) -> None:
    volume = read_series(written(defect, scan, tmp_path))
    assert (volume.array == scan.ct_hu).all()


def test_defects_of_pixels_change_what_they_are_named_after(scan: SimulatedScan) -> None:
    cut = spoilt("lung cut", scan, np.random.default_rng(0))
    assert cut.lungs[..., 0].any() != cut.lungs[..., -1].any()
    assert cut.lesion_mask.sum() == scan.lesion_mask.sum()
    metal = spoilt("metal", scan, np.random.default_rng(0))
    assert (metal.ct_hu > 3000).sum() > 50
    moved = spoilt("motion", scan, np.random.default_rng(0))
    k = scan.ct_hu.shape[0] // 3

    def sharpness(hu: np.ndarray) -> float:
        return float(np.abs(np.diff(hu[k].astype(float), axis=0)).max(axis=0).mean())

    assert sharpness(moved.ct_hu) < 0.75 * sharpness(scan.ct_hu)
    assert spoilt("slice missing", scan, np.random.default_rng(0)) is scan


def test_defects_of_the_scan_are_made_by_the_scanner(scan: SimulatedScan) -> None:
    thick = scan_with("thick slices", SETTINGS.scan)
    assert thick.thickness_mm >= 5
    noisy = scan_with("excessive noise", SETTINGS.scan)
    again = scan_of(
        scan.thorax,
        SETTINGS.model_copy(update={"scan": noisy}),
        np.random.default_rng(1),
        crop_mm=40,
    )
    assert again.ct_hu[ndimage.binary_erosion(again.lesion_mask, iterations=2)].std() > 70
    assert scan.ct_hu[ndimage.binary_erosion(scan.lesion_mask, iterations=2)].std() < 35
