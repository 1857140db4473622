"""The table of scans: each patient's CT, PET and lesion, as a mask, a click or a box."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from metasight.cohort.canonical import pseudonym
from metasight.cohort.joined import meet_patients
from metasight.cohort.settings import CohortSettings, ScanSettings
from metasight.cohort.showing import printable
from metasight.cohort.tables import RawTable, read_table
from metasight.errors import Problem, TableError

KindName = Literal["CT", "PET", "mask"]
KINDS: tuple[KindName, ...] = ("CT", "PET", "mask")
Point = tuple[float, float, float]

_POINT = ("x_mm", "y_mm", "z_mm")
_CORNER = ("x2_mm", "y2_mm", "z2_mm")


@dataclass(frozen=True, kw_only=True)
class LesionRow:
    """How the lesion is told.

    Attributes
    ----------
    path
        RTSTRUCT, DICOM SEG or NIfTI; None for a click or a box.
    region
        Name of the region in the file; empty where the file holds one.
    point_mm, corner_mm
        x, y, z in the CT's patient coordinates (LPS): a click, or with the second a box.
    """

    path: Path | None
    region: str
    point_mm: Point | None
    corner_mm: Point | None


@dataclass(frozen=True, kw_only=True)
class PatientScans:
    """The scans of one patient.

    Attributes
    ----------
    patient
        Pseudonym.
    ct, pet
        Folder, zip or file; None where the table has none.
    lesion
        None where the table has none.
    """

    patient: str
    ct: Path | None
    pet: Path | None
    lesion: LesionRow | None

    @property
    def files(self) -> tuple[Path, ...]:
        """All files and folders that are read."""
        told = (self.ct, self.pet, self.lesion.path if self.lesion else None)
        return tuple(p for p in told if p is not None)


def read_scan_table(folder: Path, settings: CohortSettings) -> tuple[PatientScans, ...]:
    """Read the table of scans that ``settings.scans`` names.

    Parameters
    ----------
    folder
        Study folder.
    settings
        With ``scans``; the salt makes the pseudonyms.

    Returns
    -------
    One a patient, in the order in which patients first appear.

    Raises
    ------
    StudyError
        The table cannot be read.
    TableError
        Every row with a problem: no patient, an unknown kind, a second CT, PET or lesion, no
        file where one is needed, a point that is no point.
    """
    scans = settings.scans
    if scans is None:
        return ()
    needed = (scans.id, scans.kind, scans.file)
    read = (*needed, scans.region, *_POINT, *_CORNER)
    raw = read_table(folder, scans, read)
    problems = [
        Problem(
            table=raw.name,
            row=None,
            column=column,
            value="",
            problem="missing column",
            accepted="a column of this name, or another named in study.toml [scans]",
        )
        for column in needed
        if column not in raw.cells
    ]
    if problems:
        raise TableError(problems)
    ids = {int(str(n)): str(i) for n, i in raw.cells[scans.id].items()}
    meeting = meet_patients(folder, settings, ids, table=raw.name, column=scans.id)
    problems = [*raw.flaws_of(read), *meeting.problems]
    strangers = set(meeting.strangers)
    told: dict[str, dict[str, Path | LesionRow | None]] = {}
    for number, cells in raw.cells.iterrows():
        row = int(str(number))
        text = {str(c): str(cells[c]).strip() for c in raw.cells.columns}
        found = _problems_of(raw, row, scans, text)
        if row in strangers and not found:  # the ledger says so where the patients are read
            continue
        patient = pseudonym(text[scans.id], settings.salt)
        own = told.setdefault(patient, {})
        kind = text[scans.kind]
        if kind in own:
            found.append(
                Problem(
                    table=raw.name,
                    row=row,
                    column=scans.kind,
                    value=kind,
                    problem="the patient has one already",
                    accepted="one a patient",
                )
            )
        problems += found
        if not found:
            path = folder / scans.folder / text[scans.file] if text[scans.file] else None
            own[kind] = _lesion(scans, text, path) if kind == "mask" else path
    if problems:
        raise TableError(problems)
    return tuple(_of_patient(patient, own) for patient, own in told.items())


def _of_patient(patient: str, own: dict[str, Path | LesionRow | None]) -> PatientScans:
    ct, pet, lesion = own.get("CT"), own.get("PET"), own.get("mask")
    return PatientScans(
        patient=patient,
        ct=ct if isinstance(ct, Path) else None,
        pet=pet if isinstance(pet, Path) else None,
        lesion=lesion if isinstance(lesion, LesionRow) else None,
    )


def _lesion(scans: ScanSettings, text: dict[str, str], path: Path | None) -> LesionRow:
    return LesionRow(
        path=path,
        region=text.get(scans.region, ""),
        point_mm=_point(text, _POINT),
        corner_mm=_point(text, _CORNER),
    )


def _point(text: dict[str, str], columns: tuple[str, ...]) -> Point | None:
    given = [text.get(c, "") for c in columns]
    if not all(given):
        return None
    x, y, z = (float(v) for v in given)
    return x, y, z


def _problems_of(
    raw: RawTable, row: int, scans: ScanSettings, text: dict[str, str]
) -> list[Problem]:
    found: list[Problem] = []

    def problem(column: str, what: str, accepted: str, value: str = "") -> None:
        found.append(
            Problem(
                table=raw.name, row=row, column=column, value=value, problem=what, accepted=accepted
            )
        )

    if not text[scans.id]:
        problem(scans.id, "no patient id", "an id in every row")
    kind = text[scans.kind]
    if kind not in KINDS:
        problem(scans.kind, "unknown kind", ", ".join(KINDS), printable(kind))
        return found
    for columns in (_POINT, _CORNER):
        given = {c: text.get(c, "") for c in columns}
        said = [c for c, v in given.items() if v]
        bad = [c for c in said if not _is_number(given[c])]
        for column in bad:
            problem(
                column,
                "not a number",
                "millimetres in patient coordinates",
                printable(given[column]),
            )
        if said and len(said) < len(columns):
            problem(columns[0], "part of a point", f"{', '.join(columns)} together or none")
    clicked = bool(text.get(_POINT[0], ""))
    if text.get(_CORNER[0], "") and not clicked:
        problem(_CORNER[0], "a box without its first corner", f"{', '.join(_POINT)} too")
    if kind != "mask" and not text[scans.file]:
        problem(scans.file, f"a {kind} without a file", "a folder, a zip or a file")
    elif kind == "mask" and bool(text[scans.file]) == clicked:
        problem(scans.file, "a lesion is told by a file or by a point", "one of the two")
    return found


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
