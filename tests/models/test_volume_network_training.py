"""Order, schedule and averages of a training, and a small one that learns what can be learnt."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from lesion_crops import crop_of  # noqa: E402
from metasight.models.volume_network_inputs import Targets  # noqa: E402
from metasight.models.volume_network_layers import Compute, VolumeNetwork  # noqa: E402
from metasight.models.volume_network_settings import VolumeNetworkSettings  # noqa: E402
from metasight.models.volume_network_training import (  # noqa: E402
    Material,
    _average,
    _order,
    _schedule,
    train_in_folds,
)

SETTINGS = VolumeNetworkSettings(width=4, rounds=3, round_steps=4, batch=4, patience=9)
CPU = Compute(device="cpu", mixed=False)


@pytest.mark.parametrize("n", [3, 10, 16, 37])
def test_every_patient_comes_up_once_a_pass(n):
    """16 rows a round: over many rounds each patient is seen as often as any other, but for one."""
    rows = np.concatenate([_order(n, SETTINGS, 1, 0, k).ravel() for k in range(1, 8)])
    assert len(rows) == 7 * 16
    for first in range(0, len(rows) - n + 1, n):
        assert sorted(rows[first : first + n]) == list(range(n))


def test_the_order_depends_on_seed_and_fold_and_nothing_else():
    one = _order(20, SETTINGS, 1, 0, 2)
    np.testing.assert_array_equal(one, _order(20, SETTINGS, 1, 0, 2))
    assert one.shape == (4, 4)
    for other in (_order(20, SETTINGS, 2, 0, 2), _order(20, SETTINGS, 1, 1, 2)):
        assert (one != other).any()


def test_the_rate_rises_over_a_tenth_and_falls_to_almost_nothing():
    rates = [_schedule(s) for s in np.linspace(0, 1, 101)]
    assert rates[0] == 0.05
    assert int(np.argmax(rates)) == 10
    assert max(rates) == pytest.approx(1.0, abs=2e-3)
    assert (np.diff(rates[10:]) < 0).all()
    assert rates[-1] == pytest.approx(1e-3)


def test_the_average_follows_the_network_within_about_twenty_steps():
    torch.manual_seed(0)
    network, averaged = VolumeNetwork(SETTINGS, None), VolumeNetwork(SETTINGS, None)
    first = next(averaged.parameters()).detach().clone()
    goal = next(network.parameters()).detach().clone()
    shares = []
    for step in range(200, 220):
        _average(averaged, network, step)
        now = next(averaged.parameters()).detach()
        shares.append(float(((now - goal) / (first - goal)).median()))
    np.testing.assert_allclose(shares, 0.95 ** np.arange(1, 21), rtol=1e-3)
    early = VolumeNetwork(SETTINGS, None)
    begin = next(early.parameters()).detach().clone()
    _average(early, network, 0)  # at first it goes along: nine tenths of the way at once
    done = (next(early.parameters()).detach() - begin) / (goal - begin)
    assert float(done.median()) == pytest.approx(0.9, rel=1e-3)


def material(n: int = 18, *, pooled: bool = True) -> Material:
    rng = np.random.default_rng(3)
    crops = [crop_of(rng, 0.0, pet=False) for _ in range(n)]
    stage = np.arange(n) % 3
    features = rng.normal(size=(n, 6)).astype(np.float32)
    features[:, 0] += 2.0 * stage
    return Material(
        crops=crops,
        pooled=torch.from_numpy(features) if pooled else None,
        targets=Targets.of(crops, stage),
        fold=np.arange(n) // 6,
    )


def test_a_network_for_each_fold_at_the_round_that_was_best_together():
    found = train_in_folds(material(), SETTINGS, seed=1, compute=CPU)
    assert found.folds == (0, 1, 2)
    assert len(found.networks) == 3
    assert len(found.losses) == 4
    assert found.best == int(np.argmin(found.losses))
    # it begins with how often each stage is, which nobody can be much worse than
    assert found.losses[0] == pytest.approx(np.log(3), abs=0.25)
    again = train_in_folds(material(), SETTINGS, seed=1, compute=CPU)
    assert again.losses == found.losses
    for one, two in zip(found.networks, again.networks, strict=True):
        for name in one:
            np.testing.assert_array_equal(one[name], two[name])
    assert train_in_folds(material(), SETTINGS, seed=2, compute=CPU).losses != found.losses


def test_patience_ends_a_training_that_gets_no_better():
    flat = VolumeNetworkSettings(
        width=4, rounds=30, round_steps=1, batch=4, patience=2, learning_rate=1e-12
    )
    found = train_in_folds(material(), flat, seed=1, compute=CPU)
    assert found.best == 0
    assert len(found.losses) == 3


def test_a_fold_is_never_learnt_from_by_its_own_network():
    """Stages of fold 0 turned over change the two other networks and not fold 0's own."""
    plain, other = material(), material()
    stage = other.targets.stage.copy()
    stage[:6] = 2 - stage[:6]
    spoilt = Material(
        crops=other.crops,
        pooled=other.pooled,
        targets=Targets(
            stage=stage,
            attenuation=other.targets.attenuation,
            log_diameter=other.targets.log_diameter,
        ),
        fold=other.fold,
    )
    once = VolumeNetworkSettings(width=4, rounds=1, round_steps=4, batch=4, patience=9)
    one, two = (train_in_folds(m, once, seed=1, compute=CPU) for m in (plain, spoilt))
    if one.best == two.best:
        for name in one.networks[0]:
            np.testing.assert_array_equal(one.networks[0][name], two.networks[0][name])
        assert any((one.networks[1][n] != two.networks[1][n]).any() for n in one.networks[1])
