"""Methods as printed: what the protocol defines and the run did, in its units and no others."""

from __future__ import annotations

from dataclasses import replace

import pytest

from metasight.report.blocks import BulletList, DataTable
from metasight.report.methods import _named, _value, fitting_words, judging_words, section
from metasight.report.view import View


def plain(value) -> str:
    if isinstance(value, tuple):
        return "".join(plain(getattr(v, "text", v)) for v in value if not hasattr(v, "anchor"))
    text = str(value).replace("\u00a0", " ").replace("\u202f", " ")
    return text.replace("\u2212", "-")


def rows(contents, anchor) -> list[tuple[str, ...]]:
    (table,) = (
        b for b in section(View(contents)) if isinstance(b, DataTable) and b.anchor == anchor
    )
    return [tuple(plain(c) for c in r.cells) for r in table.rows]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("tls_radius_um", "TLS radius"),
        ("largest_peripheral_mm", "Largest peripheral"),
        ("ctr", "CTR"),
        ("tils", "TILs"),
        ("days", "DAYS"),  # one short word is an abbreviation, not a unit
        ("follow_up_days", "Follow up"),
        ("density", "Density"),
    ],
)
def test_a_definition_is_named_in_words_without_its_unit(name, words):
    assert _named(name) == words


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (20.0, "mm", "20 mm"),
        (0.25, "", "0.25"),
        ((1.0, 2.5), "mm", "1, 2.5 (mm)"),
        (("a", "b"), "", "a, b"),
        (None, "see text", "see text"),
        (None, "", "–"),
        (True, "", "True"),
        ((0.5, -1.0), "mm²", "0.5, no limit (mm²)"),
    ],
)
def test_a_value_has_its_unit_once(value, unit, shown):
    assert _value(value, unit) == shown


def test_endpoints_are_the_protocols_and_say_which_was_not_analysed(survival):
    told = rows(survival, "endpoints-table")
    assert len(told) == len(survival.protocol.endpoint)
    done = {a.endpoint for a in survival.analyses}
    for row, e in zip(told, survival.protocol.endpoint, strict=True):
        assert row[0] == e.label + " (primary)" * e.primary
        assert row[4].endswith("Not analysed here") == (e.name not in done)
        if e.horizons_years:
            assert f"{e.horizons_years[0]:g}" in row[2]
            assert row[2].endswith(f"C truncated at {e.tau_years:g} years")


def test_predictors_are_all_the_protocols_whether_used_or_not(survival):
    told = rows(survival, "dictionary")
    names = survival.protocol.clinical_predictors
    known = survival.protocol.variables
    assert [r[0] for r in told] == [known[n].label for n in names]
    for row, name in zip(told, names, strict=True):
        window = known[name].window
        if window:
            assert row[3] == f"{window.from_days:g} to {window.to_days:g}"
        assert row[5] == ("yes" if name in survival.analyses[0].missing else "no")


def test_folds_are_of_one_repeat(survival):
    """15 fits in 3 repeats are 5 folds; the seed is the study's."""
    view = View(survival)
    data = replace(view.evaluation.data, n_folds=15, n_repeats=3)
    a = survival.analyses[0]
    changed = replace(a, evaluation=replace(a.evaluation, data=data))
    told = plain(fitting_words(View(replace(survival, analyses=(changed,)))))
    assert told.startswith(
        "Patients were split into 5 folds, stratified by outcome, and the split was repeated "
        "3 times (seed 1)."
    )


def test_each_kind_is_judged_by_its_own_concordance(survival, nodal):
    assert "Harrell’s C and Uno’s C" in plain(judging_words(View(survival)))
    assert "truncated at 10 years" in plain(judging_words(View(survival)))
    stages = plain(judging_words(View(nodal)))
    assert "ordinal" in stages
    assert "Uno" not in stages
    assert "20 bootstrap resamples of patients" in stages


def test_a_failed_fit_is_told_with_its_reason(survival):
    failure = {"criterion": "clinical", "item": "repeat 0 fold 1", "reason": "no events"}
    a = replace(survival.analyses[0], failures=(failure,), deviations=(), refused_horizons=())
    (told,) = (
        b
        for b in section(View(replace(survival, analyses=(a,))))
        if isinstance(b, BulletList) and "failed in" in plain(b.items[0])
    )
    assert plain(told.items[0]).endswith("model “clinical” failed in repeat 0 fold 1: no events")
