"""Who is in the study and why not: every criterion for every patient, and the flow counts.

A criterion of several parts is assessed part by part: a study that cannot assess one of them
waives that one (``I3.surgery_date``), and the others count. Where a whole criterion is waived and
the table says that a patient is not eligible by it, the patient stays; ledger, screen and report
say so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from metasight.cohort.columns import PatientRow
from metasight.cohort.reader_decisions import ReaderDecision, decided
from metasight.errors import StudyError
from metasight.ledger import Entry, Fate
from metasight.protocol.criteria import Criterion, CriterionTest, about_values, without
from metasight.protocol.study import Protocol

STAGE = "eligibility"
_AGAINST = " (the table says: not eligible)"
_KEEPS = {Fate.KEPT: True, Fate.WAIVED: True, Fate.EXCLUDED: False, Fate.UNKNOWN: None}


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
        The study's written reason, if it does not assess this criterion or a part of it, and how
        many patients stay in against the table; empty otherwise.
    remaining
        Patients left after this line.
    in_part
        Whether the rest of the criterion is assessed although ``waived`` is not empty.
    against
        Patients who stay in by a waiver although the table says that they are not eligible.
    """

    criterion: str
    kind: str
    text: str
    excluded: int
    unknown: int
    waived: str
    remaining: int
    in_part: bool = False
    against: int = 0


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
    rows: Mapping[str, PatientRow],
    protocol: Protocol,
    waive: Mapping[str, str],
    decisions: Mapping[str, Mapping[str, ReaderDecision]] | None = None,
) -> Eligibility:
    """Evaluate every criterion of ``protocol`` for every patient.

    Parameters
    ----------
    rows
        Canonical values by pseudonym.
    protocol
        Its criteria, in its order.
    waive
        Criterion id → the study's reason for not assessing it; or id and variable with a point
        between them (``I3.surgery_date``) for that part of it.
    decisions
        Pseudonym → criterion → what a reader decided in place of the verdict.

    Raises
    ------
    StudyError
        A waiver names no criterion, no part of one, or every part; or gives no reason.
    """
    _check_waivers(protocol, waive)
    asked = {c.id: _Asked.of(c, waive) for c in protocol.criterion}
    readers = decisions or {}
    entries: list[Entry] = []
    first_out: dict[str, str] = {}
    first_unknown: dict[str, str] = {}
    future_out: set[str] = set()
    for criterion in protocol.criterion:
        for patient, row in rows.items():
            entry = _one(patient, row, asked[criterion.id])
            entry = decided(entry, readers.get(patient, {}).get(criterion.id))
            entries.append(entry)
            keeps = _KEEPS[entry.verdict]
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
        steps=_steps(protocol, asked, entries, rows),
        entries=tuple(entries),
    )


@dataclass(frozen=True)
class _Asked:
    """What a study asks of one criterion.

    Attributes
    ----------
    criterion
        Of the protocol.
    test
        What is left of it.
    waived
        Reason, if the whole criterion is not assessed; empty otherwise.
    parts
        Variable → reason, of parts that are not assessed.
    """

    criterion: Criterion
    test: CriterionTest
    waived: str
    parts: dict[str, str]

    @classmethod
    def of(cls, criterion: Criterion, waive: Mapping[str, str]) -> _Asked:
        own = {}
        for name, reason in waive.items():
            of, _, variable = name.partition(".")
            if of == criterion.id and variable:
                own[variable] = reason
        left = without(criterion.condition, own) if own else criterion.condition
        test = criterion.test.model_copy(update={"condition": left or criterion.condition})
        return cls(criterion, test, waive.get(criterion.id, ""), own)

    def is_against(self, row: PatientRow) -> bool:
        """Whether a value in the table says that the patient is not eligible by this criterion."""
        values = about_values(self.criterion.condition)
        if values is None:
            return False
        test = self.test.model_copy(update={"condition": values})
        return test.keeps(test.evaluate(row)[0]) is False

    @property
    def remark(self) -> str:
        """Parts that are not assessed, in words; empty where there are none."""
        return "; ".join(
            f"{v.replace('_', ' ')} is not assessed: {r}" for v, r in self.parts.items()
        )


def _check_waivers(protocol: Protocol, waive: Mapping[str, str]) -> None:
    for name, reason in waive.items():
        whole, _, variable = name.partition(".")
        if whole not in protocol.criteria:
            raise StudyError(
                "[waive] names no criterion of the protocol",
                where="study.toml",
                value=name,
                remedy=f"Criteria: {', '.join(protocol.criteria)}",
            )
        if len(reason.strip()) < 10:
            raise StudyError(
                f"criterion {name} is waived, but no reason is given",
                where="study.toml",
                value=reason,
                remedy="Write the reason; the report prints it",
            )
        criterion = protocol.criteria[whole]
        if variable and variable not in criterion.parts:
            raise StudyError(
                f"[waive] {name} names no part of {whole} that can be waived alone",
                where="study.toml",
                value=variable,
                remedy=f"Parts of {whole}: "
                + (", ".join(f'"{whole}.{v}"' for v in criterion.parts) or "none; waive it whole"),
            )
        if variable and whole in waive:
            raise StudyError(
                f"[waive] names {whole} and a part of it",
                where="study.toml",
                value=name,
                remedy="Waive the whole criterion or parts of it",
            )
    for criterion in protocol.criterion:
        own = [v for v in criterion.parts if f"{criterion.id}.{v}" in waive]
        if own and without(criterion.condition, own) is None:
            raise StudyError(
                f"[waive] names every part of {criterion.id}",
                where="study.toml",
                value=", ".join(own),
                remedy=f'Waive the whole criterion: {criterion.id} = "…"',
            )


def _one(patient: str, row: PatientRow, asked: _Asked) -> Entry:
    criterion = asked.criterion
    verdict, value = asked.test.evaluate(row)
    keeps = asked.test.keeps(verdict)
    if asked.waived:
        against = _AGAINST if asked.is_against(row) else ""
        fate, reason = Fate.WAIVED, asked.waived + against
    else:
        fate = Fate.of(keeps)
        reason = f"{verdict}: {criterion.text}"
        if keeps is None and criterion.evidence != "table":
            reason += f" (no evidence from: {criterion.evidence})"
        if asked.parts:
            reason += f" ({asked.remark})"
    return Entry(
        patient=patient,
        item="patient",
        stage=STAGE,
        verdict=fate,
        criterion=criterion.id,
        value=value,
        reason=reason,
    )


def _steps(
    protocol: Protocol,
    asked: Mapping[str, _Asked],
    entries: list[Entry],
    rows: Mapping[str, PatientRow],
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
    steps, remaining = [], len(rows)
    for criterion in protocol.criterion:
        remaining -= excluded[criterion.id] + unknown[criterion.id]
        own = asked[criterion.id]
        against = sum(bool(own.waived) and own.is_against(row) for row in rows.values())
        steps.append(
            FlowStep(
                criterion=criterion.id,
                kind=criterion.kind,
                text=criterion.text,
                excluded=excluded[criterion.id],
                unknown=unknown[criterion.id],
                waived=_waiver(own, against),
                remaining=remaining,
                in_part=not own.waived and bool(own.parts),
                against=against,
            )
        )
    return tuple(steps)


def _waiver(asked: _Asked, against: int) -> str:
    """Why a criterion, or a part of it, is not assessed, and who stays in against the table."""
    if not asked.waived or not against:
        return asked.waived or asked.remark
    who = "1 patient remains" if against == 1 else f"{against} patients remain"
    parts = asked.criterion.parts
    names = ", ".join(f"{asked.criterion.id}.{p}" for p in parts)
    remedy = f"; to assess the rest, waive one of its parts alone: {names}"
    told = f"{asked.waived} ({who} included although not eligible by the table"
    return told + (f"{remedy})" if parts else ")")
