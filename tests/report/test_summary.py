"""The first page: the figures are the evaluation's, readings follow from their intervals."""

from __future__ import annotations

from dataclasses import replace

import pytest

from metasight.leakage import Check
from metasight.report.blocks import Callout, DataTable, Facts, Paragraph
from metasight.report.summary import middle_threshold, section, title_block
from metasight.report.view import View
from metasight.validation.fold_contrast import NADEAU_BENGIO, NESTED, FoldContrast
from metasight.validation.permutation import PermutationTest
from metasight.validation.results import Contrast, NotEstimable


def plain(value) -> str:
    text = str(value).replace("\u00a0", " ").replace("\u202f", " ")
    return text.replace("\u2212", "-")


def rows(contents) -> list[tuple[str, ...]]:
    (table,) = (b for b in section(View(contents)) if isinstance(b, DataTable))
    return [tuple(plain(c) for c in r.cells) for r in table.rows]


def panel(contents) -> dict[str, str]:
    (facts,) = (b for b in section(View(contents)) if isinstance(b, Facts))
    return {plain(k): plain(v) for k, v in facts.items}


def with_gap(contents, gap):
    """The comparison with the reference found another difference in C."""
    a = contents.analyses[0]
    lead = View(contents).lead
    told = tuple(
        replace(c, harrell_c=gap) if c.model == lead else c for c in a.evaluation.comparisons
    )
    changed = replace(a, evaluation=replace(a.evaluation, comparisons=told))
    return replace(contents, analyses=(changed, *contents.analyses[1:]))


@pytest.mark.parametrize(
    ("thresholds", "middle"),
    [((0.1, 0.2, 0.3), 0.2), ((0.3, 0.1, 0.2), 0.2), ((0.05, 0.1), 0.05), ((0.1,), 0.1)],
)
def test_the_middle_threshold_is_the_lower_of_two(thresholds, middle):
    assert middle_threshold(thresholds) == middle


def notes(contents) -> str:
    (table,) = (b for b in section(View(contents)) if isinstance(b, DataTable))
    return plain(" ".join(table.notes))


def with_refitted(contents, refitted):
    a = contents.analyses[0]
    told = tuple(replace(c, refitted=refitted) for c in a.evaluation.comparisons)
    changed = replace(a, evaluation=replace(a.evaluation, comparisons=told))
    return replace(contents, analyses=(changed, *contents.analyses[1:]))


@pytest.mark.parametrize(
    ("method", "splits", "said"),
    [
        (NESTED, 5, "nested cross-validation (5 divisions into folds"),
        (NADEAU_BENGIO, 0, "over folds (Nadeau and Bengio 2003)"),
    ],
)
def test_how_fitting_was_counted_is_said(survival, method, splits, said):
    interval = FoldContrast(
        difference=0.03, lower=-0.01, upper=0.07, se=0.02, folds=25, method=method, splits=splits
    )
    assert said in notes(with_refitted(survival, interval))
    assert "the uncertainty of fitting" not in notes(
        with_refitted(survival, NotEstimable(not_estimable="none"))
    )


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (
            PermutationTest(difference=0.031, p=0.02, dealt=99, median=-0.004),
            "p = 0.020 (99 permutations, one-sided)",
        ),
        ("3 of 99 permutations could not be fitted", "There is no permutation test: 3 of 99"),
    ],
)
def test_the_permutation_test_is_said_where_there_is_one(survival, found, said):
    first = replace(survival.analyses[0], permutation=found)
    told = replace(survival, analyses=(first, *survival.analyses[1:]))
    assert said in notes(told)
    assert "ermutation" not in notes(survival)


@pytest.mark.parametrize(
    ("lower", "upper", "said"),
    [
        (0.01, 0.05, "better"),
        (-0.05, -0.01, "worse"),
        (-0.01, 0.05, "no clear difference"),
        (0.0, 0.05, "no clear difference"),
    ],
)
def test_a_reading_follows_from_the_interval_alone(survival, lower, upper, said):
    gap = Contrast(difference=(lower + upper) / 2, lower=lower, upper=upper, probability_better=0.9)
    assert rows(with_gap(survival, gap))[0][-1] == said


def test_a_difference_that_cannot_be_told_is_not_read(survival):
    first = rows(with_gap(survival, NotEstimable(not_estimable="no pairs")))[0]
    assert first[-1] == "not estimable"
    assert not any(c.isdigit() for c in first[3])


def test_each_line_is_reference_headline_and_their_difference(survival):
    view = View(survival)
    a, b = (view.evaluation.models[m] for m in (view.reference, view.lead))
    wanted = [(a.harrell_c.value, b.harrell_c.value, 1)]
    for t, u in zip(a.targets, b.targets, strict=True):
        wanted += [(t.auc.value, u.auc.value, 1), (t.ipa.value, u.ipa.value, 100)]
        at = [p.net_benefit.value for x in (t, u) for p in x.decision_curve.points]
        wanted.append((at[1], at[4], 100))  # 20 % of 10, 20 and 30
    told = rows(survival)
    assert len(told) == len(wanted) == 7
    for row, (ref, lead, scale) in zip(told, wanted, strict=True):
        digits = 5e-4 if scale == 1 else 0.05
        assert float(row[1].split()[0]) == pytest.approx(scale * ref, abs=digits)
        assert float(row[2].split()[0]) == pytest.approx(scale * lead, abs=digits)
        assert float(row[3].split()[0]) == pytest.approx(scale * (lead - ref), abs=2 * digits)


def test_the_panel_counts_patients_events_and_checks(survival):
    told = panel(survival)
    a = survival.analyses[0]
    assert told["patients"] == str(a.n)
    assert told["events"] == str(a.events)
    assert told["leakage checks"] == "1 passed, 1 to look at, 1 not done"
    assert told["median follow-up (reverse Kaplan–Meier)"] == "7.9 years"  # 2900 days
    assert panel(replace(survival, checks=()))["leakage checks"] == "none run"


def test_leakage_is_said_before_anything_else_is_believed(survival):
    failed = Check(id="x", title="Shuffled outcomes", verdict="fail", finding="0.8", limit="0.6")
    spoilt = replace(survival, checks=(failed, *survival.checks))
    last = [b for b in section(View(spoilt)) if isinstance(b, Paragraph)][-1]
    words = "".join(getattr(t, "text", t) for t in last.text if not hasattr(t, "anchor"))
    assert words.startswith("Leakage was found: do not rely on the performance figures.")
    assert "Shuffled outcomes" in words
    assert panel(spoilt)["leakage checks"] == "1 passed, 1 to look at, 1 failed, 1 not done"


def test_who_was_not_observed_is_not_counted_as_absent(nodal):
    lead = next(b for b in section(View(nodal)) if isinstance(b, Paragraph) and b.lead)
    assert "Of these, 6 patients had an outcome that was not observed" in plain(lead.text)
    counts = nodal.analyses[0].evaluation.data.class_counts
    assert panel(nodal)["observed stages"] == ", ".join(f"{k} {n}" for k, n in counts.items())


def test_a_demonstration_says_so_on_the_first_page(survival, null_signal):
    titles = [
        [b.title for b in title_block(View(c)) if isinstance(b, Callout)]
        for c in (survival, null_signal)
    ]
    assert titles == [["Research only"], ["Research only", "Demonstration"]]
