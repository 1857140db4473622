"""Every centre in a row, the small ones in one note, averages with how many were pooled."""

from __future__ import annotations

from dataclasses import replace

import pytest

from metasight.estimate import Estimate
from metasight.report.blocks import DataTable, Figure
from metasight.report.by_centre import _net_benefit, by_centre
from metasight.report.heterogeneity import section
from metasight.report.view import View
from metasight.validation.evaluate import evaluate
from metasight.validation.results import CentreEstimate, CentreSummary, NotEstimable, Pooled

from .conftest import HEADLINE, REFERENCE, plan, simulate

SMALL = NotEstimable(not_estimable="4 events and 9 non-events by 3652 days; 10 of each are needed")


def one(value: float) -> Estimate:
    return Estimate(value=value, lower=value - 0.1, upper=value + 0.1, se=0.05)


def centre(k: int, *, small: bool) -> CentreEstimate:
    told = SMALL if small else None
    return CentreEstimate(
        centre=f"C{k:02d}",
        n=13 if small else 40,
        events=4 if small else 15,
        discrimination=told or one(0.7),
        oe=told or one(1.1),
        slope=told or one(0.9),
        ipa=told or one(0.05),
        net_benefit=(told or one(0.02),) * 3,
    )


def average(value: float) -> Pooled:
    return Pooled(
        value=value,
        lower=value - 0.05,
        upper=value + 0.05,
        prediction_lower=value - 0.1,
        prediction_upper=value + 0.1,
        tau2=0.0,
        i2=0.25,
        k=28,
        scale="identity",
    )


def many() -> CentreSummary:
    return CentreSummary(
        measure="Harrell's C",
        target="3652 days",
        centres=tuple(centre(k, small=k >= 28) for k in range(31)),
        discrimination=average(0.7),
        oe=average(1.1),
        slope=average(0.9),
        ipa=average(0.05),
        net_benefit=(average(0.02), average(-0.01), SMALL),
    )


def plain(value) -> str:
    return str(value).replace("\u00a0", " ").replace("\u2212", "-")


@pytest.fixture
def tables(survival) -> dict[str, DataTable]:
    blocks = by_centre(View(survival), {HEADLINE: many(), REFERENCE: SMALL})
    return {b.anchor: b for b in blocks}


def test_thirty_one_centres_are_rows_and_one_note(tables):
    table = tables["by-centre"]
    assert len(table.rows) == 28
    assert [plain(c) for c in table.rows[0].cells] == [
        "C00",
        "40",
        "15",
        "0.70 (0.60 to 0.80)",
        "1.10 (1.00 to 1.20)",
        "0.90 (0.80 to 1.00)",
        "5.0 (-5.0 to 15.0)",
    ]
    (note,) = table.notes
    assert "at least 10 events and 10 non-events" in note
    assert "3 centres with 39 patients and 12 events: C28 (4 events), C29" in plain(note)
    assert "at 10 years" in table.caption


def test_net_benefit_has_a_column_for_each_threshold(tables):
    table = tables["by-centre-net-benefit"]
    assert [c.text for c in table.columns] == ["Centre", "10 %", "20 %", "30 %"]
    assert plain(table.rows[0].cells[1]) == "2.0 (-8.0 to 12.0)"
    assert len(table.rows) == 28


def test_more_thresholds_than_a_page_is_wide_are_in_several_tables(survival):
    view = View(survival)
    settings = replace(view.evaluation.settings, thresholds=(0.05, 0.1, 0.15, 0.2, 0.3, 0.4))
    first = survival.analyses[0]
    changed = replace(first, evaluation=replace(first.evaluation, settings=settings))
    view = View(replace(survival, analyses=(changed, *survival.analyses[1:])))
    six = tuple(one(0.01 * k) for k in range(6))
    found = replace(many(), centres=tuple(replace(c, net_benefit=six) for c in many().centres[:5]))
    parts = list(_net_benefit(view, found, list(found.centres)))
    assert [t.anchor for t in parts] == ["by-centre-net-benefit", "by-centre-net-benefit-2"]
    assert [c.text for c in parts[1].columns] == ["Centre", "20 %", "30 %", "40 %"]
    assert plain(parts[1].rows[0].cells[1]).startswith("3.0 (")
    assert parts[0].caption.endswith("Part 1 of 2.")
    assert [len(t.rows) for t in parts] == [5, 5]


def test_averages_say_how_many_centres_and_why_there_is_none(tables):
    table = tables["by-centre-averages"]
    cells = [tuple(plain(c) for c in r.cells) for r in table.rows]
    assert cells[0] == (HEADLINE,)
    assert cells[1] == ("Calibration slope", "0.90 (0.85 to 0.95)", "0.80 to 1.00", "25 %", "28")
    assert cells[3][:2] == ("Net benefit per 100 at 10 %", "2.0 (-3.0 to 7.0)")
    assert cells[5][1].startswith("not estimable (a)")
    assert "10 of each are needed" in table.notes[0]


def test_without_the_headline_s_centres_there_is_nothing(survival):
    assert list(by_centre(View(survival), {HEADLINE: SMALL})) == []


def test_where_every_centre_is_small_the_averages_alone_say_so(survival):
    none = replace(many(), centres=tuple(centre(k, small=True) for k in range(4)))
    blocks = list(by_centre(View(survival), {HEADLINE: none}))
    assert [b.anchor for b in blocks] == ["by-centre-averages"]


def test_a_validation_shows_the_external_centres(survival):
    told = simulate("survival")
    told = type(told)(told.table.assign(fold=-1))
    asked = replace(plan("survival", told), subgroups={})
    first = replace(
        survival.analyses[0],
        population="external",
        evaluation=evaluate(told, asked),
        centres=None,
        gaps=(),
    )
    blocks = section(View(replace(survival, analyses=(first,))))
    anchors = [b.anchor for b in blocks if isinstance(b, DataTable | Figure)]
    assert "by-centre" in anchors and "centres-table" in anchors and "centres-0" in anchors
    table = next(b for b in blocks if getattr(b, "anchor", "") == "centres-table")
    assert table.caption == "Average over external centres."
    figure = next(b for b in blocks if getattr(b, "anchor", "") == "centres-0")
    assert "in external centres" in figure.alt and "eft-out" not in figure.alt
