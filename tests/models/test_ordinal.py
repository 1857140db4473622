import numpy as np
import pytest

from metasight.models.ordinal import (
    OrdinalHead,
    _newton,
    _start,
    _terms,
    fit_ordinal,
    fitted_to_score,
)


def _data(n=400, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3))
    latent = x @ np.array([1.0, -0.5, 0.0]) + rng.logistic(size=n)
    return x, (latent > 0.5).astype(int) + (latent > 1.8).astype(int)


def test_gradient_and_hessian_are_the_derivatives():
    x, stage = _data(60)
    parameters = np.array([0.2, 1.1, 0.4, -0.3, 0.1])
    _, gradient, hessian = _terms(x, stage, parameters, 3)
    step = 1e-5
    for j in range(5):
        up, down = parameters.copy(), parameters.copy()
        up[j] += step
        down[j] -= step
        above, below = _terms(x, stage, up, 3), _terms(x, stage, down, 3)
        assert (above[0] - below[0]) / (2 * step) == pytest.approx(gradient[j], abs=1e-5)
        np.testing.assert_allclose((above[1] - below[1]) / (2 * step), hessian[j], atol=1e-4)


def test_recovers_the_odds_it_was_drawn_from():
    x, stage = _data(6000)
    found = _newton(x, stage, 1e-9, _start(stage, 3, 3), "ordinal")
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
