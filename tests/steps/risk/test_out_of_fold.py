"""Which fits a patient's risk is averaged over."""

import pandas as pd
import pytest

from metasight.predictions import Predictions
from metasight.steps.files import write_json
from metasight.steps.risk.out_of_fold import out_of_fold_risks


def fit(folder, model, scheme, risk, repeat=0):
    folder.mkdir()
    write_json(folder / "audit.json", {"model": model, "scheme": scheme})
    table = pd.DataFrame(
        {
            "patient": ["A"],
            "centre": ["X"],
            "arm": ["all"],
            "model": [model],
            "repeat": [repeat],
            "fold": [0],
            "endpoint": ["dm"],
            "horizon_days": [1826],
            "label": [None],
            "risk": [risk],
            "time_days": [100.0],
            "status": [0],
        }
    )
    Predictions(table).to_parquet(folder / "predictions.parquet")
    return folder


def test_only_the_models_own_random_folds_count(tmp_path):
    inputs = {
        "one": fit(tmp_path / "1", "ours", "kfold", 0.2),
        "two": fit(tmp_path / "2", "ours", "kfold", 0.4, repeat=1),
        "centre": fit(tmp_path / "3", "ours", "centre", 0.9),
        "other": fit(tmp_path / "4", "theirs", "kfold", 0.8),
    }
    failed = tmp_path / "failed"  # a fit that failed leaves no audit
    failed.mkdir()
    inputs["failed"] = failed
    assert out_of_fold_risks(inputs, "ours").to_dict() == pytest.approx({"A": 0.3})
    assert out_of_fold_risks(inputs, "nobody's") is None
