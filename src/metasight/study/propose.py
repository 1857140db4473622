"""What columns of a table probably are: proposals for `metasight init`, for a person to correct.

A column is proposed for a variable by its name, and only if its cells can be read as such. Where
that takes a unit, codes, a date format or missing codes that the table does not state, the
proposal is not sure: it is written as a comment with a question mark.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from metasight.cohort.codes import number_of
from metasight.cohort.delimited import text_rows
from metasight.cohort.mapping import ColumnMapping
from metasight.cohort.parsing import parse_cell
from metasight.protocol.study import Protocol, Variable
from metasight.study.code_meaning import is_ambiguous, looks_missing, meaning_of_codes
from metasight.study.column_names import column_name, plain_name, plain_spelling, words_of
from metasight.units import units_like

DATE_FORMATS = (
    *("%Y-%m-%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%Y/%m/%d", "%Y%m%d"),
    *("%m-%d-%Y", "%d%b%Y", "%d-%b-%Y", "%d %b %Y", "%d.%m.%y", "%d/%m/%y", "%m/%d/%y"),
    *("%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S", "%d.%m.%Y %H:%M", "%d.%m.%Y %H:%M:%S"),
)
_SENTINEL = re.compile(r"-?(9{1,5}|8{1,5}|7{1,5})|9[05-8]|98[0-9]|99[0-8]|99\.9|-[1-9]")
_REPEATED_SENTINEL = re.compile(r"9{3,5}|8{4,5}")
_BIRTH = {
    *("birthdate", "dateofbirth", "dob", "birthday", "geburtsdatum", "gebdatum", "datebirth"),
    *("patientbirthdate", "geburtstag"),
}
_OTHER_AGES = (
    *("menarche", "menopaus", "birth", "geburt", "death", "died", "tod", "recurrence", "relapse"),
    *("last", "letzt", "rezidiv", "metasta", "smok", "rauch", "quit", "start", "firstchild"),
)
_LONGEST_YEARS, _LONGEST_MONTHS = 40.0, 480.0


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


@dataclass(frozen=True, kw_only=True)
class Reading:
    """One way to read a column.

    Attributes
    ----------
    mapping
        As ``[columns]`` would have it.
    sure
        Whether nothing was taken from the cells.
    why
        What was taken from them.
    """

    mapping: ColumnMapping
    sure: bool
    why: str = ""


def propose(
    protocol: Protocol,
    cells: pd.DataFrame,
    id_column: str,
    labels: Mapping[str, str] | None = None,
) -> dict[str, Proposal]:
    """Variable → the column that fits it best; variables without one are not in it.

    Parameters
    ----------
    protocol
        Whose dictionary names variables and their spellings.
    cells
        Of the patient table, as text.
    id_column
        Never proposed.
    labels
        Column → what a data dictionary calls it; it is compared as well.
    """
    columns = [str(c) for c in cells.columns if c != id_column]
    ranked = sorted(
        (rank, name, place)
        for name, variable in protocol.variables.items()
        for place, column in enumerate(columns)
        if (rank := _rank(variable, column, (labels or {}).get(column, ""))) is not None
    )
    named = Counter(name for rank, name, _ in ranked if rank == 0)
    formats = _formats_in(cells)
    found: dict[str, Proposal] = {}
    taken: set[int] = set()
    for rank, name, place in ranked:
        if name in found or place in taken:
            continue
        column = columns[place]
        variable = protocol.variables[name]
        texts = [str(t) for t in cells[column] if t]
        reading = _fit(variable, column, texts, formats, named=rank == 0)
        if reading is not None:
            found[name] = Proposal(
                column=column,
                mapping=toml_of(reading.mapping),
                sure=reading.sure and rank == 0 and named[name] == 1,
                why=reading.why,
            )
            taken.add(place)
    untaken = [c for i, c in enumerate(columns) if i not in taken]
    found |= _in_bands(protocol, cells[untaken], found)
    if "age_years" in protocol.variables and "age_years" not in found:
        found |= _age_from_birth(protocol, cells, found)
    return found


def _in_bands(
    protocol: Protocol, cells: pd.DataFrame, found: Mapping[str, Proposal]
) -> dict[str, Proposal]:
    """Categories that are bands of a number (T stage of the size), where a column holds bands."""
    numbers = [v for v in protocol.variable if v.unit and v.role == "predictor"]
    out: dict[str, Proposal] = {}
    for variable in protocol.variable:
        bands = [s for level in variable.level_spellings.values() for s in level if s[:1] in "<>"]
        if variable.name in found or not bands:
            continue
        for place, column in enumerate(map(str, cells.columns)):
            texts = sorted({str(t) for t in cells.iloc[:, place] if t and not looks_missing(t)})
            named = any(v.name not in found and _rank(v, column, "") for v in numbers)
            if not named or not any(t[:1] in "<>≤≥" for t in texts):
                continue
            for reading in _coded(variable, ColumnMapping(column=column), texts):
                told = toml_of(reading.mapping)
                out[variable.name] = Proposal(
                    column=column, mapping=told, sure=False, why="meaning of the bands"
                )
    return out


def _age_from_birth(
    protocol: Protocol, cells: pd.DataFrame, found: Mapping[str, Proposal]
) -> dict[str, Proposal]:
    """Age as the years from a date of birth to time zero, where both are dates of one form."""
    zero = found.get(protocol.time_zero_date)
    births = [c for c in map(str, cells.columns) if plain_name(c) in _BIRTH]
    if zero is None or len(births) != 1:
        return {}
    mapping = read_column(zero)
    day = protocol.variables[protocol.time_zero_date]
    texts = sorted({str(t) for t in cells[births[0]] if t and not looks_missing(str(t))})
    plain = ColumnMapping(column=births[0])
    if not texts or not _is_date(day, plain, mapping.date_format or "%Y-%m-%d", texts):
        return {}
    told = f"years_between = [{_q(births[0])}, {_q(zero.column)}]"
    missing = {str(t) for t in cells[births[0]] if t} - {*texts} | {*mapping.missing}
    if mapping.date_format:
        told += f", date_format = {_q(mapping.date_format)}"
    if missing - {"NA"}:
        told += f", missing = {_value(tuple(sorted(missing - {'NA'})))}"
    why = "age from the date of birth"
    return {"age_years": Proposal(column=births[0], mapping=f"{{ {told} }}", sure=False, why=why)}


def decimal_sign(cells: pd.DataFrame) -> Literal[".", ","]:
    """The decimal sign of a table's numbers; a comma only where it cannot group thousands."""
    texts = [str(t) for column in cells for t in cells[column]]
    commas = any(re.fullmatch(r"[+-]?\d+,(\d{1,2}|\d{4,})", t) for t in texts)
    points = any(re.fullmatch(r"[+-]?\d+\.\d+", t) for t in texts)
    return "," if commas and not points else "."


def id_columns(cells: pd.DataFrame) -> list[str]:
    """Columns that may be the patient's id: another text in each row, none of it a measurement."""
    named = re.compile(r"(^|[^a-z])(id|ids|pid|mrn|nr|no|case|code|key|patient)([^a-z]|$)|id$")
    found = [
        column
        for column in map(str, cells.columns)
        if cells[column].ne("").all()
        and cells[column].is_unique
        and not cells[column].str.fullmatch(r"[+-]?\d*[.,]\d+([eE][+-]?\d+)?").any()
    ]
    return sorted(found, key=lambda c: named.search(c.lower()) is None)


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


def _rank(variable: Variable, column: str, label: str) -> int | None:
    """0: the variable's name; then as `ColumnName.rank`, its label behind; None: another."""
    if plain_name(column) == plain_name(variable.name):
        return 0
    bare = re.sub(r"_(mm|years|days|percent)$", "", variable.name)
    own = (variable.name, bare, variable.label, *variable.spellings)
    known = {plain_spelling(n) for n in own} - {""}
    words = {words_of(n) for n in own if not n.endswith("*")} - {frozenset()}
    ranks = [None if _of_another_time(variable, column) else column_name(column).rank(known, words)]
    if label and not _of_another_time(variable, label):
        by_label = column_name(label).rank(known, words)
        ranks.append(None if by_label is None else by_label + 1)
    return min((r for r in ranks if r is not None), default=None)


def _of_another_time(variable: Variable, name: str) -> bool:
    """Whether a name tells an age at something that is no time zero."""
    plain = plain_name(name)
    an_age = variable.name == "age_years" and ("age" in plain or "alter" in plain)
    return an_age and any(w in plain for w in _OTHER_AGES)


def _fit(
    variable: Variable,
    column: str,
    texts: Sequence[str],
    formats: Mapping[str, int],
    *,
    named: bool,
) -> Reading | None:
    """How a column can be read as the variable, or None."""
    counts = Counter(texts)
    missing = {t for t in counts if looks_missing(t)}
    if variable.type in {"number", "integer"}:
        missing |= _largest_sentinel(counts)
    said = sorted(set(counts) - missing)
    if not said or _only_says_whether(variable, said):
        return None
    for reading in _readings(variable, column, said, formats, named=named):
        without = _without_value(variable, reading.mapping, said)
        rest = [t for t in texts if t not in missing and t not in without]
        if 2 * len(rest) < sum(counts[t] for t in said):
            continue
        values = [parse_cell(t, variable, reading.mapping, _sign(t)) for t in rest]
        if any(problem for _, problem in values) or not _plausible(variable, values):
            continue
        codes = {*missing, *without, *reading.mapping.missing} - {"NA"}
        if not codes:
            return reading
        told = f"{reading.why}; missing codes" if reading.why else "missing codes"
        mapping = reading.mapping.model_copy(update={"missing": tuple(sorted(codes))})
        return Reading(mapping=mapping, sure=False, why=told)
    return None


def _largest_sentinel(counts: Mapping[str, int]) -> set[str]:
    """999 and its like where several cells hold it and no other is as large."""
    numbers = {t: n for t in counts if (n := number_of(t)) is not None}
    largest = max(numbers.values(), default=0.0)
    return {
        t
        for t, n in numbers.items()
        if n == largest and counts[t] > 1 and _REPEATED_SENTINEL.fullmatch(t)
    }


def _only_says_whether(variable: Variable, texts: Sequence[str]) -> bool:
    """Whether cells are 0 and 1 alone, which is no count and no time: nodes yes or no."""
    counts = variable.type in {"number", "integer"} and (variable.maximum or 0) > 1
    return counts and {number_of(t) for t in texts} == {0.0, 1.0}


def _sign(text: str) -> str:
    return "." if "." in text else ","


def _without_value(
    variable: Variable, mapping: ColumnMapping, texts: Sequence[str]
) -> frozenset[str]:
    """Codes that are no value: declared so, or numbers out of range as registries write them."""
    found = set(mapping.missing)
    if variable.type in {"number", "integer"} and mapping.values is None:
        found |= {
            t
            for t in texts
            if (_SENTINEL.fullmatch(t) or number_of(t) == 0)
            and parse_cell(t, variable, mapping, _sign(t))[1]
        }
    return frozenset(found)


def _plausible(variable: Variable, values: Sequence[tuple[object, str]]) -> bool:
    numbers = [float(v) for v, _ in values if isinstance(v, int | float)]
    if variable.plausible_median is None:
        return True
    low, high = variable.plausible_median
    return bool(numbers) and low <= float(np.median(numbers)) <= high


def _readings(
    variable: Variable,
    column: str,
    texts: Sequence[str],
    formats: Mapping[str, int],
    *,
    named: bool,
) -> Iterator[Reading]:
    """Ways to read a column, the plainest first."""
    plain = ColumnMapping(column=column)
    match variable.type:
        case "number" | "integer":
            yield from _numbers(variable, plain, texts, named=named)
            yield from _coded(variable, plain, texts)
        case "date":
            yield from _dates(variable, plain, texts, formats)
        case "text":
            yield Reading(mapping=plain, sure=len(texts) <= 200)
        case _:
            if named or not is_ambiguous(variable, texts):
                yield Reading(mapping=plain, sure=True)
            yield from _coded(variable, plain, texts)


def _numbers(
    variable: Variable, plain: ColumnMapping, texts: Sequence[str], *, named: bool
) -> Iterator[Reading]:
    """In the unit that the name states, else as the values have it."""
    stated = column_name(plain.column).unit
    units = units_like(variable.unit)
    if variable.unit == "days" and not named:
        unit, why = (stated, "") if stated else unit_of_times(texts)
        if unit == "days":
            yield Reading(mapping=plain, sure=True)
        elif unit in units:
            told = why or f"unit {unit}"
            yield Reading(mapping=plain.model_copy(update={"unit": unit}), sure=False, why=told)
        return
    yield Reading(mapping=plain, sure=True)
    for unit in sorted(units, key=lambda u: u != stated):
        told = f"unit {unit}"
        mapping = plain.model_copy(update={"unit": unit})
        yield Reading(mapping=mapping, sure=False, why=told)
        turned = mapping.model_copy(update={"negate": True})
        yield Reading(mapping=turned, sure=False, why=f"{told}, sign turned")


def unit_of_times(texts: Sequence[str]) -> tuple[str, str]:
    """Unit of follow-up times by the longest of them, and why; no cohort is followed 40 years."""
    numbers = [n for t in texts if (n := number_of(t)) is not None and not _SENTINEL.fullmatch(t)]
    longest = max(numbers, default=0.0)
    if longest > _LONGEST_MONTHS:
        return "days", ""
    if longest > _LONGEST_YEARS:
        return "months", f"unit months, since the longest time is {longest:g}"
    return "years", f"unit years, since the longest time is {longest:g}; it may be months"


def _coded(variable: Variable, plain: ColumnMapping, texts: Sequence[str]) -> Iterator[Reading]:
    """By what its codes usually mean."""
    if variable.type in {"number", "integer"} and not variable.level_spellings:
        return
    found = meaning_of_codes(variable, texts)
    if found is not None:
        values, unknown = found
        mapping = plain.model_copy(update={"values": values})
        if unknown:
            mapping = mapping.model_copy(update={"missing": unknown})
        yield Reading(mapping=mapping, sure=False, why="meaning of the codes")


def _dates(
    variable: Variable, plain: ColumnMapping, texts: Sequence[str], formats: Mapping[str, int]
) -> Iterator[Reading]:
    fitting = [p for p in DATE_FORMATS if _is_date(variable, plain, p, texts)]
    if "%Y-%m-%d" in fitting:
        yield Reading(mapping=plain, sure=True)
    elif fitting:
        # where several fit, the table's other dates may say which it is
        best = max(fitting, key=lambda p: formats.get(p, 0))
        tied = [p for p in fitting if formats.get(p, 0) == formats.get(best, 0)]
        several = f"; {' or '.join(tied)} fit" if len(tied) > 1 else ""
        mapping = plain.model_copy(update={"date_format": best})
        yield Reading(mapping=mapping, sure=False, why="date format" + several)


def _is_date(variable: Variable, plain: ColumnMapping, pattern: str, texts: Sequence[str]) -> bool:
    mapping = plain.model_copy(update={"date_format": pattern})
    return not any(parse_cell(t, variable, mapping, ".")[1] for t in texts)


def _formats_in(cells: pd.DataFrame) -> Counter[str]:
    """Date format → number of columns that it fits."""
    day = Variable(name="day", label="Day", type="date", role="design")
    found: Counter[str] = Counter()
    for place in range(cells.shape[1]):
        texts = sorted({str(t) for t in cells.iloc[:, place] if t and not looks_missing(str(t))})
        if texts and all(re.search(r"\d\D\w+\D\d|\d{8}|\d[A-Za-z]{3}\d", t) for t in texts[:5]):
            plain = ColumnMapping(column="day")
            found.update(p for p in DATE_FORMATS if _is_date(day, plain, p, texts))
    return found


def read_column(proposal: Proposal) -> ColumnMapping:
    """A proposal's mapping as the study file would have it."""
    given = tomllib.loads(f"x = {proposal.mapping}")["x"]
    return ColumnMapping(column=given) if isinstance(given, str) else ColumnMapping(**given)


def toml_of(mapping: ColumnMapping) -> str:
    """A mapping as TOML."""
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
    if isinstance(value, int):
        return str(value)
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_q(str(k))} = {_value(v)}" for k, v in value.items()) + " }"
    if isinstance(value, tuple):
        return "[" + ", ".join(map(_value, value)) + "]"
    return _q(str(value))


def _q(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
