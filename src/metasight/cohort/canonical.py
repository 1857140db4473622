"""From a user's cells to canonical values: names, types, units, codes, dates, derived times.

Every problem in the tables is collected and reported at once. What leaves this module is keyed
by pseudonym and holds no identifier and no date: dates become days from time zero, except
within :class:`Canonical.rows`, which criteria read and nothing stores.
"""

from __future__ import annotations

import datetime as dt
import difflib
import hmac
from dataclasses import dataclass
from typing import Any

import pandas as pd

from metasight.cohort.columns import ColumnReader, Findings, PatientRow
from metasight.cohort.ids import same_but_for_format
from metasight.cohort.parsing import shown
from metasight.cohort.settings import CohortSettings
from metasight.cohort.showing import visible
from metasight.cohort.tables import RawTable
from metasight.errors import Problem
from metasight.protocol.criteria import Verdict
from metasight.protocol.study import Protocol


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
    row_of
        Problem of a row → its row in the patient table.
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
    row_of: dict[Problem, int]
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
    return _Rows(raw, settings, protocol).read(medians_tell=not new_patients)


class _Rows:
    def __init__(self, raw: RawTable, settings: CohortSettings, protocol: Protocol) -> None:
        self.raw, self.settings, self.protocol = raw, settings, protocol
        self.findings = Findings(raw, settings, protocol)
        self.lengthened: dict[int, tuple[float | None, float]] = {}

    def read(self, *, medians_tell: bool) -> Canonical:
        rows: dict[int, PatientRow] = {int(str(n)): {} for n in self.raw.cells.index}
        ColumnReader(self.findings, medians_tell=medians_tell).read(rows)
        for number, row in rows.items():
            self._derive(number, row)
        checked = self._check_windows(rows)
        self._check_before_outcome(rows)
        self._check_rules(rows)
        self._check_centres(rows)
        return self._by_pseudonym(rows, checked)

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
            if self.settings.reads(days_name):
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
        self.findings.bad_cells |= {(number, date_name), (number, days_name)}
        self.findings.add(
            number, self.findings.source(date_name), f"{days} days", problem, accepted
        )
        return None

    def _follow_until_death(self, number: int, row: PatientRow, death: float) -> None:
        if self._spoilt("followup_days", number):
            return
        last = row.get("followup_days")
        if isinstance(last, int | float) and last >= death:
            return
        row["followup_days"] = death
        self.lengthened[number] = (float(last) if isinstance(last, int | float) else None, death)

    def _check_windows(self, rows: dict[int, PatientRow]) -> tuple[str, ...]:
        checked = []
        zero_name = self.protocol.time_zero_date
        for name, variable in self.protocol.variables.items():
            on = variable.measured_on
            if not on or not variable.window or not self.settings.reads(on):
                continue
            if not self.settings.reads(name) or not self.settings.reads(zero_name):
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
                    self.findings.add(
                        number,
                        self.findings.source(name),
                        f"day {days}",
                        "measured outside its window",
                        f"day {window.from_days} to {window.to_days} from the "
                        f"{self.protocol.time_zero}",
                    )
        return tuple(checked)

    def _check_before_outcome(self, rows: dict[int, PatientRow]) -> None:
        """A predictor dated after the event that it is to predict is a problem of its row.

        One for each date: what was measured on one day has one cause.
        """
        zero_name = self.protocol.time_zero_date
        measured = [v for v in self.protocol.variable if v.measured_on and v.role == "predictor"]
        dates: dict[str, list[str]] = {}
        for v in measured:
            if self.settings.reads(v.name) and self.settings.reads(v.measured_on or ""):
                dates.setdefault(v.measured_on or "", []).append(v.name)
        for number, row in rows.items():
            first = self._first_event(row)
            zero = row.get(zero_name)
            if first is None or not isinstance(zero, dt.date):
                continue
            for on, names in dates.items():
                date = row.get(on)
                if not isinstance(date, dt.date) or all(row.get(n) is None for n in names):
                    continue
                days = (date - zero).days
                if days > first:
                    self.findings.add(
                        number,
                        self.findings.source(on),
                        f"day {days}; event on day {first:g}",
                        "predictors were measured after the outcome",
                        "a day before the event; correct it, leave the values empty, or set "
                        'on_problem = "exclude"',
                    )

    def _first_event(self, row: PatientRow) -> float | None:
        """Day of the first outcome event of a patient; None where there was none."""
        days = [
            row.get(f"{v.name}_days")
            for v in self.protocol.variable
            if v.role == "outcome" and v.type == "boolean" and row.get(v.name) is True
        ]
        known = [float(d) for d in days if isinstance(d, int | float)]
        return min(known) if known else None

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
                value = visible(shown(row.get(rule.column)), self.findings.ids, repeated=True)
                self.findings.add(
                    number,
                    self.findings.source(rule.column),
                    value,
                    f"the values contradict each other (rule {rule.id})",
                    rule.text,
                )

    def _spoilt(self, name: str, number: int) -> bool:
        """Whether a problem was found in what ``name`` of this row is read or counted from."""
        sources = {name}
        if name.endswith("_days") and not self.settings.reads(name):
            sources |= {name.removesuffix("_days") + "_date", self.protocol.time_zero_date}
        if name == "followup_days":
            sources |= {"death", "death_days", "death_date"}
        return bool(sources & self.findings.bad_columns) or any(
            (number, source) in self.findings.bad_cells for source in sources
        )

    def _check_centres(self, rows: dict[int, PatientRow]) -> None:
        if not self.settings.centres or not self.settings.reads("centre"):
            return
        if "centre" in self.findings.bad_columns:
            return
        for number, row in rows.items():
            centre = row.get("centre")
            if centre not in self.settings.centres:
                self.findings.cell(
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
            self.findings.add(
                None,
                id_column,
                "",
                "missing column (the patient id)",
                ", ".join(close) or "the id column's name in [patients]",
            )
        else:
            ids = {number: str(self.raw.cells.at[number, id_column]) for number in rows}
            alike = same_but_for_format(ids)
            for number, row in rows.items():
                text = ids[number]
                if (flaw := self.raw.flaws.get((number, id_column))) is not None:
                    self.findings.flaw(number, id_column, flaw)
                    continue
                if number in alike:
                    self.findings.add(
                        number,
                        id_column,
                        f"that of row {alike[number]}",
                        "the id differs from another only in leading zeros or a trailing "
                        '".0": perhaps the same patient',
                        "one row a patient, and ids in one format",
                    )
                    continue
                if not text:
                    self.findings.add(number, id_column, "", "no patient id", "an id in every row")
                    continue
                name = pseudonym(text, self.settings.key)
                if name in source:
                    self.findings.add(
                        number,
                        id_column,
                        f"first in row {source[name]}",
                        "duplicate patient",
                        "one row a patient",
                    )
                    continue
                by_name[name], source[name] = row, number
        order = sorted(by_name)
        problems = [*self.raw.bad_rows, *self.findings.problems]
        return Canonical(
            rows={p: by_name[p] for p in order},
            source_row={p: source[p] for p in order},
            problems=tuple(sorted(problems, key=lambda p: (p.row or 0, p.column))),
            bad_rows=frozenset(self.findings.bad_rows),
            row_of=self.findings.row_of,
            table_wide=self.findings.table_wide,
            windows_checked=checked,
            lengthened=self.lengthened,
        )


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
