"""Cells to canonical values, column by column, with every problem noted once."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Collection

import numpy as np

from metasight.cohort import derived
from metasight.cohort.codes import MissingCodes, find_code
from metasight.cohort.joined import column_of, key_of, table_of
from metasight.cohort.mapping import (
    CENSORED,
    DATE,
    ColumnMapping,
    Filled,
    Interval,
    Mapped,
    TimeAndStatus,
)
from metasight.cohort.parsing import NO_MEANING, accepted_in, is_percentage, parse_cell
from metasight.cohort.settings import CohortSettings, TableSettings, columns_read
from metasight.cohort.showing import visible
from metasight.cohort.tables import RawTable
from metasight.errors import Problem
from metasight.protocol.criteria import Value
from metasight.protocol.study import Protocol, Variable
from metasight.units import conversion_factor, units_like

PatientRow = dict[str, Value | None]
_MOST_CODES = 5


def patient_ids(raw: RawTable, settings: TableSettings) -> frozenset[str]:
    """Every id of a table, so that no message shows one."""
    if settings.id not in raw.cells:
        return frozenset()
    return frozenset(str(i) for i in raw.cells[settings.id] if i)


class Findings:
    """Problems of the patient table, each noted once.

    Attributes
    ----------
    problems
        In the order in which they were found.
    table_wide
        Whether one concerns a whole table or column.
    bad_rows
        Rows of the patient table with a problem of their own.
    bad_cells, bad_columns
        Row and variable, and variables, that a problem was found in: no rule calls them broken
        once more.
    row_of
        Problem → row of the patient table, where the problem's own row is of a joined table.
    """

    def __init__(self, raw: RawTable, settings: CohortSettings, protocol: Protocol) -> None:
        self.raw, self.settings, self.protocol = raw, settings, protocol
        self.problems: list[Problem] = []
        self.table_wide = False
        self.ids = patient_ids(raw, settings.patients)
        self.bad_rows: set[int] = set()
        self.bad_cells: set[tuple[int, str]] = set()
        self.bad_columns: set[str] = set()
        self.row_of: dict[Problem, int] = {}

    def add(self, row: int | None, key: str, value: str, problem: str, accepted: str) -> None:
        """A problem of a row, or with None of a whole column or table."""
        self.table_wide |= row is None
        if row is not None:
            self.bad_rows.add(row)
        there = self.raw.row_of.get(key, {}).get(row, row) if row is not None else None
        found = Problem(
            table=self.raw.names.get(key, self.raw.name),
            row=there,
            column=column_of(key),
            value=value,
            problem=problem,
            accepted=accepted,
        )
        if row is not None:
            self.row_of[found] = row
        self.problems.append(found)

    def flaw(self, row: int, variable: str, flaw: Problem) -> None:
        """A problem that was found when the file was read, in a cell that is needed."""
        self.bad_rows.add(row)
        self.bad_cells.add((row, variable))
        self.row_of[flaw] = row
        if flaw not in self.problems:  # one cell may be read for several variables
            self.problems.append(flaw)

    def cell(self, row: int, variable: str, value: str, problem: str, accepted: str) -> None:
        """A problem of one cell; shows no id and no day of the calendar."""
        self.bad_cells.add((row, variable))
        known, key = self.protocol.variables[variable], self.source(variable)
        mapping = self.settings.mapping(variable)
        codes = (mapping.values if mapping is not None else None) or {}
        text = visible(
            value,
            self.ids,
            date=known.type == "date",
            expected=[*codes, *map(str, codes.values()), *known.values, *self.settings.centres],
            repeated=self.raw.is_repeated(key, value),
        )
        self.add(row, key, text, problem, accepted)

    def column(self, variable: str, key: str, value: str, problem: str, accepted: str) -> None:
        """A problem of a whole column."""
        self.bad_columns.add(variable)
        self.add(None, key, visible(value, self.ids, repeated=True), problem, accepted)

    def source(self, name: str) -> str:
        """The column in which a reader of messages finds ``name``."""
        given = self.settings.columns.get(name)
        if isinstance(given, str):
            return given
        if given is not None:
            return key_of(given.table, columns_read(given)[-1])
        for part in self.settings.time_and_status:
            if name in part.events:
                return key_of(part.table, part.status)
            if name.removesuffix("_days") in part.events or (
                name == "followup_days" and name in self.settings.from_status
            ):
                return key_of(part.table, part.time)
        return name


class ColumnReader:
    """Reads every variable that a study gives, for every row.

    Parameters
    ----------
    findings
        Where problems go.
    medians_tell
        Whether the median of a column says something of its unit.
    """

    def __init__(self, findings: Findings, *, medians_tell: bool) -> None:
        self.findings, self.medians_tell = findings, medians_tell
        self.raw, self.settings = findings.raw, findings.settings
        self.protocol = findings.protocol

    def read(self, rows: dict[int, PatientRow]) -> None:
        """Fill ``rows``, by row number."""
        self._check_given_once()
        self._check_shared_time()
        for name, variable in self.protocol.variables.items():
            constant, given = self.settings.constants.get(name), self.settings.columns.get(name)
            if constant is not None:
                value = self._constant(variable, constant.value)
                for row in rows.values():
                    row[name] = value
            elif isinstance(given, Interval):
                self._interval(variable, given, rows)
            elif isinstance(given, Filled):
                self._filled(variable, given, rows)
            elif given is not None and (mapping := self.settings.mapping(name)) is not None:
                self._column(variable, mapping, rows)
        self._time_and_status(rows)
        self._check_mapping_names()

    def _check_given_once(self) -> None:
        """One place a variable: which of two would count is nobody's to guess."""
        places = ("columns", "constants", "not_recorded")
        status = [e for part in self.settings.time_and_status for e in part.events]
        for name in self.protocol.variables:
            given = [f"[{p}]" for p in places if name in getattr(self.settings, p)]
            event = name.removesuffix("_days").removesuffix("_date")
            given += ["[[time_and_status]]"] * status.count(event)
            if len(given) > 1:
                self.findings.column(
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
                    self.findings.add(
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
            self.findings.column(
                variable.name, f"[constants] {variable.name}", text, problem, variable.accepted
            )
        return parsed

    def _source_settings(self, table: str | None) -> TableSettings:
        return self.settings.patients if table is None else self.settings.tables[table]

    def _missing(self, table: str | None, own: tuple[str, ...]) -> MissingCodes:
        return MissingCodes((*self._source_settings(table).missing, *own))

    def _column(
        self, variable: Variable, mapping: ColumnMapping, rows: dict[int, PatientRow]
    ) -> None:
        if not self._can_be_read(variable, mapping):
            return
        name, key = variable.name, key_of(mapping.table, mapping.column)
        decimal = self._source_settings(mapping.table).decimal
        missing = self._missing(mapping.table, mapping.missing)
        codes = self.raw.codes.get(key, {})
        strange: Counter[str] = Counter()
        for number, text in self.raw.cells[key].items():
            row = int(str(number))
            value, problem = None, ""
            if (flaw := self.raw.flaw(row, key, missing)) is not None:
                self.findings.flaw(row, name, flaw)
            elif text not in missing and codes.get(row, text) not in missing:
                if variable.type == "date" and (row, key) in self.raw.dates:
                    value, problem = parse_cell(text, variable, _ISO, decimal)
                else:
                    value, problem = self._parse(text, codes.get(row), variable, mapping, decimal)
                if problem == NO_MEANING and variable.role == "outcome":
                    strange[text] += 1
                elif problem:
                    accepted = accepted_in(variable, mapping)
                    self.findings.cell(row, name, text, problem, accepted)
            rows[row][name] = value
        # to leave patients out by a code of their outcome would be to choose them by it
        self._undeclared(key, strange, mapping.values or (), (name,))
        self._check_percentages(variable, mapping, rows)
        self._check_unit(variable, mapping, [r.get(name) for r in rows.values()])

    @staticmethod
    def _parse(
        text: str, code: str | None, variable: Variable, mapping: ColumnMapping, decimal: str
    ) -> tuple[Value | None, str]:
        """A cell by its label or, where ``values`` lists codes, by the code behind the label."""
        value, problem = parse_cell(text, variable, mapping, decimal)
        if problem and code is not None and mapping.values is not None:
            return parse_cell(code, variable, mapping, decimal)
        return value, problem

    def _check_percentages(
        self, variable: Variable, mapping: ColumnMapping, rows: dict[int, PatientRow]
    ) -> None:
        """A plain 0.45 beside cells that say 45 % may be 0.45 % or 45 %."""
        if variable.unit != "%" or mapping.unit == "fraction":
            return
        key = key_of(mapping.table, mapping.column)
        texts = {int(str(n)): str(t) for n, t in self.raw.cells[key].items()}
        if not any(map(is_percentage, texts.values())):
            return
        for row, text in texts.items():
            value = rows[row].get(variable.name)
            if not is_percentage(text) and isinstance(value, int | float) and 0 < value <= 1:
                self.findings.cell(
                    row,
                    variable.name,
                    text,
                    "a plain number up to 1 in a column with percentages: its unit is unclear",
                    "all cells of the column in one notation",
                )

    def _points(
        self, variable: Variable, mapped: Interval, key: str, row: int, missing: MissingCodes
    ) -> derived.Point | None:
        """A cell that an interval begins or ends at; None where it is missing or a problem."""
        text = str(self.raw.cells.at[row, key])
        if (flaw := self.raw.flaw(row, key, missing)) is not None:
            self.findings.flaw(row, variable.name, flaw)
            return None
        if text in missing:
            return None
        decimal = self._source_settings(mapped.table).decimal
        is_date = (row, key) in self.raw.dates
        point = derived.point_of(text, mapped.date_format, is_date=is_date, decimal=decimal)
        if point is None:
            self.findings.bad_cells.add((row, variable.name))
            form = mapped.date_format or "YYYY-MM-DD"
            value = visible(text, self.findings.ids, date=True)
            problem = "neither a date nor a number of days"
            self.findings.add(row, key, value, problem, f"a date as {form}, or a number of days")
        return point

    def _interval(self, variable: Variable, mapped: Interval, rows: dict[int, PatientRow]) -> None:
        if not self._can_be_derived(variable, mapped):
            return
        missing = self._missing(mapped.table, mapped.missing)
        keys = [key_of(mapped.table, c) for c in mapped.columns]
        for row, values in rows.items():
            values[variable.name] = None
            first, second = (self._points(variable, mapped, k, row, missing) for k in keys)
            if first is None or second is None:
                continue
            value, problem = derived.between(mapped, first, second)
            if value is not None:
                found, problem = parse_cell(
                    f"{value:.10g}", variable, ColumnMapping(column=keys[1]), "."
                )
                values[variable.name] = found
            if problem:
                told = "" if value is None else f"{value:g} {variable.unit}"
                self.findings.bad_cells.add((row, variable.name))
                self.findings.add(
                    row, keys[1], told, f"{variable.name}: {problem}", variable.accepted
                )
        self._check_unit(
            variable,
            ColumnMapping(column=mapped.columns[1], table=mapped.table),
            [r.get(variable.name) for r in rows.values()],
        )

    def _filled(self, variable: Variable, mapped: Filled, rows: dict[int, PatientRow]) -> None:
        if not self._can_be_derived(variable, mapped):
            return
        missing = self._missing(mapped.table, mapped.missing)
        key = key_of(mapped.table, mapped.filled)
        for row, values in rows.items():
            text = str(self.raw.cells.at[row, key])
            if (flaw := self.raw.flaw(row, key, missing)) is not None:
                self.findings.flaw(row, variable.name, flaw)
                continue
            values[variable.name], problem = derived.happened(mapped, text, missing)
            if problem:
                self.findings.cell(
                    row, variable.name, text, problem, "a time, a date, or an empty cell"
                )

    def _can_be_derived(self, variable: Variable, mapped: Interval | Filled) -> bool:
        if problem := derived.unfit(mapped, variable):
            self.findings.column(variable.name, variable.name, "", problem, variable.accepted)
            return False
        there = [self._is_there(variable.name, mapped, c) for c in columns_read(mapped)]
        return all(there)

    def _is_there(self, variable: str, mapped: Mapped | TimeAndStatus, column: str) -> bool:
        """Whether the tables hold a column and it is not the patient id's."""
        key = key_of(mapped.table, column)
        if column == self._source_settings(mapped.table).id:
            problem = f"the column of the patient id is mapped to {variable}"
            self.findings.column(
                variable, key, "", problem, "another column; ids are never read as values"
            )
            return False
        if key in self.raw.cells:
            return True
        own = [str(c) for c in self.raw.cells.columns if table_of(str(c)) == mapped.table]
        close = difflib.get_close_matches(column, map(column_of, own), n=3)
        hint = f"perhaps {' or '.join(repr(c) for c in close)}; " if close else ""
        accepted = hint + "a column of this name, or another mapping"
        self.findings.column(variable, key, "", f"missing column (for {variable})", accepted)
        return False

    def _check_shared_time(self) -> None:
        """One column of times for several events needs the status that says whose it is."""
        of_column: dict[str, list[str]] = {}
        for name, variable in self.protocol.variables.items():
            mapping = self.settings.mapping(name)
            if variable.role == "outcome" and variable.unit == "days" and mapping is not None:
                key = key_of(mapping.table, mapping.column)
                of_column.setdefault(key, []).append(name)
        for key, names in of_column.items():
            if len(names) > 1:
                self.findings.bad_columns |= {*names, *(n.removesuffix("_days") for n in names)}
                self.findings.add(
                    None,
                    key,
                    "",
                    f"one column of times is mapped to {', '.join(names)}",
                    "a column each; or, where a status column says what happened at that time, "
                    f'[[time_and_status]] with time = "{column_of(key)}", status = "…" and codes',
                )

    def _time_and_status(self, rows: dict[int, PatientRow]) -> None:
        told: dict[int, list[derived.Told]] = {row: [] for row in rows}
        parts = [
            p
            for p in self.settings.time_and_status
            if self._status_can_be_read(p) and self._status_is_declared(p)
        ]
        for part in parts:
            for row, values in rows.items():
                found = self._told(part, row, values)
                values.update(found.values)
                told[row].append(found)
        if parts and "followup_days" in self.settings.from_status:
            for row, values in rows.items():
                values["followup_days"] = derived.known_until(told[row])

    def _told(self, part: TimeAndStatus, row: int, values: PatientRow) -> derived.Told:
        """Outcome of one row; a problem makes it unknown."""
        missing = self._missing(part.table, part.missing)
        event = part.events[0]
        status_key, time_key = key_of(part.table, part.status), key_of(part.table, part.time)
        status, time = (str(self.raw.cells.at[row, k]) for k in (status_key, time_key))
        nothing, _ = derived.told_by(part, None, None)
        for key in (status_key, time_key):
            if (flaw := self.raw.flaw(row, key, missing)) is not None:
                self.findings.flaw(row, event, flaw)
                return nothing
        days: Value | None = None
        if time not in missing and part.unit == DATE:
            zero = values.get(self.protocol.time_zero_date)
            is_date = (row, time_key) in self.raw.dates
            days, problem = derived.days_on(time, part.date_format, is_date=is_date, zero=zero)
            if problem:
                accepted = f"a day on or after the {self.protocol.time_zero}"
                self.findings.cell(row, f"{event}_days", time, problem, accepted)
            if days is None:
                return nothing
        elif time not in missing:
            variable = self.protocol.variables[f"{event}_days"]
            mapping = ColumnMapping(column=part.time, unit=part.unit)
            decimal = self._source_settings(part.table).decimal
            days, problem = parse_cell(time, variable, mapping, decimal)
            if problem:
                accepted = accepted_in(variable, mapping)
                self.findings.cell(row, f"{event}_days", time, problem, accepted)
                return nothing
        code = self.raw.codes.get(status_key, {}).get(row)
        given = None if status in missing else status
        known = float(days) if isinstance(days, int | float) else None
        found, problem = derived.told_by(part, given, known)
        if problem and code is not None and given is not None:
            found, problem = derived.told_by(part, code, known)
        if problem:
            codes = ", ".join(part.codes)
            self.findings.cell(row, event, status, problem, f"one of {codes}, with a time")
        return found

    def _status_can_be_read(self, part: TimeAndStatus) -> bool:
        name = part.events[0] if part.events else "time_and_status"
        known = [
            n
            for n, v in self.protocol.variables.items()
            if v.type == "boolean" and f"{n}_days" in self.protocol.variables
        ]
        wrong = [e for e in part.events if e not in known]
        if wrong or not part.events:
            self.findings.column(
                name,
                key_of(part.table, part.status),
                ", ".join(wrong),
                "[[time_and_status]] codes give a status no event of the protocol",
                ", ".join([*known, CENSORED]),
            )
            return False
        zero = self.protocol.time_zero_date
        if part.unit == DATE and not self.settings.reads(zero):
            self.findings.column(
                name,
                key_of(part.table, part.time),
                "",
                f"a time that is a date is counted from {zero}, which is not mapped",
                f"{zero} under [columns] in study.toml",
            )
            return False
        if part.unit != DATE and conversion_factor(part.unit, "days") is None:
            accepted = " or ".join(("days", *units_like("days"), DATE))
            self.findings.column(
                name, key_of(part.table, part.time), part.unit, "unknown unit", accepted
            )
            return False
        there = [self._is_there(name, part, c) for c in (part.time, part.status)]
        return all(there)

    def _status_is_declared(self, part: TimeAndStatus) -> bool:
        """Whether every code of a status has a meaning.

        One that has none is a problem of the column: to leave its patients out would be to choose
        patients by their outcome.
        """
        key, missing = key_of(part.table, part.status), self._missing(part.table, part.missing)
        codes = self.raw.codes.get(key, {})
        strange: Counter[str] = Counter()
        for number, cell in self.raw.cells[key].items():
            row, text = int(str(number)), str(cell)
            known = find_code(text, part.codes) or find_code(codes.get(row, text), part.codes)
            if text not in missing and known is None and (row, key) not in self.raw.flaws:
                strange[text] += 1
        self._undeclared(key, strange, part.codes, part.events)
        return not strange

    def _undeclared(
        self, key: str, strange: Counter[str], codes: Collection[str], variables: Collection[str]
    ) -> None:
        """Codes of an outcome that have no meaning, as one problem of the column."""
        if not strange:
            return
        ids, n = self.findings.ids, len(strange)
        self.findings.bad_columns.update(variables)
        self.findings.add(
            None,
            key,
            ", ".join(
                f"{visible(c, ids, expected=codes, repeated=k > 1)} in {k} rows"
                for c, k in strange.most_common(_MOST_CODES)
            ),
            f"{n} code{'s' * (n > 1)} not defined in study.toml",
            f"one of {', '.join(codes)}; define the others in study.toml, or list them in missing",
        )

    def _can_be_read(self, variable: Variable, mapping: ColumnMapping) -> bool:
        """Whether the mapping makes sense; what does not is a problem of the whole column."""
        if not self._is_there(variable.name, mapping, mapping.column):
            return False
        key = key_of(mapping.table, mapping.column)

        def problem(value: str, what: str, accepted: str) -> bool:
            self.findings.column(variable.name, key, value, what, accepted)
            return False

        if mapping.negate and variable.type not in {"number", "integer"}:
            return problem("", f"negate turns numbers, and {variable.name} is none", "no negate")
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
        self.findings.column(
            variable.name,
            key_of(mapping.table, mapping.column),
            f"median {median:g} {variable.unit}",
            "wrong unit",
            f"{variable.name} in {variable.unit}, median {low:g} to {high:g}" + hint,
        )


_ISO = ColumnMapping(column="")
"""Dates by their own type stand as YYYY-MM-DD."""
