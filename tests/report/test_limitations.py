"""What a run admits by itself: each limitation appears when it holds, and only then."""

from __future__ import annotations

from dataclasses import replace

import pytest

from metasight.leakage import Check
from metasight.models.final_fit import FinalFit
from metasight.models.proportional_hazards import GLOBAL, ChiSquare
from metasight.report.limitations import limitations
from metasight.report.view import View
from metasight.validation.results import Estimate


def told(contents) -> dict[str, str]:
    """Head of each limitation → its text."""
    out: dict[str, str] = {}
    for head, text in limitations(View(contents)):
        plain = str(text).replace("\u00a0", " ").replace("\u202f", " ").strip()
        out[head.text] = f"{out[head.text]} {plain}" if head.text in out else plain
    return out


def with_headline(contents, **changes):
    first, *others = contents.analyses
    return replace(contents, analyses=(replace(first, **changes), *others))


def with_c(contents, value, lower, upper):
    """The headline model's Harrell's C is another one."""
    a, lead = contents.analyses[0], View(contents).lead
    model = replace(
        a.evaluation.models[lead], harrell_c=Estimate(value=value, lower=lower, upper=upper)
    )
    models = {**a.evaluation.models, lead: model}
    return with_headline(contents, evaluation=replace(a.evaluation, models=models))


@pytest.mark.parametrize(
    ("c", "head"),
    [
        ((0.55, 0.45, 0.65), "No signal shown."),
        ((0.58, 0.5, 0.66), "No signal shown."),  # an interval that touches chance holds it
        ((0.70, 0.60, 0.80), "Wide intervals."),
        ((0.70, 0.64, 0.76), None),
    ],
)
def test_what_an_interval_of_c_shows(survival, c, head):
    heads = set(told(with_c(survival, *c)))
    assert heads & {"No signal shown.", "Wide intervals."} == ({head} if head else set())


@pytest.mark.parametrize(("events", "few"), [(99, True), (100, False)])
def test_a_hundred_events_are_wanted(survival, events, few):
    found = told(with_headline(survival, events=events))
    assert ("Few events." in found) is few


@pytest.mark.parametrize(
    ("mape", "optimism", "heads"),
    [
        (0.03, 0.05, {"Individual risks are unstable.", "Optimism."}),
        (0.029, 0.049, set()),
        (0.2, 0.0, {"Individual risks are unstable."}),
    ],
)
def test_instability_and_optimism_have_their_limits(survival, mape, optimism, heads):
    changed = replace(survival.optimism, mape=mape, optimism=optimism)
    found = set(told(replace(survival, optimism=changed)))
    assert found & {"Individual risks are unstable.", "Optimism."} == heads


def test_too_few_patients_are_few_only_where_more_are_needed(survival):
    size = replace(survival.sample_size, required_n=160, available_n=160)
    assert "Smaller than recommended." not in told(replace(survival, sample_size=size))
    size = replace(size, required_n=161)
    assert "Smaller than recommended." in told(replace(survival, sample_size=size))
    size = replace(size, required_n=None, assumptions="the event rate is not known")
    found = told(replace(survival, sample_size=size))
    assert found["Sample size not assessed."] == "The event rate is not known."


def test_checks_that_failed_come_first_and_those_that_passed_do_not_come(survival):
    failed = Check(
        id="shuffled", title="Shuffled outcomes", verdict="fail", finding="AUC 0.8", limit="0.6"
    )
    heads = list(told(replace(survival, checks=(*survival.checks, failed))))
    assert heads[0] == "Leakage check failed."
    assert {"Leakage check to look at.", "Leakage check not done."} <= set(heads)
    passed = tuple(c for c in survival.checks if c.verdict == "pass")
    assert not [h for h in told(replace(survival, checks=passed)) if "eakage" in h]
    assert "No leakage checks." in told(replace(survival, checks=()))


def test_patients_removed_by_the_future_are_counted(survival):
    flow = survival.flow
    gap = flow.all_eligible - flow.as_written
    assert gap == 13
    said = told(survival)["A criterion that selects on the future."]
    assert said.startswith("13 patients")
    assert said.endswith("results are given both ways.")
    # with one population analysed nothing is given both ways
    alone = replace(survival, analyses=survival.analyses[:1])
    said = told(alone)["A criterion that selects on the future."]
    assert "both ways" not in said
    same = replace(flow, as_written=flow.all_eligible)
    assert "A criterion that selects on the future." not in told(replace(survival, flow=same))


def test_the_worst_of_the_missing_is_named_with_its_share(survival):
    found = told(with_headline(survival, missing={"age_years": 8, "grade": 40, "pr_positive": 0}))
    grade = survival.protocol.variables["grade"].label
    assert found["Missing values."].startswith(f"2 of 3 predictors; most in {grade} (25 %).")
    assert "Missing values." not in told(with_headline(survival, missing={"age_years": 0}))


def test_three_centres_are_few_and_one_is_none(survival, null_signal):
    assert told(survival)["Few centres."].startswith("3 centres")
    data = replace(survival.analyses[0].evaluation.data, n_centres=4)
    evaluation = replace(survival.analyses[0].evaluation, data=data)
    assert "Few centres." not in told(with_headline(survival, evaluation=evaluation))
    alone = told(null_signal)
    assert "Few centres." not in alone
    assert alone["Not tested across centres."].endswith("the table names no hospital.")


def test_unexamined_nodes_and_unknown_eligibility_are_counted(nodal):
    assert told(nodal)["Outcome not observed."].startswith("In 6 patients")
    held = sum(s.unknown for s in nodal.flow.steps)
    assert told(nodal)["Unknown eligibility."].startswith(f"{held} patients")
    assert told(nodal)["Errors in the data."].startswith("3 patients")


@pytest.mark.parametrize(("chisq", "there"), [(3.8, False), (3.9, True)])
def test_hazard_ratios_that_change_over_time_are_a_limitation(survival, chisq, there):
    final = FinalFit(over_time=(ChiSquare.of(GLOBAL, chisq, 1),))
    first, *others = survival.models
    found = told(replace(survival, models=(replace(first, final=final), *others)))
    assert ("Hazard ratios that change over time." in found) is there
    other = replace(first, name="neither", final=final)
    assert "Hazard ratios that change over time." not in told(
        replace(survival, models=(*survival.models, other))
    )
