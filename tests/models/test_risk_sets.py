"""Risk sets against sums written out, with ties."""

from __future__ import annotations

import numpy as np
import pytest

from metasight.models.partial_likelihood import PartialLikelihood
from metasight.models.risk_sets import RiskSets


@pytest.fixture
def tied():
    rng = np.random.default_rng(4)
    x = rng.normal(size=(30, 2))
    time = rng.integers(1, 7, 30).astype(float)
    return x, time, rng.random(30) < 0.7, np.array([0.6, -0.4])


def test_means_and_sizes_are_efron_s(tied):
    x, time, event, beta = tied
    sets = RiskSets.of(x, time, event, beta)
    weight = np.exp(x @ beta)
    k = 0
    for t in np.unique(time[event]):
        dead = event & (time == t)
        for r in range(dead.sum()):
            own = weight * ((time >= t) - dead * r / dead.sum())
            assert sets.mean[k] == pytest.approx(own @ x / own.sum())
            k += 1
    assert len(sets.rows) == k
    assert sets.times[sets.rows].tolist() == sorted(time[event])


def test_information_is_minus_the_slope_of_the_score(tied):
    x, time, event, beta = tied
    likelihood = PartialLikelihood.of(time, event)

    def score(b):
        _, gradient, _ = likelihood.terms(x[likelihood.order] @ b)
        return x[likelihood.order].T @ gradient

    step = 1e-5
    slope = [(score(beta + d) - score(beta - d)) / (2 * step) for d in step * np.eye(2)]
    found = RiskSets.of(x, time, event, beta).information()
    np.testing.assert_allclose(found, -np.array(slope), rtol=1e-6)


def test_information_is_a_sum_over_events(tied):
    x, time, event, beta = tied
    sets = RiskSets.of(x, time, event, beta)
    each = np.linspace(-1, 2, len(sets.rows))
    alone = [f * sets.information(np.eye(len(each))[k]) for k, f in enumerate(each)]
    np.testing.assert_allclose(sets.information(each), np.sum(alone, axis=0), atol=1e-10)


def test_residuals_sum_to_the_score(tied):
    x, time, event, beta = tied
    likelihood = PartialLikelihood.of(time, event)
    _, gradient, _ = likelihood.terms(x[likelihood.order] @ beta)
    sets = RiskSets.of(x, time, event, beta)
    np.testing.assert_allclose(
        sets.residuals.sum(axis=0), x[likelihood.order].T @ gradient, atol=1e-10
    )
