"""REDCap raw exports: codes explained by the dictionary, identifiers dropped at the door.

The dictionary (Project Setup → "Download the current data dictionary") is required: without it
neither the codes nor the identifier flags are known. Fields flagged as identifiers never leave
this module, except the record id, which becomes the pseudonym. The data access group is the
centre.

An export has a row for each record, event and instance of a repeating form, and writes 0 for every
box of a form that nobody opened. A box of a form that holds nothing is therefore missing, never
"no"; and which event and which instance count is the study's to say where they differ.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

import pandas as pd

from metasight.cohort.codes import MissingCodes, find_code
from metasight.cohort.settings import TableSettings
from metasight.cohort.showing import visible
from metasight.cohort.tables import RawTable, read_table
from metasight.errors import Problem, StudyError

FIELD, FORM, TYPE = "Variable / Field Name", "Form Name", "Field Type"
LABEL = "Field Label"
CHOICES, IDENTIFIER = "Choices, Calculations, OR Slider Labels", "Identifier?"
GROUP, EVENT, REPEAT, INSTANCE = (
    "redcap_data_access_group",
    "redcap_event_name",
    "redcap_repeat_instrument",
    "redcap_repeat_instance",
)
_CHOICE_TYPES = {"radio", "dropdown"}
_NOT_ANSWERED = {"calc", "descriptive"}
"""Kinds of field that hold something although nobody filled the form in, or nothing ever."""
_OWN_FIELDS = {GROUP, EVENT, REPEAT, INSTANCE, "redcap_survey_identifier"}
_STATUS = "_complete"


def is_own_field(name: str) -> bool:
    """Whether a column is REDCap's own (events, form status, survey times), not the study's."""
    return name in _OWN_FIELDS or name.endswith(("_complete", "_timestamp"))


def looks_exported(columns: Collection[str]) -> bool:
    """Whether a header is that of a raw export: events, groups or boxes."""
    return any(c in _OWN_FIELDS or re.fullmatch(r"[a-z][a-z0-9_]*___\w+", c) for c in columns)


def read_redcap(
    folder: Path, settings: TableSettings, needed: Collection[str] | None = None
) -> RawTable:
    """A raw export as a table of labels, one row a record, without identifiers.

    Choice codes become their labels, with the codes kept beside them; checkboxes
    (``field___code``) become 0/1 columns, empty where the form holds nothing; the rows of a record
    are merged into one where they do not contradict each other.

    Parameters
    ----------
    folder, settings
        Study folder and the export; ``events`` and ``repeats`` say which event and which instance
        of a form count.
    needed
        Columns that the study reads; every other one but the id and the data access group is
        dropped at the door, neither decoded nor compared. Without, all of the project's fields
        are kept.

    Raises
    ------
    StudyError
        The dictionary is missing or is not one; the export was made with labels; there is no such
        id column; a needed field is an identifier; ``events`` or ``repeats`` name what is not
        there.
    """
    if settings.dictionary is None:
        raise StudyError(
            "a REDCap export needs its data dictionary",
            where=Path(settings.path).name,
            remedy='Download it from REDCap (Dictionary) and give it: dictionary = "…csv"',
        )
    dictionary = _read_dictionary(folder, settings)
    raw = read_table(folder, settings, needed)
    _check_export(raw, dictionary, settings.id)
    _check_choices(raw, dictionary, settings)
    flagged = set(dictionary.index[dictionary[IDENTIFIER].str.lower().isin(["y", "yes", "1"])])
    kept = _kept_columns(raw, settings.id, flagged, needed)
    ids = frozenset(str(i) for i in raw.cells[settings.id])
    cells = _without_unopened(raw.cells, dictionary, kept)
    fields = [c for c in kept if c not in {settings.id, EVENT, REPEAT, INSTANCE}]
    merged = _Merge(raw, cells, dictionary, settings, ids).records(fields)
    return _decode(merged, dictionary, settings, ids)


def field_labels(folder: Path, settings: TableSettings, columns: Collection[str]) -> dict[str, str]:
    """What the dictionary calls the fields of an export; of a box, its choice.

    Parameters
    ----------
    folder, settings
        Study folder and the export, with its dictionary.
    columns
        Of the export.
    """
    dictionary = _read_dictionary(folder, settings)
    found = {}
    for column in columns:
        field, _, code = column.partition("___")
        if column in dictionary.index:
            text = str(dictionary.at[column, LABEL]) if LABEL in dictionary else ""
        elif field in dictionary.index:
            choices = _choices(str(dictionary.at[field, CHOICES]))
            text = {_of_box(c): label for c, label in choices.items()}.get(code, "")
        else:
            text = ""
        found[column] = re.sub(r"<[^>]*>", "", text).strip()
    return {column: text for column, text in found.items() if text}


def _check_export(raw: RawTable, dictionary: pd.DataFrame, id_: str) -> None:
    known = set(dictionary.index)
    strange = [
        str(c)
        for c in raw.cells.columns
        if c not in known and c.split("___")[0] not in known and not is_own_field(c)
    ]
    if strange:
        raise StudyError(
            "columns that are not in the dictionary",
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


def _check_choices(raw: RawTable, dictionary: pd.DataFrame, settings: TableSettings) -> None:
    """``events`` and ``repeats`` name forms or fields, and events, that are in the export."""
    forms = set(dictionary[FORM])
    events = set(raw.cells[EVENT]) - {""} if EVENT in raw.cells else set()
    known = forms | set(dictionary.index)
    wrong = [("events", n, known) for n in settings.events if n not in known]
    wrong += [("events", e, events) for e in settings.events.values() if e not in events]
    wrong += [("repeats", n, forms | events) for n in settings.repeats if n not in forms | events]
    for key, name, allowed in wrong:
        close = difflib.get_close_matches(name, allowed, n=3) or sorted(allowed)[:5]
        raise StudyError(
            f"{key} of study.toml names what the export does not hold",
            where=raw.name,
            value=name,
            remedy=f"Perhaps {' or '.join(close)}" if close else "Remove it: there are no events",
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
            remedy="Remove them from study.toml; columns flagged as identifiers are never read",
        )
    structure = {id_, GROUP, EVENT, REPEAT, INSTANCE}
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
    missing = [c for c in (FIELD, FORM, TYPE, CHOICES, IDENTIFIER) if c not in table.cells]
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


def _form_of(column: str, dictionary: pd.DataFrame) -> str:
    field = column if column in dictionary.index else column.split("___", maxsplit=1)[0]
    return str(dictionary.at[field, FORM]) if field in dictionary.index else ""


def _without_unopened(
    cells: pd.DataFrame, dictionary: pd.DataFrame, kept: list[str]
) -> pd.DataFrame:
    """Boxes of forms that hold nothing in a row become empty.

    A form was filled in when it is marked unverified or complete, when a field of it that people
    fill in holds something, or when a box is ticked. An export without form status is judged by
    fields and boxes alone.
    """
    out = cells.copy()
    boxes = [c for c in kept if "___" in c and c not in dictionary.index]
    for form in {_form_of(c, dictionary) for c in boxes}:
        own = [c for c in map(str, cells.columns) if _form_of(c, dictionary) == form]
        first = dictionary.index[0]  # the record id is on a form and says nothing of it
        answered = [
            c
            for c in own
            if c in dictionary.index and c != first and dictionary.at[c, TYPE] not in _NOT_ANSWERED
        ]
        ticks = [c for c in own if c not in dictionary.index]
        filled = (cells[answered] != "").any(axis=1) | (cells[ticks] == "1").any(axis=1)
        if f"{form}{_STATUS}" in cells:
            filled |= cells[f"{form}{_STATUS}"].isin(["1", "2", "Unverified", "Complete"])
        for box in [c for c in boxes if c in ticks]:
            known = filled & ~_said_missing(box, cells, dictionary)
            out[box] = cells[box].where(known, "")
    return out


def _said_missing(box: str, cells: pd.DataFrame, dictionary: pd.DataFrame) -> pd.Series:
    """Rows in which a missing-data code of the project is ticked for the field of a box.

    A project with such codes exports a box for each (``field___unk``, ``field____99``), which the
    choices of the field do not list.
    """
    field = box.split("___", maxsplit=1)[0]
    choices = {_of_box(code) for code in _choices(str(dictionary.at[field, CHOICES]))}
    others = [
        c
        for c in map(str, cells.columns)
        if c.startswith(f"{field}___") and c.removeprefix(f"{field}___") not in choices
    ]
    return (cells[others] == "1").any(axis=1)


def _of_box(code: str) -> str:
    """A choice's code as the name of its box ends: small letters, and _ for a minus sign."""
    return re.sub(r"[^a-z0-9]", "_", code.lower())


class _Merge:
    """Rows of a record to one row."""

    def __init__(
        self,
        raw: RawTable,
        cells: pd.DataFrame,
        dictionary: pd.DataFrame,
        settings: TableSettings,
        ids: Collection[str],
    ) -> None:
        self.raw, self.cells, self.dictionary = raw, cells, dictionary
        self.settings, self.ids = settings, ids
        self.flaws: dict[tuple[int, str], Problem] = {}

    def records(self, fields: list[str]) -> RawTable:
        """One row a record, at its first row's number."""
        id_ = self.settings.id
        merged: dict[int, dict[str, str]] = {}
        for record, rows in self.cells.groupby(id_, sort=False):
            # rows without an id are nobody's and not merged
            groups = [rows] if record else [rows.loc[[n]] for n in rows.index]
            for group in groups:
                first = int(str(group.index[0]))
                values = {f: self._value(first, f, group) for f in fields}
                merged[first] = {id_: str(record), **values}
        order = sorted(merged)
        frame = pd.DataFrame.from_dict(
            {n: merged[n] for n in order}, orient="index", dtype="object"
        )
        return replace(self.raw, cells=frame, flaws=self.flaws)

    def _value(self, first: int, field: str, rows: pd.DataFrame) -> str:
        form = _form_of(field, self.dictionary)
        event = self.settings.events.get(field, self.settings.events.get(form))
        if event is not None:
            rows = rows[rows[EVENT] == event]
        rows = rows[rows[field] != ""]
        which = self._which(form, rows)
        if which is not None and not rows.empty:
            instance = pd.to_numeric(rows[INSTANCE], errors="coerce").fillna(1)
            rows = rows[instance == (instance.min() if which == "first" else instance.max())]
        for row in rows.index:
            flaw = self.raw.flaws.get((int(str(row)), field))
            if flaw is not None:
                self.flaws.setdefault((first, field), flaw)
        values = list(dict.fromkeys(map(str, rows[field])))
        if len(values) > 1 and (first, field) not in self.flaws:
            self.flaws[first, field] = self._contradiction(first, field, form, rows, values)
        return values[0] if values else ""

    def _which(self, form: str, rows: pd.DataFrame) -> str | None:
        if INSTANCE not in rows:
            return None
        repeats = self.settings.repeats
        events = set(rows[EVENT]) if EVENT in rows else set()
        named = [repeats[e] for e in events if e in repeats]
        return repeats.get(form) or (named[0] if named else None)

    def _contradiction(
        self, first: int, field: str, form: str, rows: pd.DataFrame, values: list[str]
    ) -> Problem:
        repeated = INSTANCE in rows and rows[INSTANCE].nunique() > 1
        if repeated:
            what = f"instances of the repeating form {form} differ"
            remedy = f'repeats = {{ {form} = "first" }} or "last" in study.toml'
        else:
            events = ", ".join(sorted(set(rows[EVENT]))) if EVENT in rows else ""
            what = "events of one record contradict each other"
            remedy = (
                f'events = {{ {form or field} = "…" }} in study.toml with the event that counts'
            )
            remedy += f" ({events})" if events else ""
        return Problem(
            table=self.raw.name,
            row=first,
            column=field,
            value=" / ".join(
                visible(v, self.ids, repeated=self.raw.is_repeated(field, v)) for v in values[:3]
            ),
            problem=what,
            accepted=f"one value a record, or {remedy}",
        )


def _decode(
    raw: RawTable, dictionary: pd.DataFrame, settings: TableSettings, ids: Collection[str]
) -> RawTable:
    """Labels for codes; a code that the dictionary does not list is a problem of its cell.

    The project's missing-data codes (UNK, -99) stand in fields whose choices do not list them: a
    code that the study declares as missing stays as it is.
    """
    missing = MissingCodes(settings.missing)
    out, flaws = raw.cells.copy(), dict(raw.flaws)
    codes: dict[str, Mapping[int, str]] = dict(raw.codes)
    for column in map(str, raw.cells.columns):
        listed = column in dictionary.index and dictionary.at[column, TYPE] in _CHOICE_TYPES
        if column == settings.id or not listed:
            continue
        labels = _choices(str(dictionary.at[column, CHOICES]))
        own: dict[int, str] = {}
        texts = []
        for number, text in raw.cells[column].items():
            row = int(str(number))
            code = find_code(str(text), labels) if text else None
            if code is not None:
                own[row] = code
            elif text and text not in missing and (row, column) not in flaws:
                flaws[row, column] = Problem(
                    table=raw.name,
                    row=row,
                    column=column,
                    value=visible(
                        str(text),
                        ids,
                        expected=[*labels, *labels.values()],
                        repeated=raw.is_repeated(column, str(text)),
                    ),
                    problem="a code that the dictionary does not list",
                    accepted=", ".join(f"{k} ({v})" for k, v in labels.items())
                    + "; a missing-data code of the project goes to missing in study.toml",
                )
            texts.append(str(text) if code is None else labels[code])
        out[column], codes[column] = texts, own
    return replace(raw, cells=out, flaws=flaws, codes=codes)


def _choices(text: str) -> dict[str, str]:
    """``1, Yes | 2, No`` as ``{"1": "Yes", "2": "No"}``."""
    labels = {}
    for part in text.split("|"):
        code, _, label = part.partition(",")
        if code.strip():
            labels[code.strip()] = re.sub(r"<[^>]*>", "", label).strip()
    return labels
