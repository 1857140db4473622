"""From a user's cells to canonical values: names, types, units, codes, dates, derived times.

Every problem in the tables is collected and reported at once. What leaves this module is keyed
by pseudonym and holds no identifier and no date: dates become days from time zero, except
within :class:`Canonical.rows`, which criteria read and nothing stores.
"""

from __future__ import annotations

import datetime as dt
import difflib
import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from metasight.cohort.settings import CohortSettings, ColumnMapping, TableSettings
from metasight.cohort.showing import looks_like_date, visible
from metasight.cohort.tables import RawTable
from metasight.errors import Problem
from metasight.protocol.criteria import Value, Verdict
from metasight.protocol.study import Protocol, Variable
from metasight.units import conversion_factor, units_like

TRUE, FALSE = {"yes", "y", "true", "1", "1.0"}, {"no", "n", "false", "0", "0.0"}
"""R and pandas write a logical column with missing values as 1.0 and 0.0."""
_PLAIN_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
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
    lengthened
        Row number → days of follow-up as found (None: not given) and as used, where a known
        death is later than the last visit.
    """

    rows: dict[str, PatientRow]
    source_row: dict[str, int]
    problems: tuple[Problem, ...]
    bad_rows: frozenset[int]
    table_wide: bool
    windows_checked: tuple[str, ...]
    lengthened: dict[int, tuple[float | None, float]]


def pseudonym(patient_id: str, key: str) -> str:
    """``P`` and 16 hex digits of HMAC-SHA256: stable when patients are added.

    Folds are drawn in the order of pseudonyms. Without the key an id cannot be linked to its
    pseudonym, nor can the order be foreseen.
    """
    return "P" + hmac.new(key.encode(), patient_id.encode(), "sha256").hexdigest()[:16]


def canonicalise(
    raw: RawTable, settings: CohortSettings, protocol: Protocol, *, new_patients: bool = False
) -> Canonical:
    """Read every mapped variable of every row, derive times, and check it all.

    Parameters
    ----------
    raw
        The patient table.
    settings
        Mapping, constants, key of the pseudonyms.
    protocol
        Its data dictionary says what is accepted.
    new_patients
        Whether these are single patients to predict, whose median says nothing of a unit.
    """
    reader = _Reader(raw, settings, protocol)
    reader.medians_tell = not new_patients
    return reader.read()


class _Reader:
    def __init__(self, raw: RawTable, settings: CohortSettings, protocol: Protocol) -> None:
        self.raw, self.settings, self.protocol = raw, settings, protocol
        self.problems: list[Problem] = []
        self.table_wide = False
        self.ids = patient_ids(raw, settings.patients)
        # What a problem was found in already, so that no rule calls it broken once more.
        self.bad_cells: set[tuple[int, str]] = set()
        self.bad_columns: set[str] = set()
        self.lengthened: dict[int, tuple[float | None, float]] = {}
        self.medians_tell = True

    def read(self) -> Canonical:
        rows: dict[int, PatientRow] = {int(str(n)): {} for n in self.raw.cells.index}
        self._check_given_once()
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
            Problem(
                table=self.raw.name,
                row=row,
                column=column,
                value=value,
                problem=problem,
                accepted=accepted,
            )
        )

    def _cell_problem(
        self, row: int, variable: str, value: str, problem: str, accepted: str
    ) -> None:
        """A problem of one cell; shows no id and no day of the calendar."""
        self.bad_cells.add((row, variable))
        known = self.protocol.variables[variable]
        shown = visible(value, self.ids, date=known.type == "date")
        self._problem(row, self._source(variable), shown, problem, accepted)

    def _column_problem(
        self, variable: str, column: str, value: str, problem: str, accepted: str
    ) -> None:
        """A problem of a whole column."""
        self.bad_columns.add(variable)
        self._problem(None, column, visible(value, self.ids), problem, accepted)

    def _check_given_once(self) -> None:
        """One place a variable: which of two would count is nobody's to guess."""
        places = ("columns", "constants", "not_recorded")
        for name in self.protocol.variables:
            given = [f"[{p}]" for p in places if name in getattr(self.settings, p)]
            if len(given) > 1:
                self._column_problem(
                    name,
                    name,
                    "",
                    "given in " + " and in ".join(given) + " of study.toml",
                    "one of them",
                )

    def _check_mapping_names(self) -> None:
        known = list(self.protocol.variables)
        for where in ("columns", "constants", "not_recorded"):
            for name in getattr(self.settings, where):
                if name not in known:
                    close = difflib.get_close_matches(name, known, n=3) or ["see `metasight init`"]
                    self._problem(
                        None,
                        "",
                        name,
                        f"study.toml [{where}] names no variable of the protocol",
                        ", ".join(close),
                    )

    def _constant(self, variable: Variable, value: object) -> Value | None:
        text = ("yes" if value else "no") if isinstance(value, bool) else str(value)
        parsed, problem = parse_cell(text, variable, ColumnMapping(column=variable.name), ".")
        if problem:
            self._column_problem(
                variable.name, f"[constants] {variable.name}", text, problem, variable.accepted
            )
        return parsed

    def _column(
        self, variable: Variable, mapping: ColumnMapping, rows: dict[int, PatientRow]
    ) -> None:
        if not self._can_be_read(variable, mapping):
            return
        missing = {"", *self.settings.patients.missing, *mapping.missing}
        for number, text in self.raw.cells[mapping.column].items():
            value: Value | None = None
            row = int(str(number))
            if text not in missing:
                value, problem = parse_cell(text, variable, mapping, self.settings.patients.decimal)
                if problem:
                    self._cell_problem(
                        row, variable.name, text, problem, _accepted(variable, mapping)
                    )
            rows[row][variable.name] = value
        self._check_unit(variable, mapping, [r.get(variable.name) for r in rows.values()])

    def _can_be_read(self, variable: Variable, mapping: ColumnMapping) -> bool:
        """Whether the mapping makes sense; what does not is a problem of the whole column."""

        def problem(value: str, what: str, accepted: str) -> bool:
            self._column_problem(variable.name, mapping.column, value, what, accepted)
            return False

        if mapping.column == self.settings.patients.id:
            return problem(
                "",
                f"the column of the patient id is mapped to {variable.name}",
                "another column; ids are never read as values",
            )
        if mapping.column not in self.raw.cells:
            close = difflib.get_close_matches(mapping.column, map(str, self.raw.cells.columns), n=3)
            hint = f"perhaps {' or '.join(repr(c) for c in close)}; " if close else ""
            return problem(
                "",
                f"missing column (for {variable.name})",
                hint + "a column of this name, or another mapping",
            )
        if mapping.unit and conversion_factor(mapping.unit, variable.unit) is None:
            known = (variable.unit or "none", *units_like(variable.unit))
            return problem(mapping.unit, "unknown unit", " or ".join(known))
        wrong = [
            (code, target)
            for code, target in (mapping.values or {}).items()
            if parse_cell(code, variable, mapping, ".")[1]
        ]
        for code, target in wrong:
            problem(
                str(target),
                f"study.toml gives the code {code!r} a meaning that {variable.name} cannot have",
                variable.accepted,
            )
        return not wrong

    def _check_unit(
        self, variable: Variable, mapping: ColumnMapping, values: list[Value | None]
    ) -> None:
        numbers = [float(v) for v in values if isinstance(v, int | float)]
        if variable.plausible_median is None or not numbers or not self.medians_tell:
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
        self._column_problem(
            variable.name,
            mapping.column,
            f"median {median:g} {variable.unit}",
            "wrong unit",
            f"{variable.name} in {variable.unit}, median {low:g} to {high:g}" + hint,
        )

    # ------------------------------------------------------------------ rows

    def _derive(self, number: int, row: PatientRow) -> None:
        """Days from dates, follow-up of the dead; each only where the table does not give it.

        The status of a patient is known until death, so follow-up of the dead is at least the
        time of death: a last visit that lies before it is not the end of follow-up.
        """
        zero = row.get(self.protocol.time_zero_date)
        for name in self.protocol.variables:
            days_name = name.removesuffix("_date") + "_days"
            if not name.endswith("_date") or days_name not in self.protocol.variables:
                continue
            date = row.get(name)
            if self.settings.mapping(days_name):
                continue
            if isinstance(zero, dt.date) and isinstance(date, dt.date):
                row[days_name] = self._days(number, name, days_name, (date - zero).days)
        death = row.get("death_days")
        if row.get("death") is True and isinstance(death, int | float):
            self._follow_until_death(number, row, float(death))

    def _days(self, number: int, date_name: str, days_name: str, days: int) -> float | None:
        """Days since time zero, or None and a problem that shows days and no date."""
        variable = self.protocol.variables[days_name]
        problem, accepted = "", f"{variable.accepted} from the {self.protocol.time_zero}"
        if days < 0:
            problem = "dates out of order: before time zero"
            accepted = f"on or after the {self.protocol.time_zero}"
        elif variable.minimum is not None and days < variable.minimum:
            problem = "below the accepted range"
        elif variable.maximum is not None and days > variable.maximum:
            problem = "above the accepted range"
        if not problem:
            return float(days)
        self.bad_cells |= {(number, date_name), (number, days_name)}
        self._problem(number, self._source(date_name), f"{days} days", problem, accepted)
        return None

    def _follow_until_death(self, number: int, row: PatientRow, death: float) -> None:
        if self._spoilt("followup_days", number):
            return
        last = row.get("followup_days")
        if isinstance(last, int | float) and last >= death:
            return
        row["followup_days"] = death
        self.lengthened[number] = (float(last) if isinstance(last, int | float) else None, death)

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
                    self._problem(
                        number,
                        self._source(name),
                        f"day {days}",
                        "measured outside its window",
                        f"day {window.from_days} to {window.to_days} from the "
                        f"{self.protocol.time_zero}",
                    )
        return tuple(checked)

    def _check_rules(self, rows: dict[int, PatientRow]) -> None:
        for rule in self.protocol.rule:
            if rule.column in self.settings.not_recorded:
                continue
            variables = set(rule.holds.variables())
            for number, row in rows.items():
                if Verdict.of(rule.holds.evaluate(row)) is not Verdict.NOT_MET:
                    continue
                if any(self._spoilt(name, number) for name in variables):
                    continue
                value = visible(shown(row.get(rule.column)), self.ids)
                self._problem(
                    number, self._source(rule.column), value, f"rule {rule.id} broken", rule.text
                )

    def _spoilt(self, name: str, number: int) -> bool:
        """Whether a problem was found in what ``name`` of this row is read or counted from."""
        sources = {name}
        if name.endswith("_days") and not self.settings.mapping(name):
            sources |= {name.removesuffix("_days") + "_date", self.protocol.time_zero_date}
        if name == "followup_days":
            sources |= {"death", "death_days", "death_date"}
        return bool(sources & self.bad_columns) or any(
            (number, source) in self.bad_cells for source in sources
        )

    def _check_centres(self, rows: dict[int, PatientRow]) -> None:
        if not self.settings.centres or not self.settings.mapping("centre"):
            return
        if "centre" in self.bad_columns:
            return
        for number, row in rows.items():
            centre = row.get("centre")
            if centre not in self.settings.centres:
                self._cell_problem(
                    number,
                    "centre",
                    shown(centre),
                    "unknown centre",
                    "one of " + ", ".join(self.settings.centres),
                )

    def _by_pseudonym(self, rows: dict[int, PatientRow], checked: tuple[str, ...]) -> Canonical:
        id_column = self.settings.patients.id
        by_name: dict[str, PatientRow] = {}
        source: dict[str, int] = {}
        if id_column not in self.raw.cells:
            close = difflib.get_close_matches(id_column, map(str, self.raw.cells.columns), n=3)
            self._problem(
                None,
                id_column,
                "",
                "missing column (the patient id)",
                ", ".join(close) or "the id column's name in [patients]",
            )
        else:
            for number, row in rows.items():
                text = str(self.raw.cells.at[number, id_column])
                if not text:
                    self._problem(number, id_column, "", "no patient id", "an id in every row")
                    continue
                name = pseudonym(text, self.settings.key)
                if name in source:
                    self._problem(
                        number,
                        id_column,
                        "",
                        f"duplicate patient, first in row {source[name]}",
                        "one row a patient",
                    )
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
            lengthened=self.lengthened,
        )


def patient_ids(raw: RawTable, settings: TableSettings) -> frozenset[str]:
    """Every id of a table, so that no message shows one."""
    if settings.id not in raw.cells:
        return frozenset()
    return frozenset(str(i) for i in raw.cells[settings.id] if i)


def shown(value: Value | None) -> str:
    """A value for a message; a date shows its month only."""
    if value is None:
        return ""
    return f"{value:%Y-%m}" if isinstance(value, dt.date) else str(value)


def _accepted(variable: Variable, mapping: ColumnMapping) -> str:
    if mapping.values is not None:
        return "one of the codes " + (", ".join(mapping.values) or "(study.toml gives none)")
    if variable.type == "date" and mapping.date_format:
        return f"a date as {mapping.date_format}"
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
        decimal = "."  # study.toml's own numbers
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
    ambiguous = decimal == "," and "." in text
    if ambiguous or not _PLAIN_NUMBER.fullmatch(plain):
        return None, _not_a_number(text, decimal)
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


def _not_a_number(text: str, decimal: str) -> str:
    if re.fullmatch(r"[+-]?(inf|infinity|nan)", text, re.IGNORECASE):
        return "not a finite number"
    if re.fullmatch(r"[+-]?\d+,\d+", text):
        return 'a decimal comma (set decimal = "," in study.toml)'
    if re.fullmatch(r"[+-]?\d+\.\d*([eE][+-]?\d+)?", text):
        return 'a point, which may be decimal or group thousands, under decimal = ","'
    if re.fullmatch(r"[+-]?\d+([.,' ]\d{3})+([.,]\d*)?", text):
        return f"thousands are grouped (decimal is {decimal!r})"
    if looks_like_date(text):
        return "not a number (a spreadsheet may have turned it into a date)"
    return "not a number"


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
