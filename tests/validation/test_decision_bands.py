"""Simultaneous bands of decision curves: what they hold, and where there is none."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import norm

from metasight.validation.bootstrap import draw
from metasight.validation.decision_bands import (
    FEWEST,
    Judged,
    band_over_default,
    contrast_band,
    max_t,
    model_band,
    seen_by_horizon,
)
from metasight.validation.ordering import follow_up
from metasight.validation.samples import target_samples
from metasight.validation.table import Target

BENCH = Path(__file__).resolve().parents[2] / "bench" / "decision_bands.py"


@pytest.fixture(scope="module")
def bench():
    spec = importlib.util.spec_from_file_location("decision_bands_bench", BENCH)
    module = importlib.util.module_from_spec(spec)
    sys.modules["decision_bands_bench"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["decision_bands_bench"]


def judged(risk: np.ndarray, y: np.ndarray, limits, *, resamples=200, seed=0) -> Judged:
    """One class risk, shape (n,)."""
    target = Target(
        name="event",
        horizon_days=None,
        data=follow_up(np.where(y == 1, 1.0, 2.0), y),
        horizon=1.5,
        headline=True,
    )
    samples = target_samples(
        target,
        risk[None],
        np.zeros((1, y.size), dtype=np.int64),
        draw(y.size, resamples, seed),
        limits,
        calibrate=False,
    )
    return Judged(risk=risk[None], event=seen_by_horizon(target), samples=samples)


def test_one_estimate_alone_has_the_normal_critical_value():
    rng = np.random.default_rng(0)
    samples = np.concatenate([[0.0], rng.normal(size=200_000)])[:, None]
    critical, se, reasons, used = max_t(samples, [""], 0.95)
    assert critical == pytest.approx(norm.ppf(0.975), abs=0.01)
    assert se[0] == pytest.approx(1, abs=0.01)
    assert (reasons, used) == (("",), 200_000)


def test_independent_estimates_have_sidak_s_critical_value():
    rng = np.random.default_rng(1)
    scale = np.array([1.0, 10.0, 0.1, 3.0])
    samples = np.vstack([np.zeros(4), rng.normal(size=(200_000, 4)) * scale])
    critical, se, _, _ = max_t(samples, [""] * 4, 0.95)
    assert critical == pytest.approx(norm.ppf(0.5 + 0.95**0.25 / 2), abs=0.01)
    assert se == pytest.approx(scale, rel=0.01)


def test_an_estimate_without_spread_takes_no_part_and_says_so():
    rng = np.random.default_rng(2)
    samples = np.column_stack([rng.normal(size=400), np.full(400, 0.25)])
    critical, se, reasons, _ = max_t(samples, ["", ""], 0.95)
    alone, _, _, _ = max_t(samples[:, :1], [""], 0.95)
    assert critical == pytest.approx(alone, rel=1e-12)
    assert np.isnan(se[1])
    assert reasons == ("", "no spread over the resamples")


def test_a_failed_resample_is_left_out_for_all_and_many_of_them_cost_the_estimate():
    rng = np.random.default_rng(3)
    samples = rng.normal(size=(401, 3))
    samples[1:6, 0] = np.nan
    samples[1:201, 2] = np.nan
    critical, se, reasons, used = max_t(samples, ["", "", ""], 0.95)
    kept = np.vstack([samples[:1, :2], samples[6:, :2]])
    assert used == 395
    assert critical == pytest.approx(max_t(kept, ["", ""], 0.95)[0], rel=1e-12)
    assert reasons == ("", "", "200 of 400 resamples have no net benefit")
    assert np.isnan(se[2])


def test_nothing_takes_part():
    critical, se, reasons, used = max_t(np.zeros((10, 2)), ["few", ""], 0.95)
    assert (critical, used) == (None, 0)
    assert np.isnan(se).all()
    assert reasons == ("few", "no spread over the resamples")


def test_nobody_or_everyone_treated():
    rng = np.random.default_rng(4)
    limits = (0.05, 0.2, 0.3, 0.9)
    risk = rng.uniform(0.1, 0.5, 400)
    model = judged(risk, (rng.random(400) < risk).astype(np.int64), limits)
    own = model_band(model, limits, 0.95)
    over = band_over_default(model, limits, 0.95)
    assert [p.lower is not None for p in own.points] == [True, True, True, False]
    assert own.points[3].reason == "there is no patient at or above the threshold"
    assert own.points[0].value == pytest.approx(model.samples.treat_all[0, 0])
    assert [p.lower is not None for p in over.points] == [False, True, True, False]
    assert over.points[0].reason == "there is no patient below the threshold"
    assert over.points[0].value == pytest.approx(0, abs=1e-12)


def test_few_events_among_the_untreated_give_no_band_over_treating_all():
    risk = np.repeat([0.05, 0.4], 200)
    y = np.zeros(400, dtype=np.int64)
    y[:FEWEST] = 1
    y[200:280] = 1
    assert band_over_default(judged(risk, y, (0.2,)), (0.2,), 0.95).points[0].lower is not None
    y[0] = 0
    found = band_over_default(judged(risk, y, (0.2,)), (0.2,), 0.95).points[0]
    assert found.lower is None
    assert found.reason == "fewer than 5 patients below the threshold had the event"


def test_an_event_after_the_horizon_is_none_by_it():
    data = follow_up([3.0, 1.0, 2.0, 9.0], [1, 1, 0, 1])
    target = Target(name="5 days", horizon_days=5, data=data, horizon=5.0, headline=True)
    assert seen_by_horizon(target).tolist() == [True, True, False, False]


def test_the_difference_to_the_better_default_is_the_smaller_of_the_two():
    rng = np.random.default_rng(5)
    limits = (0.2, 0.3, 0.4, 0.5)
    risk = rng.uniform(0.02, 0.8, 300)
    y = (rng.random(300) < risk).astype(np.int64)
    one = judged(risk, y, limits)
    over = band_over_default(one, limits, 0.95)
    samples = one.samples
    model, everyone = samples.net_benefit[0], samples.treat_all[0]
    assert [p.value for p in over.points] == pytest.approx(
        (model - np.maximum(everyone, 0)).tolist()
    )
    both = np.hstack([samples.net_benefit - samples.treat_all, samples.net_benefit])
    se = both[1:].std(axis=0, ddof=1)
    for j, p in enumerate(over.points):
        low = [both[0, i] - over.critical * se[i] for i in (j, j + 4)]
        high = [both[0, i] + over.critical * se[i] for i in (j, j + 4)]
        assert (p.lower, p.upper) == pytest.approx((min(low), min(high)))


def test_models_that_treat_the_same_patients_have_no_band_of_their_difference():
    rng = np.random.default_rng(6)
    limits = (0.2, 0.4)
    risk = rng.uniform(0.02, 0.6, 300)
    other = np.where((risk > 0.2) & (risk < 0.35), 0.1, risk)
    y = (rng.random(300) < risk).astype(np.int64)
    first, second = judged(risk, y, limits), judged(other, y, limits)
    found = contrast_band(first, second, limits, 0.95)
    assert found.points[0].lower is not None
    assert found.points[1].lower is None
    assert found.points[1].reason == "there is no patient whom the two models treat differently"
    gap = first.samples.net_benefit[0] - second.samples.net_benefit[0]
    assert [p.value for p in found.points] == pytest.approx(gap.tolist())


@pytest.mark.parametrize("censored", [True, False])
def test_the_band_holds_the_whole_true_curve_where_intervals_by_threshold_do_not(bench, censored):
    found = bench.coverage(n=400, replicates=120, resamples=200, censored=censored, seed=7)
    for band, single, told in found.values():
        assert band >= 0.90
        assert single < 0.88
        assert band > single + 0.05
        assert told > 5
