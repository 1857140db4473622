"""The patients of the last run, one line each: searched, filtered and put in order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import pandas as pd

from metasight.ledger import Entry, Fate
from metasight.protocol.study import Protocol
from metasight.serve.last_run import LastRun


class Verdict(StrEnum):
    """What became of a patient, in the words of the pages."""

    AS_WRITTEN = "eligible"
    BUT_FUTURE = "eligible, but for follow-up"
    EXCLUDED = "excluded"
    UNKNOWN = "not assessed"


@dataclass(frozen=True, kw_only=True)
class Line:
    """One patient of the list.

    Attributes
    ----------
    patient
        Pseudonym.
    centre, arm
        As the table has them; empty where it has none.
    verdict
        See :class:`Verdict`.
    left_at
        Criterion at which the flow diagram counts the patient; empty for one who stays.
    failed
        Number of rows of the ledger that say that something failed.
    missing
        Number of the protocol's predictors that are not known.
    analysed
        Whether the leading analysis holds the patient.
    slides
        Number of slides whose quality was judged.
    """

    patient: str
    centre: str
    arm: str
    verdict: Verdict
    left_at: str
    failed: int
    missing: int
    analysed: bool
    slides: int


ORDERS: Mapping[str, Callable[[Line], Any]] = {
    "patient": lambda x: x.patient,
    "centre": lambda x: (x.centre, x.patient),
    "arm": lambda x: (x.arm, x.patient),
    "verdict": lambda x: (x.verdict, x.left_at, x.patient),
    "failed": lambda x: (-x.failed, x.patient),
    "missing": lambda x: (-x.missing, x.patient),
}
PAGE = 100
"""Lines of one page."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What of the list is asked for.

    Attributes
    ----------
    search
        Part of a pseudonym.
    centre, arm, verdict, left_at
        Exactly this; empty for any.
    missing
        Only patients with a missing predictor.
    order
        One of `ORDERS`.
    page
        From 1.
    """

    search: str = ""
    centre: str = ""
    arm: str = ""
    verdict: str = ""
    left_at: str = ""
    missing: bool = False
    order: str = "patient"
    page: int = 1

    def holds(self, line: Line) -> bool:
        """Whether a line is asked for."""
        same = (
            (self.centre, line.centre),
            (self.arm, line.arm),
            (self.verdict, str(line.verdict)),
            (self.left_at, line.left_at),
        )
        return (
            all(not asked or asked == own for asked, own in same)
            and self.search.strip().lower() in line.patient.lower()
            and not (self.missing and line.missing == 0)
        )

    def of(self, lines: Sequence[Line]) -> list[Line]:
        """Lines that are asked for, in order; of all pages."""
        return sorted(filter(self.holds, lines), key=ORDERS[self.order])


def lines_of(run: LastRun) -> tuple[Line, ...]:
    """A line for every patient that was screened, by pseudonym."""
    table, cohort = run.table, run.cohort
    predictors = [v.name for v in run.study.protocol.variable if v.role == "predictor"]
    known = [c for c in predictors if c in table.columns]
    missing = table[known].isna().sum(axis=1)
    as_written, eligible = set(cohort["as_written"]), set(cohort["all_eligible"])
    analysed = {*run.risks.of, *run.risks.why_none}
    found = []
    for patient in sorted(map(str, table.index)):
        entries = run.ledger.get(patient, ())
        verdict, left_at = _fate(patient, entries, run.study.protocol, as_written, eligible)
        found.append(
            Line(
                patient=patient,
                centre=_text(table, patient, "centre"),
                arm=_text(table, patient, "arm"),
                verdict=verdict,
                left_at=left_at,
                failed=sum(e.verdict is Fate.FAILED for e in entries),
                missing=int(missing[patient]),
                analysed=patient in analysed,
                slides=len({e.item for e in entries if e.stage == "slide quality"}),
            )
        )
    return tuple(found)


def left_at(entries: Sequence[Entry]) -> tuple[str, Fate] | None:
    """Where the flow diagram counts a patient, as `metasight.cohort.eligibility` does.

    The first criterion that excludes the patient; failing that, the first that is not known.
    """
    own = [e for e in entries if e.stage == "eligibility"]
    for fate in (Fate.EXCLUDED, Fate.UNKNOWN):
        for entry in own:
            if entry.verdict is fate:
                return entry.criterion, fate
    return None


def _fate(
    patient: str,
    entries: Sequence[Entry],
    protocol: Protocol,
    as_written: set[str],
    eligible: set[str],
) -> tuple[Verdict, str]:
    order = list(protocol.criteria)
    left = left_at(sorted(entries, key=lambda e: _place(e.criterion, order)))
    criterion, fate = left if left is not None else ("", Fate.KEPT)
    if patient in as_written:
        return Verdict.AS_WRITTEN, ""
    if patient in eligible:
        return Verdict.BUT_FUTURE, criterion
    return (Verdict.EXCLUDED if fate is Fate.EXCLUDED else Verdict.UNKNOWN), criterion


def _place(criterion: str, order: Sequence[str]) -> int:
    return order.index(criterion) if criterion in order else len(order)


def _text(table: pd.DataFrame, patient: str, column: str) -> str:
    if column not in table.columns:
        return ""
    value = table.at[patient, column]
    return "" if pd.isna(value) else str(value)
