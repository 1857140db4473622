"""The interval of an increment that counts the fitting."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t as student

from metasight.predictions import Predictions
from metasight.validation.bootstrap import draw
from metasight.validation.evaluate import evaluate
from metasight.validation.fold_contrast import FoldContrast
from metasight.validation.refitted import nadeau_bengio
from metasight.validation.results import EvaluationPlan, NotEstimable
from metasight.validation.samples import model_samples
from metasight.validation.table import align

from .conftest import predictions


def test_by_hand():
    gaps = np.array([0.02, 0.05, -0.01, 0.03, 0.04])
    found = nadeau_bengio(0.026, gaps, test_share=0.25, confidence=0.95)
    se = np.sqrt((1 / 5 + 1 / 4) * gaps.var(ddof=1))
    assert found.se == pytest.approx(se)
    reach = student.ppf(0.975, 4) * se
    assert (found.lower, found.upper) == pytest.approx((0.026 - reach, 0.026 + reach))
    assert found.folds == 5


def test_repeats_do_not_make_it_vanish():
    """Ten times the same five folds tell no more of other training patients than five do."""
    gaps = np.array([0.02, 0.05, -0.01, 0.03, 0.04])
    once = nadeau_bengio(0.026, gaps, test_share=0.25, confidence=0.95)
    often = nadeau_bengio(0.026, np.tile(gaps, 10), test_share=0.25, confidence=0.95)
    assert often.se > 0.6 * once.se


@pytest.mark.parametrize(
    ("gaps", "reason"),
    [
        ([0.1, 0.2, 0.1, 0.0], "4 of 4 folds"),
        ([0.1, 0.2, 0.1, 0.0, 0.1, 0.2, np.nan, np.nan], "6 of 8 folds"),
    ],
)
def test_too_few_folds(gaps, reason):
    found = nadeau_bengio(0.1, np.array(gaps), test_share=0.25, confidence=0.95)
    assert isinstance(found, NotEstimable)
    assert reason in found.not_estimable


def test_it_covers_where_the_folds_share_their_training_patients():
    """The mean of a k-fold estimate whose folds are correlated by the share that they test."""
    rng = np.random.default_rng(4)
    held = 0
    rho = 1 / 5  # what Nadeau and Bengio take for it in five folds
    for _ in range(2000):
        gaps = np.sqrt(rho) * rng.normal() + np.sqrt(1 - rho) * rng.normal(size=5)
        found = nadeau_bengio(float(gaps.mean()), gaps, test_share=0.25, confidence=0.95)
        held += found.lower <= 0 <= found.upper
    assert 0.935 < held / 2000 < 0.965


def same_folds(kind):
    """Two models in the same folds: the second gives some patients their neighbours' risks."""
    first = predictions(160, kind=kind, models=1).table
    second = first.assign(model="model1")
    rng = np.random.default_rng(3)
    for _, rows in second.groupby(["repeat", "fold"]):
        names = rows["patient"].drop_duplicates().to_numpy()
        some = names[rng.random(names.size) < 0.5]
        dealt = dict(zip(some, np.roll(some, 1), strict=True))
        keys = [k for k in ("horizon_days", "label") if rows[k].notna().any()]
        risk = rows.set_index(["patient", *keys])["risk"]
        told = [(dealt.get(r[0], r[0]), *r[1:]) for r in rows[["patient", *keys]].to_numpy()]
        second.loc[rows.index, "risk"] = risk.loc[told].to_numpy()
    return Predictions(pd.concat([first, second], ignore_index=True))


@pytest.mark.parametrize("kind", ["survival", "competing", "nodal"])
def test_of_an_evaluation(kind):
    plan = EvaluationPlan(
        endpoint="dm",
        horizons_days=() if kind == "nodal" else (1200, 1800),
        tau_days=None if kind == "nodal" else 1800.0,
        reference_model="model1",
        headline_model="model0",
        n_bootstrap=20,
        n_curve_bootstrap=20,
    )
    (comparison,) = evaluate(same_folds(kind), plan).comparisons
    c = comparison.ordinal_c if kind == "nodal" else comparison.harrell_c
    assert isinstance(comparison.refitted, FoldContrast)
    assert comparison.refitted.difference == c.difference
    assert comparison.refitted.lower < c.difference < comparison.refitted.upper


def test_other_folds_are_not_compared():
    plan = EvaluationPlan(
        endpoint="dm",
        horizons_days=(1200, 1800),
        tau_days=1800.0,
        reference_model="model1",
        headline_model="model0",
        n_bootstrap=20,
        n_curve_bootstrap=20,
    )
    (comparison,) = evaluate(predictions(160), plan).comparisons
    assert comparison.refitted == NotEstimable(
        not_estimable="the models were fitted in other folds"
    )


def test_the_share_that_is_tested_is_that_of_the_folds():
    """Three folds of 160 in two repeats: 54, 53 and 53 are tested by models of the others."""
    plan = EvaluationPlan(
        endpoint="dm",
        horizons_days=(1200, 1800),
        tau_days=1800.0,
        reference_model="model1",
        headline_model="model0",
        n_bootstrap=20,
        n_curve_bootstrap=20,
    )
    table = same_folds("survival")
    aligned = align(table, plan)
    first, second = (
        model_samples(aligned, aligned.models[m], draw(160, 0, 0), 1800.0, ()).by_fold
        for m in ("model0", "model1")
    )
    gaps = first - second
    share = np.mean([54 / 106, 53 / 107, 53 / 107])
    (comparison,) = evaluate(table, plan).comparisons
    assert comparison.refitted.folds == 6
    assert comparison.refitted.se == pytest.approx(np.sqrt((1 / 6 + share) * gaps.var(ddof=1)))


def test_two_folds_are_too_few_and_none_is_another_reason():
    plan = EvaluationPlan(
        endpoint="dm",
        horizons_days=(1200, 1800),
        tau_days=1800.0,
        reference_model="model1",
        headline_model="model0",
        n_bootstrap=20,
        n_curve_bootstrap=20,
    )
    table = same_folds("survival").table
    one = table[table["repeat"] == 0]
    for fold, said in ((one["fold"] % 2, "2 of 2 folds"), (0, "nothing was fitted")):
        told = evaluate(Predictions(one.assign(fold=fold)), plan).comparisons[0].refitted
        assert said in told.not_estimable
