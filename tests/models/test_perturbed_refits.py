"""Refits that differ by all that is not known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from metasight.errors import FitError
from metasight.models import perturbed_refits as pr
from metasight.models.perturbed_refits import Grouped, perturbed_refits, with_intercept


def drawn(n=300, p=6, effect=0.5, seed=1):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, p))
    return x, (rng.random(n) < expit(-1 + effect * x[:, 0])).astype(float)


def grouped(x, spreads=(pr.STRAIGHT,)):
    return Grouped(matrix=x, group=np.zeros(x.shape[1], dtype=np.intp), spreads=spreads)


def refit(x, y, *, weight=None, spreads=(pr.STRAIGHT,), refits=400, seed=0):
    weight = np.ones(len(y)) if weight is None else weight
    rng = np.random.default_rng(seed)
    return perturbed_refits(
        grouped(x, spreads), y, weight, refits=refits, rng=rng, model="interval"
    )


def test_they_are_draws_around_the_effects_with_the_posteriors_spread():
    """One spread: the posterior is normal around the penalised fit, up to the sample's size."""
    x, y = drawn(n=1000)
    b = refit(x, y, spreads=((0.35,),), refits=1000)
    columns = with_intercept(x)
    precision = np.diag([pr._INTERCEPT_SD**-2, *[0.35**-2] * 6])
    p = expit(columns @ b.mean(axis=0))
    covariance = np.linalg.inv(columns.T @ (columns * (p * (1 - p))[:, None]) + precision)
    assert b.std(axis=0) == pytest.approx(np.sqrt(np.diag(covariance)), rel=0.12)
    assert b.mean(axis=0)[1] == pytest.approx(0.5, abs=0.16)


def test_a_strong_penalty_does_not_hide_what_it_takes_away():
    """Of resampled patients alone the spread would vanish with the penalty."""
    x, y = drawn(n=60, effect=0.0)
    b = refit(x, y, spreads=((0.2,),), refits=2000)
    assert b[:, 1:].std() > 0.15


def test_effects_are_wider_where_the_outcomes_show_some():
    none, some = (refit(*drawn(effect=e)) for e in (0.0, 1.5))
    assert some[:, 2:].std() > 1.5 * none[:, 2:].std()


def test_a_group_without_effects_stays_narrow_beside_one_with():
    x, y = drawn(n=600, p=10, effect=2.0)
    told = Grouped(
        matrix=x,
        group=np.array([0] + [1] * 9, dtype=np.intp),
        spreads=(pr.STRAIGHT, pr.STRAIGHT),
    )
    rng = np.random.default_rng(0)
    b = perturbed_refits(told, y, np.ones(600), refits=300, rng=rng, model="interval")
    assert b[:, 1].mean() > 1.2
    assert np.abs(b[:, 2:].mean(axis=0)).max() < 0.4


def test_patients_of_little_weight_move_little():
    """A second half of the patients with the opposite effect and 1 % of the weight."""
    x, y = drawn(n=400, effect=1.5)
    both, opposite = np.vstack([x, x * [-1, 1, 1, 1, 1, 1]]), np.concatenate([y, y])
    weight = np.where(np.arange(800) < 400, 1.0, 0.01)
    told = refit(both, opposite, weight=weight, refits=200)
    assert told[:, 1].mean() == pytest.approx(refit(x, y, refits=200)[:, 1].mean(), abs=0.15)


def test_many_columns_are_fitted_as_few_are(monkeypatch):
    x, y = drawn()
    few = refit(x, y, refits=100)
    monkeypatch.setattr(pr, "_AT_ONCE", 0)
    assert refit(x, y, refits=100) == pytest.approx(few, abs=1e-6)


def test_it_is_the_same_with_the_same_seed():
    x, y = drawn()
    np.testing.assert_array_equal(refit(x, y, refits=100), refit(x, y, refits=100))


def test_the_fit_is_the_penalised_maximum():
    x, y = drawn()
    columns, precision = with_intercept(x), np.full((1, 7), 2.0)
    b, information = pr._maximise(
        columns, y, np.ones((1, 300)), precision, np.full((1, 7), 0.1), model="interval"
    )
    p = expit(columns @ b[0])
    assert np.abs(columns.T @ (y - p) - 2.0 * (b[0] - 0.1)).max() < 1e-3
    expected = columns.T @ (columns * (p * (1 - p))[:, None]) + 2.0 * np.eye(7)
    assert information[0] == pytest.approx(expected, rel=1e-4)


def test_what_does_not_settle_is_refused(monkeypatch):
    monkeypatch.setattr(pr, "_MOST_STEPS", 1)
    with pytest.raises(FitError, match="do not converge"):
        refit(*drawn())


def test_the_prior_is_uniform_in_each_spread():
    taus, share = pr._combinations(((0.1, 0.3, 1.0), (0.2, 0.4)))
    assert taus.tolist()[1] == [0.1, 0.4]
    assert share.sum() == pytest.approx(1.0 * 0.4)
    assert share[0] == pytest.approx(0.2 * 0.3)
