import numpy as np
import pytest

from metasight.cohort.outcome import NodalOutcome
from metasight.models.logistic import fit_logistic
from metasight.models.penalised_cox import Penalty


def test_probabilities_average_to_the_share_seen_and_split_by_it():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 6))
    positive = rng.random(300) < 1 / (1 + np.exp(1 - x[:, 0]))
    stage = positive.astype(np.int8) + (positive & (rng.random(300) < 0.4)).astype(np.int8)
    outcome = NodalOutcome(stage)
    head = fit_logistic(x, outcome, factor=np.ones(6), penalty=Penalty(), seed=0, model="logistic")
    risk = head.risk(x, np.array([]))
    np.testing.assert_allclose(risk.mean(axis=0), np.bincount(stage) / 300, atol=1e-5)
    share = risk[:, 2] / (risk[:, 1] + risk[:, 2])
    np.testing.assert_allclose(share, (stage == 2).sum() / (stage > 0).sum())
    assert np.abs(head.coefficients).argmax() == 0
    assert head.state["split"]


def test_score_is_the_log_odds_of_a_positive_node():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(200, 3))
    stage = (x[:, 0] + rng.logistic(size=200) > 0).astype(np.int8)
    head = fit_logistic(
        x, NodalOutcome(stage), factor=np.ones(3), penalty=Penalty(), seed=0, model="logistic"
    )
    risk = head.risk(x, np.array([]))
    assert np.log((1 - risk[:, 0]) / risk[:, 0]) == pytest.approx(head.score(x)[:, 0])
