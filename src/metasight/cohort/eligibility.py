"""Who is in the study and why not: every criterion for every patient, and the flow counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from metasight.cohort.columns import PatientRow
from metasight.errors import StudyError
from metasight.ledger import Entry, Fate
from metasight.protocol.criteria import Criterion
from metasight.protocol.study import Protocol

STAGE = "eligibility"


@dataclass(frozen=True, kw_only=True)
class FlowStep:
    """One criterion's line in the flow diagram.

    Attributes
    ----------
    criterion, kind, text
        As in the protocol.
    excluded
        Patients whose first failed criterion, in protocol order, this is.
    unknown
        Patients held back here: nothing excludes them, and this is the first criterion that
        could not be assessed.
    waived
        The study's written reason, if it does not assess this criterion; empty otherwise.
    remaining
        Patients left after this line.
    """

    criterion: str
    kind: str
    text: str
    excluded: int
    unknown: int
    waived: str
    remaining: int


@dataclass(frozen=True, kw_only=True)
class Eligibility:
    """Verdicts on every patient.

    Attributes
    ----------
    as_written
        Patients eligible under every criterion, pseudonyms in order.
    all_eligible
        Patients eligible under every criterion but those that select on the future.
    steps
        Flow of ``as_written``, in protocol order.
    entries
        A ledger row for every patient and criterion.
    """

    as_written: tuple[str, ...]
    all_eligible: tuple[str, ...]
    steps: tuple[FlowStep, ...]
    entries: tuple[Entry, ...]


def assess(
    rows: Mapping[str, PatientRow], protocol: Protocol, waive: Mapping[str, str]
) -> Eligibility:
    """Evaluate every criterion of ``protocol`` for every patient.

    Parameters
    ----------
    rows
        Canonical values by pseudonym.
    protocol
        Its criteria, in its order.
    waive
        Criterion id → the study's reason for not assessing it.

    Raises
    ------
    StudyError
        A waiver names no criterion or gives no reason.
    """
    _check_waivers(protocol, waive)
    entries: list[Entry] = []
    first_out: dict[str, str] = {}
    first_unknown: dict[str, str] = {}
    future_out: set[str] = set()
    for criterion in protocol.criterion:
        for patient, row in rows.items():
            entry, keeps = _one(patient, row, criterion, waive)
            entries.append(entry)
            if keeps is not True and criterion.selects_on_future:
                future_out.add(patient)
            elif keeps is False:
                first_out.setdefault(patient, criterion.id)
            elif keeps is None:
                first_unknown.setdefault(patient, criterion.id)
    everyone = tuple(p for p in rows if p not in first_out and p not in first_unknown)
    return Eligibility(
        as_written=tuple(p for p in everyone if p not in future_out),
        all_eligible=everyone,
        steps=_steps(protocol, waive, entries, len(rows)),
        entries=tuple(entries),
    )


def _check_waivers(protocol: Protocol, waive: Mapping[str, str]) -> None:
    for name, reason in waive.items():
        if name not in protocol.criteria:
            raise StudyError(
                "[waive] names no criterion of the protocol",
                where="study.toml",
                value=name,
                remedy=f"Criteria: {', '.join(protocol.criteria)}",
            )
        if len(reason.strip()) < 10:
            raise StudyError(
                f"criterion {name} is waived without a reason",
                where="study.toml",
                value=reason,
                remedy="Write the reason that the report shall print",
            )


def _one(
    patient: str, row: PatientRow, criterion: Criterion, waive: Mapping[str, str]
) -> tuple[Entry, bool | None]:
    verdict, value = criterion.evaluate(row)
    if criterion.id in waive:
        keeps: bool | None = True
        fate, reason = Fate.WAIVED, waive[criterion.id]
    else:
        keeps = criterion.keeps(verdict)
        fate = {True: Fate.KEPT, False: Fate.EXCLUDED, None: Fate.UNKNOWN}[keeps]
        reason = f"{verdict}: {criterion.text}"
        if keeps is None and criterion.evidence != "table":
            reason += f" (no evidence from: {criterion.evidence})"
    return (
        Entry(
            patient=patient,
            item="patient",
            stage=STAGE,
            verdict=fate,
            criterion=criterion.id,
            value=value,
            reason=reason,
        ),
        keeps,
    )


def _steps(
    protocol: Protocol, waive: Mapping[str, str], entries: list[Entry], n: int
) -> tuple[FlowStep, ...]:
    by_patient: dict[str, list[Entry]] = {}
    for entry in entries:
        by_patient.setdefault(entry.patient, []).append(entry)
    excluded = dict.fromkeys(protocol.criteria, 0)
    unknown = dict.fromkeys(protocol.criteria, 0)
    for verdicts in by_patient.values():
        out = next((e.criterion for e in verdicts if e.verdict is Fate.EXCLUDED), None)
        held = next((e.criterion for e in verdicts if e.verdict is Fate.UNKNOWN), None)
        if out is not None:
            excluded[out] += 1
        elif held is not None:
            unknown[held] += 1
    steps, remaining = [], n
    for criterion in protocol.criterion:
        remaining -= excluded[criterion.id] + unknown[criterion.id]
        steps.append(
            FlowStep(
                criterion=criterion.id,
                kind=criterion.kind,
                text=criterion.text,
                excluded=excluded[criterion.id],
                unknown=unknown[criterion.id],
                waived=waive.get(criterion.id, ""),
                remaining=remaining,
            )
        )
    return tuple(steps)
