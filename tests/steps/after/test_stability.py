"""Texture by reader and by hospital: what is written, and of whom."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from metasight.cohort.outcome import NodalOutcome
from metasight.engine.step import StepKind
from metasight.features.columns import Feature, FeatureTable, Kind
from metasight.steps.after.stability import StabilityArgument, judge_stability, stability_of
from metasight.validation.reliability import reliability, share_between
from steps.analysed import data_of, write_data
from worked import inputs_of

CENTRES = ["A", "A", "B", "B", "B", "A"]
COLUMNS = {
    "entropy": [1.0, 2.0, 5.0, 6.0, 7.0, np.nan],
    "entropy_error": [0.5, 0.5, 0.5, 0.5, np.nan, np.nan],
    "energy": [3.0, 3.5, 3.2, 3.9, 3.1, 3.3],  # measured on one boundary only
    "contrast": [np.nan, 2.0, np.nan, np.nan, 1.0, np.nan],  # two patients
    "age_years": [50.0, 60.0, 70.0, 55.0, 65.0, 45.0],
}


def data():
    texture = [
        Feature(
            name=n,
            kind=Kind.CONTINUOUS,
            modality="radiomics",
            error_of="entropy" if n == "entropy_error" else "",
        )
        for n in list(COLUMNS)[:-1]
    ]
    features = (*texture, Feature(name="age_years", kind=Kind.CONTINUOUS))
    values = pd.DataFrame(COLUMNS, index=[f"P{i}" for i in range(6)])
    stage = NodalOutcome(np.zeros(6, dtype=np.int8))
    return data_of(FeatureTable(values, features), stage, CENTRES)


def test_a_row_a_texture_feature_and_none_for_errors_or_clinical_columns():
    assert list(stability_of(data()).index) == ["entropy", "energy", "contrast"]


def test_both_shares_are_those_of_the_patients_who_have_a_value():
    row = stability_of(data()).loc["entropy"]
    values, error = np.array(COLUMNS["entropy"]), np.array(COLUMNS["entropy_error"])
    assert row["reliability"] == pytest.approx(reliability(values, error))
    groups = np.array(CENTRES[:5], dtype=object)
    assert row["centre_share"] == pytest.approx(share_between(values[:5], groups))
    assert row["n"] == 5


def test_without_a_second_boundary_there_is_a_centres_share_and_no_reliability():
    row = stability_of(data()).loc["energy"]
    assert np.isnan(row["reliability"])
    assert row["n"] == 6
    assert row["centre_share"] >= 0


def test_two_patients_have_neither():
    row = stability_of(data()).loc["contrast"]
    assert np.isnan(row["reliability"])
    assert np.isnan(row["centre_share"])
    assert row["n"] == 2


def test_what_is_written_is_that_table_with_null_for_what_is_not_known(tmp_path):
    folder = write_data(tmp_path / "data", data())
    out = tmp_path / "out"
    out.mkdir()
    inputs = inputs_of(StepKind.CUT_DATA, {"data nodal": folder})
    judge_stability(inputs, out, StabilityArgument(data="data nodal"))
    told = json.loads((out / "stability.json").read_text())
    assert (told["patients"], told["centres"]) == (6, 2)
    by_name = {row["feature"]: row for row in told["features"]}
    assert by_name["energy"]["reliability"] is None
    assert by_name["contrast"] == {
        "feature": "contrast",
        "reliability": None,
        "centre_share": None,
        "n": 2.0,
    }
    table = pd.read_csv(out / "stability.csv", index_col="feature")
    pd.testing.assert_frame_equal(table, stability_of(data()), check_dtype=False)
