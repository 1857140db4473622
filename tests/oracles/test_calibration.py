import numpy as np
import pytest

from metasight.errors import EvaluationError
from oracles.calibration import (
    calibration_slope,
    grouped_calibration,
    mean_calibration,
    pseudo_value_calibration,
    pseudo_values,
    spline_calibration,
)


def true_risks(n=4000, seed=0, competing=False):
    """Risks that come true, with censoring."""
    rng = np.random.default_rng(seed)
    rate = np.exp(rng.normal(size=n) * 0.7) / 3000
    onset, censoring = rng.exponential(1 / rate), rng.uniform(500, 6000, n)
    time, status = np.minimum(onset, censoring), (onset <= censoring).astype(int)
    if competing:
        status = np.where((status == 1) & (rng.random(n) < 0.4), 2, status)
        return time, status, 0.6 * -np.expm1(-rate * 1800)
    return time, status, -np.expm1(-rate * 1800)


@pytest.mark.parametrize("competing", [False, True])
def test_true_risks_are_calibrated(competing):
    data = true_risks(competing=competing)
    assert mean_calibration(*data, 1800).oe == pytest.approx(1, abs=0.06)
    # with competing events proportional subdistribution hazards don't hold in these data
    assert spline_calibration(*data, 1800).ici < (0.04 if competing else 0.02)
    assert pseudo_value_calibration(*data, 1800).ici < 0.025
    if not competing:
        assert calibration_slope(*data, 1800).slope == pytest.approx(1, abs=0.1)


def test_overfitted_risks_have_a_low_slope():
    time, status, risk = true_risks()
    extreme = -np.expm1(-((-np.log1p(-risk)) ** 2) * 2)
    assert calibration_slope(time, status, extreme, 1800).slope == pytest.approx(0.5, abs=0.06)


def test_pseudo_values_and_spline_agree():
    time, status, risk = (v[:600] for v in true_risks())
    a = pseudo_value_calibration(time, status, risk, 1800)
    b = spline_calibration(time, status, risk, 1800)
    assert np.corrcoef(a.observed, b.observed)[0, 1] > 0.98


def test_constant_risks_are_refused():
    time, status, _ = true_risks(200)
    flat = np.full(200, 0.3)
    with pytest.raises(EvaluationError, match="too few distinct"):
        spline_calibration(time, status, flat, 1800)
    with pytest.raises(EvaluationError, match="no maximum"):
        calibration_slope(time, status, flat, 1800)


@pytest.mark.parametrize(
    ("status", "risk", "observed"),
    [
        # 1 − 3/4 · 1/2 by Kaplan and Meier: who was censored at 2 is at risk no more at 3
        ([1, 0, 1, 0], [0.2, 0.4, 0.6, 0.8], 0.625),
        # 1/4 + 1/2 · 1/2 by Aalen and Johansen: the competing event at 2 is no event, nor censoring
        ([1, 2, 1, 0], [0.2, 0.4, 0.6, 0.4], 0.5),
    ],
)
def test_observed_over_expected_by_hand(status, risk, observed):
    told = mean_calibration([1, 2, 3, 5], status, risk, 4)
    assert told.observed == pytest.approx(observed)
    assert told.expected == pytest.approx(np.mean(risk))
    assert told.oe == pytest.approx(1.25)  # more happened than was predicted


def test_where_nothing_is_expected_there_is_no_ratio():
    with pytest.raises(EvaluationError, match="no event is expected"):
        mean_calibration([1, 2, 3, 5], [1, 0, 1, 0], [0, 0, 0, 0], 4)


def test_groups_hold_everyone():
    data = true_risks()
    groups = grouped_calibration(*data, 1800)
    assert sum(g.n for g in groups) == 4000
    predicted = [g.mean_predicted for g in groups]
    assert predicted == sorted(predicted)


def test_pseudo_values_without_censoring_are_the_events():
    time, status, _ = true_risks(200, competing=True)
    status = np.where(status == 0, 1, status)
    got = pseudo_values(time, status, 1800)
    assert np.allclose(got, (status == 1) & (time <= 1800), atol=1e-10)
