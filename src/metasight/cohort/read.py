"""Read a study's cohort: tables to canonical values, eligibility, and the ledger of both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from metasight.cohort.canonical import (
    Canonical,
    PatientRow,
    canonicalise,
    pseudonym,
    to_frame,
)
from metasight.cohort.eligibility import Eligibility, assess
from metasight.cohort.redcap import read_redcap
from metasight.cohort.settings import CohortSettings, ModalityTable, TableSettings
from metasight.cohort.tables import RawTable, read_table
from metasight.errors import Problem, TableError
from metasight.ledger import Entry, Fate, Ledger
from metasight.protocol.study import Protocol


@dataclass(frozen=True, kw_only=True)
class Cohort:
    """Patients of a study, without identifiers and dates.

    Attributes
    ----------
    table
        Canonical values (see :func:`metasight.cohort.canonical.to_frame`); index pseudonym.
    modalities
        Modality → numeric columns, index pseudonym; patients without a row are NaN.
    eligibility
        Verdicts and flow counts.
    ledger
        Every row so far.
    screened
        Rows of the patient table.
    failed
        Rows left out because of a problem of their own.
    windows_checked
        Predictors whose measurement date was checked.
    accrual
        First and last month of time zero as ``YYYY-MM``; empty if not dated.
    """

    table: pd.DataFrame
    modalities: dict[str, pd.DataFrame]
    eligibility: Eligibility
    ledger: Ledger
    screened: int
    failed: int
    windows_checked: tuple[str, ...]
    accrual: tuple[str, ...]


def read_cohort(
    folder: Path,
    settings: CohortSettings,
    protocol: Protocol,
    evidence: Mapping[str, PatientRow] | None = None,
) -> Cohort:
    """Read, check and screen a cohort.

    Parameters
    ----------
    folder
        Study folder; paths in ``settings`` are relative to it.
    settings
        The cohort part of ``study.toml``.
    protocol
        What is accepted and who is eligible.
    evidence
        Values that image stages supply, by pseudonym; they fill variables whose evidence is not
        the table.

    Raises
    ------
    StudyError
        A file cannot be read, or a waiver is wrong.
    TableError
        Problems in the tables; all of them at once.
    """
    raw = _read_raw(folder, settings.patients)
    canonical = canonicalise(raw, settings, protocol)
    problems = list(canonical.problems)
    modalities = {}
    for name, table in settings.modalities.items():
        modalities[name], found = _read_modality(folder, table, settings.salt, canonical)
        problems += found
    stop = settings.on_problem == "stop" or canonical.table_wide
    if problems and (stop or any(p.row is None or p.table != raw.name for p in problems)):
        raise TableError(problems)
    rows = {
        p: r for p, r in canonical.rows.items() if canonical.source_row[p] not in canonical.bad_rows
    }
    for patient, values in (evidence or {}).items():
        if patient in rows:
            rows[patient].update(values)
    ledger = Ledger(_reading_entries(raw.name, canonical))
    eligibility = assess(rows, protocol, settings.waive)
    ledger.extend(eligibility.entries)
    zero = sorted(
        f"{d:%Y-%m}" for r in rows.values() if (d := r.get(protocol.time_zero_date)) is not None
    )
    return Cohort(
        table=to_frame(rows, protocol),
        modalities={n: m.reindex(list(rows)) for n, m in modalities.items()},
        eligibility=eligibility,
        ledger=ledger,
        screened=len(raw.cells),
        failed=len(raw.cells) - len(rows),
        windows_checked=canonical.windows_checked,
        accrual=(zero[0], zero[-1]) if zero else (),
    )


def _read_raw(folder: Path, settings: TableSettings) -> RawTable:
    return read_redcap(folder, settings) if settings.format == "redcap" else read_table(
        folder, settings
    )  # fmt: skip


def _reading_entries(name: str, canonical: Canonical) -> list[Entry]:
    """One row for every patient read, one for every problem of a row left out."""
    patient_of = {n: p for p, n in canonical.source_row.items()}
    entries = [
        Entry(patient=p, item=f"{name} row {n}", stage="reading", verdict=Fate.KEPT)
        for p, n in canonical.source_row.items()
        if n not in canonical.bad_rows
    ]
    entries += [
        Entry(
            patient=patient_of.get(p.row or 0, ""),
            item=f"{name} row {p.row}",
            stage="reading",
            verdict=Fate.FAILED,
            criterion=p.column,
            value=p.value,
            reason=f"{p.problem}; accepted: {p.accepted}",
        )
        for p in canonical.problems
    ]
    return entries


def _read_modality(
    folder: Path, settings: ModalityTable, salt: str, canonical: Canonical
) -> tuple[pd.DataFrame, list[Problem]]:
    raw = read_table(folder, settings)
    problems: list[Problem] = []

    def problem(row: int | None, column: str, value: str, what: str, accepted: str) -> None:
        problems.append(Problem(table=raw.name, row=row, column=column, value=value,
                                problem=what, accepted=accepted))  # fmt: skip

    columns = list(settings.columns or [c for c in raw.cells.columns if c != settings.id])
    for column in [settings.id, *columns]:
        if column not in raw.cells:
            problem(None, column, "", "missing column", "a column of this name")
    if problems:
        return pd.DataFrame(), problems
    names = [pseudonym(str(i), salt) for i in raw.cells[settings.id]]
    index = pd.Index(names, name="patient")
    for number, again in zip(raw.cells.index, index.duplicated(), strict=True):
        if again:
            problem(int(number), settings.id, "", "duplicate patient", "one row a patient")
    if not set(names) & set(canonical.rows):
        problem(None, settings.id, "", "no patient of the patient table is in this table",
                "the same patient ids in both")  # fmt: skip
    text = raw.cells[columns].replace(["", *settings.missing], None)
    if settings.decimal == ",":
        text = text.replace(",", ".", regex=True)
    numbers = text.apply(pd.to_numeric, errors="coerce").astype(float)
    numbers[~np.isfinite(numbers)] = np.nan
    for column in columns:
        for number in text.index[text[column].notna() & numbers[column].isna()]:
            value = str(text.at[number, column])
            problem(int(number), column, value, "not a finite number", "a number, or empty")
    numbers.index = index
    return numbers, problems
