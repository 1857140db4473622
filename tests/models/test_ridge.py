"""Newton's ridge: derivatives by differences, and the fits of other estimators."""

from __future__ import annotations

import numpy as np
import pytest

from metasight.errors import FitError
from metasight.models import ordinal
from metasight.models.elastic_net import COX, FINE, Problem
from metasight.models.ridge import HazardLikelihood, StageLikelihood, maximise


def _hazards(simulated, **changes):
    x, time, event = simulated(**changes)
    return x, time, event, HazardLikelihood.of(x, time, event)


def _stages(n=200, p=5, classes=3, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, p))
    latent = x[:, 0] - 0.5 * x[:, 1] + rng.logistic(size=n)
    level = np.digitize(latent, np.quantile(latent, np.linspace(0, 1, classes + 1)[1:-1]))
    return x, level, StageLikelihood(x, level, classes)


def _differences(likelihood, at, step=1e-5):
    """Gradient and information by central differences."""
    ends = [(at + step * e, at - step * e) for e in np.eye(len(at))]
    gradient = [(likelihood.value(a) - likelihood.value(b)) / (2 * step) for a, b in ends]
    information = [(likelihood.terms(b)[1] - likelihood.terms(a)[1]) / (2 * step) for a, b in ends]
    return np.array(gradient), np.array(information)


@pytest.mark.parametrize("ties", [True, False])
def test_derivatives_of_the_partial_likelihood(simulated, ties):
    *_, likelihood = _hazards(simulated, p=6, ties=ties)
    at = np.random.default_rng(1).normal(size=6) * 0.3
    value, gradient, information = likelihood.terms(at)
    slope, bend = _differences(likelihood, at)
    assert value == pytest.approx(likelihood.value(at))
    np.testing.assert_allclose(gradient, slope, atol=1e-6)
    np.testing.assert_allclose(information, bend, atol=1e-6)


@pytest.mark.parametrize("classes", [2, 3, 4])
def test_derivatives_of_the_cumulative_logit(classes):
    *_, likelihood = _stages(classes=classes)
    rng = np.random.default_rng(2)
    at = np.concatenate([np.sort(rng.normal(size=classes - 1)), rng.normal(size=5) * 0.3])
    value, gradient, information = likelihood.terms(at)
    slope, bend = _differences(likelihood, at)
    assert value == pytest.approx(likelihood.value(at))
    np.testing.assert_allclose(gradient, slope, atol=1e-6)
    np.testing.assert_allclose(information, bend, atol=1e-6)


def test_equal_penalties_give_the_ridge_of_the_elastic_net(simulated):
    x, _, _, likelihood = _hazards(simulated)
    problem = Problem(
        family=COX,
        matrix=np.asfortranarray(likelihood.matrix),
        time=likelihood.follow_up.time,
        label=likelihood.follow_up.event,
        factor=np.ones(x.shape[1]),
    )
    for penalty in (0.5, 0.05):
        theirs = problem.solve(0.0, np.array([penalty]), FINE).coefficients[-1]
        ours = maximise(likelihood, np.full(x.shape[1], penalty * len(x)))
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_a_penalty_by_column_gives_the_elastic_nets_with_factors(simulated):
    x, _, _, likelihood = _hazards(simulated)
    factor = np.where(np.arange(x.shape[1]) < 4, 0.2, 3.0)
    problem = Problem(
        family=COX,
        matrix=np.asfortranarray(likelihood.matrix),
        time=likelihood.follow_up.time,
        label=likelihood.follow_up.event,
        factor=factor,
    )
    theirs = problem.solve(0.0, np.array([0.1]), FINE).coefficients[-1]
    np.testing.assert_allclose(maximise(likelihood, 0.1 * len(x) * factor), theirs, atol=1e-5)


def test_equal_penalties_give_the_ridge_of_the_ordinal_model():
    x, _, likelihood = _stages()
    for ridge in (0.3, 0.01):
        theirs = ordinal._newton(likelihood, ridge, likelihood.start(), "m")
        np.testing.assert_allclose(
            maximise(likelihood, np.full(x.shape[1], ridge * len(x))), theirs, atol=1e-5
        )


def test_a_part_is_of_its_rows_and_columns_and_the_rest_adds_up(simulated):
    x, time, event, whole = _hazards(simulated, p=4)
    rows, columns = np.arange(0, 150, 2), np.array([0, 2])
    order = whole.follow_up.order[rows]
    alone = HazardLikelihood.of(x[order][:, columns], time[order], event[order])
    at = np.array([0.3, -0.2])
    assert whole.part(rows, columns).value(at) == pytest.approx(alone.value(at))
    _, _, stages = _stages()
    rest = np.setdiff1d(np.arange(200), rows)
    point = np.concatenate([[-0.5, 0.5], np.full(5, 0.1)])
    both = stages.part(rows, None).value(point) + stages.part(rest, None).value(point)
    assert stages.value(point) == pytest.approx(both)


def test_a_start_elsewhere_ends_at_the_same_place(simulated):
    x, _, _, likelihood = _hazards(simulated)
    penalty = np.full(x.shape[1], 5.0)
    far = maximise(likelihood, penalty, start=np.full(x.shape[1], 0.8))
    np.testing.assert_allclose(far, maximise(likelihood, penalty), atol=1e-6)


def test_thresholds_that_do_not_rise_have_no_likelihood():
    _, _, likelihood = _stages()
    assert likelihood.value(np.array([0.5, 0.5, *np.zeros(5)])) == -np.inf


def test_separation_without_a_penalty_is_refused_and_with_one_fitted():
    x = np.linspace(-1, 1, 60)[:, None]
    likelihood = StageLikelihood(x, (x[:, 0] > 0).astype(np.intp), 2)
    with pytest.raises(FitError, match="does not converge") as caught:
        maximise(likelihood, np.zeros(1), model="fusion")
    assert "fusion" in str(caught.value)
    assert maximise(likelihood, np.ones(1))[1] > 0
