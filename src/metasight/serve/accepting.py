"""A lesion accepted into the study: its mask as a file, and a row of the study's own table.

The mask is on the disk before the row that names it, and the row before the page says so.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path

import SimpleITK as sitk  # noqa: N813 (the name its manual uses)

from metasight.cohort.reader_lesions import NOTHING, OF_TABLE, read_reader_lesions
from metasight.cohort.scan_table import PatientScans
from metasight.engine.cache import write_durably
from metasight.engine.private import private_folder
from metasight.errors import MetasightError, StudyError
from metasight.serve.review import hospital_id, with_row
from metasight.study.file import Study
from metasight.volumes.volume import Mask

HEADER = "patient,mask,replaces,reader,day,reason"
_LOCK = threading.Lock()


@dataclass(frozen=True, kw_only=True)
class Acceptance:
    """A lesion that a reader accepts.

    Attributes
    ----------
    scans
        Of the patient, as the table of scans has them.
    mask
        On the CT's grid.
    reader, reason
        Who, and why.
    """

    scans: PatientScans
    mask: Mask
    reader: str
    reason: str


def lesion_table_of(study: Study) -> tuple[Path | None, str]:
    """The table to which accepted lesions are added; None, and what to do, where there is none."""
    asked = study.settings.reader_lesions
    if asked is None:
        return None, (
            "This study names no table of accepted lesions, so no lesion can be accepted here. Add "
            'to study.toml: [reader_lesions], path = "reader_lesions.csv", id = "patient"; and '
            f"make the file with the header {HEADER}."
        )
    path = study.folder / asked.path
    if path.suffix.lower() != ".csv" or asked.format != "table":
        return None, (
            "The table of accepted lesions is not a CSV file, and only rows of a CSV file can be "
            "added here. Save it as CSV and name that in study.toml."
        )
    return path, ""


def accept(study: Study, accepted: Acceptance, *, today: dt.date | None = None) -> str:
    """Write a lesion into the study; it is on the disk when this returns.

    Returns
    -------
    Name of the mask's file.

    Raises
    ------
    MetasightError
        The study has no table that can be added to, or the row says too little; nothing is then
        changed.
    """
    path, why_not = lesion_table_of(study)
    asked = study.settings.reader_lesions
    if path is None or asked is None:
        raise StudyError(why_not.rstrip("."))
    day = (today or dt.datetime.now(dt.UTC).date()).isoformat()
    content = label_map(accepted.mask)
    name = f"{accepted.scans.patient}-{hashlib.sha256(content).hexdigest()[:12]}.nrrd"
    with _LOCK:
        folder = private_folder(study.folder / asked.masks)
        file = folder / name
        there = file.is_file()
        write_durably(file, content, mode=0o640)
        row = {
            asked.id: hospital_id(study, accepted.scans.patient),
            asked.mask: f"{asked.masks}/{name}",
            asked.replaces: _replaced(study, accepted.scans),
            asked.reader: accepted.reader.strip(),
            asked.day: day,
            asked.reason: " ".join(accepted.reason.split()),
        }
        try:
            with_row(path, row, lambda: read_reader_lesions(study.folder, study.settings))
        except MetasightError:
            if not there:
                file.unlink(missing_ok=True)
            raise
    return name


def label_map(mask: Mask) -> bytes:
    """A mask as NRRD, as 3D Slicer and ITK-SNAP open it; label 1 inside."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mask.nrrd"
        sitk.WriteImage(mask.image, str(path), useCompression=True)
        return path.read_bytes()


def _replaced(study: Study, scans: PatientScans) -> str:
    """What the lesion that counts until now is, for the row."""
    before = read_reader_lesions(study.folder, study.settings).get(scans.patient)
    if before is not None:
        return before.path.name
    return NOTHING if scans.lesion is None else OF_TABLE
