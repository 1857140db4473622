"""Patients who withdrew: a record that they were erased, and where tables still name them.

The record must outlive what it is about, and must not name anybody: it holds the sha256 of the
pseudonym, by which a patient who comes back in a table is recognised and refused. Only who has the
key of the pseudonyms can go from an id to it.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from metasight.cohort.canonical import pseudonym
from metasight.cohort.ids import normal_id
from metasight.cohort.joined import named_rows
from metasight.cohort.settings import CohortSettings
from metasight.engine.cache import write_durably
from metasight.errors import StoreError, StudyError
from metasight.formats import KEY, require_format, with_format
from metasight.study.file import Study

FORMAT = 1
"""Of the record."""


@dataclass(frozen=True, kw_only=True)
class TableRow:
    """A row of a table that is a patient's.

    Attributes
    ----------
    table
        File.
    row
        Number, as the spreadsheet counts.
    patient
        Pseudonym.
    """

    table: str
    row: int
    patient: str


@dataclass(frozen=True, kw_only=True)
class Withdrawal:
    """That a patient was erased.

    Attributes
    ----------
    marks
        sha256 of each pseudonym.
    day
        ISO 8601.
    results, runs, images
        Results of steps, folders of runs and records of images that were deleted.
    bundles
        Content hash of every locked model that was fitted to the patient and lay in a run: copies
        of it elsewhere are for the hospital to find.
    """

    marks: tuple[str, ...]
    day: str
    results: int
    runs: int
    images: int
    bundles: tuple[str, ...]


def mark_of(patient: str) -> str:
    """What a record holds of a pseudonym."""
    return hashlib.sha256(patient.encode()).hexdigest()


def record_path(study: Study) -> Path:
    """Where the record of a study is."""
    return study.folder / ".metasight" / "withdrawals.json"


def withdrawals(study: Study) -> tuple[Withdrawal, ...]:
    """Every withdrawal of a study so far.

    Raises
    ------
    StoreError
        The record is damaged or of another format: without it a patient could come back unseen.
    """
    path = record_path(study)
    if not path.is_file():
        return ()
    try:
        found = json.loads(path.read_text("utf-8"))
        require_format(found.get(KEY), FORMAT, file=path.name)
        return tuple(
            Withdrawal(**{**w, "marks": tuple(w["marks"]), "bundles": tuple(w["bundles"])})
            for w in found["withdrawals"]
        )
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise StoreError(
            "the record of patients who withdrew is damaged",
            where=path.name,
            remedy="Put it back from the back-up; without it they could come back unseen",
        ) from error


def record(study: Study, withdrawal: Withdrawal) -> None:
    """Add a withdrawal to the record; it is on the disk before anything is deleted."""
    told = [asdict(w) for w in (*withdrawals(study), withdrawal)]
    text = json.dumps(with_format({"withdrawals": told}, FORMAT), indent=1)
    path = record_path(study)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_durably(path, f"{text}\n".encode(), mode=0o600)


def today() -> str:
    """The day of a withdrawal."""
    return dt.datetime.now(dt.UTC).date().isoformat()


def pseudonyms_of(settings: CohortSettings, ids: Sequence[str]) -> dict[str, str]:
    """Id as it was given → pseudonym, the id read as the patient table's are."""

    def read(text: str) -> str:
        plain = normal_id(text)
        number = settings.patients.ids == "number" and plain.isdecimal()
        return str(int(plain)) if number else plain

    return {given: pseudonym(read(given), settings.key) for given in ids}


def patient_rows(study: Study) -> tuple[TableRow, ...]:
    """Rows of every table with an id column, each with its patient.

    Raises
    ------
    StudyError
        A table cannot be read.
    """
    return tuple(
        TableRow(table=r.table, row=r.row, patient=pseudonym(r.id, study.settings.key))
        for r in named_rows(study.folder, study.settings)
    )


def require_withdrawn_gone(study: Study) -> None:
    """Refuse to run while a table still names a patient who withdrew.

    Raises
    ------
    StudyError
        One does.
    """
    marks = {mark for w in withdrawals(study) for mark in w.marks}
    if not marks:
        return
    left = [r for r in patient_rows(study) if mark_of(r.patient) in marks]
    if left:
        raise StudyError(
            "a patient who withdrew is in the tables again",
            where="; ".join(f"{r.table} row {r.row}" for r in left[:10]),
            value=f"{len(left)} rows",
            remedy="Delete these rows, and the images that they name, and run again",
        )
