"""Predictors of the data dictionary that a table holds, each of the right kind."""

from __future__ import annotations

import pandas as pd
import pytest

from metasight.errors import FitError
from metasight.features.columns import Kind
from metasight.features.from_protocol import ADDITIONAL, CLINICAL, clinical_features
from metasight.protocol.load import read_protocol

PROTOCOL = read_protocol("breast-dmfs")
TABLE = pd.DataFrame(
    {
        "er_positive": [1.0, 0.0],
        "grade": [2.0, 3.0],
        "tumour_size_mm": [20.0, 31.0],
        "age_years": [50.0, 60.0],
        "distant_metastasis": [1.0, 0.0],
        "centre": ["North", "South"],
    },
    index=["a", "b"],
)


def test_outcomes_and_design_are_no_predictors():
    told = clinical_features(TABLE, PROTOCOL)
    names = [f.name for f in told.features]
    assert "distant_metastasis" not in names
    assert "centre" not in names
    # in the dictionary's order, whatever that of the table
    wanted = [
        v for v in PROTOCOL.variables if v in TABLE and PROTOCOL.variables[v].role == "predictor"
    ]
    assert names == wanted
    assert list(told.values.columns) == wanted


def test_kinds_follow_the_dictionary():
    kinds = {f.name: f.kind for f in clinical_features(TABLE, PROTOCOL).features}
    assert kinds["er_positive"] is Kind.BINARY
    assert kinds["grade"] is Kind.ORDINAL  # 1 to 3
    assert kinds["tumour_size_mm"] is Kind.CONTINUOUS


def test_units_splines_and_the_reference_model():
    for feature in clinical_features(TABLE, PROTOCOL).features:
        variable = PROTOCOL.variables[feature.name]
        assert feature.unit == variable.unit
        assert feature.spline == (variable.spline and feature.kind is Kind.CONTINUOUS)
        clinical = feature.name in PROTOCOL.clinical_predictors
        assert feature.modality == (CLINICAL if clinical else ADDITIONAL)


def test_every_predictor_of_both_protocols_makes_a_feature():
    for name in ("breast-dmfs", "nsclc-occult-node"):
        protocol = read_protocol(name)
        predictors = [v for v in protocol.variables.values() if v.role == "predictor"]
        whole = pd.DataFrame({v.name: [None] for v in predictors}, index=["a"])
        told = clinical_features(whole, protocol)
        assert len(told.features) == len(predictors)
        for feature, variable in zip(told.features, predictors, strict=True):
            if variable.type == "category":
                assert feature.kind is Kind.CATEGORICAL
                assert feature.levels == variable.values


def test_the_table_is_copied():
    told = clinical_features(TABLE, PROTOCOL)
    told.values.loc["a", "grade"] = 1.0
    assert TABLE.loc["a", "grade"] == 2.0


def test_a_table_without_predictors():
    with pytest.raises(FitError, match="no predictor") as error:
        clinical_features(TABLE[["centre"]], PROTOCOL)
    assert PROTOCOL.clinical_predictors[0] in error.value.remedy
