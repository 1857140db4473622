"""REDCap raw exports: codes explained by the dictionary, identifiers dropped at the door.

The dictionary (Project Setup → "Download the current data dictionary") is required: without it
neither the codes nor the identifier flags are known. Fields flagged as identifiers never leave
this module, except the record id, which becomes the pseudonym. The data access group is the
centre.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pandas as pd

from metasight.cohort.settings import TableSettings
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


def read_redcap(folder: Path, settings: TableSettings) -> RawTable:
    """A raw export as a table of labels, one row a record, without identifiers.

    Choice codes become their labels, checkboxes (``field___code``) become 0/1 columns as they
    are, the events of a longitudinal project are merged into one row where they do not
    contradict each other.

    Raises
    ------
    StudyError
        The dictionary is missing or is not one; the export was made with labels, or has
        repeating instruments.
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
    known = set(dictionary.index)
    strange = [
        c
        for c in raw.cells.columns
        if c not in known
        and c.split("___")[0] not in known
        and c not in _OWN_FIELDS
        and not c.endswith("_complete")
    ]
    if strange:
        raise StudyError(
            "columns that the dictionary does not know",
            where=raw.name,
            value=", ".join(strange[:5]),
            remedy="Export raw data (not labels) and the dictionary of the same project",
        )
    if REPEAT in raw.cells and (raw.cells[REPEAT] != "").any():
        raise StudyError(
            "repeating instruments are not one row a patient",
            where=raw.name,
            value=str(raw.cells.loc[raw.cells[REPEAT] != "", REPEAT].iloc[0]),
            remedy="Export a report without repeating instruments",
        )
    cells = _drop_identifiers(raw.cells, dictionary, settings.id)
    cells = _decode(raw.name, cells, dictionary)
    if EVENT in cells:
        cells = _merge_events(raw.name, cells, settings.id)
    return replace(raw, cells=cells)


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
    return table.cells.set_index(FIELD)


def _drop_identifiers(cells: pd.DataFrame, dictionary: pd.DataFrame, id_: str) -> pd.DataFrame:
    flagged = dictionary.index[dictionary[IDENTIFIER].str.lower().isin(["y", "yes", "1"])]
    return cells[[c for c in cells if c == id_ or str(c).split("___")[0] not in set(flagged)]]


def _decode(name: str, cells: pd.DataFrame, dictionary: pd.DataFrame) -> pd.DataFrame:
    problems: list[Problem] = []
    out = cells.copy()
    for column in cells.columns:
        if column not in dictionary.index:
            continue
        kind = dictionary.at[column, TYPE]
        if kind not in _CHOICE_TYPES or kind == "checkbox":
            continue
        labels = _choices(str(dictionary.at[column, CHOICES]))
        for row, code in cells[column].items():
            if code and code not in labels:
                problems.append(
                    Problem(table=name, row=int(str(row)), column=column, value=code,
                            problem="a code that the dictionary does not list",
                            accepted=", ".join(f"{k} ({v})" for k, v in labels.items()))
                )  # fmt: skip
        out[column] = cells[column].map(lambda c, known=labels: known.get(c, c))
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


def _merge_events(name: str, cells: pd.DataFrame, id_: str) -> pd.DataFrame:
    problems: list[Problem] = []
    merged: dict[int, dict[str, str]] = {}
    for _, rows in cells.drop(columns=EVENT).groupby(id_, sort=False):
        first = int(str(rows.index[0]))
        record: dict[str, str] = {}
        for column in rows.columns:
            values = list(dict.fromkeys(v for v in rows[column] if v))
            if len(values) > 1:
                problems.append(
                    Problem(table=name, row=first, column=str(column), value=" / ".join(values),
                            problem="events of one record contradict each other",
                            accepted="one value a record; export the event that counts")
                )  # fmt: skip
            record[str(column)] = values[0] if values else ""
        merged[first] = record
    if problems:
        raise TableError(problems)
    return pd.DataFrame.from_dict(merged, orient="index", dtype="object")
