import numpy as np
import pytest

from metasight.estimate import Estimate
from metasight.validation.bootstrap import (
    draw,
    resampled_concordance,
    resampled_horizon,
    to_metric,
)
from metasight.validation.brier import brier_score
from metasight.validation.calibration import risk_groups
from metasight.validation.decision_curve import net_benefit
from metasight.validation.discrimination import harrell_c, pair_order, uno_c
from metasight.validation.dynamic_auc import cumulative_dynamic_auc
from metasight.validation.ordering import follow_up
from metasight.validation.results import NotEstimable
from oracles.calibration import grouped_calibration, mean_calibration

from .conftest import make


def test_draws_are_resamples_and_repeatable():
    w = draw(30, 5, 3)
    assert (w[0] == 1).all()
    assert (w.sum(axis=1) == 30).all()
    assert (w == draw(30, 5, 3)).all()
    assert (w != draw(30, 5, 4)).any()


@pytest.mark.parametrize("competing", [False, True])
@pytest.mark.parametrize("stratified", [False, True])
def test_concordance_equals_that_of_the_repeated_rows(competing, stratified):
    c = make(80, 9, competing=competing)
    strata = c.strata if stratified else np.zeros(80, dtype=int)
    w = draw(80, 6, 1)
    data, order = follow_up(c.time, c.status), pair_order(c.time, c.status, c.risk, strata)
    h = resampled_concordance(w, data, order, tau=None, censoring=False)
    u = resampled_concordance(w, data, order, tau=20, censoring=True)
    for b in range(7):
        rows = np.repeat(np.arange(80), w[b])
        args = (c.time[rows], c.status[rows], c.risk[rows])
        assert h[b] == pytest.approx(harrell_c(*args, strata=strata[rows]).c, abs=1e-12)
        want = uno_c(*args, tau=20, strata=strata[rows]).c
        # the pair weights of competing events are chosen by the whole cohort, not the resample
        assert u[b] == pytest.approx(want, abs=1e-12)


@pytest.mark.parametrize("competing", [False, True])
def test_horizon_metrics_equal_those_of_the_repeated_rows(competing):
    c = make(90, 11, competing=competing)
    data, limits = follow_up(c.time, c.status), [0.2, 0.5]
    w = draw(90, 4, 2)
    groups = risk_groups(c.risk)
    got = resampled_horizon(
        np.ascontiguousarray(w[:, data.order]),
        data,
        c.risk[data.order],
        12,
        strata=c.strata[data.order],
        thresholds=limits,
        groups=groups[data.order],
    )
    for b in range(5):
        rows = np.repeat(np.arange(90), w[b])
        args = (c.time[rows], c.status[rows], c.risk[rows], 12)
        auc = cumulative_dynamic_auc(*args, strata=c.strata[rows])
        score, benefit = brier_score(*args), net_benefit(*args, limits)
        assert got.auc[b] == pytest.approx(auc.value, abs=1e-12)
        assert got.brier[b] == pytest.approx(score.brier.value, abs=1e-12)
        assert got.brier_null[b] == pytest.approx(score.null.value, abs=1e-12)
        assert got.ipa[b] == pytest.approx(score.ipa, abs=1e-12)
        assert got.oe[b] == pytest.approx(mean_calibration(*args).oe, abs=1e-12)
        assert np.allclose(got.net_benefit[b], benefit.model, atol=1e-12)
        assert np.allclose(got.treat_all[b], benefit.treat_all, atol=1e-12)
    fifths = [g.observed for g in grouped_calibration(c.time, c.status, c.risk, 12)]
    assert np.allclose(got.group_observed[0], fifths, atol=1e-12)


def test_a_metric_is_an_estimate_or_says_why_not():
    samples = np.concatenate([[0.5], np.linspace(0.4, 0.6, 101)])
    got = to_metric(samples, 0.9, "unused")
    assert isinstance(got, Estimate)
    assert (got.lower, got.upper) == pytest.approx((0.41, 0.59))
    assert to_metric(np.full(50, np.nan), 0.95, "why") == NotEstimable(not_estimable="why")
    lost = samples.copy()
    lost[1:40] = np.nan
    assert to_metric(lost, 0.9, "") == Estimate(value=0.5)
