"""Sizes of a validation against R (pmvalsampsize, glm) and by hand."""

from dataclasses import replace
from math import asinh, ceil

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import beta, norm

from metasight.errors import EvaluationError
from metasight.predictions import Predictions
from metasight.validation import validation_size as module
from metasight.validation.bootstrap import resampled_horizon
from metasight.validation.calibration_bootstrap import resampled_hazard
from metasight.validation.links import to_cloglog
from metasight.validation.ordering import follow_up
from metasight.validation.results import NotEstimable
from metasight.validation.table import align
from metasight.validation.validation_size import (
    implied_c,
    risks_from,
    size_for,
    validation_size,
)
from validation.test_recalibration import PLAN, survival

Z = norm.ppf(0.975)


def test_observed_over_expected_as_pmvalsampsize_has_it(monkeypatch):
    """Its example: prevalence 0.018, interval of width 1: 905 (R: 905.0292 before rounding)."""
    monkeypatch.setattr(module, "OE_WIDTH", 1.0)
    assert module._size_for_oe(0.018) == pytest.approx(905.0292, abs=1e-4)


def test_c_as_pmvalsampsize_has_it():
    """Its example: C 0.8, prevalence 0.018, interval of width 0.1: 4252."""
    assert module._size_for_c(0.8, 0.018) == 4252


def test_slope_as_r_s_glm_has_it():
    """R: r<-qbeta((1:2000-.5)/2000,2,6); x<-qlogis(r); v<-r*(1-r); X<-cbind(1,x);
    solve(t(X)%*%(X*v))[2,2]*2000/(.1/qnorm(.975))^2 is 4202.22047561."""
    r = beta.ppf((np.arange(1, 2001) - 0.5) / 2000, 2, 6)
    assert module._size_for_slope(r, np.full(2000, 1 / 2000)) == pytest.approx(4202.22047561)


def test_slope_near_pmvalsampsize_s_simulation():
    """Log odds N(−5, 2.5²), width 0.2: it simulates 4544; R without rounding 4552 of 4e6 draws."""
    x = np.linspace(-5 - 20, -5 + 20, 100_001)
    w = norm.pdf(x, -5, 2.5)
    assert module._size_for_slope(expit(x), w / w.sum()) == pytest.approx(4544, rel=0.005)


def test_standardised_net_benefit_varies_as_the_formula_says():
    rng = np.random.default_rng(1)
    p, n, t = rng.beta(2, 6, 200_000), 400, 0.25
    needed = module._size_for_net_benefit(p, np.full(p.size, 1 / p.size), t, (1.0, 1.0)).n
    values = []
    for _ in range(4000):
        r = rng.choice(p, n)
        y = rng.random(n) < r
        act = r >= t
        nb = ((y & act).sum() - (~y & act).sum() * t / (1 - t)) / n
        values.append(nb / y.mean())
    se = np.std(values)
    assert needed == pytest.approx(n * (se / (0.1 / Z)) ** 2, rel=0.06)


def test_what_four_risks_need_by_hand():
    """Risks 0.1, 0.2, 0.3, 0.4: mean 0.25, and the chance that an event's is the higher:
    pairs (i, j) weigh p_i (1 − p_j); of the sum 1.0 · 3.0, higher 0.2·0.9 + 0.3·1.7 + 0.4·2.4 =
    1.65, tied 0.09 + 0.16 + 0.21 + 0.24 = 0.70: C = (1.65 + 0.35) / 3 = 2/3."""
    told = validation_size([0.1, 0.2, 0.3, 0.4], thresholds=(0.25, 0.05, 0.9))
    assert told.risk == pytest.approx(0.25)
    assert told.c == pytest.approx(2 / 3)
    assert told.oe_n == ceil(0.75 / (0.25 * (asinh(0.1) / Z) ** 2))
    assert told.n == max(told.oe_n, told.slope_n, told.c_n)
    assert told.events == pytest.approx(0.25 * told.n)
    assert [b.threshold for b in told.net_benefit] == [0.05, 0.25, 0.9]
    assert told.net_benefit[0].n is None
    assert told.net_benefit[2].n is None
    # sens = 0.7 / 1, spec = 1.7 / 3, w = 3 · (0.25 / 0.75) = 1
    variance = 0.7 * 0.3 / 0.25 + 1.7 / 3 * 1.3 / 3 / 0.75 + (1.3 / 3) ** 2 / (0.25 * 0.75)
    assert told.net_benefit[1].n == ceil(variance / (0.1 / Z) ** 2)


def test_without_censoring_observed_over_expected_is_as_of_a_class():
    """Greenwood without censoring is (1 − F) / (n F)."""
    risk = np.linspace(0.05, 0.6, 50)
    free = validation_size(risk, uncensored=np.ones(401))
    assert free.oe_n == pytest.approx(validation_size(risk).oe_n, rel=1e-3)
    assert free.seen == pytest.approx(1, abs=1e-4)
    assert free.c_n == pytest.approx(validation_size(risk).c_n, rel=0.15)


def test_where_half_are_lost_at_once_twice_as_many_are_needed():
    risk = np.linspace(0.05, 0.6, 50)
    whole = validation_size(risk, uncensored=np.ones(101))
    half = validation_size(risk, uncensored=np.full(101, 0.5))
    assert half.slope_n == pytest.approx(2 * whole.slope_n, abs=1)
    assert half.oe_n == pytest.approx(2 * whole.oe_n, abs=1)
    assert half.c_n == pytest.approx(2 * whole.c_n, rel=0.02)
    assert half.seen == pytest.approx(0.5, abs=1e-3)


def test_slope_of_two_hazards_by_hand():
    """Rare events: the variance of a log hazard of 1 and of 3 in 10,000 among those who have it is
    3/16 · (ln 3)², and there are 0.0002 events a patient."""
    risk = -np.expm1(-np.array([1e-4, 3e-4]))
    told = validation_size(risk, uncensored=np.ones(11))
    assert told.slope_n == pytest.approx(
        1 / ((0.1 / Z) ** 2 * 2e-4 * 3 / 16 * np.log(3) ** 2), 1e-3
    )


@pytest.mark.parametrize(("middle", "last"), [(-2.2, 12.0), (-2.2, 6.5), (-1.0, 7.0)])
def test_with_censoring_the_sizes_are_those_of_a_simulation(middle, last):
    """Standard errors over 300 validations of 800, scaled to the width asked for.

    Of C the formula, exponential scores, asks for up to half as much more.
    """
    rng = np.random.default_rng(1)
    n, horizon, x_sd = 800, 5.0, 0.8
    once = np.ones((1, n), dtype=np.int32)
    seen = []
    for _ in range(300):
        x = rng.normal(middle, x_sd, n)
        onset, end = rng.exponential(horizon / np.exp(x)), rng.uniform(1, last, n)
        data = follow_up(np.minimum(onset, end), (onset <= end).astype(np.int64))
        risk = -np.expm1(-np.exp(x))[data.order]
        found = resampled_horizon(once, data, risk, horizon, strata=np.zeros(n, dtype=np.int64))
        cut = data.censored_at(horizon)
        slope = resampled_hazard(once, cut, to_cloglog(risk)[:, None], horizon).coef[0, 0]
        seen.append((np.log(found.observed[0]), slope, found.auc[0]))
    oe, slope, auc = np.std(seen, axis=0)
    grid = np.linspace(0, horizon, 101)
    free = np.clip(1 - (grid - 1) / (last - 1), 0.01, 1)
    risks = -np.expm1(-np.exp(norm.ppf((np.arange(2000) + 0.5) / 2000) * x_sd + middle))
    told = validation_size(risks, uncensored=free)
    assert told.oe_n == pytest.approx(n * (oe / (asinh(0.1) / Z)) ** 2, rel=0.2)
    assert told.slope_n == pytest.approx(n * (slope / (0.1 / Z)) ** 2, rel=0.2)
    assert 0.85 < told.c_n / (n * (auc / (0.05 / Z)) ** 2) < 1.5


@pytest.mark.parametrize(("risk", "c"), [(0.15, 0.7), (0.4, 0.85), (0.02, 0.6)])
def test_anticipated_risks_have_the_mean_and_c_that_were_asked_for(risk, c):
    risks, weights = risks_from(risk, c)
    assert float(weights @ risks) == pytest.approx(risk, rel=1e-6)
    assert implied_c(risks, weights) == pytest.approx(c, abs=1e-5)


def test_what_is_out_of_range_is_refused():
    with pytest.raises(EvaluationError, match="same predicted risk"):
        validation_size([0.2, 0.2])
    with pytest.raises(EvaluationError, match="followed up to the horizon"):
        validation_size([0.1, 0.2], uncensored=[1.0, 0.0])
    for given in ((0.0, 0.7), (0.2, 0.5), (0.2, 1.0)):
        with pytest.raises(EvaluationError, match="anticipated"):
            risks_from(*given)


def test_of_external_patients_it_is_the_last_horizon_and_its_censoring():
    table = survival(400, 0.0, 1.0)
    aligned = align(Predictions(table), PLAN)
    told = size_for(aligned, "m", (0.1, 0.2))
    last = table[table["horizon_days"] == 1826]
    assert 0.7 < told.seen < 1
    assert told.risk == pytest.approx(last["risk"].mean(), abs=1e-6)
    constant = replace(aligned.models["m"], risk=np.full_like(aligned.models["m"].risk, 0.2))
    none = size_for(replace(aligned, models={"m": constant}), "m", ())
    assert isinstance(none, NotEstimable)
