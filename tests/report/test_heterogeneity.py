"""Centres and subgroups: each number in its own row, levels with their unit, reasons for none."""

from __future__ import annotations

from dataclasses import replace

import pytest

from metasight.report.blocks import Callout, DataTable
from metasight.report.heterogeneity import section
from metasight.report.interactions import level_name
from metasight.report.view import View
from metasight.report.wording import metric
from metasight.validation.results import NotEstimable, Pooled


def plain(value) -> str:
    return str(value).replace("\u00a0", " ").replace("\u202f", " ").replace("\u2212", "-")


def tables(contents) -> dict[str, DataTable]:
    return {b.anchor: b for b in section(View(contents)) if isinstance(b, DataTable)}


def cells(table: DataTable) -> list[tuple[str, ...]]:
    return [tuple(plain(c) for c in r.cells) for r in table.rows]


def with_headline(contents, **changes):
    first, *others = contents.analyses
    return replace(contents, analyses=(replace(first, **changes), *others))


def pooled(**changes) -> Pooled:
    told = {
        "value": 0.7,
        "lower": 0.6,
        "upper": 0.78,
        "prediction_lower": 0.52,
        "prediction_upper": 0.86,
        "tau2": 0.01,
        "i2": 0.41,
        "k": 3,
        "scale": "logit",
    }
    return Pooled(**{**told, **changes})


def with_pooled(contents, model, value):
    found = contents.analyses[0].centres
    summary = replace(found.models[model], discrimination=value)
    return with_headline(contents, centres=replace(found, models={**found.models, model: summary}))


def test_the_interval_for_a_new_centre_is_its_own_column(survival):
    lead = View(survival).lead
    row = next(
        r
        for r in cells(tables(with_pooled(survival, lead, pooled()))["centres-table"])
        if r[0] == lead
    )
    assert "0.700 (0.600–0.780)" in row[1] or "0.700 (0.600 to 0.780)" in row[1]
    assert row[2] == "0.52 to 0.86"
    assert row[3] == "41 %"


def test_two_centres_promise_nothing_of_a_third(survival):
    lead = View(survival).lead
    two = pooled(prediction_lower=None, prediction_upper=None, k=2)
    rows = cells(tables(with_pooled(survival, lead, two))["centres-table"])
    assert next(r for r in rows if r[0] == lead)[2:4] == ("–", "41 %")


def test_a_model_without_centres_has_a_reason_and_no_number(survival):
    lead = View(survival).lead
    found = survival.analyses[0].centres
    silent = with_headline(
        survival,
        centres=replace(
            found,
            models={
                **found.models,
                lead: NotEstimable(not_estimable="too few events in each centre"),
            },
        ),
    )
    table = tables(silent)["centres-table"]
    row = next(r for r in cells(table) if r[0] == lead)
    assert not any(c.isdigit() for c in "".join(row[2:]))
    assert "too few events in each centre" in " ".join(plain(n) for n in table.notes)


def test_gaps_are_those_of_the_run_in_the_models_order(survival):
    a = survival.analyses[0]
    rows = cells(tables(survival)["gaps"])
    view = View(survival)
    assert [r[0] for r in rows] == [m for m in view.models if m in {g.model for g in a.gaps}]
    for row in rows:
        gap = next(g for g in a.gaps if g.model == row[0])
        everywhere = a.evaluation.models[row[0]].harrell_c
        assert row[1].split()[0] == plain(metric(everywhere)).split()[0]
        assert float(row[2].split()[0]) == pytest.approx(gap.random_folds.value, abs=5e-4)
        assert float(row[3].split()[0]) == pytest.approx(gap.left_out_centres.value, abs=5e-4)
        assert float(row[4].split()[0]) == pytest.approx(gap.gap.difference, abs=5e-4)


def test_one_centre_is_a_warning_with_its_reason(null_signal):
    told = [b for b in section(View(null_signal)) if isinstance(b, Callout)]
    assert len(told) == 1
    assert "the table names no hospital" in " ".join(plain(t) for t in told[0].paragraphs)


def test_subgroups_have_their_patients_events_and_figures(survival):
    groups = survival.analyses[0].evaluation.models[View(survival).lead].subgroups
    rows = [r for r in cells(tables(survival)["subgroups-table"]) if len(r) > 1]
    assert [(r[0], r[1], r[2]) for r in rows] == [
        (g.level, str(g.n), str(g.events)) for g in groups
    ]
    assert sum(int(r[1]) for r in rows) == 160
    many = next(g for g in groups if g.level == "many")
    shown = next(r for r in rows if r[0] == "many")
    assert float(shown[3].split()[0]) == pytest.approx(many.discrimination.value, abs=5e-4)
    assert float(shown[6].split()[0]) == pytest.approx(100 * many.ipa.value, abs=0.05)


@pytest.mark.parametrize(
    ("variable", "level", "shown"),
    [
        ("tumour_size_mm", "≤ 24", "≤ 24 mm"),
        ("tumour_size_mm", "> 24", "> 24 mm"),
        ("tumour_size_mm", "not recorded", "not recorded"),
        ("grade", "3", "3"),
        ("no such variable", "> 2", "> 2"),
    ],
)
def test_a_cut_has_its_unit_and_a_name_has_none(survival, variable, level, shown):
    groups = survival.analyses[0].evaluation.models[View(survival).lead].subgroups
    group = replace(groups[0], variable=variable, level=level)
    assert plain(level_name(View(survival), group)) == shown
