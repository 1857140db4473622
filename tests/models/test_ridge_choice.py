"""Weights of ridges by what they make of rows that they have not seen."""

from __future__ import annotations

import numpy as np
import pytest

from metasight.errors import FitError
from metasight.models.ridge import COARSE, HazardLikelihood, StageLikelihood, maximise
from metasight.models.ridge_choice import (
    NOTHING,
    SPREADS,
    TEMPER,
    Block,
    candidates,
    held_out_deviance,
    penalties,
    prior,
    weigh,
)
from metasight.models.tuning import stratified_folds


def blocks_of(*widths: int, unpenalised: tuple[int, ...] = ()) -> tuple[Block, ...]:
    ends = np.cumsum([0, *widths])
    return tuple(
        Block(
            modality=f"m{k}",
            columns=np.arange(ends[k], ends[k + 1]),
            width=widths[k],
            penalised=k not in unpenalised,
        )
        for k in range(len(widths))
    )


@pytest.fixture
def problem(simulated):
    x, time, event = simulated(p=12)
    whole = HazardLikelihood.of(x, time, event)
    label = whole.follow_up.event.astype(np.int64)
    rng = np.random.default_rng(0)
    return whole, np.stack([stratified_folds(label, 5, rng) for _ in range(2)])


def test_a_penalty_is_the_width_over_the_squared_spread():
    blocks = blocks_of(4, 6, 2, unpenalised=(2,))
    columns, penalty = penalties(blocks, (1.0, 0.5, 0.0))
    assert columns.tolist() == list(range(12))
    assert penalty.tolist() == [4.0] * 4 + [24.0] * 6 + [0.0] * 2
    columns, penalty = penalties(blocks, (1.0, 0.0, 0.0))
    assert columns.tolist() == [0, 1, 2, 3, 10, 11]


def test_candidates_hold_the_first_and_every_set_of_the_others():
    found = candidates(blocks_of(3, 3, 3))
    n = len(SPREADS)
    assert len(set(found)) == len(found) == n * (n + 1) ** 2
    assert all(s[0] > 0 for s in found)
    assert {tuple(v > 0 for v in s[1:]) for s in found} == {
        (False, False),
        (False, True),
        (True, False),
        (True, True),
    }
    many = candidates(blocks_of(3, 3, 3, 3, 3))
    assert len(many) == n + 15 * n * n, "a spread in common"
    fixed = candidates(blocks_of(3, 3, 3, unpenalised=(0, 1)))
    assert {s[:2] for s in fixed} == {(0.0, 0.0)}
    assert len(fixed) == n + 1
    with pytest.raises(FitError, match="too many modalities") as caught:
        candidates(blocks_of(*[1] * 8), model="fusion")
    assert "fusion" in str(caught.value) and "8" in str(caught.value)


@pytest.mark.parametrize("others", [1, 2, 3, 5])
def test_the_prior_pays_for_the_number_of_modalities(others):
    sets = candidates(blocks_of(*[2] * (others + 1)))
    weight = prior(sets)
    reads = np.array([[v > 0 for v in s[1:]] for s in sets])
    assert weight.sum() == pytest.approx(1)
    assert weight[~reads.any(axis=1)].sum() == pytest.approx(NOTHING)
    for read in np.unique(reads[reads.any(axis=1)], axis=0):
        same = (reads == read).all(axis=1)
        assert weight[same].sum() == pytest.approx((1 - NOTHING) / (2**others - 1))
        assert np.ptp(weight[same]) < 1e-15


def test_the_prior_of_one_modality_is_even():
    np.testing.assert_allclose(prior(candidates(blocks_of(5))), 1 / len(SPREADS))


def test_a_spread_of_0_is_the_model_without_the_modality(problem):
    whole, fold = problem
    both, alone = blocks_of(5, 7), blocks_of(5)
    without = whole.part(None, np.arange(5))
    np.testing.assert_allclose(
        held_out_deviance(whole, fold, both, [(0.5, 0.0)], model="m"),
        held_out_deviance(without, fold, alone, [(0.5,)], model="m"),
        atol=1e-10,
    )
    huge = held_out_deviance(whole, fold, both, [(0.5, 1e-6)], model="m")
    np.testing.assert_allclose(
        huge, held_out_deviance(without, fold, alone, [(0.5,)], model="m"), atol=1e-3
    )


def test_equal_penalties_of_all_columns_do_not_know_of_modalities(problem):
    whole, fold = problem
    split = held_out_deviance(whole, fold, blocks_of(6, 6), [(0.5, 0.5)], model="m")
    one = held_out_deviance(whole, fold, blocks_of(12), [(0.5 * 2**0.5,)], model="m")
    np.testing.assert_allclose(split, one, atol=1e-4)


def test_held_out_deviance_of_a_stage_is_that_of_the_held_out_rows():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(150, 3))
    level = np.digitize(x[:, 0] + rng.logistic(size=150), [0.5, 1.5])
    whole = StageLikelihood(x, level, 3)
    fold = stratified_folds(level.astype(np.int64), 5, rng)
    found = held_out_deviance(whole, fold[None], blocks_of(3), [(0.5,)], model="m")[0]
    for k in range(5):
        train, held = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
        at = maximise(whole.part(train, None), np.full(3, 12.0), tolerance=COARSE)
        probability = np.log(_probabilities(x[held], at))[np.arange(len(held)), level[held]]
        assert found[k] == pytest.approx(-2 * probability.sum(), abs=1e-8)


def _probabilities(x, at):
    below = 1 / (1 + np.exp(-(at[None, :2] - (x @ at[2:])[:, None])))
    edges = np.column_stack([np.zeros(len(x)), below, np.ones(len(x))])
    return np.diff(edges, axis=1)


def test_weights_are_prior_times_a_part_of_the_held_out_likelihood(problem):
    whole, fold = problem
    blocks = blocks_of(4, 8)
    found = weigh(whole, fold, blocks, model="m")
    sets = candidates(blocks)
    deviance = held_out_deviance(whole, fold, blocks, sets, model="m").sum(axis=1) / 2
    np.testing.assert_allclose(found.deviance, deviance)
    expected = prior(sets) * np.exp(-0.5 * TEMPER * (deviance - deviance.min()))
    kept = found.weight > 0
    expected = np.where(kept, expected, 0.0)
    np.testing.assert_allclose(found.weight, expected / expected.sum())
    assert found.weight.sum() == pytest.approx(1)
    assert found.folds == 5
    reads = sum(w for s, w in zip(sets, found.weight, strict=True) if s[1] > 0)
    assert found.reading(1) == pytest.approx(reads)
    assert found.reading(0) == pytest.approx(1)


def test_the_average_is_of_fits_to_all_rows(problem):
    whole, fold = problem
    blocks = blocks_of(4, 8)
    found = weigh(whole, fold, blocks, model="m")
    expected = np.zeros(12)
    for spreads, weight in zip(found.spreads, found.weight, strict=True):
        if weight > 0:
            columns, penalty = penalties(blocks, spreads)
            expected[columns] += weight * maximise(whole.part(None, columns), penalty)
    np.testing.assert_allclose(found.averaged(whole, blocks, model="m"), expected, atol=1e-7)


def test_noise_gets_less_weight_than_signal():
    rng = np.random.default_rng(4)
    x = rng.normal(size=(250, 9))
    event = rng.exponential(np.exp(-0.5 * x[:, 0] - 0.5 * x[:, 3] - 0.4 * x[:, 4]))
    end = rng.exponential(0.6, 250)
    whole = HazardLikelihood.of(x, np.minimum(event, end), event <= end)
    fold = stratified_folds(whole.follow_up.event.astype(np.int64), 5, rng)
    found = weigh(whole, fold[None], blocks_of(3, 3, 3), model="m")
    assert found.reading(1) > 0.95
    assert found.reading(2) < 0.5
