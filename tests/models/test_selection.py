import time

import numpy as np
import pytest

from metasight.cohort.outcome import NodalOutcome, SurvivalOutcome
from metasight.models.partial_likelihood import PartialLikelihood
from metasight.models.selection import _logistic_scores, cox_score_statistics, strongest


def test_score_statistic_is_score_squared_over_information(simulated):
    x, follow_up, event = simulated(ties=False)
    found = cox_score_statistics(x, SurvivalOutcome(follow_up, event.astype(np.int8)))
    likelihood = PartialLikelihood.of(follow_up, event)
    step = 1e-4
    for j in (0, 5):
        column = x[likelihood.order, j]
        above, here, below = (likelihood.terms(s * step * column)[0] for s in (1, 0, -1))
        score = (above - below) / (2 * step)
        information = -(above - 2 * here + below) / step**2
        assert abs(found[j] - score**2 / information) < 1e-4


def test_finds_the_columns_that_matter_among_thousands_quickly():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(120, 5000))
    event = rng.exponential(np.exp(-1.5 * x[:, 42]))
    outcome = SurvivalOutcome(event + 0.01, np.ones(120, dtype=np.int8))
    started = time.process_time()
    chosen = strongest(x, outcome, 10)
    assert time.process_time() - started < 1.0
    assert 42 in chosen
    stage = NodalOutcome((x[:, 7] + rng.normal(size=120) > 0).astype(np.int8))
    assert 7 in strongest(x, stage, 10)


def test_of_two_groups_the_score_statistic_is_the_log_rank_test_of_mantel():
    """No day twice: Breslow's information is then the hypergeometric variance."""
    rng = np.random.default_rng(3)
    group, time = np.repeat([0.0, 1.0], 15), rng.permutation(np.arange(1.0, 31))
    event = rng.random(30) < 0.7
    observed = expected = variance = 0.0
    for day in np.sort(time[event]):
        left = time >= day
        share = group[left].mean()
        observed += group[time == day][0]
        expected += share
        variance += share * (1 - share)
    outcome = SurvivalOutcome(time, event.astype(np.int8))
    found = cox_score_statistics(group[:, None], outcome)[0]
    assert found == pytest.approx((observed - expected) ** 2 / variance)


def test_a_competing_event_only_ends_follow_up():
    x = np.random.default_rng(4).normal(size=(40, 3))
    time = np.arange(1.0, 41)
    status = np.random.default_rng(5).integers(0, 3, 40).astype(np.int8)
    censored = np.where(status == 2, 0, status).astype(np.int8)
    np.testing.assert_array_equal(
        cox_score_statistics(x, SurvivalOutcome(time, status)),
        cox_score_statistics(x, SurvivalOutcome(time, censored)),
    )


def test_of_nodal_stage_it_is_n_r_squared_among_those_examined():
    rng = np.random.default_rng(6)
    x = rng.normal(size=(60, 4))
    stage = rng.integers(-1, 3, 60).astype(np.int8)
    seen = stage >= 0
    r = [np.corrcoef(x[seen, j], stage[seen] > 0)[0, 1] for j in range(4)]
    found = _logistic_scores(x, NodalOutcome(stage))
    np.testing.assert_allclose(found, seen.sum() * np.square(r))


def test_the_strongest_are_given_in_the_order_of_the_columns():
    rng = np.random.default_rng(7)
    x = rng.normal(size=(200, 6))
    event = rng.exponential(np.exp(-2 * x[:, 4] - 1.5 * x[:, 1]))
    outcome = SurvivalOutcome(event + 0.01, np.ones(200, dtype=np.int8))
    assert strongest(x, outcome, 2).tolist() == [1, 4]
    assert strongest(x, outcome, 6).tolist() == [0, 1, 2, 3, 4, 5]


def test_a_constant_column_is_never_chosen_before_another():
    rng = np.random.default_rng(8)
    x = np.column_stack([np.zeros(50), rng.normal(size=50)])
    outcome = SurvivalOutcome(np.arange(1.0, 51), np.ones(50, dtype=np.int8))
    assert strongest(x, outcome, 1).tolist() == [1]
    assert cox_score_statistics(x, outcome)[0] == 0
