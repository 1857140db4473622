"""Curves by predicted risk: every number at risk, bands, and a figure that says what it is."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

from metasight.report.risk_groups import risk_groups_figure
from metasight.report.view import View
from metasight.validation.group_curve import GroupCurve

DAYS = tuple(float(d) for d in range(0, 3653, 83))


def curve(name: str, end: float, low: float, high: float, n: int = 60) -> GroupCurve:
    k = len(DAYS)
    incidence = tuple(end * i / (k - 1) for i in range(k))
    return GroupCurve(
        name=name,
        n=n,
        events=round(n * end),
        lowest=low,
        highest=high,
        days=DAYS,
        incidence=incidence,
        lower=tuple(0.8 * v for v in incidence),
        upper=tuple(min(1.0, 1.2 * v) for v in incidence),
        at_risk=tuple(round(n * (1 - i / (k - 1))) for i in range(k)),
    )


CURVES = (
    curve("lowest third of risk", 0.08, 0.02, 0.1),
    curve("middle third of risk", 0.2, 0.1, 0.22),
    curve("highest third of risk", 0.5, 0.22, 0.8, n=57),
)


def with_curves(contents, curves=CURVES):
    first = contents.analyses[0]
    found = first.evaluation
    lead = found.settings.headline_model
    models = {**found.models, lead: replace(found.models[lead], by_risk=curves)}
    return replace(
        contents,
        analyses=(
            replace(first, evaluation=replace(found, models=models)),
            *contents.analyses[1:],
        ),
    )


def test_the_figure_has_its_words_and_its_numbers(survival) -> None:
    figure = risk_groups_figure(View(with_curves(survival)))
    assert figure is not None
    assert "1 − Kaplan–Meier" in figure.caption
    assert "had not seen the patient" in figure.caption
    assert "highest third of risk: 50\u00a0% of 57 patients" in figure.alt.replace(
        "\u202f", "\u00a0"
    )
    rows = list(csv.DictReader(io.StringIO(figure.data)))
    assert len(rows) == 3 * len(DAYS)
    assert [r["at_risk"] for r in rows[:2]] == ["60", "59"]


def test_without_curves_there_is_no_figure(survival, nodal) -> None:
    assert risk_groups_figure(View(with_curves(survival, ()))) is None
    assert risk_groups_figure(View(nodal)) is None


def test_competing_events_are_named(survival) -> None:
    contents = with_curves(survival)
    first = contents.analyses[0]
    competing = replace(first, evaluation=replace(first.evaluation, kind="competing"))
    figure = risk_groups_figure(View(replace(contents, analyses=(competing,))))
    assert figure is not None
    assert "Aalen–Johansen" in figure.caption


def test_the_same_curves_give_the_same_figure(survival) -> None:
    one, two = (risk_groups_figure(View(with_curves(survival))) for _ in range(2))
    assert one == two
