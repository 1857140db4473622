"""Measures at a horizon know what happened by then and nothing later: values from R on cut data."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from metasight.predictions import Predictions
from metasight.validation.calibration_bootstrap import resampled_shift
from metasight.validation.evaluate import evaluate
from metasight.validation.links import to_cloglog
from metasight.validation.ordering import follow_up
from metasight.validation.results import EvaluationPlan

DATA = Path(__file__).parent / "data"
HORIZONS = (1826, 3652)


@pytest.fixture(scope="module")
def by_r() -> dict[str, list[float]]:
    return json.loads((DATA / "truncated.json").read_text("utf-8"))


def predictions(table: pd.DataFrame) -> Predictions:
    rows = [
        {
            "patient": f"P{i:03d}",
            "centre": "",
            "arm": "",
            "model": "one",
            "repeat": 0,
            "fold": 0,
            "endpoint": "dmfs",
            "horizon_days": horizon,
            "label": None,
            "risk": getattr(row, risk),
            "time_days": float(row.time),
            "status": row.status,
        }
        for i, row in enumerate(table.itertuples())
        for horizon, risk in zip(HORIZONS, ("risk5", "risk10"), strict=True)
    ]
    return Predictions(pd.DataFrame(rows))


def judged(table: pd.DataFrame, tau: float):
    plan = EvaluationPlan(
        endpoint="dmfs",
        horizons_days=HORIZONS,
        tau_days=tau,
        reference_model="one",
        headline_model="one",
        n_bootstrap=20,
        n_curve_bootstrap=20,
    )
    return evaluate(predictions(table), plan).models["one"]


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return pd.read_csv(DATA / "truncated.csv")


def test_slope_and_intercept_are_rs_on_follow_up_cut_at_the_horizon(table, by_r):
    found = judged(table, 3652.0)
    for target, horizon in zip(found.targets, HORIZONS, strict=True):
        slope, shift, _ = by_r[f"slope, shift, C at {horizon} days"]
        assert target.calibration.slope.value == pytest.approx(slope, abs=1e-8)
        assert target.calibration.intercept.value == pytest.approx(shift, abs=1e-8)
    five, ten = (t.calibration.slope.value for t in found.targets)
    assert abs(five - ten) > 0.01
    whole = by_r["slope of the risk by 1826 days over all follow-up"]
    assert abs(five - whole) > 0.005, "the data tell the two apart"


def test_harrells_c_is_rs_truncated_at_tau(table, by_r):
    _, _, c = by_r["slope, shift, C at 3652 days"]
    assert judged(table, 3652.0).harrell_c.value == pytest.approx(c, abs=1e-10)


def test_what_happens_after_the_horizon_changes_nothing(table):
    """An event after ten years may come any later, or not at all."""
    before = judged(table, 3652.0)
    later = table["time"] > HORIZONS[1]
    assert later.sum() > 20
    changed = table.assign(
        time=table["time"].where(~later, 3653 + np.arange(len(table))),
        status=table["status"].where(~later, 0),
    )
    after = judged(changed, 3652.0)
    assert after.harrell_c == before.harrell_c
    for a, b in zip(after.targets, before.targets, strict=True):
        assert a.calibration.slope.value == pytest.approx(b.calibration.slope.value, abs=1e-9)
        assert a.calibration.ici.value == pytest.approx(b.calibration.ici.value, abs=1e-9)
        assert a.calibration.curve.observed == pytest.approx(b.calibration.curve.observed, abs=1e-9)


def test_an_event_on_the_day_of_the_horizon_counts():
    data = follow_up([5.0, 7.0, 9.0], [1, 1, 2]).censored_at(7.0)
    assert data.time.tolist() == [5.0, 7.0, 7.0]
    assert data.status.tolist() == [1, 1, 0]


def test_the_shift_is_the_true_one_where_risks_are_spread():
    """The difference of transformed means, which stood here before, finds 0.4 of 0.5."""
    x = np.random.default_rng(1).normal(-1.5, 1.3, 2000)
    observed = float((1 - np.exp(-np.exp(x + 0.5))).mean())
    draws = np.ones((3, x.size), dtype=np.int64)
    shift = resampled_shift(draws, x, np.array([observed, 0.0, 1.0]))
    assert shift[0] == pytest.approx(0.5, abs=1e-10)
    assert np.isnan(shift[1:]).all()
    means = float(to_cloglog(np.array([observed]))[0])
    expected = float(to_cloglog(np.array([(1 - np.exp(-np.exp(x))).mean()]))[0])
    assert means - expected < 0.45


def test_the_shift_follows_the_weights_of_a_resample():
    rng = np.random.default_rng(2)
    x = rng.normal(-1, 1, 50)
    draws = rng.multinomial(50, np.full(50, 1 / 50), size=4)
    target = expit(rng.normal(size=4))
    shift = resampled_shift(draws, x, target)
    for row, a, wanted in zip(draws, shift, target, strict=True):
        risk = 1 - np.exp(-np.exp(x + a))
        assert np.average(risk, weights=row) == pytest.approx(wanted, abs=1e-10)
