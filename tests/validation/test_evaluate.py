import json

import numpy as np
import pytest

from metasight.errors import EvaluationError, StoreError
from metasight.predictions import Predictions
from metasight.validation import evaluate as evaluate_module
from metasight.validation.discrimination import harrell_c
from metasight.validation.evaluate import centre_gap, evaluate, evaluate_centres
from metasight.validation.results import (
    Contrast,
    Estimate,
    Evaluation,
    EvaluationPlan,
    NotEstimable,
)

from .conftest import predictions


def plan(kind="survival", **changes):
    nodal = kind == "nodal"
    base = {
        "endpoint": "dm",
        "horizons_days": () if nodal else (1200, 1800),
        "tau_days": None if nodal else 1800.0,
        "reference_model": "model1",
        "headline_model": "model0",
        "thresholds": (0.1, 0.3),
        "n_bootstrap": 40,
        "n_curve_bootstrap": 20,
    }
    return EvaluationPlan(**{**base, **changes})


KINDS = ("survival", "competing", "nodal")


@pytest.fixture(scope="module")
def evaluations():
    groups = {f"p{i:04d}": ("few" if i < 6 else "many") for i in range(160)}
    return {
        kind: evaluate(predictions(160, kind=kind), plan(kind, subgroups={"group": groups}))
        for kind in KINDS
    }


@pytest.mark.parametrize("kind", KINDS)
def test_json_both_ways(evaluations, kind):
    text = json.dumps(evaluations[kind].to_json(), allow_nan=False)
    assert Evaluation.from_json(json.loads(text)) == evaluations[kind]
    for other in ({"format": 1}, {"format": None}):
        with pytest.raises(StoreError, match="another format"):
            Evaluation.from_json({**json.loads(text), **other})


@pytest.mark.parametrize("kind", KINDS)
def test_no_patient_in_the_result(evaluations, kind):
    assert "p0001" not in json.dumps(evaluations[kind].to_json())


@pytest.mark.parametrize("kind", KINDS)
def test_every_model_has_every_target_and_a_paired_comparison(evaluations, kind):
    result = evaluations[kind]
    assert result.kind == kind
    assert set(result.models) == {"model0", "model1"}
    (comparison,) = result.comparisons
    assert (comparison.model, comparison.reference) == ("model0", "model1")
    assert comparison.headline
    for model in result.models.values():
        assert len(model.targets) == 2
        for target in model.targets:
            assert isinstance(target.auc, Estimate)
            assert target.auc.lower <= target.auc.value <= target.auc.upper
            assert len(target.decision_curve.points) == 2
            assert sum(target.distribution.counts) == 2 * result.data.n_patients
    a, b = (result.models[m].targets[0].auc.value for m in ("model0", "model1"))
    contrast = comparison.targets[0].auc
    assert isinstance(contrast, Contrast)
    assert contrast.difference == pytest.approx(a - b)


def test_c_is_within_folds_and_averaged_over_repeats(evaluations):
    table = predictions(160).select(model="model0").table
    table = table[table["horizon_days"] == 1800]
    parts = []
    for _, rows in table.groupby("repeat"):
        time, status, risk = (rows[c].to_numpy(float) for c in ("time_days", "status", "risk"))
        tau = evaluations["survival"].settings.tau_days
        assert (time > tau).any()
        cut, known = np.minimum(time, tau), np.where(time > tau, 0, status)
        parts.append(harrell_c(cut, known, risk, strata=rows["fold"].to_numpy(int)).c)
    got = evaluations["survival"].models["model0"].harrell_c
    assert got.value == pytest.approx(sum(parts) / 2)


def test_nodal_counts(evaluations):
    data = evaluations["nodal"].data
    assert data.n_unobserved == 4
    assert data.n_patients == 156
    assert sum(data.class_counts.values()) == 156
    model = evaluations["nodal"].models["model0"]
    assert isinstance(model.harrell_c, NotEstimable)
    assert isinstance(model.ordinal_c, Estimate)
    assert [t.target for t in model.targets] == ["N1 or worse", "N2"]


def test_small_groups_are_not_estimable(evaluations):
    few, many = evaluations["survival"].models["model0"].subgroups
    assert (few.level, few.n) == ("few", 6)
    assert isinstance(few.auc, NotEstimable)
    assert "are needed" in few.auc.not_estimable
    assert isinstance(many.auc, Estimate)


def test_same_seed_same_numbers(evaluations):
    again = evaluate(predictions(160), plan())
    for name, model in again.models.items():
        assert model.targets == evaluations["survival"].models[name].targets


def test_d_calibration_needs_one_survival_endpoint(evaluations):
    assert sum(evaluations["survival"].models["model0"].d_calibration.bins) == pytest.approx(160)
    assert isinstance(evaluations["competing"].models["model0"].d_calibration, NotEstimable)


def test_a_rule_with_two_risks_has_no_curve_but_a_c():
    table = predictions(160).table.copy()
    rule = table["model"] == "model1"
    table.loc[rule, "risk"] = (table.loc[rule, "risk"] > 0.5) * 0.4 + 0.2
    model = evaluate(Predictions(table), plan()).models["model1"]
    assert isinstance(model.harrell_c, Estimate)
    assert isinstance(model.targets[0].calibration.curve, NotEstimable)
    assert isinstance(model.targets[0].calibration.slope, Estimate)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"tau_days": None}, "needs tau"),
        ({"horizons_days": (9000,)}, "headline horizon is missing"),
        ({"horizons_days": ()}, "no headline horizon"),
        ({"reference_model": "other"}, "no predictions"),
        ({"min_censoring_survival": 0.99}, "still followed"),
        ({"endpoint": "other"}, "no predictions left"),
    ],
)
def test_refusals(changes, problem):
    with pytest.raises(EvaluationError, match=problem):
        evaluate(predictions(80, models=2, repeats=1), plan(**changes))


def test_a_horizon_past_the_follow_up_is_refused():
    table = predictions(80, repeats=1, horizons=(1200, 9000))
    with pytest.raises(EvaluationError, match="beyond the follow-up"):
        evaluate(table, plan(horizons_days=(9000,)))


def test_one_class_only():
    table = predictions(60, kind="nodal").table.copy()
    table["status"] = table["status"].where(table["status"].isna(), 0)
    with pytest.raises(EvaluationError, match="one class only"):
        evaluate(Predictions(table), plan("nodal"))


@pytest.mark.parametrize("kind", ["survival", "nodal"])
def test_centres(kind):
    left_out = predictions(200, kind=kind, by_centre=True, repeats=1)
    result = evaluate_centres(left_out, plan(kind))
    summary = result.models["model0"]
    assert [c.centre for c in summary.centres] == ["north", "south", "west"]
    assert summary.discrimination.k == 3
    assert type(result).from_json(json.loads(json.dumps(result.to_json()))) == result
    gaps = centre_gap(predictions(200, kind=kind), left_out, plan(kind))
    assert [g.model for g in gaps] == ["model0", "model1"]
    with pytest.raises(EvaluationError, match="more than one centre"):
        evaluate_centres(predictions(200, kind=kind), plan(kind))


def test_one_centre_is_not_pooled():
    table = predictions(120).table.copy()
    table["centre"] = "north"
    model = evaluate(Predictions(table), plan()).models["model0"]
    assert isinstance(model.centres, NotEstimable)


def test_a_stage_is_compared_by_its_own_c_and_follow_up_by_harrells(evaluations):
    for kind in KINDS:
        (told,) = evaluations[kind].comparisons
        nodal = kind == "nodal"
        for name in ("harrell_c", "uno_c", "integrated_ipa", "ordinal_c"):
            defined = (name == "ordinal_c") == nodal
            assert isinstance(getattr(told, name), Contrast) == defined, (kind, name)


def test_what_is_told_of_the_data_is_counted(evaluations):
    told = {kind: evaluations[kind].data for kind in KINDS}
    for kind in ("survival", "competing"):
        d = told[kind]
        assert d.n_events + d.n_competing + d.n_censored == d.n_patients == 160
        assert (d.n_competing > 0) == (kind == "competing")
    nodal = told["nodal"]
    assert (nodal.n_censored, nodal.n_unobserved, nodal.n_patients) == (0, 4, 156)
    assert nodal.median_followup_days is None
    assert {d.n_centres for d in told.values()} == {3}
    assert {d.n_repeats for d in told.values()} == {2}


def test_patients_who_all_have_nodes_cannot_be_judged():
    table = predictions(60, kind="nodal").table
    positive = table[(table["status"] > 0).fillna(False)]
    with pytest.raises(EvaluationError, match="one class only") as error:
        evaluate(Predictions(positive), plan("nodal"))
    assert error.value.value == "N1, N2"


def test_the_band_of_a_curve_rests_on_as_many_resamples_as_the_plan_says(monkeypatch):
    seen = []

    def counted(target, risk, draws, *rest):
        seen.append(draws.shape[0])
        none = NotEstimable(not_estimable="not asked")
        return none, (none, none, none, none)

    monkeypatch.setattr(evaluate_module, "curve_samples", counted)
    evaluate(predictions(100), plan(n_bootstrap=40, n_curve_bootstrap=25))
    assert set(seen) == {26}
