"""The network's arithmetic by hand: attention, missing modalities, losses, intervals."""

from __future__ import annotations

import json

import numpy as np
import pytest

from metasight.cohort.outcome import SurvivalOutcome
from metasight.models.risk_network import (
    Inputs,
    NetworkSettings,
    Target,
    _held_loss,
    attention,
    log_risks,
    train,
    weights_from_json,
    weights_to_json,
)

torch = pytest.importorskip("torch")


def target(time, cause, cuts=(10.0, 20.0, 30.0)) -> Target:
    return Target(
        time_days=np.asarray(time, float),
        cause=np.asarray(cause, np.int64),
        causes=max(1, int(max(cause))),
        cuts_days=np.asarray(cuts, float),
    )


def gate(width: int = 1, components: int = 1) -> dict[str, np.ndarray]:
    """Attention's layers, all zeros but the score's."""
    zeros = np.zeros((width, components), np.float32)
    return {
        "tanh.w": zeros.copy(),
        "tanh.b": np.zeros(width, np.float32),
        "gate.w": zeros.copy(),
        "gate.b": np.zeros(width, np.float32),
        "score.w": np.ones((1, width), np.float32),
    }


def test_attention_by_hand():
    """One gate: tanh(x) · σ(0) · 2 = tanh(x); patches 0 and 1 share as e⁰ : e^tanh 1."""
    weights = gate()
    weights["tanh.w"][0, 0], weights["score.w"][0, 0] = 1.0, 2.0
    share = attention(weights, np.array([[0.0], [1.0]], np.float32))
    high = np.exp(np.tanh(1.0))
    np.testing.assert_allclose(share, [1 / (1 + high), high / (1 + high)], rtol=1e-6)


def test_without_a_score_attention_is_the_mean_and_order_does_not_matter():
    rng = np.random.default_rng(0)
    bag = rng.normal(size=(7, 3)).astype(np.float32)
    weights = gate(4, 3) | {"score.w": np.zeros((1, 4), np.float32)}
    np.testing.assert_allclose(attention(weights, bag), 1 / 7)
    weights["tanh.w"] = rng.normal(size=(4, 3)).astype(np.float32)
    weights["score.w"] = rng.normal(size=(1, 4)).astype(np.float32)
    order = rng.permutation(7)
    np.testing.assert_allclose(
        attention(weights, bag[order]), attention(weights, bag)[order], rtol=1e-5
    )


def head(joined: int, out: int, *, bias=0.0) -> dict[str, np.ndarray]:
    """A hidden unit that is the sum of what is joined, weighed 10; what is joined weighs 1."""
    return {
        "hidden.w": np.ones((1, joined), np.float32),
        "hidden.b": np.zeros(1, np.float32),
        "out.w": np.tile(np.r_[np.ones(joined), 10.0], (out, 1)).astype(np.float32),
        "out.b": np.full(out, bias, np.float32),
    }


def test_log_risks_by_hand():
    inputs = Inputs(blocks=(np.array([[1.0, 2.0], [-1.0, -2.0]], np.float32),))
    # 3 + 10 · 3, and −3 + 10 · max(−3, 0); the bias 0.5 in both
    np.testing.assert_allclose(log_risks(head(2, 1, bias=0.5), inputs, 1), [[33.5], [-2.5]])


def test_what_a_patient_lacks_counts_as_zero():
    nan = np.nan
    blocks = (
        np.array([[1.0], [nan]], np.float32),
        np.array([[2.0, nan], [2.0, 3.0]], np.float32),  # half a block is none
    )
    np.testing.assert_allclose(log_risks(head(3, 1), Inputs(blocks=blocks), 1), [[11.0], [55.0]])
    weights = gate() | head(1, 1)
    bags = Inputs(bags=(np.array([[4.0], [6.0]], np.float32), None))
    np.testing.assert_allclose(log_risks(weights, bags, 1), [[55.0], [0.0]])


def test_the_log_risk_of_discrete_time_is_the_mean_over_its_intervals():
    weights = head(1, 4)
    weights["out.b"] = np.array([0.0, 2.0, 10.0, 30.0], np.float32)
    out = log_risks(weights, Inputs(blocks=(np.zeros((1, 1), np.float32),)), 2)
    np.testing.assert_allclose(out, [[1.0, 20.0]])


def test_intervals_end_at_quantiles_of_event_times():
    outcome = SurvivalOutcome(np.array([10.0, 20, 30, 40, 500]), np.array([1, 1, 1, 2, 0], np.int8))
    found = Target.of(outcome, NetworkSettings(intervals=3))
    np.testing.assert_allclose(found.cuts_days, [20, 30, 40])  # the censored one does not count
    assert found.causes == 2
    assert found.cause.tolist() == [1, 1, 1, 2, 0]
    part = found.take(np.array([3, 0]))
    assert part.time_days.tolist() == [40, 10]
    assert part.cuts_days is found.cuts_days


def test_the_cox_loss_by_hand():
    """Events at 1 and 2, one censored at 3; scores a, b, c. Tied times share their risk set."""
    from metasight.models.risk_network import _cox_loss

    score = torch.tensor([[0.3], [-0.2], [1.0]])
    a, b, c = np.exp(score[:, 0].numpy().astype(float))
    wanted = -(np.log(a / (a + b + c)) + np.log(b / (b + c))) / 2
    assert float(_cox_loss(score, target([1, 2, 3], [1, 1, 0]))) == pytest.approx(wanted, rel=1e-6)
    tied = -(np.log(a / (a + b + c)) + np.log(b / (a + b + c))) / 2
    assert float(_cox_loss(score, target([2, 2, 3], [1, 1, 0]))) == pytest.approx(tied, rel=1e-6)


def test_the_held_out_loss_is_the_cox_loss_in_numpy():
    from metasight.models.risk_network import _cox_loss

    rng = np.random.default_rng(1)
    block = rng.normal(size=(20, 2)).astype(np.float32)
    inputs, weights = Inputs(blocks=(block,)), head(2, 1)
    told = target(rng.integers(1, 9, 20), rng.integers(0, 2, 20))
    score = torch.tensor(log_risks(weights, inputs, 1))
    wanted = float(_cox_loss(score, told))
    assert _held_loss(weights, inputs, told, NetworkSettings()) == pytest.approx(wanted, rel=1e-6)


def test_the_discrete_loss_by_hand():
    """Cuts 10 and 20, hazard odds 1 : 3 in each interval.

    ==  ========  ===========================================
    a   event 15  passed the first (¾), had it in the second (¼)
    b   lost 25   passed both
    c   lost 10   passed none whole
    d   event 99  beyond the last cut: had it in the last interval
    ==  ========  ===========================================
    """
    from metasight.models.risk_network import _discrete_loss

    odds = float(np.log(1 / 3))
    out = torch.full((4, 2), odds)
    found = _discrete_loss(out, target([15, 25, 10, 99], [1, 0, 0, 1], cuts=(10.0, 20.0)))
    stay, go = np.log(0.75), np.log(0.25)
    assert float(found) == pytest.approx(-((stay + go) + 2 * stay + 0 + (stay + go)) / 4, rel=1e-6)


def test_two_causes_share_the_hazard_of_an_interval():
    from metasight.models.risk_network import _discrete_loss

    out = torch.zeros((2, 2))  # both causes as likely as staying: a third each
    found = _discrete_loss(out, target([5, 5], [1, 2], cuts=(10.0,)))
    assert float(found) == pytest.approx(np.log(3), rel=1e-6)


@pytest.mark.parametrize("loss", ["cox", "discrete"])
def test_training_begins_with_one_risk_for_all_and_learns(loss):
    rng = np.random.default_rng(2)
    x = rng.normal(size=(150, 2)).astype(np.float32)
    time = rng.exponential(np.exp(-1.5 * x[:, 0])) + 0.01
    outcome = SurvivalOutcome(time.astype(float), np.ones(150, np.int8))
    settings = NetworkSettings(loss=loss, epochs=25, width=8)
    whole = Target.of(outcome, settings)
    part, rest = np.arange(100), np.arange(100, 150)
    inputs = Inputs(blocks=(x,))
    told = train(
        inputs.take(part),
        whole.take(part),
        (inputs.take(rest), whole.take(rest)),
        settings,
        seed=3,
    )
    assert len(told.weights) == len(told.losses) == 26
    first = log_risks(told.weights[0], inputs, 1)
    assert np.ptp(first) == 0
    assert told.losses[-1] < told.losses[0] - 0.05
    again = train(
        inputs.take(part),
        whole.take(part),
        (inputs.take(rest), whole.take(rest)),
        settings,
        seed=3,
    )
    np.testing.assert_array_equal(told.losses, again.losses)


def test_weights_survive_json_exactly():
    weights = {"a.w": np.random.default_rng(0).normal(size=(3, 2)).astype(np.float32)}
    again = weights_from_json(json.loads(json.dumps(weights_to_json(weights))))
    np.testing.assert_array_equal(again["a.w"], weights["a.w"])
    assert again["a.w"].dtype == np.float32
