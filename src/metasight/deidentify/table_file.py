"""One table made anew: pseudonyms for ids, dates moved, nothing that was not said harmless."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import pandas as pd

from metasight.cohort.ids import normal_id
from metasight.cohort.tables import RawTable, read_table
from metasight.deidentify.dates import shifted_in_table
from metasight.deidentify.flags import Role, TableFlags
from metasight.deidentify.key import Key
from metasight.deidentify.places import Places
from metasight.deidentify.suspicion import suspicion
from metasight.errors import StudyError, TableError
from metasight.spreadsheet import csv_text

PATIENT = "patient"
_MISSING = frozenset(("", "NA"))
_SHORTEST = 3
_SHORTEST_NUMBER = 6
_MOST_WORDS = 5
_NUMBER = re.compile(r"[-+]?\d+(?:[.,]\d+)?(?:[eE][-+]?\d+)?%?")
_UID = re.compile(r"[0-9]+(?:\.[0-9]+)+")


@dataclass(frozen=True, kw_only=True)
class NewTable:
    """A table that may leave.

    Attributes
    ----------
    name
        Of the new file.
    content
        CSV, UTF-8; rows in the order of the pseudonyms.
    note
        What was left out.
    """

    name: str
    content: bytes
    note: str


def new_table(
    source: Path, flags: TableFlags, key: Key, *, places: Places | None = None
) -> NewTable:
    """De-identify one table.

    Parameters
    ----------
    source
        Folder that the flags' path is relative to.
    flags
        What its columns are.
    key
        The one of the DICOM files, so that tables and files stay together.
    places
        Where the source's DICOM files and folders lie now.

    Raises
    ------
    StudyError
        It cannot be read, or a cell or a column must not be passed on. No cell, name of a column or
        of the file is quoted.
    """
    table = _read(source, flags)
    columns = list(table.cells.columns)
    _check_columns(table, columns, flags)
    kept = [c for c in columns if flags.columns.get(c) not in {"drop", "free text"}]
    kept.remove(flags.patient)
    _check_own_identifiers(table, kept, flags)
    rows = []
    for number, row in table.cells.iterrows():
        patient = str(row[flags.patient])
        if not normal_id(patient):
            raise _refused(f"row {number} has no patient", "Give every row its patient's id")
        new = [key.patient(patient)]
        for column in kept:
            place = f"row {number}, column {columns.index(column) + 1}"
            text, role = str(row[column]), flags.columns.get(column)
            if role == "scan" and text.strip() not in _MISSING:
                new.append(_scan(text, places, place))
            else:
                new.append(_cell(text, role, patient, key, place))
        rows.append(new)
    rows.sort(key=lambda r: r[0])  # the old order may be that of names; equal ids stay in it
    left = sum(flags.columns.get(c) == "free text" for c in columns)
    note = f"free text left out in {left} {'columns' if left > 1 else 'column'}" if left else ""
    content = csv_text([PATIENT, *kept], rows, line_end="\n").encode("utf-8")
    return NewTable(name=f"{flags.name}.csv", content=content, note=note)


def _read(source: Path, flags: TableFlags) -> RawTable:
    try:
        table = read_table(source, flags.settings)
    except TableError as error:
        n = len(error.problems)
        raise _refused(
            f"{n} {'rows or columns' if n > 1 else 'row or column'} of the table cannot be read",
            "Correct the table; `metasight check` of a study names rows and columns",
        ) from error
    except StudyError as error:
        raise _refused(
            "it cannot be read as its flags say",
            "Correct file, sheet, encoding or header_row; `metasight init` on a copy says more",
        ) from error
    if table.bad_rows or table.flaws:
        raise _refused(
            f"{len(table.bad_rows) + len(table.flaws)} rows or cells cannot be read",
            "Correct the table",
        )
    return table


def _refused(problem: str, remedy: str) -> StudyError:
    return StudyError(problem, where="table", remedy=remedy)


def _check_columns(table: RawTable, columns: list[str], flags: TableFlags) -> None:
    missing = {flags.patient, *flags.columns} - set(columns)
    if missing:
        raise _refused(
            f"{len(missing)} of the columns that the flags name are not in it",
            "Correct the flags",
        )
    ids = {normal_id(str(i)) for i in table.cells[flags.patient]}
    dated = {column for _, column in table.dates}
    told = []
    for number, column in enumerate(columns, start=1):
        if column == flags.patient or column in flags.columns:
            continue
        cells = [str(c) for c in table.cells[column]]
        looks = "dates" if column in dated else suspicion(column, cells, ids)
        if looks:
            told.append(f"{number} ({looks})")
    if told:
        raise _refused(
            f"columns that the flags do not name look as if they identified somebody: "
            f"{', '.join(told)}",
            'Say in the flags what they are; "keep" passes a column on',
        )


def _check_own_identifiers(table: RawTable, kept: list[str], flags: TableFlags) -> None:
    """Refuse a cell that is passed on and holds an identifier of its row, and such a header."""
    roles = flags.columns
    naming = [c for c, role in roles.items() if role in {"drop", "identifier", "date"}]
    naming.append(flags.patient)
    passed = [c for c in kept if roles.get(c) in {None, "keep"}]
    own = {number: _identifiers(row, naming) for number, row in table.cells.iterrows()}
    everyone = frozenset[str]().union(*own.values())
    for number, row in table.cells.iterrows():
        # what was said to be harmless may hold a word that is another patient's name
        for names, role in ((own[number], "keep"), (everyone, None)):
            cells = [str(row[c]) for c in passed if roles.get(c) == role]
            if any(names & _spans(c) for c in cells if not _NUMBER.fullmatch(c)):
                raise _refused(
                    f"row {number}: a cell that would be passed on holds an identifier",
                    "Correct the cell, or flag its column",
                )
    if any(everyone & _spans(column) for column in kept):
        raise _refused("the name of a column holds an identifier", "Rename the column")


def _identifiers(row: pd.Series[Any], columns: Iterable[str]) -> frozenset[str]:
    """Whole cells and their words; short numbers are everybody's."""
    texts = [normal_id(str(row[c])).casefold() for c in columns]
    words = {*texts, *(w for t in texts for w in re.findall(r"[^\W_]+", t))}
    return frozenset(w for w in words if len(w) >= (_SHORTEST_NUMBER if w.isdigit() else _SHORTEST))


def _spans(text: str) -> frozenset[str]:
    """Every run of up to five neighbouring words, with what stands between them."""
    plain = normal_id(text).casefold()
    words = [m.span() for m in re.finditer(r"[^\W_]+", plain)]
    return frozenset(
        plain[start:end]
        for i, (start, _) in enumerate(words)
        for _, end in words[i : i + _MOST_WORDS]
    )


def _cell(text: str, role: Role | None, patient: str, key: Key, place: str) -> str:
    if text.strip() in _MISSING:
        return text
    if role == "date":
        moved = shifted_in_table(text, key.shift_days(patient))
        if moved is None:
            raise _refused(
                f"{place}: a date that cannot be moved",
                "Write YYYY-MM-DD, or flag the column as drop",
            )
        return moved
    if role == "identifier":
        return key.text("identifier", normal_id(text))
    if role == "slide":
        return slide_name(text, key)
    if role == "uid":
        if not _UID.fullmatch(text.strip()):
            raise _refused(f"{place}: not a UID", "Correct it, or flag the column as drop")
        return key.uid(text.strip())
    if text[:1] in {"=", "+", "-", "@"} and not _NUMBER.fullmatch(text):
        return f"'{text}"  # a spreadsheet would take it for a formula
    return text


def _scan(text: str, places: Places | None, place: str) -> str:
    found = None if places is None else places.of(text)
    if found is None:
        raise _refused(
            f"{place}: no file or folder of this name was kept, or more than one",
            "Look into the ledger, correct the path, or flag the column as drop",
        )
    return found


def slide_name(name: str, key: Key) -> str:
    """New name of a slide's file: a pseudonym of the old one's, and its suffix."""
    last = PurePosixPath(PureWindowsPath(name.strip()).as_posix()).name
    known = next((s for s in SLIDE_SUFFIXES if last.lower().endswith(s)), "")
    stem = last[: len(last) - len(known)]
    return key.text("slide", normal_id(stem)) + known


SLIDE_SUFFIXES = (".ome.tif", ".ome.tiff", ".svs", ".tif", ".tiff")
