"""What is written of patients about whom a model is silent."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from metasight.predictions import Predictions
from metasight.steps.files import read_json, write_json
from metasight.steps.risk.abstention import judge_abstention, unseen_distances
from metasight.validation.results import EvaluationPlan

PLAN = EvaluationPlan(
    endpoint="dm",
    horizons_days=(1200,),
    tau_days=1200.0,
    reference_model="m",
    headline_model="m",
    thresholds=(0.2,),
    n_bootstrap=20,
    n_curve_bootstrap=20,
)


@pytest.fixture
def cross() -> Predictions:
    rng = np.random.default_rng(0)
    n = 60
    risk = rng.uniform(0.05, 0.9, n)
    time = rng.exponential(2000 * (1 - risk)) + 1
    return Predictions(
        pd.DataFrame(
            {
                "patient": [f"P{i}" for i in range(n)],
                "centre": np.where(np.arange(n) < 30, "East", "West"),
                "arm": "all",
                "model": "m",
                "repeat": 0,
                "fold": np.arange(n) % 3,
                "endpoint": "dm",
                "horizon_days": 1200,
                "label": None,
                "risk": risk,
                "time_days": np.minimum(time, 1500.0),
                "status": (time < 1500).astype(int),
            }
        )
    )


def test_beyond_the_limit_and_not_measured_are_rows_of_their_own(tmp_path, cross):
    told = pd.DataFrame(
        {"distance": 0.5, "furthest": "size"}, index=[f"P{i}" for i in range(60)]
    ).astype({"distance": float})
    told.loc["P3", ["distance", "furthest"]] = [1.7, "suvmax"]
    told.loc["P40", "distance"] = np.nan
    told.loc["stranger"] = [3.0, "size"]  # nobody who was judged
    rows = judge_abstention(told, tmp_path, cross, PLAN)
    assert [(r["patient"], r["verdict"], r["value"]) for r in rows] == [
        ("P3", "unknown", "1.70 of the limit"),
        ("P40", "unknown", "not measured"),
    ]
    assert "furthest in suvmax" in rows[0]["reason"]
    found = read_json(tmp_path / "abstention.json")
    assert (found["patients"], found["silent"], found["unmeasured"]) == (60, 2, 1)
    assert found["centres"] == [
        {"centre": "East", "patients": 30, "silent": 1},
        {"centre": "West", "patients": 30, "silent": 1},
    ]
    assert found["distances"]["P40"] is None
    assert found["all"]["patients"] == 60
    assert found["speaking"]["patients"] == 58
    c = found["speaking"]["measures"]["Harrell’s C"]
    assert c["lower"] <= c["value"] <= c["upper"]


def test_a_model_that_never_abstains_writes_nothing(tmp_path, cross):
    assert judge_abstention(None, tmp_path, cross, PLAN) == []
    assert not list(tmp_path.iterdir())


def test_distances_come_from_the_models_own_random_folds(tmp_path):
    inputs = {}
    for name, model, scheme, distance in (
        ("a", "m", "kfold", 0.4),
        ("b", "m", "kfold", 0.8),
        ("c", "m", "centre", 9.0),
        ("d", "other", "kfold", 9.0),
    ):
        folder = tmp_path / name
        folder.mkdir()
        write_json(folder / "audit.json", {"model": model, "scheme": scheme})
        pd.DataFrame({"distance": [distance], "furthest": ["size"]}, index=["P1"]).to_parquet(
            folder / "likeness.parquet"
        )
        inputs[name] = folder
    assert unseen_distances(inputs, "m").loc["P1", "distance"] == pytest.approx(0.6)
    assert unseen_distances(inputs, "nobody") is None
