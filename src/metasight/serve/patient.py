"""One patient's page: criteria, ledger, recorded values and risk, as a run's results hold them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pandas as pd

from metasight.ledger import Entry
from metasight.protocol.study import Protocol, Variable
from metasight.report.patient_page import what_interval
from metasight.report.wording import number, percent, span, years
from metasight.serve.last_run import LastRun
from metasight.serve.patients import Line
from metasight.steps.exported import NO_INTERVAL

MODEL_ROLES = ("predictor", "criterion", "treatment", "design")
"""Roles of variables that the page lists; outcomes stand apart."""


_ON_PAGE = {NO_INTERVAL: "no interval could be given for it, and no risk is shown without one"}


@dataclass(frozen=True, kw_only=True)
class CriterionLine:
    """One criterion for one patient.

    Attributes
    ----------
    criterion, kind, text
        As in the protocol.
    verdict, value, reason
        As in the ledger, values by their labels.
    evidence
        Where the value comes from.
    decided
        Who decided in place of the rule, when and instead of what; empty where nobody did.
    """

    criterion: str
    kind: str
    text: str
    verdict: str
    value: str
    reason: str
    evidence: str
    decided: str


@dataclass(frozen=True, kw_only=True)
class ValueLine:
    """A recorded value.

    Attributes
    ----------
    label
        With its unit.
    value
        In words; empty where it is not known.
    role
        As in the protocol.
    """

    label: str
    value: str
    role: str


@dataclass(frozen=True, kw_only=True)
class RiskShown:
    """What the page says of the risk.

    Attributes
    ----------
    label
        What the risk is of.
    risks
        (time or stage, risk, its interval) as text.
    kind
        What the interval is of.
    counted_from
        Time zero; empty where there is no time.
    curve
        (day, risk) for the drawing; empty where there is none.
    ends
        Day → ends of the interval.
    why_none
        Why no risk is given; empty where one is.
    model
        Name of the model.
    contributions
        (name, value) as text.
    notes
        What else must be known.
    of_whom
        What the interval is of, and of whom the risk is, in sentences.
    """

    label: str
    model: str
    risks: tuple[tuple[str, str, str], ...] = ()
    kind: str = ""
    counted_from: str = ""
    curve: tuple[tuple[int, float], ...] = ()
    ends: tuple[tuple[int, float, float], ...] = ()
    why_none: str = ""
    contributions: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    of_whom: str = ""


def criteria_of(entries: Sequence[Entry], protocol: Protocol) -> tuple[CriterionLine, ...]:
    """The verdict on every criterion, in the order of the protocol."""
    own = {e.criterion: e for e in entries if e.stage == "eligibility"}
    return tuple(
        CriterionLine(
            criterion=c.id,
            kind=c.kind,
            text=c.text,
            verdict=str(own[c.id].verdict),
            value=in_labels(own[c.id].value, protocol),
            reason=short_reason(own[c.id].reason, c.text),
            evidence=_evidence(c.evidence),
            decided=decided(own[c.id]),
        )
        for c in protocol.criterion
        if c.id in own
    )


def short_reason(reason: str, text: str) -> str:
    """Why a criterion has its verdict, without the wording of the criterion that stands beside."""
    return reason.replace(f": {text}", "")


def history_of(entries: Sequence[Entry]) -> tuple[Entry, ...]:
    """Rows of the ledger apart from those on criteria."""
    return tuple(e for e in entries if e.stage != "eligibility")


def decided(entry: Entry) -> str:
    """Who decided in place of a rule, in words; empty where nobody did."""
    if not entry.who:
        return ""
    return f"decided by {entry.who} on {entry.when} in place of “{entry.replaced}”"


def values_of(run: LastRun, patient: str) -> tuple[ValueLine, ...]:
    """Recorded values, those of the protocol's variables that the table has."""
    row = run.table.loc[patient]
    return tuple(
        ValueLine(label=_label(v), value=_value(row[v.name], v), role=v.role)
        for v in run.study.protocol.variable
        if v.name in row.index and v.role in MODEL_ROLES
    )


def risk_of(run: LastRun, patient: str) -> RiskShown:
    """The headline model's risk, or why none is given."""
    primary = run.study.protocol.primary
    about = RiskShown(label=primary.label, model=run.headline_model)
    shown = run.risks.of.get(patient)
    if not shown:
        why = run.risks.why_none.get(
            patient, "the patient is not analysed; criteria and ledger say why"
        )
        return RiskShown(label=about.label, model=about.model, why_none=_ON_PAGE.get(why, why))
    timed = [r for r in shown if r.horizon_days is not None]
    last = max((r.horizon_days or 0 for r in timed), default=0)
    return RiskShown(
        label=about.label,
        model=about.model,
        risks=tuple(
            (
                r.target,
                percent(r.value, 1),
                span(100 * r.interval.lower, 100 * r.interval.upper, 1) + " %",
            )
            for r in shown
        ),
        kind=shown[0].interval.kind,
        counted_from=shown[0].counted_from,
        curve=tuple(p for p in run.curves.get(patient, ()) if p[0] <= last),
        ends=tuple((r.horizon_days or 0, r.interval.lower, r.interval.upper) for r in timed),
        contributions=_contributions(run, patient),
        notes=run.risks.notes.get(patient, ()),
        of_whom=_of_whom(run.study.protocol, timed=bool(timed)),
    )


def _of_whom(protocol: Protocol, *, timed: bool) -> str:
    told = what_interval("true risk")
    if timed and protocol.landmark_days:
        told = (
            "The risk is that of a patient without an event by day "
            f"{protocol.landmark_days} after {protocol.time_zero}. {told}"
        )
    return told


def neighbours(lines: Sequence[Line], patient: str) -> tuple[str, str, int]:
    """The patients before and after one in a list, and its place from 1; empty at the ends.

    One who is not in the list has neither, and place 0.
    """
    order = [x.patient for x in lines]
    if patient not in order:
        return "", "", 0
    at = order.index(patient)
    return (
        order[at - 1] if at else "",
        order[at + 1] if at + 1 < len(order) else "",
        at + 1,
    )


def in_labels(text: str, protocol: Protocol) -> str:
    """``sex=female; age_years=46`` with the protocol's labels in place of names."""
    return "; ".join(_parts_in_labels(text, protocol)) if text else ""


def _parts_in_labels(text: str, protocol: Protocol) -> Iterator[str]:
    for part in text.split("; "):
        name, equals, value = part.partition("=")
        variable = protocol.variables.get(name.strip())
        if variable is None or not equals:
            yield part
        else:
            unit = f" {variable.unit}" if variable.unit and value != "missing" else ""
            yield f"{variable.label}: {value.replace('_', ' ')}{unit}"


def _label(variable: Variable) -> str:
    return f"{variable.label} ({variable.unit})" if variable.unit else variable.label


def _value(value: object, variable: Variable) -> str:
    if pd.isna(value):  # type: ignore[call-overload]
        return ""
    if variable.type == "boolean":
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    return str(value).replace("_", " ")


def _evidence(evidence: str) -> str:
    return "patient table" if evidence == "table" else evidence.replace("_", " ")


def _contributions(run: LastRun, patient: str) -> tuple[tuple[str, str], ...]:
    table = run.contributions
    if table is None or patient not in table.index:
        return ()
    return tuple(
        (str(name).replace("_", " "), number(float(v), 2, signed=True))
        for name, v in table.loc[patient].items()
        if not pd.isna(v)
    )


# ------------------------------------------------------------------ drawing


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """The risk curve in the units of its SVG.

    Attributes
    ----------
    line
        Points of the polyline.
    bars
        (x, y of the upper end, y of the lower end) of each interval.
    x_ticks, y_ticks
        (place, text).
    """

    line: str
    bars: tuple[tuple[float, float, float], ...]
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]


WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 460.0, 260.0, 52.0, 40.0, 14.0, 44.0


def drawn(risk: RiskShown) -> Drawing | None:
    """Where the lines of a risk curve go; None where there is no curve."""
    if not risk.curve:
        return None
    last = max(day for day, _ in risk.curve)
    steps = [(0, 0.0), *risk.curve]

    def x(day: float) -> float:
        return round(LEFT + (WIDTH - LEFT - RIGHT) * day / last, 1)

    def y(share: float) -> float:
        return round(TOP + (HEIGHT - TOP - BOTTOM) * (1 - share), 1)

    ends = {day for day, _, _ in risk.ends}
    return Drawing(
        line=" ".join(f"{x(day)},{y(share)}" for day, share in steps),
        bars=tuple((x(day), y(upper), y(lower)) for day, lower, upper in risk.ends),
        x_ticks=((x(0), "0"), *((x(d), years(d)) for d in sorted(ends))),
        y_ticks=tuple((y(t / 4), f"{25 * t} %") for t in range(5)),
    )


_PSEUDONYM = re.compile(r"P[0-9a-f]{16}")


def is_pseudonym(text: str) -> bool:
    """Whether a text has the form of a pseudonym."""
    return _PSEUDONYM.fullmatch(text) is not None
