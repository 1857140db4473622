"""REDCap raw exports: codes explained by the dictionary, identifiers dropped at the door.

The dictionary (Project Setup → "Download the current data dictionary") is required: without it
neither the codes nor the identifier flags are known. Fields flagged as identifiers never leave
this module, except the record id, which becomes the pseudonym. The data access group is the
centre.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import pandas as pd

from metasight.cohort.settings import TableSettings
from metasight.cohort.showing import visible
from metasight.cohort.tables import RawTable, read_table
from metasight.errors import Problem, StudyError, TableError

FIELD, TYPE = "Variable / Field Name", "Field Type"
CHOICES, IDENTIFIER = "Choices, Calculations, OR Slider Labels", "Identifier?"
GROUP, EVENT, REPEAT = (
    "redcap_data_access_group",
    "redcap_event_name",
    "redcap_repeat_instrument",
)
_CHOICE_TYPES = {"radio", "dropdown", "checkbox"}
_OWN_FIELDS = {GROUP, EVENT, REPEAT, "redcap_repeat_instance", "redcap_survey_identifier"}


def is_own_field(name: str) -> bool:
    """Whether a column is REDCap's own (events, form status, survey times), not the study's."""
    return name in _OWN_FIELDS or name.endswith(("_complete", "_timestamp"))


def read_redcap(
    folder: Path, settings: TableSettings, needed: Collection[str] | None = None
) -> RawTable:
    """A raw export as a table of labels, one row a record, without identifiers.

    Choice codes become their labels, checkboxes (``field___code``) become 0/1 columns as they
    are, the events of a longitudinal project are merged into one row where they do not
    contradict each other.

    Parameters
    ----------
    folder, settings
        Study folder and the export.
    needed
        Columns that the study reads; every other one but the id and the data access group is
        dropped at the door, neither decoded nor compared. Without, all of the project's fields
        are kept.

    Raises
    ------
    StudyError
        The dictionary is missing or is not one; the export was made with labels, or has
        repeating instruments; there is no such id column; a needed field is an identifier.
    TableError
        A code that the dictionary does not list; events that contradict each other.
    """
    if settings.dictionary is None:
        raise StudyError(
            "a REDCap export needs its data dictionary",
            where=Path(settings.path).name,
            remedy='Download it from REDCap (Dictionary) and give it: dictionary = "…csv"',
        )
    dictionary = _read_dictionary(folder, settings)
    raw = read_table(folder, settings)
    _check_export(raw, dictionary, settings.id)
    flagged = set(dictionary.index[dictionary[IDENTIFIER].str.lower().isin(["y", "yes", "1"])])
    kept = _kept_columns(raw, settings.id, flagged, needed)
    ids = frozenset(str(i) for i in raw.cells[settings.id])
    cells = _decode(raw.name, raw.cells[kept], dictionary, settings.id, ids)
    if EVENT in cells:
        cells = _merge_events(raw.name, cells, settings.id, ids)
    return replace(raw, cells=cells)


def _check_export(raw: RawTable, dictionary: pd.DataFrame, id_: str) -> None:
    known = set(dictionary.index)
    strange = [
        str(c)
        for c in raw.cells.columns
        if c not in known and c.split("___")[0] not in known and not is_own_field(c)
    ]
    if strange:
        raise StudyError(
            "columns that the dictionary does not know",
            where=raw.name,
            value=", ".join(strange[:5]),
            remedy="Export raw data (not labels) and the dictionary of the same project",
        )
    if id_ not in raw.cells:
        close = difflib.get_close_matches(id_, map(str, raw.cells.columns), n=3)
        raise StudyError(
            "missing column (the patient id)",
            where=raw.name,
            value=id_,
            remedy="Give REDCap's record id as id"
            + (f", perhaps {' or '.join(close)}" if close else ""),
        )
    if REPEAT in raw.cells and (raw.cells[REPEAT] != "").any():
        first = raw.cells.index[raw.cells[REPEAT] != ""][0]
        raise StudyError(
            "repeating instruments are not one row a patient",
            where=f"{raw.name}, row {first}, column {REPEAT}",
            value=visible(str(raw.cells.at[first, REPEAT]), set(raw.cells[id_])),
            remedy="Export a report without repeating instruments",
        )


def _kept_columns(
    raw: RawTable, id_: str, flagged: Collection[str], needed: Collection[str] | None
) -> list[str]:
    columns = [str(c) for c in raw.cells.columns]
    hidden = {c for c in columns if c != id_ and c.split("___")[0] in flagged}
    asked = sorted(hidden & set(needed or ()))
    if asked:
        raise StudyError(
            "study.toml reads fields that the dictionary flags as identifiers",
            where=raw.name,
            value=", ".join(asked),
            remedy="Take them out of study.toml; identifiers are never read",
        )
    structure = {id_, GROUP, EVENT}
    return [
        c
        for c in columns
        if c in structure
        or (c not in hidden and (c in needed if needed is not None else not is_own_field(c)))
    ]


def _read_dictionary(folder: Path, settings: TableSettings) -> pd.DataFrame:
    table = read_table(
        folder, TableSettings(path=str(settings.dictionary), id=FIELD, encoding=settings.encoding)
    )
    missing = [c for c in (FIELD, TYPE, CHOICES, IDENTIFIER) if c not in table.cells]
    if missing:
        raise StudyError(
            "not a REDCap data dictionary: columns are missing",
            where=table.name,
            value=", ".join(missing),
            remedy="Download the dictionary as CSV from REDCap and do not edit it",
        )
    fields = table.cells[FIELD]
    if fields.duplicated().any():
        row = fields.index[fields.duplicated()][0]
        raise StudyError(
            "the dictionary lists a field twice",
            where=f"{table.name}, row {row}, column {FIELD}",
            value=str(fields[row]),
            remedy="Download the dictionary again and do not edit it",
        )
    return table.cells.set_index(FIELD)


def _decode(
    name: str, cells: pd.DataFrame, dictionary: pd.DataFrame, id_: str, ids: Collection[str]
) -> pd.DataFrame:
    problems: list[Problem] = []
    out = cells.copy()
    for column in cells.columns:
        if column == id_ or column not in dictionary.index:
            continue
        kind = dictionary.at[column, TYPE]
        if kind not in _CHOICE_TYPES or kind == "checkbox":
            continue
        labels = _choices(str(dictionary.at[column, CHOICES]))
        for row, code in cells[column].items():
            if code and code not in labels:
                problems.append(
                    Problem(
                        table=name,
                        row=int(str(row)),
                        column=column,
                        value=visible(code, ids),
                        problem="a code that the dictionary does not list",
                        accepted=", ".join(f"{k} ({v})" for k, v in labels.items()),
                    )
                )
        out[column] = [labels.get(code, code) for code in cells[column]]
    if problems:
        raise TableError(problems)
    return out


def _choices(text: str) -> dict[str, str]:
    """``1, Yes | 2, No`` as ``{"1": "Yes", "2": "No"}``."""
    labels = {}
    for part in text.split("|"):
        code, _, label = part.partition(",")
        if code.strip():
            labels[code.strip()] = re.sub(r"<[^>]*>", "", label).strip()
    return labels


def _merge_events(name: str, cells: pd.DataFrame, id_: str, ids: Collection[str]) -> pd.DataFrame:
    problems = [
        Problem(
            table=name,
            row=int(str(row)),
            column=id_,
            value="",
            problem="no patient id",
            accepted="an id in every row",
        )
        for row in cells.index[cells[id_] == ""]
    ]
    merged: dict[int, dict[str, str]] = {}
    for _, rows in cells.drop(columns=EVENT).groupby(id_, sort=False):
        first = int(str(rows.index[0]))
        record: dict[str, str] = {}
        for column in rows.columns:
            values = list(dict.fromkeys(v for v in rows[column] if v))
            if len(values) > 1:
                problems.append(
                    Problem(
                        table=name,
                        row=first,
                        column=str(column),
                        value=" / ".join(visible(v, ids) for v in values[:3]),
                        problem="events of one record contradict each other",
                        accepted="one value a record; export the event that counts",
                    )
                )
            record[str(column)] = values[0] if values else ""
        merged[first] = record
    if problems:
        raise TableError(problems)
    return pd.DataFrame.from_dict(merged, orient="index", dtype="object")
