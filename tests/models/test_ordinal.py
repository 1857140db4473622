import numpy as np
import pytest

from metasight.errors import FitError
from metasight.models.ordinal import (
    OrdinalHead,
    _newton,
    fit_ordinal,
    fitted_to_score,
)
from metasight.models.ridge import StageLikelihood
from oracles.logistic_fit import fit_logistic


def _data(n=400, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3))
    latent = x @ np.array([1.0, -0.5, 0.0]) + rng.logistic(size=n)
    return x, (latent > 0.5).astype(int) + (latent > 1.8).astype(int)


def test_gradient_and_hessian_are_the_derivatives():
    x, stage = _data(60)
    parameters = np.array([0.2, 1.1, 0.4, -0.3, 0.1])
    likelihood = StageLikelihood(x, stage, 3)
    _, gradient, information = likelihood.terms(parameters)
    step = 1e-5
    for j in range(5):
        up, down = parameters.copy(), parameters.copy()
        up[j] += step
        down[j] -= step
        above, below = likelihood.terms(up), likelihood.terms(down)
        assert (above[0] - below[0]) / (2 * step) == pytest.approx(gradient[j], abs=1e-5)
        np.testing.assert_allclose((above[1] - below[1]) / (2 * step), -information[j], atol=1e-4)


def test_recovers_the_odds_it_was_drawn_from():
    x, stage = _data(6000)
    likelihood = StageLikelihood(x, stage, 3)
    found = _newton(likelihood, 1e-9, likelihood.start(), "ordinal")
    np.testing.assert_allclose(found, [0.5, 1.8, 1.0, -0.5, 0.0], atol=0.12)


def test_a_stage_never_seen_has_probability_zero():
    x, stage = _data()
    head = fit_ordinal(x, np.where(stage == 1, 2, stage), n_folds=5, seed=0, model="ordinal")
    risk = head.risk(x, np.array([]))
    assert (risk[:, 1] == 0).all()
    np.testing.assert_allclose(risk.sum(axis=1), 1.0)


def test_higher_scores_shift_probability_upwards():
    head = OrdinalHead(
        classes=(0, 1, 2), thresholds=np.array([0.0, 1.0]), coefficients=np.array([1.0]), fit={}
    )
    risk = head.risk(np.linspace(-5, 5, 30)[:, None], np.array([]))
    assert (np.diff(risk[:, 0]) < 0).all()
    assert (np.diff(risk[:, 2]) > 0).all()


def test_thresholds_to_a_given_score_are_those_it_was_drawn_from():
    x, stage = _data(6000)
    classes, cuts = fitted_to_score(x @ np.array([1.0, -0.5, 0.0]), stage)
    assert classes == (0, 1, 2)
    np.testing.assert_allclose(cuts, [0.5, 1.8], atol=0.1)


def test_with_two_stages_it_is_a_logistic_regression():
    x, stage = _data(300)
    y = (stage > 0).astype(int)
    want = fit_logistic(x, y)
    likelihood = StageLikelihood(x, y, 2)
    found = _newton(likelihood, 0.0, likelihood.start(), "ordinal")
    assert found[0] == pytest.approx(-want.coef[0], abs=1e-5)  # P(stage ≤ 0) falls with the score
    np.testing.assert_allclose(found[1:], want.coef[1:], atol=1e-5)


def test_the_likelihood_is_that_of_the_probabilities_shown():
    x, stage = _data(80)
    parameters = np.array([0.2, 1.1, 0.4, -0.3, 0.1])
    head = OrdinalHead(
        classes=(0, 1, 2), thresholds=parameters[:2], coefficients=parameters[2:], fit={}
    )
    risk = head.risk(x, np.array([]))
    np.testing.assert_allclose(risk.sum(axis=1), 1)
    shown = np.log(risk[np.arange(80), stage]).sum()
    assert StageLikelihood(x, stage, 3).value(parameters) == pytest.approx(shown)


def test_without_covariates_the_thresholds_are_those_of_the_frequencies():
    stage = np.array([0] * 5 + [1] * 3 + [2] * 2)
    classes, cuts = fitted_to_score(np.zeros(10), stage)
    assert classes == (0, 1, 2)
    np.testing.assert_allclose(cuts, [np.log(5 / 5), np.log(8 / 2)], atol=1e-9)


def test_a_constant_added_to_the_score_moves_the_thresholds_with_it():
    x, stage = _data(300)
    _, plain = fitted_to_score(x[:, 0], stage)
    _, moved = fitted_to_score(x[:, 0] + 5.0, stage)
    np.testing.assert_allclose(moved, plain + 5.0, atol=1e-8)


def test_a_heavier_ridge_pulls_the_coefficients_to_zero_and_leaves_thresholds():
    x, stage = _data(300)
    likelihood = StageLikelihood(x, stage, 3)
    sizes = []
    for ridge in (1e-6, 0.1, 10.0):
        found = _newton(likelihood, ridge, likelihood.start(), "ordinal")
        sizes.append(np.abs(found[2:]).sum())
    assert sizes[0] > sizes[1] > sizes[2]
    assert sizes[2] < 0.1
    frequencies = np.log(
        np.cumsum(np.bincount(stage))[:2] / np.cumsum(np.bincount(stage)[::-1])[1::-1]
    )
    np.testing.assert_allclose(found[:2], frequencies, atol=0.05)


def test_two_of_the_rarer_class_are_too_few_to_choose_a_penalty():
    x, stage = _data(50)
    with pytest.raises(FitError, match="2 patients in the rarer class") as error:
        fit_ordinal(x, stage, n_folds=2, seed=0, model="ordinal")
    assert error.value.where == "ordinal"


def test_the_state_leads_back_to_the_same_head():
    head = OrdinalHead(
        classes=(0, 2), thresholds=np.array([0.3]), coefficients=np.array([1.0, -2.0]), fit={"n": 9}
    )
    again = OrdinalHead.from_state(head.state)
    x = np.array([[0.1, 0.2], [1.0, -1.0]])
    np.testing.assert_array_equal(again.risk(x, np.array([])), head.risk(x, np.array([])))
    assert again.state == head.state
