"""Levels in words, and what a feature costs a regression."""

import numpy as np
import pandas as pd

from metasight.features.columns import Feature, FeatureTable, Kind
from metasight.features.levels import candidate_parameters, described_levels


def test_a_number_is_cut_at_its_median():
    values = pd.Series([1.0, 2.0, 3.0, np.nan], index=["A", "B", "C", "D"])
    assert described_levels(values, Kind.CONTINUOUS) == {"A": "≤ 2", "B": "≤ 2", "C": "> 2"}


def test_yes_no_and_categories_in_words():
    flags = pd.Series([1.0, 0.0, np.nan], index=["A", "B", "C"])
    assert described_levels(flags, Kind.BINARY) == {"A": "yes", "B": "no"}
    assert described_levels(pd.Series([2.0, 1.5], index=["A", "B"]), Kind.ORDINAL) == {
        "A": "2",
        "B": "1.5",
    }
    kinds = pd.Series(["lobular", None], index=["A", "B"])
    assert described_levels(kinds, Kind.CATEGORICAL) == {"A": "lobular"}


def test_a_category_costs_one_less_than_its_levels_and_a_constant_nothing():
    values = pd.DataFrame({"age": [1.0, 2.0], "type": ["a", "b"], "same": [3.0, 3.0]})
    features = (
        Feature(name="age", kind=Kind.CONTINUOUS, modality="clinical"),
        Feature(
            name="type", kind=Kind.CATEGORICAL, modality="clinical", levels=("a", "b", "c", "d")
        ),
        Feature(name="same", kind=Kind.CONTINUOUS, modality="clinical"),
    )
    assert candidate_parameters(FeatureTable(values, features)) == 1 + 3
