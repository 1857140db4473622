"""The predictions table is valid on construction."""

from __future__ import annotations

import pandas as pd
import pytest

from metasight.errors import EvaluationError
from metasight.predictions import Predictions


def survival(**change) -> pd.DataFrame:
    frame = pd.DataFrame(
        {
            "patient": ["a", "a", "b", "b"],
            "centre": "North",
            "arm": None,
            "model": "m",
            "repeat": 0,
            "fold": [0, 0, 1, 1],
            "endpoint": "dmfs",
            "horizon_days": [365, 1826, 365, 1826],
            "label": None,
            "risk": [0.1, 0.3, 0.2, 0.2],
            "time_days": [400.0, 400.0, 90.0, 90.0],
            "status": [0, 0, 1, 1],
        }
    )
    return frame.assign(**change)


def test_same_rows_same_bytes(tmp_path):
    one, two = Predictions(survival()), Predictions(survival().iloc[::-1])
    one.to_parquet(tmp_path / "one")
    two.to_parquet(tmp_path / "two")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    back = Predictions.from_parquet(tmp_path / "one")
    pd.testing.assert_frame_equal(back.table, one.table)
    assert back.horizons_days("dmfs") == (365, 1826)
    assert len(back.select(model="m", patients=["a"])) == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"risk": [0.1, 1.3, 0.2, 0.2]}, r"1 risks are missing or outside \[0, 1\]"),
        ({"risk": [0.1, None, 0.2, 0.2]}, "1 risks are missing"),
        ({"label": "N0"}, "a horizon or a label, and not both"),
        ({"time_days": None}, "need time_days and status"),
        ({"horizon_days": [365, 365, 365, 1826]}, "2 rows predict the same patient"),
    ],
)
def test_refusals(change, message):
    with pytest.raises(EvaluationError, match=message):
        Predictions(survival(**change))


def test_missing_columns_and_empty_selections():
    with pytest.raises(EvaluationError, match="columns are missing from the predictions"):
        Predictions(survival().drop(columns="risk"))
    with pytest.raises(EvaluationError, match="no predictions left"):
        Predictions(survival()).select(model="another")
