"""A table of features says what each column is, and copies of a patient are one patient."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from metasight.errors import FitError
from metasight.features.columns import COPY_MARK, Feature, FeatureTable, Kind

FEATURES = (
    Feature(name="size", kind=Kind.CONTINUOUS),
    Feature(name="genes", kind=Kind.CONTINUOUS, modality="genes"),
    Feature(name="genes_error", kind=Kind.CONTINUOUS, modality="genes", error_of="genes"),
)


def table(index=("a", "b", "c")) -> FeatureTable:
    n = len(index)
    values = pd.DataFrame(
        {"size": np.arange(n, dtype=float), "genes": np.nan, "genes_error": 0.1}, index=list(index)
    )
    return FeatureTable(values, FEATURES)


def test_columns_and_features_are_the_same_in_one_order():
    with pytest.raises(FitError, match="differ"):
        FeatureTable(table().values[["genes", "size", "genes_error"]], FEATURES)
    with pytest.raises(FitError, match="differ"):
        FeatureTable(table().values, FEATURES[:2])


def test_a_patient_has_one_row():
    with pytest.raises(FitError, match="two rows"):
        table(("a", "a"))


def test_columns_of_a_modality_keep_the_tables_order():
    assert list(table().of_modality(["genes"]).values) == ["genes", "genes_error"]
    assert list(table().of_modality(["genes", "clinical"]).values) == [
        "size",
        "genes",
        "genes_error",
    ]
    assert list(table().of_modality([]).values) == []


def test_errors_are_no_features_of_their_own():
    assert list(table().without_errors().values) == ["size", "genes"]


def test_who_lacks_a_modality_has_no_value_at_all_of_it():
    told = table()
    told.values.loc["b", "genes"] = 1.0
    told.values.loc["c", "genes_error"] = np.nan
    assert told.lacking("genes").tolist() == [False, False, True]
    assert told.lacking("clinical").tolist() == [False, False, False]


def test_rows_in_the_order_asked_for():
    assert table().rows(["c", "a"]).values["size"].tolist() == [2.0, 0.0]
    with pytest.raises(KeyError):
        table().rows(["z"])


def test_copies_share_a_number_and_others_do_not():
    names = [f"P1{COPY_MARK}0", f"P2{COPY_MARK}1", f"P1{COPY_MARK}2", "P12", "P1"]
    assert table(names).patient_number.tolist() == [0, 1, 0, 2, 0]


def test_what_a_feature_cannot_be():
    with pytest.raises(FitError, match="at least two levels") as error:
        Feature(name="type", kind=Kind.CATEGORICAL, levels=("ductal",))
    assert error.value.where == "feature type"
    for kind in (Kind.BINARY, Kind.ORDINAL, Kind.BAG):
        with pytest.raises(FitError, match="only a continuous feature"):
            Feature(name="x", kind=kind, spline=True)


def test_keys_of_images_are_no_values():
    assert {k for k in Kind if k.is_key} == {Kind.BAG, Kind.CROP}
