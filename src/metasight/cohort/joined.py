"""Tables with one row a patient, joined to the patient table by the id."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd

from metasight.cohort.ids import Meeting, meet
from metasight.cohort.redcap import read_redcap
from metasight.cohort.settings import CohortSettings, TableSettings
from metasight.cohort.tables import RawTable, is_begun, read_table
from metasight.errors import Problem
from metasight.ledger import Entry, Fate

_SEPARATOR = "\x1f"


def key_of(table: str | None, column: str) -> str:
    """Name of a column in the joined table."""
    return column if table is None else f"{table}{_SEPARATOR}{column}"


def column_of(key: str) -> str:
    """The column's own name."""
    return key.rpartition(_SEPARATOR)[2]


def table_of(key: str) -> str | None:
    """Name in ``[tables]`` of the table that a column was joined from; None: the patient table."""
    return key.rpartition(_SEPARATOR)[0] or None


@dataclass(frozen=True, kw_only=True)
class Joined:
    """The patient table with the columns of the others.

    Attributes
    ----------
    raw
        Columns of other tables under :func:`key_of`.
    problems
        Of whole tables (row None), and of rows that could not be read.
    entries
        A ledger row for every row that is nobody's in the patient table.
    """

    raw: RawTable
    problems: tuple[Problem, ...] = ()
    entries: tuple[Entry, ...] = ()


def read_patients(folder: Path, settings: CohortSettings) -> Joined:
    """Read the patient table and every table that is joined to it.

    Raises
    ------
    StudyError
        A file cannot be read.
    TableError
        A needed column stands twice, or rows are not as long as the header.
    """
    raw = read_own(folder, settings.patients, settings.columns_of(None))
    joined = Joined(raw=raw)
    for name, table in settings.tables.items():
        joined = _join(folder, name, table, settings, joined)
    return joined


def meet_patients(
    folder: Path, settings: CohortSettings, ids: Mapping[int, str], *, table: str, column: str
) -> Meeting:
    """Compare the ids of a table of images with the patient table's.

    Parameters
    ----------
    folder, settings
        Study folder; the patient table is read again, its ids only.
    ids
        Row number → id.
    table, column
        Of the table of images, for messages.

    Raises
    ------
    StudyError
        The patient table cannot be read.
    """
    own = None
    if (folder / settings.patients.path).is_file():
        raw = read_table(folder, settings.patients, ())
        own = raw.cells.get(settings.patients.id)
    if own is None:  # said where the patient table is read
        return Meeting(strangers=(), problems=())
    patients = {str(i) for i in own if i}
    return meet(ids, patients, table=table, column=column, patient_table=raw.name)


def strangers_of(table: RawTable, rows: Iterable[int], patient_table: str) -> list[Entry]:
    """A ledger row for every row of a table that is nobody's in the patient table."""
    return [
        Entry(
            patient="",
            item=f"{table.name} row {n}",
            stage="reading",
            verdict=Fate.EXCLUDED,
            reason=f"no such patient in {patient_table}",
        )
        for n in rows
    ]


def image_strangers(folder: Path, settings: CohortSettings, patients: RawTable) -> list[Entry]:
    """A ledger row for every slide, region and scan whose patient is not in the patient table."""
    found: list[Entry] = []
    regions = settings.slides.regions if settings.slides is not None else None
    for table in (settings.slides, regions, settings.scans):
        if table is None:
            continue
        raw = read_table(folder, table, ())
        if table.id not in raw.cells:
            continue
        ids = {int(str(n)): str(i) for n, i in raw.cells[table.id].items()}
        meeting = meet_patients(folder, settings, ids, table=raw.name, column=table.id)
        found += strangers_of(raw, meeting.strangers, patients.name)
    return found


@dataclass(frozen=True, kw_only=True)
class NamedRow:
    """A row of a table that names a patient.

    Attributes
    ----------
    table
        File, without its folder.
    row
        Number, as the spreadsheet counts.
    id
        As it is compared; never printed.
    numbered
        Whether the table has no ids and the row's number stands for one.
    """

    table: str
    row: int
    id: str = field(repr=False)
    numbered: bool


def named_rows(folder: Path, settings: CohortSettings) -> Iterator[NamedRow]:
    """Every row of every table of a study that names a patient; missing tables are passed over.

    Raises
    ------
    StudyError
        A table cannot be read.
    """
    for table, raw in _that_name_patients(folder, settings):
        for row, text in raw.cells[table.id].items():
            if text:
                yield NamedRow(
                    table=raw.name,
                    row=int(str(row)),
                    id=str(text),
                    numbered=table.ids == "row",
                )


def named_tables(
    folder: Path, settings: CohortSettings
) -> Iterator[tuple[TableSettings, pd.DataFrame]]:
    """Every table of a study that names patients and its cells; missing tables are passed over.

    Raises
    ------
    StudyError
        A table cannot be read.
    """
    for table, raw in _that_name_patients(folder, settings):
        yield table, raw.cells


def _that_name_patients(
    folder: Path, settings: CohortSettings
) -> Iterator[tuple[TableSettings, RawTable]]:
    slides = settings.slides
    images = (slides, slides.regions if slides is not None else None, settings.scans)
    tables = (settings.patients, *settings.tables.values(), *settings.modalities.values())
    more = (*images, settings.reader_decisions, settings.reader_lesions)
    for table in (*tables, *(t for t in more if t is not None)):
        if not (folder / table.path).is_file() or not is_begun(folder / table.path):
            continue
        raw = read_own(folder, table, ())
        if table.id in raw.cells:
            yield table, raw


def read_own(folder: Path, table: TableSettings, needed: tuple[str, ...]) -> RawTable:
    """Read one table in its own format, without what others add to it."""
    if table.format == "redcap":
        return read_redcap(folder, table, needed)
    return read_table(folder, table, needed)


def _join(
    folder: Path, name: str, table: TableSettings, settings: CohortSettings, joined: Joined
) -> Joined:
    main = joined.raw
    needed = settings.columns_of(name)
    other = read_own(folder, table, needed)
    if table.id not in other.cells or settings.patients.id not in main.cells:
        absent = table.id not in other.cells
        problem = _problem(other, table.id, "missing column (the patient id)", "the id's column")
        return replace(joined, problems=(*joined.problems, *([problem] if absent else [])))
    ids = {int(str(n)): str(i) for n, i in other.cells[table.id].items()}
    patients = {str(i): int(str(n)) for n, i in main.cells[settings.patients.id].items() if i}
    meeting = meet(ids, patients, table=other.name, column=table.id, patient_table=main.name)
    nameless = [
        replace(_problem(other, table.id, "no patient id", "an id in every row"), row=n)
        for n, i in ids.items()
        if not i
    ]
    problems = [*other.bad_rows, *nameless, *meeting.problems, *_several_rows(other, table.id, ids)]
    rows = {patients[i]: n for n, i in ids.items() if i in patients}
    columns = [c for c in needed if c in other.cells]
    cells = main.cells.copy()
    for column in columns:
        own = other.cells[column]
        cells[key_of(name, column)] = [
            own[rows[n]] if n in rows else "" for n in map(int, map(str, main.cells.index))
        ]
    back = {n: row for row, n in rows.items()}
    keys = [key_of(name, c) for c in columns]
    flaws = {
        (back[n], key_of(name, c)): p
        for (n, c), p in other.flaws.items()
        if n in back and c in columns
    }
    raw = replace(
        main,
        cells=cells,
        flaws={**main.flaws, **flaws},
        dates=main.dates | {(back[n], key_of(name, c)) for n, c in other.dates if n in back},
        codes={
            **main.codes,
            **{
                key_of(name, c): {back[n]: v for n, v in own.items() if n in back}
                for c, own in other.codes.items()
            },
        },
        names={**main.names, **dict.fromkeys(keys, other.name)},
        row_of={**main.row_of, **dict.fromkeys(keys, rows)},
    )
    strangers = strangers_of(other, meeting.strangers, main.name)
    return Joined(
        raw=raw,
        problems=(*joined.problems, *problems),
        entries=(*joined.entries, *strangers),
    )


def _several_rows(other: RawTable, id_column: str, ids: dict[int, str]) -> list[Problem]:
    seen: dict[str, int] = {}
    again = [n for n, i in ids.items() if i and seen.setdefault(i, n) != n]
    if not again:
        return []
    n = len({ids[row] for row in again})
    what = f"{n} patient{'s have' if n > 1 else ' has'} several rows, first in row {again[0]}"
    return [_problem(other, id_column, what, "one row a patient")]


def _problem(other: RawTable, column: str, problem: str, accepted: str) -> Problem:
    return Problem(
        table=other.name, row=None, column=column, value="", problem=problem, accepted=accepted
    )
