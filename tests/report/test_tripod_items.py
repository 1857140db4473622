"""What the run answers to the checklist: its own counts, and nothing where it knows nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from metasight.report.tripod_items import FILLED
from metasight.report.view import View
from metasight.report.wording import contrast, metric


def plain(value) -> str:
    if isinstance(value, tuple):
        return "".join(plain(getattr(v, "text", v)) for v in value if not hasattr(v, "anchor"))
    text = str(value).replace("\u00a0", " ").replace("\u202f", " ")
    return text.replace("\u2212", "-")


def answer(item: str, contents) -> str:
    return plain(FILLED[item](View(contents)))


def with_headline(contents, **changes):
    first, *others = contents.analyses
    return replace(contents, analyses=(replace(first, **changes), *others))


def test_participants_are_those_of_the_flow(survival):
    f, a = survival.flow, survival.analyses[0]
    assert answer("20a", survival).startswith(
        f"{f.screened} screened, {f.all_eligible} eligible, {a.n} analysed with {a.events} events"
    )


def test_every_analysis_has_its_own_numbers(survival):
    changed = with_headline(survival, n=151, events=33)
    told = answer("21", changed).removeprefix("Participants and events: ").rstrip(".").split("; ")
    assert len(told) == len(survival.analyses)
    assert told[0].endswith(": 151 and 33")
    for said, a in zip(told[1:], survival.analyses[1:], strict=True):
        assert said.startswith(a.endpoint)
        assert said.endswith(f": {a.n} and {a.events}")


def test_performance_is_the_headline_models(survival):
    view = View(survival)
    model = view.evaluation.models[view.lead]
    told = answer("23a", survival)
    assert told.startswith(f"“{view.lead}”: ")
    for value in (model.harrell_c, *(t.auc for t in model.targets)):
        assert plain(metric(value)) in told
    (found,) = (c for c in view.evaluation.comparisons if c.model == view.lead)
    assert f"increment {plain(contrast(found.harrell_c))}" in told


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ({"age_years": 4, "grade": 0}, "1 of 2 predictors"),
        ({"age_years": 0, "grade": 0}, "None of 2 predictors"),
        ({"age_years": 4, "grade": 9, "size": 1}, "3 of 3 predictors"),
    ],
)
def test_predictors_with_missing_values_are_counted(survival, missing, said):
    assert answer("11", with_headline(survival, missing=missing)).startswith(said)


def test_folds_are_of_one_repeat(survival):
    view = View(survival)
    data = replace(view.evaluation.data, n_folds=25, n_repeats=5)
    changed = with_headline(survival, evaluation=replace(view.evaluation, data=data))
    assert answer("12a", changed).startswith("5 folds by patient, 5 repeats")


def test_a_study_without_registration_or_treatments_leaves_these_to_the_authors(survival):
    plainly = survival.protocol.model_copy(update={"registration": ""})
    assert answer("18d", replace(survival, protocol=plainly)) == ""
    assert answer("18d", survival) == (
        f"Protocol registered as {survival.protocol.registration}."
        if survival.protocol.registration
        else ""
    )
    assert answer("6c", survival) == ""  # the table of the fixture has age and grade alone
    assert answer("10", replace(survival, sample_size=None)) == ""


def test_one_centre_is_told_with_its_reason(survival, null_signal):
    assert answer("12d", null_signal).startswith(
        "No centre was left out: the table names no hospital"
    )
    assert answer("12d", survival).startswith("Leave-one-centre-out, pooled by REML")


def test_accrual_that_is_not_dated_is_not_invented(survival):
    assert answer("5b", survival).startswith("Time zero from 2015-01 to 2019-12; longest")
    undated = answer("5b", replace(survival, accrual=()))
    assert undated.startswith("Time zero is not dated in the tables")
    assert "17.5 years" in undated  # 6400 days


def test_stages_are_probabilities_and_survival_is_risk(survival, nodal):
    assert answer("15", nodal).startswith("Probability of N0, N1 and N2; no classification.")
    assert answer("15", survival).startswith("Risk of the event by each horizon;")
    assert "10, 20 and 30 % from the protocol" in answer("15", survival)
