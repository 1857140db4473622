"""What columns of a table probably are: proposals for `metasight init`, for a person to correct.

A column is proposed for a variable by its name, and only if its cells can be read as such. Where
that takes a unit, codes, a date format or missing codes that the table does not state, the
proposal is not sure: it is written as a comment with a question mark.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from metasight.cohort.codes import find_code, number_of
from metasight.cohort.delimited import text_rows
from metasight.cohort.mapping import CENSORED, ColumnMapping
from metasight.cohort.parsing import parse_cell
from metasight.protocol.study import Protocol, Variable
from metasight.units import units_like

DATE_FORMATS = ("%Y-%m-%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%Y/%m/%d", "%Y%m%d")
_MISSING_WORDS = {"na", "n/a", "nan", "none", "null", "unknown", "unk", "missing", "not known", "?"}
_NOT_RECORDED = re.compile(
    r"not (collected|recorded|assessed|known|available|applicable|done|evaluated|tested|determined|"
    r"reported|stated)( .*)?"
)
_MISSING_NUMBERS = {-9.0, -99.0, -999.0, -9999.0}
_TRUE = {
    "pos",
    "positive",
    "+",
    "present",
    "yes",
    "y",
    "true",
    "t",
    "ja",
    "dead",
    "deceased",
    "current",
    "former",
    "ever",
    "smoker",
}
_FALSE = {
    "neg",
    "negative",
    "-",
    "absent",
    "no",
    "n",
    "false",
    "f",
    "nein",
    "alive",
    "living",
    "never",
    "nonsmoker",
    "non-smoker",
}
_LEVELS = {"f": "female", "m": "male", "w": "female", "bct": "breast-conserving"}
_MOST_CODES = 8


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """A column for a variable.

    Attributes
    ----------
    column
        The user's name for it.
    mapping
        Right-hand side for ``[columns]``, as TOML.
    sure
        Whether name and cells leave no choice.
    why
        What was taken from the cells; empty where nothing was.
    """

    column: str
    mapping: str
    sure: bool
    why: str = ""


def propose(protocol: Protocol, cells: pd.DataFrame, id_column: str) -> dict[str, Proposal]:
    """Variable → the column that fits it best; variables without one are not in it.

    Parameters
    ----------
    protocol
        Whose dictionary names variables and their spellings.
    cells
        Of the patient table, as text.
    id_column
        Never proposed.
    """
    columns = [str(c) for c in cells.columns if c != id_column]
    ranked = sorted(
        (rank, name, place)
        for name, variable in protocol.variables.items()
        for place, column in enumerate(columns)
        if (rank := _rank(variable, column)) is not None
    )
    found: dict[str, Proposal] = {}
    taken: set[int] = set()
    for rank, name, place in ranked:
        if name in found or place in taken:
            continue
        variable = protocol.variables[name]
        texts = [str(t) for t in cells[columns[place]] if t]
        fitted = _fit(variable, columns[place], texts)
        if fitted is not None:
            found[name] = Proposal(
                column=columns[place],
                mapping=fitted[0],
                sure=fitted[1] and rank == 0,
                why=fitted[2],
            )
            taken.add(place)
    return found


@dataclass(frozen=True, kw_only=True)
class StatusPair:
    """A status and a time that is filled in for those without the event as well.

    Attributes
    ----------
    event
        Of the protocol.
    time, status
        Columns.
    unit
        Of the time.
    codes
        Code of the status → the event, or ``censored``.
    """

    event: str
    time: str
    status: str
    unit: str
    codes: dict[str, str]


def status_pairs(
    protocol: Protocol, cells: pd.DataFrame, proposals: Mapping[str, Proposal]
) -> list[StatusPair]:
    """Events whose proposed time is follow-up in those without the event: [[time_and_status]]."""
    found = []
    for event in (v.name for v in protocol.variable if f"{v.name}_days" in protocol.variables):
        status, time = proposals.get(event), proposals.get(f"{event}_days")
        if status is None or time is None:
            continue
        codes = {}
        given = _mapping_of(status)
        for text in sorted({str(t) for t in cells[status.column] if t and not _looks_missing(t)}):
            value, _ = parse_cell(text, protocol.variables[event], given, ".")
            codes[text] = event if value else CENSORED
        without = cells[status.column].isin([c for c, e in codes.items() if e == CENSORED])
        if len(set(codes.values())) == 2 and (cells.loc[without, time.column] != "").any():
            unit = _mapping_of(time).unit or "days"
            pair = {"event": event, "time": time.column, "status": status.column}
            found.append(StatusPair(**pair, unit=unit, codes=codes))
    return found


def _mapping_of(proposal: Proposal) -> ColumnMapping:
    given = tomllib.loads(f"x = {proposal.mapping}")["x"]
    return ColumnMapping(column=given) if isinstance(given, str) else ColumnMapping(**given)


def decimal_sign(cells: pd.DataFrame) -> Literal[".", ","]:
    """The decimal sign of a table's numbers; a comma only where it cannot group thousands."""
    texts = [str(t) for column in cells for t in cells[column]]
    commas = any(re.fullmatch(r"[+-]?\d+,(\d{1,2}|\d{4,})", t) for t in texts)
    points = any(re.fullmatch(r"[+-]?\d+\.\d+", t) for t in texts)
    return "," if commas and not points else "."


def image_tables(folder: Path, id_column: str) -> dict[str, str]:
    """``slides`` and ``scans`` whose tables lie in the folder → their column of the patient id."""
    found = {}
    for section, needed in (("slides", {"file", "stain"}), ("scans", {"kind", "path"})):
        path = folder / f"{section}.csv"
        if not path.is_file():
            continue
        header = [h.strip() for h in text_rows(path, "utf-8").header]
        ids = [c for c in (id_column, "patient", "patient_id", "id") if c in header]
        if needed <= set(header) and ids:
            found[section] = ids[0]
    return found


def _rank(variable: Variable, column: str) -> int | None:
    """0: the variable's name; 1: its label or a known spelling; 2: its beginning; None: another."""
    plain = plain_name(column)
    if plain == plain_name(variable.name):
        return 0
    bare = re.sub(r"_(mm|years|days|percent)$", "", variable.name)
    known = {plain_name(n) for n in (bare, variable.label, *variable.spellings)}
    # a unit behind a column's name is no other column: "Size (cm)", "age_yrs"
    short = re.sub(r"[\s_(\[]+(mm|cm|years|yrs|yr|days|months|d|%)[)\]]?$", "", column.lower())
    if plain in known or plain_name(short) in known:
        return 1
    begun = [plain_name(n) for n in variable.spellings if n.endswith("*")]
    return 2 if any(plain.startswith(b) for b in begun) else None


def plain_name(name: str) -> str:
    """Letters and digits of a name, in small letters."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _fit(variable: Variable, column: str, texts: Sequence[str]) -> tuple[str, bool, str] | None:
    """Mapping, whether it is sure, and what was taken from the cells; None if nothing fits."""
    missing = sorted({t for t in texts if _looks_missing(t)})
    said = [t for t in texts if t not in set(missing)]
    if not said:
        return None
    for mapping, sure, why in _readings(variable, column, sorted(set(said))):
        values = [parse_cell(t, variable, mapping, "." if "." in t else ",") for t in said]
        if any(problem for _, problem in values) or not _plausible(variable, values):
            continue
        undeclared = [m for m in missing if m != "NA"]
        if not undeclared:
            return _toml(mapping), sure, why
        told = "; ".join([why, "missing codes"] if why else ["missing codes"])
        return _toml(mapping.model_copy(update={"missing": tuple(undeclared)})), False, told
    return None


def _looks_missing(text: str) -> bool:
    low = text.lower()
    words = low in _MISSING_WORDS or _NOT_RECORDED.fullmatch(low) is not None
    return words or number_of(text) in _MISSING_NUMBERS


def _plausible(variable: Variable, values: Sequence[tuple[object, str]]) -> bool:
    if variable.plausible_median is None:
        return True
    numbers = [float(v) for v, _ in values if isinstance(v, int | float)]
    low, high = variable.plausible_median
    return bool(numbers) and low <= float(np.median(numbers)) <= high


def _readings(
    variable: Variable, column: str, texts: Sequence[str]
) -> Iterator[tuple[ColumnMapping, bool, str]]:
    """Ways to read a column, the plainest first."""
    plain = ColumnMapping(column=column)
    match variable.type:
        case "number" | "integer":
            yield plain, True, ""
            for unit in units_like(variable.unit):
                told = f"unit {unit}"
                yield plain.model_copy(update={"unit": unit}), False, told
                negated = {"unit": unit, "negate": True}
                yield plain.model_copy(update=negated), False, f"{told}, sign turned"
        case "date":
            yield from _dates(variable, plain, texts)
        case "text":
            yield plain, len(texts) <= 200, ""
        case _:
            yield plain, True, ""
            codes = _codes(variable, texts)
            if codes is not None:
                yield plain.model_copy(update={"values": codes}), False, "meaning of the codes"


def _dates(
    variable: Variable, plain: ColumnMapping, texts: Sequence[str]
) -> Iterator[tuple[ColumnMapping, bool, str]]:
    fitting = []
    for pattern in DATE_FORMATS:
        mapping = plain.model_copy(update={"date_format": pattern})
        if not any(parse_cell(t, variable, mapping, ".")[1] for t in texts):
            fitting.append(pattern)
    if "%Y-%m-%d" in fitting:
        yield plain, True, ""
    elif fitting:
        several = f"; {' or '.join(fitting)} fit" if len(fitting) > 1 else ""
        mapping = plain.model_copy(update={"date_format": fitting[0]})
        yield mapping, False, "date format" + several


def _codes(variable: Variable, texts: Sequence[str]) -> dict[str, bool | int | float | str] | None:
    """Meaning of every code in a column, or None where one has none that is usual."""
    if len(texts) > _MOST_CODES:
        return None
    found: dict[str, bool | int | float | str] = {}
    if variable.type == "boolean" and any(_names(variable, t) for t in texts):
        return {t: _names(variable, t) for t in texts}
    for text in texts:
        meaning = _boolean(text) if variable.type == "boolean" else _level(variable, text)
        if meaning is None:
            return None
        found[text] = meaning
    return found


def _names(variable: Variable, text: str) -> bool:
    """Whether a level names the variable: "F" or "Female" of female, a type of a histology."""
    plain = plain_name(text)
    exact = plain in {plain_name(variable.name), plain_name(variable.label)}
    return exact or (variable.name == "female" and plain in {"f", "w"})


def _boolean(text: str) -> bool | None:
    low = text.lower()
    if low in _TRUE or number_of(text) == 1:
        return True
    return False if low in _FALSE or number_of(text) in {0.0, 2.0} else None


def _level(variable: Variable, text: str) -> str | None:
    low = text.lower()
    level = find_code(_LEVELS.get(low, low), variable.values)
    if level is not None:
        return level
    number = number_of(re.sub(r"^[cp]?[tnm]", "", low))
    numbered = [v for v in variable.values if re.fullmatch(r"[TNM]\d", v) and int(v[1]) == number]
    return numbered[0] if numbered else None


def _toml(mapping: ColumnMapping) -> str:
    given = {n: getattr(mapping, n) for n in mapping.model_fields_set if n != "column"}
    if not given:
        return _q(mapping.column)
    parts = [f"column = {_q(mapping.column)}"]
    parts += [
        f"{name} = {_value(given[name])}" for name in ColumnMapping.model_fields if name in given
    ]
    return "{ " + ", ".join(parts) + " }"


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_q(str(k))} = {_value(v)}" for k, v in value.items()) + " }"
    if isinstance(value, tuple):
        return "[" + ", ".join(map(_value, value)) + "]"
    return _q(str(value))


def _q(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
