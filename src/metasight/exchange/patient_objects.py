"""One patient's DICOM objects written and read back."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from pydicom import dcmread

from metasight.errors import StudyError
from metasight.exchange.contents import PatientResults
from metasight.exchange.lesion_segmentation import lesion_segmentation
from metasight.exchange.measurement_report import Lesion, measurement_report
from metasight.exchange.reading_back import check_report, check_segmentation
from metasight.study.sources import Source
from metasight.volumes.mask_file import load_mask

SEGMENTATION, REPORT = "lesion-seg.dcm", "measurements-sr.dcm"


def write_patient_objects(
    folder: Path,
    results: PatientResults,
    mask: Path,
    *,
    ct: Source,
    pet: Source | None,
    drawn_by_hand: bool,
    made: dt.datetime,
) -> None:
    """Write a segmentation of the lesion and the report of its measurements and of the risk.

    Parameters
    ----------
    folder
        Made here.
    results
        Of the patient.
    mask
        File of the lesion's mask.
    ct, pet
        The series that it was drawn on, and that the uptake is of; None for no PET.
    drawn_by_hand
        Whether the outline was given, not found.
    made
        When.

    Raises
    ------
    StudyError
        A series is not known, nothing was measured, or an object does not read back as written.
    VolumeError
        The mask cannot be read.
    """
    for source in (ct, *([] if pet is None else [pet])):
        if source.patient != results.patient:
            raise StudyError("the images are another patient's", where=results.patient)
    outline = load_mask(mask)
    segmentation = lesion_segmentation(
        outline, ct, results.algorithm, made=made, drawn_by_hand=drawn_by_hand
    )
    lesion = Lesion(segmentation=segmentation, source=ct, grid=outline.grid)
    report = measurement_report(results, lesion, pet=pet, made=made)
    folder.mkdir(parents=True)
    segmentation.save_as(folder / SEGMENTATION)
    report.save_as(folder / REPORT)
    check_segmentation(dcmread(folder / SEGMENTATION), outline)
    check_report(dcmread(folder / REPORT), results)
