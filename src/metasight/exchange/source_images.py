"""Headers of the images that a mask and its measurements are of, from the vault's record.

The images themselves are not read: the record holds their UIDs, the mask where they lie. These
headers name the patient by the study's pseudonym.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from metasight.errors import StudyError
from metasight.study.sources import Source
from metasight.volumes.grid import Grid

_MODALITIES = {"CT": "CT", "PET": "PT"}


@dataclass(frozen=True, kw_only=True)
class SourceImages:
    """The images of a scan, slice by slice, as far as another object must know them.

    Attributes
    ----------
    headers
        One an image, towards the head. A slice that was interpolated has none.
    slices
        Number from 0 of the slice that each header is of.
    frames
        Number from 1 of each header's frame within its multi-frame object, whose UID all headers of
        it have; empty where each slice is an object of its own.
    """

    headers: tuple[Dataset, ...]
    slices: tuple[int, ...]
    frames: tuple[int, ...] = ()


def require_source(source: Source) -> Source:
    """Refuse a scan of which no series is known.

    Raises
    ------
    StudyError
        The scan was no DICOM that could be read, or its headers lack what objects must name.
    """
    where = f"{source.kind} of {source.patient}"
    if not source.series_uid or not any(source.instance_uids):
        raise StudyError(
            "the scan's DICOM series is not known",
            where=where,
            remedy="Only DICOM scans can be referred to: a NIfTI file names no series",
        )
    missing = [
        name
        for name, uid in {
            "StudyInstanceUID": source.study_uid,
            "SOPClassUID": source.sop_class_uid,
        }.items()
        if not uid
    ]
    if missing:
        raise StudyError(
            "the scan's headers lack what an object in an archive needs",
            where=where,
            value=", ".join(missing),
            remedy="Export the scan from the archive again",
        )
    return source


def source_images(source: Source, grid: Grid) -> SourceImages:
    """Headers of the images of a scan on whose grid a mask lies.

    Parameters
    ----------
    source
        From the vault.
    grid
        Of the mask.

    Raises
    ------
    StudyError
        The scan is not known, or its slices are not those of the grid.
    """
    require_source(source)
    columns, rows, n_slices = grid.size
    if len(source.instance_uids) != n_slices:
        raise StudyError(
            "the images of the scan are not the slices of the mask",
            where=f"{source.kind} of {source.patient}",
            value=f"{len(source.instance_uids)} images, {n_slices} slices",
            remedy="Run the study again; masks on axial series can be exported",
        )
    headers, slices = [], []
    axes = np.reshape(grid.direction, (3, 3))
    for number, uid in enumerate(source.instance_uids):
        if uid is None:
            continue
        data = patient_header(source)
        data.SOPInstanceUID = uid
        data.Rows, data.Columns = rows, columns
        data.PixelSpacing = [_number(grid.spacing_mm[1]), _number(grid.spacing_mm[0])]
        data.SliceThickness = _number(grid.spacing_mm[2])
        data.SpacingBetweenSlices = _number(grid.spacing_mm[2])
        position = grid.to_mm(np.array([0.0, 0.0, float(number)]))
        data.ImagePositionPatient = [_number(v) for v in position]
        data.ImageOrientationPatient = [_number(v) for v in (*axes[:, 0], *axes[:, 1])]
        data.InstanceNumber = number + 1
        headers.append(data)
        slices.append(number)
    frames = tuple(source.frames[k] for k in slices) if source.frames else ()
    return SourceImages(headers=tuple(headers), slices=tuple(slices), frames=frames)


def patient_header(source: Source) -> Dataset:
    """What is said of the patient, the examination and the series of a scan."""
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.SOPClassUID = source.sop_class_uid
    # a caret marks a name of one component, which a pseudonym is
    data.PatientID, data.PatientName = source.patient, f"{source.patient}^"
    data.PatientBirthDate = data.PatientSex = ""
    data.StudyInstanceUID, data.SeriesInstanceUID = source.study_uid, source.series_uid
    data.StudyDate = data.StudyTime = data.StudyID = ""
    data.AccessionNumber = data.ReferringPhysicianName = ""
    data.PositionReferenceIndicator = ""
    if source.frame_of_reference_uid:
        data.FrameOfReferenceUID = source.frame_of_reference_uid
    data.Modality = _MODALITIES[source.kind]
    return data


def _number(value: float) -> str:
    """A number as DICOM's DS holds it, in 16 characters."""
    from pydicom.valuerep import format_number_as_ds

    return str(format_number_as_ds(float(value)))
