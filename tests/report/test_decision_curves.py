"""Decision curves: the picture's data and words are the bands that were computed."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

import pytest

from metasight.report.decision_curves import DEFAULT, decision_figure, headline_differences
from metasight.report.drawing import looks
from metasight.report.performance import section
from metasight.report.view import View


def drawn(view: View):
    return decision_figure(view, 0, looks(view.models, view.reference, view.lead))


def limit(text: str) -> float | None:
    return float(text) if text else None


def test_what_is_decided_on_is_against_the_better_default_and_the_reference(survival):
    view = View(survival)
    found = headline_differences(view, 1)
    lead = view.evaluation.models[view.lead].targets[1]
    assert list(found) == [DEFAULT, view.reference]
    assert found[DEFAULT] == lead.decision_curve.over_default
    assert found[view.reference] == view.headline_comparison.targets[1].net_benefit_band


def test_the_data_hold_the_bands(survival):
    view = View(survival)
    rows = list(csv.DictReader(io.StringIO(drawn(view).data)))
    lead = view.evaluation.models[view.lead].targets[0].decision_curve
    own = [r for r in rows if r["model"] == view.lead]
    assert [limit(r["band_lower"]) for r in own] == [p.lower for p in lead.band.points]
    assert [limit(r["over_better_default_band_upper"]) for r in own] == [
        p.upper for p in lead.over_default.points
    ]
    assert any(p.lower is not None for p in lead.over_default.points)
    gap = [r for r in rows if r["model"] == f"headline minus {view.reference}"]
    wanted = view.headline_comparison.targets[0].net_benefit_band.points
    assert [float(r["net_benefit"]) for r in gap] == pytest.approx([p.value for p in wanted])


def test_the_bands_are_called_simultaneous(survival):
    figure = drawn(View(survival))
    assert "simultaneous 95 % bands over the thresholds" in figure.caption
    assert f"headline minus {DEFAULT}, with its simultaneous band" in figure.alt


def test_a_threshold_without_a_band_is_drawn_hollow_and_told_in_the_table(survival):
    view = View(survival)
    lead = view.evaluation.models[view.lead]
    first = lead.targets[0]
    points = first.decision_curve.over_default.points
    none = replace(points[0], lower=None, upper=None, reason="fewer than 5 patients")
    band = replace(first.decision_curve.over_default, points=(none, *points[1:]))
    curve = replace(first.decision_curve, over_default=band)
    changed = replace(lead, targets=(replace(first, decision_curve=curve), *lead.targets[1:]))
    analysis = survival.analyses[0]
    evaluation = replace(
        analysis.evaluation, models={**analysis.evaluation.models, view.lead: changed}
    )
    other = (replace(analysis, evaluation=evaluation), *survival.analyses[1:])
    view = View(replace(survival, analyses=other))
    assert "without a band at 10 %" in drawn(view).alt
    table = next(b for b in section(view) if getattr(b, "anchor", "") == "decision-band-table")
    assert "band not estimable (a)" in str(table.rows)
    assert any("fewer than 5 patients" in n for n in table.notes)


def test_a_single_model_has_one_difference(survival):
    first = survival.analyses[0]
    settings = replace(first.evaluation.settings, headline_model=View(survival).reference)
    changed = replace(first, evaluation=replace(first.evaluation, settings=settings))
    assert list(headline_differences(View(replace(survival, analyses=(changed,))), 0)) == [DEFAULT]
