"""Groups of patients by what they lack."""

from __future__ import annotations

import numpy as np
import pandas as pd

from metasight.features.columns import Feature, FeatureTable, Kind
from metasight.features.missing_patterns import (
    ANY,
    FEWEST,
    MOST,
    MissingPatterns,
    missing_patterns,
)


def table(gaps: dict[str, range], n: int = 60, modality: str = "genes") -> FeatureTable:
    """Features without a value in some rows, and one that all have; g… are of one modality."""
    index = [f"p{i:02d}" for i in range(n)]
    gaps = {"full": range(0), **gaps}
    values = pd.DataFrame(1.0, index=index, columns=list(gaps))
    for name, rows in gaps.items():
        values.iloc[list(rows), list(gaps).index(name)] = np.nan
    features = tuple(
        Feature(
            name=name,
            kind=Kind.CONTINUOUS,
            modality=modality if name.startswith("g") else "clinical",
        )
        for name in gaps
    )
    return FeatureTable(values, features)


def patterns(given: FeatureTable, rows: slice = slice(None)) -> MissingPatterns:
    judged = np.zeros(len(given.values), dtype=bool)
    judged[rows] = True
    return missing_patterns(given, list(given.values), judged)


def test_patients_are_grouped_by_predictors_that_enough_lack():
    found = patterns(table({"age": range(15), "size": range(3), "grade": range(0)}))
    assert list(found.groups) == [ANY, "age"]
    assert sum(v == "missing" for v in found.groups["age"].values()) == 15
    assert sum(v == "some missing" for v in found.groups[ANY].values()) == 15
    assert found.few == {"size": 3}


def test_a_modality_that_patients_lack_as_a_whole_is_one_group():
    found = patterns(table({"age": range(0), "g1": range(20), "g2": range(20), "g3": range(31)}))
    assert list(found.groups) == [ANY, "genes", "g3"]
    assert found.together == {"genes": ("g1", "g2")}


def test_predictors_that_the_same_patients_lack_are_one_group():
    found = patterns(table({"age": range(15), "size": range(15), "grade": range(5, 20)}))
    assert list(found.groups) == [ANY, "age", "grade"]
    assert found.together == {"age": ("size",)}


def test_what_too_few_have_makes_no_group_either():
    found = patterns(table({"age": range(60 - FEWEST + 1), "size": range(12)}))
    assert list(found.groups) == [ANY, "size"]
    assert found.few == {"age": 60 - FEWEST + 1}


def test_predictors_beyond_the_largest_number_of_groups_are_named():
    gaps = {f"x{k:02d}": range(k, k + 25) for k in range(MOST + 3)}
    found = patterns(table(gaps))
    assert len(found.groups) == 1 + MOST
    assert len(found.further) == 3


def test_without_gaps_there_are_no_groups_and_what_nobody_has_is_no_predictor():
    assert patterns(table({"age": range(0)})) == MissingPatterns()
    assert patterns(table({"age": range(0), "none": range(60)})) == MissingPatterns()


def test_only_those_judged_and_only_what_the_model_reads_count():
    given = table({"age": range(15), "size": range(30, 45)})
    assert patterns(given, slice(20, 60)).groups.keys() == {ANY, "size"}
    all_rows = np.ones(60, dtype=bool)
    assert missing_patterns(given, ["age"], all_rows).groups.keys() == {ANY, "age"}


def test_what_is_written_names_no_patient():
    told = patterns(table({"age": range(15), "size": range(3)})).to_json()
    assert told == {"variables": [ANY, "age"], "together": {}, "few": {"size": 3}, "further": []}
