"""Small DICOM series that tests write and spoil, and the real scans read once."""

from __future__ import annotations

import gzip
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from metasight.volumes.dicom import read_series
from metasight.volumes.volume import Volume

Slices = list[FileDataset]


def chest_like(shape: tuple[int, int, int] = (6, 24, 20), seed: int = 0) -> np.ndarray:
    """HU: air, a body of soft tissue, lungs in it, noise; every slice is different."""
    z, y, x = np.indices(shape)
    hu = np.full(shape, -1000.0)
    ny, nx = shape[1:]
    hu[np.hypot((y - ny / 2) / (ny * 0.45), (x - nx / 2) / (nx * 0.45)) < 1] = 40.0
    hu[np.hypot((y - ny / 2) / (ny * 0.3), (x - nx / 4) / (nx * 0.12)) < 1] = -850.0
    hu += np.random.default_rng(seed).normal(0, 10, shape) + 3 * z
    return np.clip(hu, -1024, 3000).round()


def ct_slices(
    hu: np.ndarray | None = None, *, series: str = "one", step_mm: float = 2.0, **tags: Any
) -> Slices:
    """One data set a slice, feet first; ``tags`` are set on every slice."""
    voxels = chest_like() if hu is None else hu
    slices = []
    for k, plane in enumerate(voxels):
        meta = FileMetaDataset()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        meta.MediaStorageSOPClassUID = CTImageStorage
        data = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
        data.SOPClassUID = CTImageStorage
        data.SOPInstanceUID = generate_uid(entropy_srcs=[series, str(k)])
        meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
        data.SeriesInstanceUID = generate_uid(entropy_srcs=[series])
        data.FrameOfReferenceUID = generate_uid(entropy_srcs=["frame"])
        data.PatientName, data.PatientID = "Secret^Name", "MRN-4711"
        data.Modality, data.ImageType = "CT", ["ORIGINAL", "PRIMARY", "AXIAL"]
        data.Manufacturer, data.ConvolutionKernel = "SIEMENS", "B30f"
        data.SliceThickness, data.AcquisitionNumber = step_mm, 1
        data.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        data.ImagePositionPatient = [-10.0, -12.0, 100.0 + k * step_mm]
        data.PixelSpacing = [0.9, 0.8]
        data.Rows, data.Columns = plane.shape
        data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
        data.BitsAllocated, data.BitsStored, data.HighBit = 16, 12, 11
        data.PixelRepresentation = 0
        data.RescaleSlope, data.RescaleIntercept = 1, -1024
        data.PixelData = (plane + 1024).astype("<u2").tobytes()
        for tag, value in tags.items():
            setattr(data, tag, value)
        slices.append(data)
    return slices


def write(slices: list[Any], folder: Path, prefix: str = "a") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for k, data in enumerate(slices):
        syntax = data.file_meta.TransferSyntaxUID
        dcmwrite(
            folder / f"{prefix}{k:03d}.dcm",
            data,
            implicit_vr=syntax.is_implicit_VR,
            little_endian=syntax.is_little_endian,
            enforce_file_format=True,
        )
    return folder


def moved(data: Dataset, *, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> None:
    """Move a slice by mm."""
    place = [float(v) for v in data.ImagePositionPatient]
    data.ImagePositionPatient = [place[0] + x, place[1] + y, place[2] + z]


@pytest.fixture
def write_ct(tmp_path: Path) -> Callable[..., Path]:
    """Writes a series: ``write_ct(slices)``, or the made-up chest."""

    def build(slices: Slices | None = None, name: str = "scan", prefix: str = "a") -> Path:
        return write(ct_slices() if slices is None else slices, tmp_path / name, prefix)

    return build


@pytest.fixture(scope="session")
def volumes(shared: Path) -> Path:
    return shared / "data" / "volumes"


@pytest.fixture(scope="session")
def lung1_folder(volumes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """LUNG1-001 unpacked: ``ct`` with the series, ``rtstruct.dcm``."""
    folder = tmp_path_factory.mktemp("lung1")
    with tarfile.open(volumes / "lung1-001" / "LUNG1-001_CT_dicom.tar.xz") as archive:
        archive.extractall(folder / "ct", filter="data")
    packed = volumes / "lung1-001" / "RTSTRUCT_1-1.dcm.gz"
    (folder / "rtstruct.dcm").write_bytes(gzip.decompress(packed.read_bytes()))
    return folder


@pytest.fixture(scope="session")
def lung1(lung1_folder: Path) -> Volume:
    return read_series(lung1_folder / "ct")


@pytest.fixture(scope="session")
def lidc_zip(volumes: Path) -> Path:
    return next((volumes / "lidc-0314").glob("*.zip"))


@pytest.fixture(scope="session")
def lidc(lidc_zip: Path) -> Volume:
    return read_series(lidc_zip)


@pytest.fixture(scope="session")
def sts001(volumes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """STS_001 unpacked: image and mask below."""
    folder = tmp_path_factory.mktemp("sts")
    with zipfile.ZipFile(next((volumes / "pet-sts001").glob("*.zip"))) as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture(name="ct_slices")
def ct_slices_fixture() -> Callable[..., Slices]:
    return ct_slices


@pytest.fixture(name="moved")
def moved_fixture() -> Callable[..., None]:
    return moved


@pytest.fixture(name="chest_like")
def chest_like_fixture() -> Callable[..., np.ndarray]:
    return chest_like
