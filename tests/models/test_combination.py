"""Weights of scores: never negative, none for chance, and the shrinkage by its formula."""

from __future__ import annotations

import numpy as np
import pytest

from metasight.cohort.outcome import NodalOutcome, SurvivalOutcome
from metasight.models.combination import combined_hazards, combined_stage
from metasight.models.partial_likelihood import PartialLikelihood


def follow_up(rng, log_hazard, *, competing: bool = False) -> SurvivalOutcome:
    n = len(log_hazard)
    event = rng.exponential(1000 * np.exp(-log_hazard)) + 1
    censor = rng.uniform(300, 3000, n)
    status = (event <= censor).astype(np.int8)
    if competing:
        status[(status == 1) & (rng.random(n) < 0.4)] = 2
    return SurvivalOutcome(np.minimum(event, censor), status)


def scores(rng, n: int = 300, p: int = 3) -> np.ndarray:
    x = rng.normal(size=(n, p))
    return (x - x.mean(axis=0)) / x.std(axis=0)


def weights(matrix, outcome, **over) -> np.ndarray:
    head = combined_hazards(matrix, outcome, n_models=matrix.shape[1], **over)
    return head.causes[0].coefficients


def test_a_score_that_tells_gets_a_weight_one_that_misleads_or_says_nothing_none():
    rng = np.random.default_rng(0)
    x = scores(rng)
    found = weights(x, follow_up(rng, 1.0 * x[:, 0] - 0.8 * x[:, 1]))
    assert found[0] == pytest.approx(1.0, abs=0.25)
    assert found[1] == 0.0  # its weight would be negative
    assert found[2] == 0.0


def test_by_chance_nothing_is_found():
    """A score without signal has a likelihood ratio above 2 in one of six studies."""
    kept = []
    for seed in range(60):
        rng = np.random.default_rng([seed, 1])
        x = scores(rng, n=120, p=1)
        kept.append(weights(x, follow_up(rng, np.zeros(120)))[0] > 0)
    # half of those have the wrong sign: P(χ² > 2) / 2 = 0.079
    assert np.mean(kept) < 0.2


def test_a_single_weight_is_shrunk_by_its_likelihood_ratio():
    """(χ² − 1) / χ² of the ridge fit, χ² against no score at all."""
    rng = np.random.default_rng(2)
    x = scores(rng, n=150, p=1)
    outcome = follow_up(rng, 0.4 * x[:, 0])
    found = weights(x, outcome)[0]
    likelihood = PartialLikelihood.of(outcome.time_days, outcome.status == 1)

    def loglik(beta: float) -> float:
        eta = x[likelihood.order, 0] * beta
        time, event = likelihood.time, likelihood.event > 0
        # continuous times: nobody is tied
        return float(
            sum(eta[i] - np.log(np.exp(eta[time >= time[i]]).sum()) for i in np.flatnonzero(event))
        )

    grid = np.linspace(0, 1.2, 1201)
    penalised = np.array([loglik(b) / 150 - 0.01 / 2 * b**2 for b in grid])
    ridge = float(grid[penalised.argmax()])
    ratio = 2 * (loglik(ridge) - loglik(0.0))
    assert ratio > 2
    assert found == pytest.approx(ridge * (1 - 1 / ratio), abs=2e-3)


def test_a_floor_is_neither_left_out_nor_weighed_less():
    rng = np.random.default_rng(3)
    x = scores(rng)
    outcome = follow_up(rng, 0.9 * x[:, 1])
    floor = np.array([0.5, 0.0, 0.0])
    found = weights(x, outcome, floor=floor)
    assert found[0] == 0.5  # nothing in it, and kept all the same
    assert found[1] > 0.5
    strong = weights(x, follow_up(np.random.default_rng(4), 1.2 * x[:, 0]), floor=floor)
    assert strong[0] > 0.9


def test_scores_in_another_order_get_the_same_weights():
    rng = np.random.default_rng(5)
    x = scores(rng, p=4)
    outcome = follow_up(rng, 0.7 * x[:, 0] + 0.5 * x[:, 2])
    order = [2, 0, 3, 1]
    np.testing.assert_allclose(weights(x[:, order], outcome), weights(x, outcome)[order], atol=1e-6)


def test_competing_events_have_scores_of_their_own():
    rng = np.random.default_rng(6)
    x = scores(rng, n=400, p=2)  # one model: its score of the event, and of the competing event
    outcome = follow_up(rng, 0.8 * x[:, 0], competing=True)
    head = combined_hazards(x, outcome, n_models=1)
    assert head.scale == "product_integral"
    assert len(head.causes) == 2
    event, other = (c.coefficients for c in head.causes)
    assert event[0] > 0
    assert event[1] == 0.0
    assert other[0] == 0.0
    risk = head.risk(x, np.array([500, 1500]))
    assert (np.diff(risk, axis=1) >= 0).all()
    assert ((risk >= 0) & (risk <= 1)).all()


def test_without_a_score_of_the_competing_event_its_hazard_is_the_same_for_all():
    rng = np.random.default_rng(7)
    x = scores(rng, p=1)
    outcome = follow_up(rng, 0.8 * x[:, 0], competing=True)
    assert (combined_hazards(x, outcome, n_models=1).causes[1].coefficients == 0).all()


def test_three_stages_rise_with_the_score():
    rng = np.random.default_rng(8)
    x = scores(rng, n=400, p=2)
    latent = 1.5 * x[:, 0] + rng.logistic(size=400)
    stage = NodalOutcome(np.digitize(latent, [0.5, 2.0]).astype(np.int8))
    head = combined_stage(x, stage, floor=np.zeros(2))
    assert head.coefficients[0] == pytest.approx(1.5, abs=0.4)
    assert 0 <= head.coefficients[1] < 0.2
    line = np.column_stack([np.linspace(-2, 2, 9), np.zeros(9)])
    risk = head.risk(line, np.array([]))
    np.testing.assert_allclose(risk.sum(axis=1), 1)
    assert (np.diff(risk[:, 0]) < 0).all()
    assert (np.diff(risk[:, 2]) > 0).all()
    # calibrated in the large on those it was fitted to
    np.testing.assert_allclose(
        head.risk(x, np.array([])).mean(axis=0), np.bincount(stage.stage) / 400, atol=0.02
    )
