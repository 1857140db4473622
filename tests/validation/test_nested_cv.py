"""The interval of an increment by nested cross-validation."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from metasight.errors import EvaluationError
from metasight.predictions import Predictions
from metasight.validation.discrimination import harrell_c
from metasight.validation.evaluate import evaluate
from metasight.validation.fold_contrast import NADEAU_BENGIO, NESTED, FoldContrast
from metasight.validation.nested_cv import SplitDifferences, nested_cv, paired_difference
from metasight.validation.results import EvaluationPlan, NotEstimable
from metasight.validation.samples import in_order
from metasight.validation.table import align

from .test_refitted import same_folds


def split(outer, variance, inner):
    return SplitDifferences(
        outer=np.asarray(outer, dtype=float),
        variance=np.asarray(variance, dtype=float),
        inner=np.asarray(inner, dtype=float),
    )


def test_by_hand():
    """Three folds: the estimate without fold a is the mean over the two others."""
    inner = np.array([[9.0, 0.02, 0.06], [0.01, 9.0, 0.05], [0.00, 0.04, 9.0]])
    outer = np.array([0.09, -0.02, -0.035])
    variance = np.array([0.0009, 0.0012, 0.0015])
    estimate = np.array([0.04, 0.03, 0.02])
    mse = np.mean((estimate - outer) ** 2 - variance) * 2 / 3
    found = nested_cv(0.03, [split(outer, variance, inner)] * 3, confidence=0.95)
    assert variance.mean() / 3 < mse < variance.mean()
    assert found.se == pytest.approx(np.sqrt(mse))
    reach = norm.ppf(0.975) * np.sqrt(mse)
    assert (found.lower, found.upper) == pytest.approx((0.03 - reach, 0.03 + reach))
    assert (found.method, found.splits, found.folds) == (NESTED, 3, 9)


@pytest.mark.parametrize(("distance", "times"), [(0.0, 1), (5.0, 4)])
def test_the_error_lies_between_that_of_fixed_models_and_root_k_times_it(distance, times):
    inner = np.full((4, 4), 0.1)
    found = nested_cv(
        0.1, [split(np.full(4, 0.1 + distance), np.full(4, 0.04), inner)] * 3, confidence=0.95
    )
    assert found.se == pytest.approx(np.sqrt(times * 0.04 / 4))


def test_models_that_agree_have_no_width():
    none = np.zeros(5)
    found = nested_cv(0.0, [split(none, none, np.zeros((5, 5)))] * 5, confidence=0.95)
    assert (found.lower, found.upper) == (0.0, 0.0)


def test_what_cannot_be_estimated():
    whole = split(np.zeros(5), np.full(5, 0.1), np.zeros((5, 5)))
    lost = split([0, 0, 0, np.nan, np.nan], np.full(5, 0.1), np.zeros((5, 5)))
    assert "2 divisions" in nested_cv(0.0, [whole] * 2, confidence=0.95).not_estimable
    assert "9 of 15 folds" in nested_cv(0.0, [lost] * 3, confidence=0.95).not_estimable
    assert isinstance(nested_cv(np.nan, [whole] * 3, confidence=0.95), NotEstimable)
    assert isinstance(nested_cv(0.0, [whole, whole, whole, lost], confidence=0.95), FoldContrast)


def drawn_pairs(table, kind, repeats):
    """What fits without two folds might say: the out-of-fold ranking with some noise."""
    rng = np.random.default_rng(7)
    found = {}
    for name, rows in table.groupby("model"):
        own = rows[rows["repeat"].isin(repeats)]
        if kind == "nodal":
            stage = own["label"].map({"N0": 0.0, "N1": 1.0, "N2": 2.0}).astype(float)
            own = own.assign(ranking=own["risk"] * stage)
            keys = ["repeat", "patient", "fold"]
            own = own.groupby(keys, as_index=False)["ranking"].sum()
        else:
            own = own[own["horizon_days"] == 1800].rename(columns={"risk": "ranking"})
        parts = [own[own["fold"] != k].assign(other=k) for k in range(own["fold"].max() + 1)]
        both = pd.concat(parts)[["repeat", "patient", "fold", "other", "ranking"]]
        found[name] = both.assign(ranking=both["ranking"] + rng.normal(0, 0.02, len(both)))
    return found


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
    told = thrice(same_folds(kind))
    pairs = drawn_pairs(told.table, kind, range(3))
    (comparison,) = evaluate(told, plan, pairs=pairs).comparisons
    c = comparison.ordinal_c if kind == "nodal" else comparison.harrell_c
    found = comparison.refitted
    assert (found.method, found.splits, found.difference) == (NESTED, 3, c.difference)
    by_hand = []
    aligned = align(told, plan)
    time, status = in_order(aligned)
    for repeat in range(3):
        fold = aligned.models["model0"].strata[repeat]
        for a in range(3):
            inner = []
            for b in {0, 1, 2} - {a}:
                names = aligned.patients[fold == b]
                first, second = (
                    p[(p["repeat"] == repeat) & (p["other"] == a)]
                    .set_index("patient")
                    .loc[list(names), "ranking"]
                    .to_numpy()
                    for p in (pairs["model0"], pairs["model1"])
                )
                own = fold == b
                inner.append(
                    paired_difference(time[own], status[own], first, second, tau=plan.tau_days)[0]
                )
            own = fold == a
            outer = paired_difference(
                time[own],
                status[own],
                aligned.models["model0"].ranking[repeat][own],
                aligned.models["model1"].ranking[repeat][own],
                tau=plan.tau_days,
            )
            by_hand.append(((np.mean(inner) - outer[0]) ** 2 - outer[1], outer[1]))
    mse, variance = np.mean(by_hand, axis=0)
    se = np.sqrt(np.clip(mse * 2 / 3, variance / 3, variance))
    assert found.se == pytest.approx(se)


def thrice(table):
    """Three repeats of the same folds, so that there are enough divisions."""
    one = table.table[table.table["repeat"] == 0]
    return Predictions(pd.concat([one.assign(repeat=k) for k in range(3)], ignore_index=True))


def test_without_pairs_of_one_model_the_folds_decide():
    plan = EvaluationPlan(
        endpoint="dm",
        horizons_days=(1200, 1800),
        tau_days=1800.0,
        reference_model="model1",
        headline_model="model0",
        n_bootstrap=20,
        n_curve_bootstrap=20,
    )
    told = thrice(same_folds("survival"))
    pairs = drawn_pairs(told.table, "survival", range(3))
    (comparison,) = evaluate(told, plan, pairs={"model0": pairs["model0"]}).comparisons
    assert (comparison.refitted.method, comparison.refitted.splits) == (NADEAU_BENGIO, 0)
    few = drawn_pairs(told.table, "survival", range(2))
    (comparison,) = evaluate(told, plan, pairs=few).comparisons
    assert comparison.refitted.method == NADEAU_BENGIO


def test_two_folds_have_no_pair_to_leave_out():
    with pytest.raises(EvaluationError, match="three or more folds"):
        split(np.zeros(2), np.zeros(2), np.zeros((2, 2)))


@pytest.mark.parametrize("statuses", [(0, 1), (0, 1, 2)])
@pytest.mark.parametrize("tau", [None, 700.0])
def test_the_difference_is_of_harrells_c(statuses, tau):
    rng = np.random.default_rng(len(statuses))
    time = rng.integers(1, 1000, 90).astype(float)
    status = rng.choice(statuses, 90)
    a, b = rng.integers(0, 30, (2, 90)).astype(float)
    difference, _ = paired_difference(time, status, a, b, tau=tau)
    wanted = harrell_c(time, status, a, tau=tau).c - harrell_c(time, status, b, tau=tau).c
    assert difference == pytest.approx(wanted, abs=1e-12)


def test_the_variance_is_that_of_new_patients():
    """Against 1,500 draws of the same size."""
    rng = np.random.default_rng(8)
    found = []
    for _ in range(1500):
        x = rng.normal(size=(60, 2))
        time = rng.exponential(np.exp(-x[:, 0]))
        status = (rng.random(60) < 0.6).astype(int)
        found.append(paired_difference(time, status, x[:, 0], x.sum(axis=1)))
    difference, variance = np.array(found).T
    assert variance.mean() == pytest.approx(difference.var(), rel=0.15)


def test_no_event_no_difference():
    found = paired_difference(np.arange(1.0, 6), np.zeros(5, dtype=int), np.ones(5), np.ones(5))
    assert np.isnan(found).all()


def test_it_covers_a_mean_whose_folds_share_their_training_patients():
    """Normal stand-ins: what a fit adds is shared by the folds of patients that it has in common.

    The estimate of a procedure that returns the training mean, judged by the distance to a
    patient; its error is exactly that of a difference of means.
    """
    rng = np.random.default_rng(3)
    held, n, k = 0, 50, 5
    for _ in range(300):
        y = rng.normal(size=n)
        splits = []
        for _ in range(6):
            fold = rng.permutation(n) % k
            mean = np.array([y[fold == f].mean() for f in range(k)])
            outer = np.array([mean[f] - 0.5 * y[fold != f].mean() for f in range(k)])
            variance = np.array([y[fold == f].var(ddof=1) / (n / k) for f in range(k)])
            inner = np.array(
                [
                    [mean[b] - 0.5 * y[(fold != a) & (fold != b)].mean() for b in range(k)]
                    for a in range(k)
                ]
            )
            splits.append(split(outer, variance, inner))
        found = nested_cv(float(np.mean([s.outer.mean() for s in splits])), splits, confidence=0.95)
        held += found.lower <= 0.0 <= found.upper
    assert held / 300 >= 0.93
