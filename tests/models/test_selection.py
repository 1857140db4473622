import time

import numpy as np

from metasight.cohort.outcome import NodalOutcome, SurvivalOutcome
from metasight.models.partial_likelihood import PartialLikelihood
from metasight.models.selection import cox_score_statistics, strongest


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
