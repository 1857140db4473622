"""Read a study's cohort: tables to canonical values, eligibility, and the ledger of both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from metasight.cohort.canonical import Canonical, canonicalise, to_frame
from metasight.cohort.columns import PatientRow
from metasight.cohort.eligibility import Eligibility, assess
from metasight.cohort.joined import image_strangers, read_patients
from metasight.cohort.modality import Modality, read_modality, row_with_problem
from metasight.cohort.overlap import marks_of
from metasight.cohort.reader_decisions import read_reader_decisions
from metasight.cohort.settings import CohortSettings
from metasight.cohort.tables import RawTable
from metasight.errors import StudyError, TableError
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
        Rows left out because of a problem of their own or of the patient's row in a modality.
    windows_checked
        Predictors whose measurement date was checked.
    accrual
        First and last month of time zero as ``YYYY-MM``; empty if not dated.
    marks
        Pseudonym → keyed hashes by which the patient is found in another cohort.
    """

    table: pd.DataFrame
    modalities: dict[str, pd.DataFrame]
    eligibility: Eligibility
    ledger: Ledger
    screened: int
    failed: int
    windows_checked: tuple[str, ...]
    accrual: tuple[str, ...]
    marks: dict[str, tuple[str, ...]]


def read_cohort(
    folder: Path,
    settings: CohortSettings,
    protocol: Protocol,
    evidence: Mapping[str, PatientRow] | None = None,
    *,
    overlap_key: str = "",
    new_patients: bool = False,
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
    overlap_key
        Key of the marks; empty makes none.
    new_patients
        Whether these are patients to predict: an outcome is refused.

    Raises
    ------
    StudyError
        A file cannot be read, or a waiver is wrong.
    TableError
        Problems in the tables; all of them at once.
    """
    if new_patients:
        _refuse_outcomes(settings, protocol)
    joined = read_patients(folder, settings)
    raw = joined.raw
    canonical = canonicalise(raw, settings, protocol, new_patients=new_patients)
    modalities = _modalities(folder, settings, canonical, raw)
    problems = [
        *canonical.problems,
        *joined.problems,
        *(p for m in modalities.values() for p in m.problems),
    ]
    if problems and (settings.on_problem == "stop" or any(p.row is None for p in problems)):
        raise TableError(problems, may_leave_out=all(p.row is not None for p in problems))
    failed = _failed_elsewhere(modalities, settings)
    rows = {
        p: r
        for p, r in canonical.rows.items()
        if canonical.source_row[p] not in canonical.bad_rows and p not in failed
    }
    for patient, values in (evidence or {}).items():
        if patient in rows:
            rows[patient].update(values)
    ledger = Ledger(_reading_entries(raw.name, canonical, failed))
    ledger.extend([*joined.entries, *map(row_with_problem, joined.problems)])
    ledger.extend(image_strangers(folder, settings, raw))
    ledger.extend(entry for modality in modalities.values() for entry in modality.entries)
    ledger.extend(_lengthened_entries(raw.name, canonical, rows))
    decisions = read_reader_decisions(folder, settings, protocol)
    eligibility = assess(rows, protocol, settings.waive, decisions.criteria)
    ledger.extend(eligibility.entries)
    zero = sorted(
        f"{d:%Y-%m}" for r in rows.values() if (d := r.get(protocol.time_zero_date)) is not None
    )
    return Cohort(
        table=to_frame(rows, protocol),
        modalities={n: m.values.reindex(list(rows)) for n, m in modalities.items()},
        eligibility=eligibility,
        ledger=ledger,
        screened=len(raw.cells) + len(raw.bad_rows),
        failed=len(raw.cells) + len(raw.bad_rows) - len(rows),
        windows_checked=canonical.windows_checked,
        accrual=(zero[0], zero[-1]) if zero else (),
        marks=_marks(raw, settings, protocol, rows, canonical.source_row, key=overlap_key),
    )


def _modalities(
    folder: Path, settings: CohortSettings, canonical: Canonical, raw: RawTable
) -> dict[str, Modality]:
    return {
        name: read_modality(
            folder,
            name,
            table,
            key=settings.key,
            patients=canonical.rows,
            patient_table=raw,
            patient_id=settings.patients.id,
        )
        for name, table in settings.modalities.items()
    }


def _refuse_outcomes(settings: CohortSettings, protocol: Protocol) -> None:
    """Refuse outcomes of patients to predict: a risk is of what has not happened.

    Raises
    ------
    StudyError
        An outcome is mapped or given as a constant.
    """
    given = [v.name for v in protocol.variable if v.role == "outcome" and settings.gives(v.name)]
    if given:
        raise StudyError(
            "an outcome is given for patients to predict",
            where="study.toml [columns]",
            value=", ".join(given),
            remedy="Leave it out; `metasight validate` is for patients whose outcome is known",
        )


def _marks(  # noqa: PLR0917 - all that a mark is made of
    raw: RawTable,
    settings: CohortSettings,
    protocol: Protocol,
    rows: Mapping[str, PatientRow],
    source_row: Mapping[str, int],
    key: str,
) -> dict[str, tuple[str, ...]]:
    if not key:
        return {}
    ids = raw.cells[settings.patients.id]
    found = {}
    for patient, row in rows.items():
        day = row.get(protocol.time_zero_date)
        values = [str(row.get(name)) for name in protocol.clinical_predictors]
        found[patient] = marks_of(
            str(ids[source_row[patient]]), "" if day is None else str(day), values, key
        )
    return found


def _failed_elsewhere(
    modalities: Mapping[str, Modality], settings: CohortSettings
) -> dict[str, str]:
    """Pseudonym → file and row of its first problem in a modality's table."""
    failed: dict[str, str] = {}
    for name, modality in modalities.items():
        file = Path(settings.modalities[name].path).name
        for patient, row in modality.failed.items():
            failed.setdefault(patient, f"{file} row {row}")
    return failed


def _reading_entries(name: str, canonical: Canonical, failed: Mapping[str, str]) -> list[Entry]:
    """One row for every patient read, one for every problem of a row left out."""
    patient_of = {n: p for p, n in canonical.source_row.items()}
    entries = [
        Entry(
            patient=p,
            item=f"{name} row {n}",
            stage="reading",
            verdict=Fate.FAILED if p in failed else Fate.KEPT,
            reason=f"a problem in {failed[p]}" if p in failed else "",
        )
        for p, n in canonical.source_row.items()
        if n not in canonical.bad_rows
    ]
    entries += [
        row_with_problem(p, patient_of.get(canonical.row_of.get(p, 0), ""))
        for p in canonical.problems
    ]
    return entries


def _lengthened_entries(
    name: str, canonical: Canonical, rows: Mapping[str, PatientRow]
) -> list[Entry]:
    """One row for every patient whose follow-up was taken to reach until death."""
    entries = []
    for patient in rows:
        row = canonical.source_row[patient]
        if row in canonical.lengthened:
            found, used = canonical.lengthened[row]
            last = "not given" if found is None else f"{found:g}"
            entries.append(
                Entry(
                    patient=patient,
                    item=f"{name} row {row}",
                    stage="derived times",
                    verdict=Fate.KEPT,
                    criterion="followup_days",
                    value=f"{last} -> {used:g} days",
                    reason="follow-up extended to death, which is after the last visit",
                )
            )
    return entries
