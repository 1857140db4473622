import numpy as np
import pytest

from metasight.errors import EvaluationError
from metasight.validation.dynamic_auc import auc_at_times, cumulative_dynamic_auc
from metasight.validation.ipcw import horizon_weights


def brute(c, horizon, strata):
    w = horizon_weights(c.time, c.status, horizon)
    above = pairs = 0.0
    for i in range(c.time.size):
        for j in range(c.time.size):
            if strata[i] == strata[j]:
                pair = w.case[i] * w.control[j]
                pairs += pair
                above += pair * ((c.risk[i] > c.risk[j]) + (c.risk[i] == c.risk[j]) / 2)
    return above / pairs


@pytest.mark.parametrize("horizon", [5, 10, 20])
@pytest.mark.parametrize("stratified", [False, True])
def test_equals_every_pair_counted(cohort, horizon, stratified):
    strata = cohort.strata if stratified else np.zeros(120, dtype=int)
    want = brute(cohort, horizon, strata)
    got = cumulative_dynamic_auc(cohort.time, cohort.status, cohort.risk, horizon, strata=strata)
    assert got.value == pytest.approx(want, abs=1e-12)
    fast = auc_at_times(cohort.time, cohort.status, cohort.risk, [horizon], strata=strata)
    assert fast[0] == pytest.approx(want, abs=1e-12)


def test_influence_has_mean_zero(cohort):
    got = cumulative_dynamic_auc(cohort.time, cohort.status, cohort.risk, 10)
    assert got.influence.mean() == pytest.approx(0, abs=1e-10)
    assert 0 <= got.lower <= got.value <= got.upper <= 1


def test_standard_error_is_near_the_bootstrap(survival):
    c = survival
    got = cumulative_dynamic_auc(c.time, c.status, c.risk, 15)
    rng = np.random.default_rng(0)
    picks = [rng.integers(0, 150, 150) for _ in range(300)]
    boot = [auc_at_times(c.time[p], c.status[p], c.risk[p], [15])[0] for p in picks]
    assert got.se == pytest.approx(np.std(boot), rel=0.2)


def test_without_censoring_it_is_the_binary_auc():
    from metasight.validation.binary import binary_auc

    time = np.arange(1.0, 21.0)
    risk = np.random.default_rng(1).random(20)
    got = cumulative_dynamic_auc(time, np.ones(20, dtype=int), risk, 10)
    want = binary_auc(risk, time <= 10)
    assert got.value == pytest.approx(want.auc)


def test_no_case_gives_nan_in_a_curve_and_an_error_alone(cohort):
    assert np.isnan(auc_at_times(cohort.time, cohort.status, cohort.risk, [0.5]))[0]
    with pytest.raises(EvaluationError, match="no event by the horizon"):
        cumulative_dynamic_auc(cohort.time, cohort.status, cohort.risk, 0.5)
