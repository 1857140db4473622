"""Recalibration in external patients: the true line is found, and judged on patients left out."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit

from metasight.predictions import EXTERNAL_FOLD, NODAL_LABELS, Predictions
from metasight.validation.recalibration import (
    FEWEST,
    IN_THE_LARGE,
    REFIT,
    REPEATS,
    SLOPE,
    _folds,
    _Problem,
    recalibrations,
    simplest_not_worse,
)
from metasight.validation.results import EvaluationPlan, NotEstimable
from metasight.validation.table import align

HORIZON = 1826
PLAN = EvaluationPlan(
    endpoint="dm",
    horizons_days=(913, HORIZON),
    tau_days=HORIZON,
    reference_model="m",
    headline_model="m",
)


def survival(n, intercept, slope, *, competing=False, seed=1, also=0.0):
    """Risks whose log hazard by five years is truly ``intercept + slope · what is predicted``."""
    rng = np.random.default_rng(seed)
    x = rng.normal(-1.2, 0.9, n)
    true = np.exp(intercept + slope * x + also) / HORIZON
    onset = rng.exponential(1 / true)
    end = rng.uniform(800, 3600, n)
    status = (onset <= end).astype(float)
    if competing:
        other = rng.exponential(9000, n)
        status = np.where(other < np.minimum(onset, end), 2.0, status)
        onset = np.minimum(onset, other)
    time = np.ceil(np.minimum(onset, end))
    return pd.concat(
        [
            pd.DataFrame(
                {
                    **base(n),
                    "horizon_days": h,
                    "label": None,
                    "time_days": time,
                    "status": status,
                    "risk": -np.expm1(-np.exp(x) * h / HORIZON),
                }
            )
            for h in (913, HORIZON)
        ],
        ignore_index=True,
    )


def base(n):
    return {
        "patient": [f"p{k:04d}" for k in range(n)],
        "centre": "A",
        "arm": None,
        "model": "m",
        "repeat": 0,
        "fold": EXTERNAL_FOLD,
        "endpoint": "dm",
    }


def stage(n, intercept, slope, seed=1, also=0.0):
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 1.2, n)
    one, two = expit(x - 1.0), expit(x - 2.2)
    true = [expit(intercept + slope * logit(p) + also) for p in (one, two)]
    draw = rng.random(n)
    seen = (draw < true[0]).astype(float) + (draw < true[1])
    parts = []
    for label, p in zip(NODAL_LABELS, (1 - one, one - two, two), strict=True):
        extra = {"horizon_days": None, "label": label, "time_days": np.nan, "status": seen}
        parts.append(pd.DataFrame({**base(n), **extra, "risk": p}))
    return pd.concat(parts, ignore_index=True)


def found(table, plan=PLAN):
    return recalibrations(align(Predictions(table), plan), "m", seed=3)


NODAL = replace(PLAN, horizons_days=(), tau_days=None)
CASES = {
    "survival": (survival, PLAN, {}),
    "competing": (survival, PLAN, {"competing": True}),
    "stage": (stage, NODAL, {}),
}


@pytest.mark.parametrize("kind", CASES)
def test_the_line_is_found(kind):
    """Of a cumulative incidence the competing event takes a part, so its line is not that of the
    hazard; its slope stays below 1."""
    make, plan, extra = CASES[kind]
    told = found(make(3000 if make is survival else 1500, 0.4, 0.6, **extra), plan)
    by = {f.method: f for f in told.fits}
    assert list(by) == [IN_THE_LARGE, SLOPE]
    assert by[IN_THE_LARGE].slope == 1
    assert told.recommended == SLOPE
    assert by[SLOPE].difference < -3 * by[SLOPE].se
    assert 0 < by[SLOPE].covariance[1][1] < 0.01
    if kind == "competing":
        assert 0.45 < by[SLOPE].slope < 0.75
    else:
        assert by[SLOPE].slope == pytest.approx(0.6, abs=0.08)
        assert by[SLOPE].intercept == pytest.approx(0.4, abs=0.12)


@pytest.mark.parametrize("kind", CASES)
def test_of_a_model_that_is_right_nothing_is_changed(kind):
    make, plan, _ = CASES[kind]
    told = found(make(800, 0.0, 1.0), plan)
    assert told.recommended == ""
    assert all(abs(f.intercept) < 0.3 for f in told.fits)


def columns_of(n, made_of, seed=5):
    """Five columns; with ``made_of`` the first is what the stage or follow-up also depends on."""
    rng = np.random.default_rng(seed)
    found = rng.normal(size=(n, 5))
    if made_of is not None:
        found[:, 0] = made_of
    return found


@pytest.mark.parametrize("kind", CASES)
def test_of_a_model_that_is_right_a_refit_is_not_recommended(kind):
    make, plan, _ = CASES[kind]
    aligned = align(Predictions(make(600, 0.0, 1.0)), plan)
    told = recalibrations(aligned, "m", seed=3, columns=columns_of(600, None))
    assert told.recommended == ""


@pytest.mark.parametrize("kind", CASES)
def test_where_a_column_weighs_otherwise_the_refit_finds_its_weight(kind):
    """The outcome depends on what is predicted and on a column that the model did not weigh."""
    make, plan, extra = CASES[kind]
    n = 1500
    missed = np.random.default_rng(9).normal(size=n)
    table = make(n, 0.0, 1.0, **extra, also=0.7 * missed)
    columns = columns_of(n, missed)
    told = recalibrations(align(Predictions(table), plan), "m", seed=3, columns=columns)
    refit = {f.method: f for f in told.fits}[REFIT]
    assert told.recommended == REFIT
    assert refit.coefficients[0] == pytest.approx(0.7, abs=0.17)
    assert max(map(abs, refit.coefficients[1:])) < 0.15
    error = np.sqrt(np.diag(np.array(refit.covariance)))
    assert abs(refit.coefficients[0] - 0.7) < 4 * error[2] + 0.05 * (kind == "competing")
    assert (error[3:] > 0).all()


def test_without_columns_no_refit_is_offered():
    table = survival(800, 0.0, 1.0)
    assert REFIT not in {f.method for f in found(table).fits}


@pytest.mark.parametrize("kind", CASES)
def test_of_a_model_that_is_too_low_throughout_the_intercept_is_enough(kind):
    make, plan, _ = CASES[kind]
    assert found(make(800, 0.9, 1.0), plan).recommended == IN_THE_LARGE


@pytest.mark.parametrize("seed", range(4))
def test_judged_on_those_left_out_it_gains_less_than_on_itself(seed):
    table = survival(150, 0.0, 1.0, seed=seed)
    problem = _Problem.of(align(Predictions(table), PLAN), "m")
    told = found(table)
    for f in told.fits:
        own = problem.losses((f.intercept + f.slope * problem.scaled)[None])[0, 0].mean()
        assert own < f.log_loss
        assert f.difference == pytest.approx(f.log_loss - told.log_loss)


def test_after_recalibration_the_mean_risk_is_that_observed():
    from metasight.validation.brier import as_risk
    from metasight.validation.curves import incidence_by

    table = survival(800, 0.5, 0.7)
    aligned = align(Predictions(table), PLAN)
    told = recalibrations(aligned, "m", seed=3)
    target = aligned.targets[-1]
    risk = as_risk(aligned.models["m"].risk[0, -1], aligned.n)
    ones = np.ones(aligned.n)
    observed = incidence_by(
        target.data.time, target.data.status, ones, ones.astype(bool), float(HORIZON)
    )
    for f in told.fits:
        moved = -np.expm1(-np.exp(f.intercept + f.slope * np.log(-np.log1p(-risk))))
        assert moved.mean() == pytest.approx(observed, abs=1e-6)


def test_everyone_is_left_out_once_a_repeat_and_events_are_not_spread_evenly():
    train, held = _folds(103, 5)
    assert (held.sum(axis=0) == REPEATS).all()
    assert ((train == 0) == held).all()
    event = np.arange(103) < 31
    assert len(set((held & event).sum(axis=1))) > 3


def test_of_a_model_that_is_right_the_loss_left_out_rises_as_it_does_in_others():
    """What the error of the intercept costs is seen: over studies the difference is above 0."""
    gaps = [found(survival(100, 0.0, 1.0, seed=s)).fits[0].difference for s in range(60)]
    assert np.mean(gaps) > 0


def test_too_few_events_are_said():
    table = survival(60, -3.5, 1.0)
    told = found(table)
    assert isinstance(told, NotEstimable)
    assert f"needs {FEWEST} of each" in told.not_estimable


def test_one_risk_for_every_patient_is_said():
    table = survival(300, 0.0, 1.0)
    table["risk"] = table["horizon_days"].map({913: 0.1, HORIZON: 0.2})
    assert found(table).not_estimable == "all patients have the same risk"


def test_a_line_that_would_reverse_patients_is_not_offered():
    told = found(survival(1500, 0.0, -0.8))
    assert [f.method for f in told.fits] == [IN_THE_LARGE]


def test_the_simplest_within_a_standard_error_of_the_best():
    rng = np.random.default_rng(0)
    plain = rng.exponential(size=400)
    little, much = plain - 0.001 + 0.05 * rng.normal(size=400), plain - 0.5
    assert simplest_not_worse([plain, little]) == 0
    assert simplest_not_worse([plain, much]) == 1
    assert simplest_not_worse([plain, much, much - 1e-5 * rng.normal(size=400)]) == 1
    assert simplest_not_worse([plain, plain, plain]) == 0
