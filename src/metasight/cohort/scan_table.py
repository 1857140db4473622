"""The table of scans: each patient's CT, PET and lesion, as a mask, a click or a box."""

from __future__ import annotations

import datetime as dt
import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

from metasight.cohort.canonical import pseudonym
from metasight.cohort.joined import meet_patients
from metasight.cohort.settings import CohortSettings, ScanSettings, SeveralLesions
from metasight.cohort.tables import RawTable, missing_columns, read_table
from metasight.errors import Problem, TableError

KindName = Literal["CT", "PET", "mask"]
KINDS: tuple[KindName, ...] = ("CT", "PET", "mask")
Point = tuple[float, float, float]
PartRule = Literal["refuse", "largest"]
GridRule = Literal["same", "resample"]
DoseUnit = Literal["Bq", "kBq", "MBq", "mCi"]

_POINT = ("x_mm", "y_mm", "z_mm")
_CORNER = ("x2_mm", "y2_mm", "z2_mm")
_END = ("x_end_mm", "y_end_mm", "z_end_mm")
_SERIES = re.compile(r"\d{1,12}|[0-2](?:\.\d+){3,}")  # SeriesNumber, SeriesInstanceUID
_SHOWN = frozenset(("pt", "pet/ct", "petct", "mr", "mri", "seg", "rtstruct", "roi", "lesion", "us"))
"""Kinds that a message may repeat. Columns shifted by one cell put a patient's id there."""


@dataclass(frozen=True, kw_only=True)
class SeriesRow:
    """Which series of a folder is meant; never printed.

    Attributes
    ----------
    series
        SeriesInstanceUID or SeriesNumber; empty to choose by rule.
    date
        Of the examination; None where the table does not say.
    accepted
        Whether the table says why a derived or reformatted series is measured.
    """

    series: str = field(default="", repr=False)
    date: dt.date | None = field(default=None, repr=False)
    accepted: bool = False


@dataclass(frozen=True, kw_only=True)
class LesionRow:
    """How the lesion is told.

    Attributes
    ----------
    path
        RTSTRUCT, DICOM SEG, NIfTI, NRRD or MHA; None for a click or a box.
    region
        Name or number of the region in the file; empty where the file holds one.
    point_mm, corner_mm
        x, y, z in the CT's patient coordinates (LPS): a click, or with the second a box. Beside a
        file, the click says which of the mask's parts is the lesion.
    end_mm
        With a point: both are ends of the lesion's longest diameter.
    parts
        Of a mask in several parts without a click.
    max_missing_contours
        Slices in a row without a contour that are interpolated.
    grid
        Of a label map whose voxels are not the scan's.
    """

    path: Path | None
    region: str
    point_mm: Point | None
    corner_mm: Point | None
    parts: PartRule = "refuse"
    max_missing_contours: int = 0
    grid: GridRule = "same"
    end_mm: Point | None = None


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
    ct_series, pet_series
        Which series of them is meant.
    pet_dose_unit
        In which the scanner wrote the injected activity.
    further_lesions, several_lesions
        Lesions of later rows, and which of all counts.
    """

    patient: str
    ct: Path | None
    pet: Path | None
    lesion: LesionRow | None
    ct_series: SeriesRow = SeriesRow()
    pet_series: SeriesRow = SeriesRow()
    pet_dose_unit: DoseUnit = "Bq"
    further_lesions: tuple[LesionRow, ...] = ()
    several_lesions: SeveralLesions = "refuse"

    @property
    def files(self) -> tuple[Path, ...]:
        """All files and folders that are read."""
        further = (row.path for row in self.further_lesions)
        told = (self.ct, self.pet, self.lesion.path if self.lesion else None, *further)
        return tuple(p for p in told if p is not None)


def read_scan_table(folder: Path, settings: CohortSettings) -> tuple[PatientScans, ...]:
    """Read the table of scans that ``settings.scans`` names.

    Parameters
    ----------
    folder
        Study folder.
    settings
        With ``scans``; the key makes the pseudonyms.

    Returns
    -------
    One a patient, in the order in which patients first appear.

    Raises
    ------
    StudyError
        The table cannot be read.
    TableError
        Every row with a problem: no patient, an unknown kind, a second CT, PET or lesion, no
        file where one is needed, a point that is no point, a series or a date that is none.
    """
    scans = settings.scans
    if scans is None:
        return ()
    read = _columns(scans)
    raw = read_table(folder, scans, read)
    problems = missing_columns(raw, (scans.id, scans.kind, scans.file), "[scans]")
    if problems:
        raise TableError(problems)
    ids = {int(str(n)): str(i) for n, i in raw.cells[scans.id].items()}
    meeting = meet_patients(folder, settings, ids, table=raw.name, column=scans.id)
    problems = [*raw.flaws_of(read), *meeting.problems]
    strangers = set(meeting.strangers)
    told: dict[str, dict[str, _Scan | LesionRow]] = {}
    further: dict[str, list[LesionRow]] = {}
    for number, cells in raw.cells.iterrows():
        row = int(str(number))
        text = {str(c): str(cells[c]).strip() for c in raw.cells.columns}
        found = _problems_of(raw, row, scans, text)
        if row in strangers and not found:  # the ledger says so where the patients are read
            continue
        patient = pseudonym(text[scans.id], settings.key)
        own = told.setdefault(patient, {})
        kind = text[scans.kind]
        another = kind in own
        if another and (kind != "mask" or scans.several_lesions == "refuse"):
            found.append(_second(raw.name, row, scans.kind, kind))
        problems += found
        if not found:
            path = folder / scans.folder / text[scans.file] if text[scans.file] else None
            if kind == "mask" and another:
                further.setdefault(patient, []).append(_lesion(scans, text, path))
            elif kind == "mask":
                own[kind] = _lesion(scans, text, path)
            elif path is not None:
                own[kind] = _Scan(path, _series(scans, text))
    if problems:
        raise TableError(problems)
    return tuple(
        _of_patient(patient, own, tuple(further.get(patient, ())), scans)
        for patient, own in told.items()
    )


def _second(table: str, row: int, column: str, kind: str) -> Problem:
    """A second CT, PET or lesion of a patient."""
    accepted = "one a patient"
    if kind == "mask":
        accepted += '; or several_lesions = "first" or "largest" under [scans]'
    return Problem(
        table=table,
        row=row,
        column=column,
        value=kind,
        problem="the patient has one already",
        accepted=accepted,
    )


def _columns(scans: ScanSettings) -> tuple[str, ...]:
    """Columns that are read; one that is switched off by an empty name is not among them."""
    needed = (scans.id, scans.kind, scans.file)
    chosen = (scans.region, scans.series, scans.date, scans.accept)
    return tuple(c for c in (*needed, *chosen, *_POINT, *_CORNER, *_END) if c)


class _Problem(Protocol):
    """Notes one problem of the row."""

    def __call__(self, column: str, what: str, accepted: str, value: str = "") -> None: ...


class _Scan(NamedTuple):
    """One CT or PET."""

    path: Path
    series: SeriesRow


def _of_patient(
    patient: str,
    own: dict[str, _Scan | LesionRow],
    further: tuple[LesionRow, ...],
    scans: ScanSettings,
) -> PatientScans:
    ct, pet, lesion = own.get("CT"), own.get("PET"), own.get("mask")
    return PatientScans(
        patient=patient,
        ct=ct.path if isinstance(ct, _Scan) else None,
        pet=pet.path if isinstance(pet, _Scan) else None,
        lesion=lesion if isinstance(lesion, LesionRow) else None,
        ct_series=ct.series if isinstance(ct, _Scan) else SeriesRow(),
        pet_series=pet.series if isinstance(pet, _Scan) else SeriesRow(),
        pet_dose_unit=scans.pet_dose_unit,
        further_lesions=further,
        several_lesions=scans.several_lesions,
    )


def _series(scans: ScanSettings, text: dict[str, str]) -> SeriesRow:
    return SeriesRow(
        series=_without_zeros(text.get(scans.series, "")),
        date=_day(text.get(scans.date, "")),
        accepted=bool(text.get(scans.accept, "")),
    )


def names_series(text: str) -> bool:
    """Whether a text is a SeriesInstanceUID or a SeriesNumber."""
    return _SERIES.fullmatch(text) is not None


def _without_zeros(number: str) -> str:
    """A SeriesNumber that passed through a spreadsheet: 4.0 is 4."""
    return re.sub(r"^(\d+)[.,]0+$", r"\1", number)


def _day(text: str) -> dt.date | None:
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        return None


def _lesion(scans: ScanSettings, text: dict[str, str], path: Path | None) -> LesionRow:
    return LesionRow(
        path=path,
        region=text.get(scans.region, ""),
        point_mm=_point(text, _POINT),
        corner_mm=_point(text, _CORNER),
        end_mm=_point(text, _END),
        parts=scans.lesion_parts,
        max_missing_contours=scans.max_missing_contours,
        grid=scans.mask_grid,
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
        shown = kind if kind.casefold() in {*_SHOWN, *(k.casefold() for k in KINDS)} else ""
        problem(scans.kind, "unknown kind", ", ".join(KINDS), shown)
        return found
    clicked, boxed, ended = (
        _point_problems(text, columns, problem) for columns in (_POINT, _CORNER, _END)
    )
    if boxed and not clicked:
        problem(_CORNER[0], "a box has no first corner", f"{', '.join(_POINT)} too")
    if ended and (not clicked or boxed or (kind == "mask" and text[scans.file])):
        problem(
            _END[0],
            "the second end of a longest diameter needs its first end, and nothing else",
            f"{', '.join(_POINT)} and {', '.join(_END)}, no file and no box",
        )
    if kind != "mask" and not text[scans.file]:
        problem(scans.file, f"a {kind} without a file", "a folder, a zip or a file")
    elif kind == "mask" and not text[scans.file] and not clicked:
        problem(scans.file, "a lesion has neither a file nor a point", "one of the two")
    elif kind == "mask" and text[scans.file] and boxed and clicked:
        problem(
            _CORNER[0],
            "a row has both a box and a file",
            "a file, or a box; a point may name a part",
        )
    _series_problems(scans, text, problem)
    return found


def _point_problems(text: dict[str, str], columns: tuple[str, ...], problem: _Problem) -> bool:
    """Whether a point is given; what is wrong with it is told."""
    said = [c for c in columns if text.get(c, "")]
    for column in said:
        if not _is_number(text[column]):
            # the cell may be another column's, an id among them: it is not repeated
            problem(column, "not a number", "millimetres in patient coordinates, decimal point")
    if said and len(said) < len(columns):
        problem(columns[0], "part of a point", f"{', '.join(columns)} together or none")
    return bool(text.get(columns[0], ""))


def _series_problems(scans: ScanSettings, text: dict[str, str], problem: _Problem) -> None:
    """What is wrong with the columns that say which series is meant."""
    series, date, accept = (text.get(c, "") for c in (scans.series, scans.date, scans.accept))
    if text[scans.kind] == "mask":
        given = [c for c in (scans.series, scans.date, scans.accept) if text.get(c, "")]
        if given:
            problem(given[0], "a mask has no series", "put it in the row of the CT or PET")
        return
    if series and not names_series(_without_zeros(series)):
        problem(
            scans.series,
            "not a series",
            'SeriesInstanceUID or SeriesNumber; series = "" under [scans] ignores the column',
        )
    if date and _day(date) is None:
        problem(
            scans.date,
            "not a date",
            'YYYY-MM-DD; date = "" under [scans] ignores the column',
        )
    if accept and not series:
        problem(
            scans.accept,
            "a reason to accept a series that is not named",
            f'{scans.series} too; accept = "" under [scans] ignores the column',
        )


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
