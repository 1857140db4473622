"""From a user's cells to canonical values: names, types, units, codes, dates, derived times.

Every problem in the tables is collected and reported at once. What leaves this module is keyed
by pseudonym and holds no identifier and no date: dates become days from time zero, except
within :class:`Canonical.rows`, which criteria read and nothing stores.
"""

from __future__ import annotations

import datetime as dt
import difflib
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from metasight.cohort.settings import CohortSettings, ColumnMapping
from metasight.cohort.tables import RawTable
from metasight.errors import Problem
from metasight.protocol.criteria import Value, Verdict
from metasight.protocol.study import Protocol, Variable
from metasight.units import conversion_factor, units_like

TRUE, FALSE = {"yes", "y", "true", "1"}, {"no", "n", "false", "0"}
PatientRow = dict[str, Value | None]


@dataclass(frozen=True)
class Canonical:
    """Canonical values of every patient whose row could be read, and every problem.

    Attributes
    ----------
    rows
        Pseudonym → values by canonical name; missing is None. Sorted by pseudonym.
    source_row
        Pseudonym → row number in the user's table.
    problems
        Everything found, in table order.
    bad_rows
        Row numbers with a problem of their own.
    table_wide
        Whether some problem concerns a whole table or column: the study cannot go on.
    windows_checked
        Predictors whose measurement date was checked against their window.
    """

    rows: dict[str, PatientRow]
    source_row: dict[str, int]
    problems: tuple[Problem, ...]
    bad_rows: frozenset[int]
    table_wide: bool
    windows_checked: tuple[str, ...]


def pseudonym(patient_id: str, salt: str) -> str:
    """``P`` and 10 hex digits of a salted sha256: stable when patients are added."""
    return "P" + hashlib.sha256(f"{salt}\x1f{patient_id}".encode()).hexdigest()[:10]


def canonicalise(raw: RawTable, settings: CohortSettings, protocol: Protocol) -> Canonical:
    """Read every mapped variable of every row, derive times, and check it all.

    Parameters
    ----------
    raw
        The patient table.
    settings
        Mapping, constants, salt.
    protocol
        Its data dictionary says what is accepted.
    """
    reader = _Reader(raw, settings, protocol)
    return reader.read()


class _Reader:
    def __init__(self, raw: RawTable, settings: CohortSettings, protocol: Protocol) -> None:
        self.raw, self.settings, self.protocol = raw, settings, protocol
        self.problems: list[Problem] = []
        self.table_wide = False

    def read(self) -> Canonical:
        rows: dict[int, PatientRow] = {int(str(n)): {} for n in self.raw.cells.index}
        for name, variable in self.protocol.variables.items():
            constant = self.settings.constants.get(name)
            mapping = self.settings.mapping(name)
            if constant is not None:
                value = self._constant(variable, constant.value)
                for row in rows.values():
                    row[name] = value
            elif mapping is not None:
                self._column(variable, mapping, rows)
        self._check_mapping_names()
        for number, row in rows.items():
            self._derive(number, row)
        checked = self._check_windows(rows)
        self._check_rules(rows)
        self._check_centres(rows)
        return self._by_pseudonym(rows, checked)

    # ------------------------------------------------------------------ columns

    def _problem(
        self, row: int | None, column: str, value: str, problem: str, accepted: str
    ) -> None:
        self.table_wide |= row is None
        self.problems.append(
            Problem(table=self.raw.name, row=row, column=column, value=value,
                    problem=problem, accepted=accepted)
        )  # fmt: skip

    def _check_mapping_names(self) -> None:
        known = list(self.protocol.variables)
        for where in ("columns", "constants", "not_recorded"):
            for name in getattr(self.settings, where):
                if name not in known:
                    close = difflib.get_close_matches(name, known, n=3) or ["see `metasight init`"]
                    self._problem(None, "", name, f"study.toml [{where}] names no variable of the "
                                  "protocol", ", ".join(close))  # fmt: skip

    def _constant(self, variable: Variable, value: object) -> Value | None:
        text = ("yes" if value else "no") if isinstance(value, bool) else str(value)
        parsed, problem = parse_cell(text, variable, ColumnMapping(column=variable.name), ".")
        if problem:
            self._problem(None, f"[constants] {variable.name}", text, problem, variable.accepted)
        return parsed

    def _column(
        self, variable: Variable, mapping: ColumnMapping, rows: dict[int, PatientRow]
    ) -> None:
        if mapping.column not in self.raw.cells:
            close = difflib.get_close_matches(mapping.column, map(str, self.raw.cells.columns), n=3)
            hint = f"perhaps {' or '.join(repr(c) for c in close)}; " if close else ""
            accepted = hint + "a column of this name, or another mapping"
            self._problem(None, mapping.column, "", f"missing column (for {variable.name})",
                          accepted)  # fmt: skip
            return
        if mapping.unit and conversion_factor(mapping.unit, variable.unit) is None:
            accepted = " or ".join((variable.unit or "none", *units_like(variable.unit)))
            self._problem(None, mapping.column, mapping.unit, "unknown unit", accepted)
            return
        missing = {"", *self.settings.patients.missing, *mapping.missing}
        for number, text in self.raw.cells[mapping.column].items():
            value: Value | None = None
            if text not in missing:
                value, problem = parse_cell(text, variable, mapping, self.settings.patients.decimal)
                if problem:
                    self._problem(int(str(number)), mapping.column, text, problem, _accepted(
                        variable, mapping))  # fmt: skip
            rows[int(str(number))][variable.name] = value
        self._check_unit(variable, mapping, [r.get(variable.name) for r in rows.values()])

    def _check_unit(
        self, variable: Variable, mapping: ColumnMapping, values: list[Value | None]
    ) -> None:
        numbers = [float(v) for v in values if isinstance(v, int | float)]
        if variable.plausible_median is None or not numbers:
            return
        low, high = variable.plausible_median
        median = float(np.median(numbers))
        if low <= median <= high:
            return
        given = mapping.unit or variable.unit
        fits = [
            u
            for u in (variable.unit, *units_like(variable.unit))
            if (f := conversion_factor(u, variable.unit)) is not None
            and (g := conversion_factor(given, variable.unit)) is not None
            and low <= median / g * f <= high
        ]
        hint = f'; the values look like {fits[0]}: set unit = "{fits[0]}"' if fits else ""
        self._problem(None, mapping.column, f"median {median:g} {variable.unit}", "wrong unit",
                      f"{variable.name} in {variable.unit}, median {low:g} to {high:g}"
                      + hint)  # fmt: skip

    # ------------------------------------------------------------------ rows

    def _derive(self, number: int, row: PatientRow) -> None:
        """Days from dates, follow-up of the dead; each only where the table does not give it."""
        zero = row.get(self.protocol.time_zero_date)
        for name in self.protocol.variables:
            if not name.endswith("_date") or name == self.protocol.time_zero_date:
                continue
            days_name = name.removesuffix("_date") + "_days"
            date = row.get(name)
            if days_name not in self.protocol.variables or self.settings.mapping(days_name):
                continue
            if isinstance(zero, dt.date) and isinstance(date, dt.date):
                days = (date - zero).days
                if days < 0:
                    self._problem(number, self._source(name), f"{days} days",
                                  "dates out of order: before time zero",
                                  f"on or after the {self.protocol.time_zero}")  # fmt: skip
                row[days_name] = float(days)
        if row.get("followup_days") is None and row.get("death") is True:
            row["followup_days"] = row.get("death_days")

    def _source(self, name: str) -> str:
        mapping = self.settings.mapping(name)
        return mapping.column if mapping else name

    def _check_windows(self, rows: dict[int, PatientRow]) -> tuple[str, ...]:
        checked = []
        zero_name = self.protocol.time_zero_date
        for name, variable in self.protocol.variables.items():
            on = variable.measured_on
            if not on or not variable.window or not self.settings.mapping(on):
                continue
            if not self.settings.mapping(name) or not self.settings.mapping(zero_name):
                continue
            checked.append(name)
            window = variable.window
            for number, row in rows.items():
                zero, date = row.get(zero_name), row.get(on)
                if row.get(name) is None or not isinstance(zero, dt.date):
                    continue
                if not isinstance(date, dt.date):
                    continue
                days = (date - zero).days
                if not window.from_days <= days <= window.to_days:
                    self._problem(number, self._source(name), f"day {days}",
                                  "measured outside its window",
                                  f"day {window.from_days} to {window.to_days} from the "
                                  f"{self.protocol.time_zero}")  # fmt: skip
        return tuple(checked)

    def _check_rules(self, rows: dict[int, PatientRow]) -> None:
        for rule in self.protocol.rule:
            if rule.column in self.settings.not_recorded:
                continue
            for number, row in rows.items():
                if Verdict.of(rule.holds.evaluate(row)) is Verdict.NOT_MET:
                    self._problem(number, self._source(rule.column), shown(row.get(rule.column)),
                                  f"rule {rule.id} broken", rule.text)  # fmt: skip

    def _check_centres(self, rows: dict[int, PatientRow]) -> None:
        if not self.settings.centres or not self.settings.mapping("centre"):
            return
        for number, row in rows.items():
            centre = row.get("centre")
            if centre not in self.settings.centres:
                self._problem(number, self._source("centre"), shown(centre), "unknown centre",
                              "one of " + ", ".join(self.settings.centres))  # fmt: skip

    def _by_pseudonym(self, rows: dict[int, PatientRow], checked: tuple[str, ...]) -> Canonical:
        id_column = self.settings.patients.id
        by_name: dict[str, PatientRow] = {}
        source: dict[str, int] = {}
        if id_column not in self.raw.cells:
            close = difflib.get_close_matches(id_column, map(str, self.raw.cells.columns), n=3)
            self._problem(None, id_column, "", "missing column (the patient id)",
                          ", ".join(close) or "the id column's name in [patients]")  # fmt: skip
        else:
            for number, row in rows.items():
                text = str(self.raw.cells.at[number, id_column])
                if not text:
                    self._problem(number, id_column, "", "no patient id", "an id in every row")
                    continue
                name = pseudonym(text, self.settings.salt)
                if name in source:
                    self._problem(number, id_column, "", f"duplicate patient, first in row "
                                  f"{source[name]}", "one row a patient")  # fmt: skip
                    continue
                by_name[name], source[name] = row, number
        bad = frozenset(p.row for p in self.problems if p.row is not None)
        order = sorted(by_name)
        return Canonical(
            rows={p: by_name[p] for p in order},
            source_row={p: source[p] for p in order},
            problems=tuple(sorted(self.problems, key=lambda p: (p.row or 0, p.column))),
            bad_rows=bad,
            table_wide=self.table_wide,
            windows_checked=checked,
        )


def shown(value: Value | None) -> str:
    """A value for a message; a date shows its month only."""
    if value is None:
        return ""
    return f"{value:%Y-%m}" if isinstance(value, dt.date) else str(value)


def _accepted(variable: Variable, mapping: ColumnMapping) -> str:
    if mapping.values:
        return "one of the codes " + ", ".join(mapping.values)
    if mapping.unit and mapping.unit != variable.unit:
        return f"{variable.accepted}, given in {mapping.unit}"
    return variable.accepted


def parse_cell(
    text: str, variable: Variable, mapping: ColumnMapping, decimal: str
) -> tuple[Value | None, str]:
    """One cell's canonical value, or what is wrong with it.

    Returns
    -------
    The value and "" on success, None and the problem otherwise.
    """
    if mapping.values is not None:
        if text not in mapping.values:
            return None, "a code without a meaning in study.toml"
        code = mapping.values[text]
        text = ("yes" if code else "no") if isinstance(code, bool) else str(code)
    return _PARSERS[variable.type](text, variable, mapping, decimal)


def _boolean(
    text: str, variable: Variable, mapping: ColumnMapping, decimal: str
) -> tuple[Value | None, str]:
    del variable, mapping, decimal
    low = text.lower()
    if low in TRUE | FALSE:
        return low in TRUE, ""
    return None, "not yes or no"


def _category(
    text: str, variable: Variable, mapping: ColumnMapping, decimal: str
) -> tuple[Value | None, str]:
    del mapping, decimal
    return (text, "") if text in variable.values else (None, "not an allowed value")


def _text(
    text: str, variable: Variable, mapping: ColumnMapping, decimal: str
) -> tuple[Value | None, str]:
    del variable, mapping, decimal
    return text, ""


def _date(
    text: str, variable: Variable, mapping: ColumnMapping, decimal: str
) -> tuple[Value | None, str]:
    del variable, decimal
    pattern = mapping.date_format or "%Y-%m-%d"
    try:
        return dt.datetime.strptime(text, pattern).date(), ""
    except ValueError:
        if re.fullmatch(r"\d{5}", text):
            return None, "an Excel serial number instead of a date"
        return None, f"not a date of the form {pattern}"


def _number(
    text: str, variable: Variable, mapping: ColumnMapping, decimal: str
) -> tuple[Value | None, str]:
    plain = text.replace(",", ".") if decimal == "," else text
    if not re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", plain):
        if decimal == "." and re.fullmatch(r"[+-]?\d+,\d+", text):
            return None, 'a decimal comma (set decimal = "," in study.toml)'
        if re.search(r"[A-Za-z]{3}", text) or re.fullmatch(r"\d+[./-]\d+([./-]\d+)?", text):
            return None, "not a number (a spreadsheet may have turned it into a date)"
        return None, "not a number"
    factor = conversion_factor(mapping.unit or variable.unit, variable.unit) or 1.0
    value = float(plain) * factor
    if not np.isfinite(value):
        return None, "not a finite number"
    if variable.minimum is not None and value < variable.minimum:
        if value < 0 and variable.name == "followup_days":
            return None, "negative follow-up"
        return None, "below the accepted range"
    if variable.maximum is not None and value > variable.maximum:
        return None, "above the accepted range"
    if variable.type == "integer":
        return (int(value), "") if value.is_integer() else (None, "not a whole number")
    return value, ""


_PARSERS: dict[str, Callable[[str, Variable, ColumnMapping, str], tuple[Value | None, str]]] = {
    "number": _number,
    "integer": _number,
    "boolean": _boolean,
    "category": _category,
    "date": _date,
    "text": _text,
}


def to_frame(rows: dict[str, PatientRow], protocol: Protocol) -> pd.DataFrame:
    """Values that may be stored: no dates, except the year of time zero.

    Returns
    -------
    Index: pseudonym. One column a variable that any patient has, plus ``year`` when time zero
    is dated. Numbers are floats, booleans 0.0/1.0, categories and text strings.
    """
    columns: dict[str, list[Any]] = {}
    for name, variable in protocol.variables.items():
        values: list[Any] = [row.get(name) for row in rows.values()]
        if variable.type == "date" or all(v is None for v in values):
            continue
        if variable.type in {"category", "text"}:
            columns[name] = values
        else:
            columns[name] = [float("nan") if v is None else float(v) for v in values]
    frame = pd.DataFrame(columns, index=pd.Index(list(rows), name="patient"))
    zero = [row.get(protocol.time_zero_date) for row in rows.values()]
    if any(isinstance(z, dt.date) for z in zero):
        frame["year"] = [float(z.year) if isinstance(z, dt.date) else float("nan") for z in zero]
    return frame
