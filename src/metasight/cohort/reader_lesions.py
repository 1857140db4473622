"""Lesions that a radiologist accepted in place of the table of scans' own: a row an acceptance.

The last row of a patient counts. Rows stay, so that what was measured earlier can be followed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from metasight.cohort.canonical import pseudonym
from metasight.cohort.joined import meet_patients
from metasight.cohort.reader_decisions import problems_of_reader
from metasight.cohort.settings import CohortSettings, ReaderLesionSettings
from metasight.cohort.tables import is_begun, missing_columns, read_table
from metasight.errors import Problem, TableError

OF_TABLE = "lesion of the table of scans"
"""What the first accepted lesion of a patient replaces, where the table has one."""
NOTHING = "no lesion"
LESION_CHOICE = "lesion choice"
"""Item of the ledger row that says which lesion is measured."""
_SUFFIXES = (".nrrd", ".mha", ".nii", ".nii.gz")


@dataclass(frozen=True, kw_only=True)
class AcceptedLesion:
    """A lesion that a reader accepted.

    Attributes
    ----------
    path
        Label map on the CT's grid.
    replaces
        What it was accepted in place of.
    reader, day, reason
        Who, when (ISO date) and why.
    """

    path: Path
    replaces: str
    reader: str
    day: str
    reason: str


def read_reader_lesions(folder: Path, settings: CohortSettings) -> Mapping[str, AcceptedLesion]:
    """Pseudonym → the lesion that was accepted last; nothing where the study names no table.

    Parameters
    ----------
    folder
        Study folder.
    settings
        With ``reader_lesions``; the key makes the pseudonyms.

    Raises
    ------
    StudyError
        The table cannot be read.
    TableError
        Every row with a problem: nobody's, no label map within the study folder, no reader, day or
        reason.
    """
    asked = settings.reader_lesions
    if asked is None or not is_begun(folder / asked.path):
        return {}
    raw = read_table(folder, asked, asked.read)
    problems = missing_columns(raw, asked.read, "[reader_lesions]")
    if problems:
        raise TableError(problems)
    ids = {int(str(n)): str(i) for n, i in raw.cells[asked.id].items()}
    meeting = meet_patients(folder, settings, ids, table=raw.name, column=asked.id)
    problems = [*raw.flaws_of(asked.read), *meeting.problems]
    strangers = set(meeting.strangers)
    found: dict[str, AcceptedLesion] = {}
    for number, cells in raw.cells.iterrows():
        row = int(str(number))
        text = {c: str(cells[c]).strip() for c in asked.read}
        wrong = [
            Problem(table=raw.name, row=row, column=column, value="", problem=what, accepted=right)
            for column, what, right in _problems_of(text, asked, row in strangers)
        ]
        problems += wrong
        if not wrong:
            found[pseudonym(text[asked.id], settings.key)] = AcceptedLesion(
                path=folder / text[asked.mask],
                replaces=text[asked.replaces],
                reader=text[asked.reader],
                day=text[asked.day],
                reason=text[asked.reason].rstrip("."),
            )
    if problems:
        raise TableError(problems)
    return found


def _problems_of(
    text: Mapping[str, str], asked: ReaderLesionSettings, stranger: bool
) -> Iterator[tuple[str, str, str]]:
    """Column, problem, and what is accepted; cells are not repeated."""
    if not text[asked.id]:
        yield asked.id, "no patient id", "an id in every row"
    elif stranger:
        yield asked.id, "no such patient in the patient table", "an id of the patient table"
    mask = Path(text[asked.mask])
    if not mask.name.lower().endswith(_SUFFIXES) or mask.is_absolute() or ".." in mask.parts:
        yield asked.mask, "no label map within the study folder", " ".join(_SUFFIXES)
    yield from problems_of_reader(text, asked, text[asked.id])
