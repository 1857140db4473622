"""Small scans on disk: a chest-like CT with one round nodule, contours and label maps of it, a PET.

For tests and for ``bench/doors_volumes.py``; nothing in it is a patient's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import (
    CTImageStorage,
    ExplicitVRLittleEndian,
    PositronEmissionTomographyImageStorage,
    RTStructureSetStorage,
    generate_uid,
)

FRAME = generate_uid(entropy_srcs=["frame of scan_files"])
PIXEL_MM = 2.5
SIDE = 96
CENTRE = (45.0, 0.0, 0.0)
RADIUS = 12.0
SPHERE_ML = 4 / 3 * np.pi * RADIUS**3 / 1000
Edit = Callable[[Dataset, int], None]


@dataclass(frozen=True, kw_only=True)
class Written:
    """A series on disk: its folder, UIDs and positions."""

    folder: Path
    uid: str
    sop_uids: tuple[str, ...]
    z_mm: tuple[float, ...] = field(repr=False)


def _file(kind: str, name: str) -> FileDataset:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = kind
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[name])
    data = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID = kind
    data.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    data.PatientID, data.PatientName = "MRN-4711", "Secret^Name"
    return data


def chest_hu(z: float, radius: float = RADIUS) -> np.ndarray:
    """HU of one slice: air, body, two lungs and a solid nodule in the left one."""
    middle = (SIDE - 1) * PIXEL_MM / 2
    y, x = np.mgrid[:SIDE, :SIDE] * PIXEL_MM - middle
    hu = np.full((SIDE, SIDE), -1000.0)
    hu[(x / 100) ** 2 + (y / 80) ** 2 < 1] = 40
    hu[((np.abs(x) - 45) / 38) ** 2 + (y / 60) ** 2 < 1] = -850
    hu[(x - CENTRE[0]) ** 2 + (y - CENTRE[1]) ** 2 + (z - CENTRE[2]) ** 2 < radius**2] = 30
    return hu


def write_ct(
    folder: Path,
    z_mm: Sequence[float],
    *,
    series: str = "one",
    edit: Edit | None = None,
    radius: float = RADIUS,
    **tags: Any,
) -> Written:
    """One file a slice; ``tags`` are set on every slice, ``edit(data, number)`` on each."""
    folder.mkdir(parents=True, exist_ok=True)
    middle = (SIDE - 1) * PIXEL_MM / 2
    uid, sops = generate_uid(entropy_srcs=[series]), []
    for k, z in enumerate(z_mm):
        data = _file(CTImageStorage, f"{series} {k}")
        data.SeriesInstanceUID = uid
        data.StudyInstanceUID = generate_uid(entropy_srcs=["study"])
        data.FrameOfReferenceUID = FRAME
        data.Modality, data.ImageType = "CT", ["ORIGINAL", "PRIMARY", "AXIAL"]
        data.Manufacturer, data.ConvolutionKernel, data.KVP = "SIEMENS", "B30f", 120
        data.SeriesNumber, data.AcquisitionNumber, data.InstanceNumber = 1, 1, k + 1
        data.Rows = data.Columns = SIDE
        data.PixelSpacing = [PIXEL_MM, PIXEL_MM]
        data.SliceThickness = round(float(abs(z_mm[1] - z_mm[0])), 4)
        data.ImagePositionPatient = [-middle, -middle, round(float(z), 4)]
        data.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
        data.BitsAllocated, data.BitsStored, data.HighBit = 16, 12, 11
        data.PixelRepresentation = 0
        data.RescaleSlope, data.RescaleIntercept = 1, -1024
        noise = np.random.default_rng(k).normal(0, 5, (SIDE, SIDE))
        stored = np.clip(chest_hu(float(z), radius) + noise + 1024, 0, 4095)
        data.PixelData = stored.astype("<u2").tobytes()
        for tag, value in tags.items():
            setattr(data, tag, value)
        if edit is not None:
            edit(data, k)
        sops.append(str(data.SOPInstanceUID))
        data.save_as(folder / f"{series}{k:04d}.dcm", enforce_file_format=True)
    return Written(folder=folder, uid=str(uid), sop_uids=tuple(sops), z_mm=tuple(map(float, z_mm)))


def circle(z: float, radius: float, centre: tuple[float, ...] = CENTRE) -> np.ndarray:
    angle = np.linspace(0, 2 * np.pi, 72, endpoint=False)
    x, y = centre[0] + radius * np.cos(angle), centre[1] + radius * np.sin(angle)
    return np.stack([x, y, np.full(72, z)], axis=1)


def sphere(
    z_mm: Sequence[float], radius: float = RADIUS, centre: tuple[float, ...] = CENTRE
) -> list[np.ndarray]:
    """A contour on every slice that cuts the sphere."""
    return [
        circle(float(z), float(np.sqrt(radius**2 - (z - centre[2]) ** 2)), centre)
        for z in z_mm
        if abs(z - centre[2]) < radius - 0.3
    ]


def write_rtstruct(
    path: Path,
    regions: dict[str, list[np.ndarray]],
    *,
    of: Written | None = None,
    kinds: dict[int, str] | None = None,
) -> Path:
    """A structure set; ``kinds`` replaces the type of single contours, by number."""
    data = _file(RTStructureSetStorage, str(path))
    data.Modality = "RTSTRUCT"
    frame = Dataset()
    frame.FrameOfReferenceUID = FRAME
    if of is not None:
        series, study = Dataset(), Dataset()
        series.SeriesInstanceUID = of.uid
        study.RTReferencedSeriesSequence = [series]
        frame.RTReferencedStudySequence = [study]
    data.ReferencedFrameOfReferenceSequence = [frame]
    data.StructureSetROISequence, data.ROIContourSequence = [], []
    for number, (name, contours) in enumerate(regions.items(), start=1):
        region, drawn = Dataset(), Dataset()
        region.ROINumber, region.ROIName = number, name
        region.ReferencedFrameOfReferenceUID = FRAME
        drawn.ReferencedROINumber, drawn.ContourSequence = number, []
        for k, points in enumerate(contours):
            one = Dataset()
            one.ContourGeometricType = (kinds or {}).get(k, "CLOSED_PLANAR")
            one.NumberOfContourPoints = len(points)
            one.ContourData = [f"{v:.4f}" for v in np.ravel(points)]
            drawn.ContourSequence.append(one)
        data.StructureSetROISequence.append(region)
        data.ROIContourSequence.append(drawn)
    path.parent.mkdir(parents=True, exist_ok=True)
    data.save_as(path, enforce_file_format=True)
    return path


def write_labels(path: Path, labels: np.ndarray, on: sitk.Image) -> Path:
    """A label map on a scan's grid, in the format that the name ends with."""
    image = sitk.GetImageFromArray(labels)
    image.CopyInformation(on)
    sitk.WriteImage(image, str(path))
    return path


@dataclass(frozen=True, kw_only=True)
class Field:
    """A PET whose every voxel has one SUV, as one scanner writes it.

    Attributes
    ----------
    suv
        By body weight.
    decay
        ``START``, ``ADMIN`` or ``NONE``.
    uptake_s, half_life_s, frame_s
        From injection to the first bed; of the tracer; of one bed.
    dose_bq, weight_kg, height_m, sex
        Of the injection and the patient.
    start
        Of the scan: date and time of day as DICOM writes them.
    beds
        Slices are scanned in this many beds, one after the other.
    """

    suv: float = 3.0
    decay: str = "START"
    uptake_s: float = 3600.0
    half_life_s: float = 6586.2
    frame_s: float = 180.0
    dose_bq: float = 3.5e8
    weight_kg: float = 70.0
    height_m: float = 1.72
    sex: str = "F"
    start: tuple[str, str] = ("20200301", "120000")
    beds: int = 2

    def bqml(self, bed: int) -> float:
        """Activity that the image holds, by integrating the counts of the frame."""
        injected = self.suv * self.dose_bq / (self.weight_kg * 1000)
        if self.decay == "ADMIN":
            return injected
        if self.decay == "START":
            return float(injected * 2 ** (-self.uptake_s / self.half_life_s))
        moments = (np.arange(2000) + 0.5) / 2000 * self.frame_s + bed * self.frame_s
        return float(injected * (2 ** (-(self.uptake_s + moments) / self.half_life_s)).mean())


def clock(seconds: float) -> str:
    """Seconds of a day as DICOM's TM; midnight is crossed either way."""
    whole = round(seconds) % 86400
    return f"{whole // 3600:02d}{whole // 60 % 60:02d}{whole % 60:02d}"


def write_pet(folder: Path, field: Field, *, edit: Edit | None = None) -> Path:
    """The field as ten slices; ``edit(data, number)`` changes what the header says."""
    z_mm = np.arange(-25.0, 25.0, 5.0)
    day, time = field.start
    begin = int(time[:2]) * 3600 + int(time[2:4]) * 60 + int(time[4:6])

    def headers(data: Dataset, k: int) -> None:
        bed = k * field.beds // len(z_mm)
        data.Modality, data.Units = "PT", "BQML"
        data.SOPClassUID = PositronEmissionTomographyImageStorage
        data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID
        data.DecayCorrection = field.decay
        data.CorrectedImage = ["ATTN"] if field.decay == "NONE" else ["ATTN", "DECY"]
        data.SeriesDate = data.AcquisitionDate = day
        data.SeriesTime = time
        data.AcquisitionTime = clock(begin + bed * field.frame_s)
        data.ActualFrameDuration = int(field.frame_s * 1000)
        data.FrameReferenceTime = (bed + 0.5) * field.frame_s * 1000
        data.PatientWeight, data.PatientSize = field.weight_kg, field.height_m
        data.PatientSex = field.sex
        tracer = Dataset()
        tracer.RadiopharmaceuticalStartTime = clock(begin - field.uptake_s)
        tracer.RadionuclideTotalDose = field.dose_bq
        tracer.RadionuclideHalfLife = field.half_life_s
        data.RadiopharmaceuticalInformationSequence = [tracer]
        data.RescaleIntercept = 0
        data.RescaleSlope = f"{field.bqml(bed) / 1000:.12g}"[:16]
        data.PixelData = np.full((SIDE, SIDE), 1000, dtype="<u2").tobytes()
        if edit is not None:
            edit(data, k)

    write_ct(folder, z_mm, series="pet", edit=headers)
    return folder
