"""CT and PET as DICOM series: one file a slice, tags as scanners write them, the same each time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    UID,
    CTImageStorage,
    ExplicitVRLittleEndian,
    PositronEmissionTomographyImageStorage,
    generate_uid,
)

from metasight.simulate.lung.dicom_writer import write
from metasight.simulate.lung.pet import SimulatedPet
from metasight.simulate.lung.raster import Grid
from metasight.simulate.settings import STAMP

INTERCEPT_HU = -1024
HALF_LIFE_S = 6586.2
"""Of fluorine-18."""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What a header says of scanner and protocol.

    Attributes
    ----------
    manufacturer, model, kernel
        As the maker writes them.
    kvp, mas
        Tube voltage and exposure.
    """

    manufacturer: str
    model: str
    kernel: str
    kvp: int
    mas: int


@dataclass(frozen=True, kw_only=True)
class Study:
    """What all files of one patient share.

    Attributes
    ----------
    patient
        Made-up id, such as ``SIM-0001``.
    date
        ``YYYYMMDD`` of the examination.
    female, age_years, weight_kg, height_m
        Of the patient.
    centre
        Name.
    seed
        Of the unique identifiers.
    """

    patient: str
    date: str
    female: bool
    age_years: int
    weight_kg: float
    height_m: float
    centre: str
    seed: int

    def uid(self, *parts: object) -> UID:
        """A unique identifier that depends on seed, patient and ``parts`` alone."""
        return generate_uid(
            entropy_srcs=[f"metasight {self.seed} {self.patient}", *map(str, parts)]
        )

    @property
    def study_uid(self) -> str:
        """Of the examination."""
        return self.uid("study")

    @property
    def frame_uid(self) -> str:
        """Of the frame of reference."""
        return self.uid("frame")


def new_file(study: Study, sop_class: UID, sop_uid: UID) -> FileDataset:
    """A data set with patient, study and the stamp that it is simulated."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = sop_class
    meta.MediaStorageSOPInstanceUID = sop_uid
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.SOPClassUID, ds.SOPInstanceUID = sop_class, sop_uid
    ds.StudyInstanceUID, ds.StudyID = study.study_uid, "1"
    ds.StudyDate = ds.SeriesDate = ds.AcquisitionDate = ds.ContentDate = study.date
    ds.StudyTime = ds.SeriesTime = ds.AcquisitionTime = ds.ContentTime = "100000"
    ds.AccessionNumber, ds.ReferringPhysicianName = "", ""
    ds.PatientName, ds.PatientID = f"{study.patient}^Simulated", study.patient
    ds.PatientBirthDate, ds.PatientSex = "", "F" if study.female else "M"
    ds.PatientAge = f"{study.age_years:03d}Y"
    ds.PatientWeight, ds.PatientSize = f"{study.weight_kg:.1f}", f"{study.height_m:.2f}"
    ds.InstitutionName = study.centre
    ds.StudyDescription = "SIMULATED by metasight"
    ds.ImageComments = STAMP
    ds.PatientIdentityRemoved, ds.DeidentificationMethod = "YES", "simulated: there is no patient"
    return ds


def _geometry(ds: Dataset, study: Study, grid: Grid, k: int) -> None:
    x, y, z = grid.origin_mm
    ds.FrameOfReferenceUID, ds.PositionReferenceIndicator = study.frame_uid, ""
    ds.PatientPosition = "HFS"
    ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    ds.ImagePositionPatient = [_ds(x), _ds(y), _ds(z + k * grid.spacing_mm[0])]
    ds.SliceLocation = _ds(z + k * grid.spacing_mm[0])
    ds.PixelSpacing = [_ds(grid.spacing_mm[1]), _ds(grid.spacing_mm[2])]
    ds.Rows, ds.Columns = grid.shape[1:]
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated = 16


def _ds(value: float) -> str:
    return f"{value:.6f}".rstrip("0").rstrip(".")


@dataclass(frozen=True, kw_only=True)
class CtSeries:
    """A CT series to be written.

    Attributes
    ----------
    name
        Tells series of one patient apart; part of the identifiers.
    number
        Series number.
    machine
        Scanner and protocol.
    thickness_mm
        Slice thickness of the header.
    contrast
        Contrast medium was given.
    """

    name: str
    number: int
    machine: Machine
    thickness_mm: float
    contrast: bool


def ct_slice(
    study: Study, series: CtSeries, hu: npt.NDArray[np.int16], grid: Grid, k: int
) -> FileDataset:
    """One slice as a data set; ``hu`` is its picture ``(rows, columns)``."""
    ds = new_file(study, CTImageStorage, study.uid(series.name, k))
    ds.SeriesInstanceUID = study.uid(series.name)
    ds.Modality, ds.ImageType = "CT", ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.SeriesNumber, ds.InstanceNumber, ds.AcquisitionNumber = series.number, k + 1, 1
    m = series.machine
    ds.SeriesDescription = f"SIMULATED thorax {series.thickness_mm:g} {m.kernel}"
    ds.Manufacturer, ds.ManufacturerModelName = m.manufacturer, m.model
    ds.ConvolutionKernel, ds.KVP, ds.Exposure = m.kernel, m.kvp, m.mas
    ds.XRayTubeCurrent, ds.ExposureTime = round(m.mas * 2), 500
    ds.BodyPartExamined, ds.ScanOptions = "CHEST", "HELICAL MODE"
    ds.SliceThickness, ds.GantryDetectorTilt = _ds(series.thickness_mm), "0"
    ds.ReconstructionDiameter = _ds(max(grid.shape[1:]) * grid.spacing_mm[1])
    if series.contrast:
        ds.ContrastBolusAgent = "iodinated contrast, simulated"
    _geometry(ds, study, grid, k)
    ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 12, 11, 0
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = str(INTERCEPT_HU), "1", "HU"
    ds.WindowCenter, ds.WindowWidth = "-600", "1500"
    stored = np.clip(hu.astype(np.int32) - INTERCEPT_HU, 0, 4095).astype("<u2")
    ds.PixelData = np.ascontiguousarray(stored).tobytes()
    return ds


def write_ct(
    folder: Path, study: Study, series: CtSeries, hu: npt.NDArray[np.int16], grid: Grid
) -> list[FileDataset]:
    """Write all slices; returns their headers, from the feet up, with pixel data.

    Files are named ``CT-<series>-<number>.dcm`` with numbers that follow the slices.
    """
    folder.mkdir(parents=True, exist_ok=True)
    out = []
    for k in range(grid.shape[0]):
        ds = ct_slice(study, series, hu[k], grid, k)
        write(ds, folder / f"CT-{series.number}-{k + 1:04d}.dcm")
        out.append(ds)
    return out


def write_pet(folder: Path, study: Study, pet: SimulatedPet, *, dose_mbq: float) -> None:
    """Write a PET series in Bq/ml, decay corrected to its start, an hour after injection.

    SUV = Bq/ml × weight (g) / (dose × 2^(−3600 s / half-life)): what a reader must undo.
    """
    folder.mkdir(parents=True, exist_ok=True)
    uptake_s = 3600.0
    dose = dose_mbq * 1e6
    left = dose * 2 ** (-uptake_s / HALF_LIFE_S)
    activity = pet.suv.astype(np.float64) * left / (float(f"{study.weight_kg:.1f}") * 1000)
    for k in range(pet.grid.shape[0]):
        ds = new_file(study, PositronEmissionTomographyImageStorage, study.uid("pet", k))
        ds.SeriesInstanceUID = study.uid("pet")
        ds.Modality, ds.ImageType = "PT", ["ORIGINAL", "PRIMARY"]
        ds.SeriesNumber, ds.InstanceNumber = 20, k + 1
        ds.SeriesDescription = "SIMULATED FDG PET, attenuation corrected"
        ds.Manufacturer, ds.ManufacturerModelName = "SIEMENS", "simulated PET"
        ds.SeriesType, ds.Units, ds.CountsSource = ["STATIC", "IMAGE"], "BQML", "EMISSION"
        ds.DecayCorrection = "START"
        ds.CorrectedImage = ["NORM", "DTIM", "ATTN", "SCAT", "DECY", "RAN"]
        ds.NumberOfSlices = pet.grid.shape[0]
        ds.FrameReferenceTime, ds.ActualFrameDuration = "90000", 180000
        ds.DecayFactor, ds.ImageIndex = "1.0", k + 1
        ds.SliceThickness = _ds(pet.grid.spacing_mm[0])
        tracer = Dataset()
        tracer.Radiopharmaceutical = "Fluorodeoxyglucose"
        tracer.RadiopharmaceuticalStartTime = "090000"
        tracer.RadiopharmaceuticalStartDateTime = f"{study.date}090000"
        tracer.RadionuclideTotalDose = f"{dose:.0f}"
        tracer.RadionuclideHalfLife = f"{HALF_LIFE_S:g}"
        tracer.RadionuclidePositronFraction = "0.97"
        nuclide = Dataset()
        nuclide.CodeValue, nuclide.CodingSchemeDesignator = "C-111A1", "SRT"
        nuclide.CodeMeaning = "^18^Fluorine"
        tracer.RadionuclideCodeSequence = Sequence([nuclide])
        ds.RadiopharmaceuticalInformationSequence = Sequence([tracer])
        _geometry(ds, study, pet.grid, k)
        ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 15, 1
        # every slice has its own slope, as Siemens' have
        slope = float(f"{max(float(activity[k].max()), 1.0) / 32000:.8g}")
        ds.RescaleIntercept, ds.RescaleSlope = "0", f"{slope:.8g}"
        ds.PixelData = np.round(activity[k] / slope).astype("<i2").tobytes()
        write(ds, folder / f"PT-{k + 1:04d}.dcm")
