import json

import numpy as np
import pandas as pd
import pytest

from metasight.errors import FitError
from metasight.features.columns import Feature, FeatureTable, Kind
from metasight.features.missing import FittedImputer, Imputer

FEATURES = (
    Feature(name="age", kind=Kind.CONTINUOUS),
    Feature(name="size", kind=Kind.CONTINUOUS, modality="imaging"),
    Feature(name="er", kind=Kind.BINARY),
    Feature(name="grade", kind=Kind.ORDINAL),
    Feature(name="type", kind=Kind.CATEGORICAL, levels=("a", "b", "c")),
)


def _table(n=100, seed=0):
    rng = np.random.default_rng(seed)
    age = rng.normal(60, 10, n)
    frame = pd.DataFrame(
        {
            "age": age,
            "size": 2 * age + rng.normal(size=n),
            "er": rng.integers(0, 2, n) * 1.0,
            "grade": rng.integers(1, 4, n) * 1.0,
            "type": rng.choice(["a", "b", "c"], n, p=[0.2, 0.5, 0.3]),
        },
        index=[f"p{i:03d}" for i in range(n)],
    )
    return FeatureTable(frame, FEATURES)


def _with_gaps(table, **rows):
    values = table.values.copy()
    for name, count in rows.items():
        values.iloc[:count, values.columns.get_loc(name)] = np.nan
    return FeatureTable(values, FEATURES)


def test_fills_are_median_or_most_frequent_and_indicators_only_where_training_had_gaps():
    table = _with_gaps(_table(), age=20, type=15, er=3)
    fitted = Imputer().fit(table)
    full = fitted.transform(table)
    assert [f.name for f in full.features] == [*table.values, "age_missing", "type_missing"]
    assert full.values["age"].iloc[0] == table.values["age"].median()
    assert full.values["type"].iloc[0] == "b"
    assert full.values["age_missing"].sum() == 20
    assert not full.values.isna().any().any()
    assert "er: 3 imputed" in " ".join(fitted.state["notes"])


def test_a_gap_where_training_had_none_is_filled_without_an_indicator():
    fitted = Imputer().fit(_table())
    full = fitted.transform(_with_gaps(_table(seed=1), size=4))
    assert "size_missing" not in full.values
    assert full.values["size"].notna().all()


def test_an_empty_column_is_dropped_and_recorded():
    fitted = Imputer().fit(_with_gaps(_table(), grade=100))
    assert "grade" not in fitted.transform(_table()).values
    assert any("grade: no value" in n for n in fitted.state["notes"])


def test_indicator_keeps_the_modality():
    full = Imputer().fit(_with_gaps(_table(), size=30)).transform(_table())
    assert {f.name: f.modality for f in full.features}["size_missing"] == "imaging"


def test_iterative_uses_the_other_columns_and_stays_within_values_seen():
    complete = _table()
    table = _with_gaps(complete, size=20, er=10, grade=10)
    full = Imputer(strategy="iterative").fit(table).transform(table).values
    error = (full["size"] - complete.values["size"]).iloc[:20].abs()
    assert error.mean() < 2.0
    assert set(full["er"]) <= {0.0, 1.0}
    assert set(full["grade"]) <= {1.0, 2.0, 3.0}


@pytest.mark.parametrize("strategy", ["median", "iterative"])
def test_state_survives_json_and_a_row_is_filled_alone_as_among_others(strategy):
    table = _with_gaps(_table(), size=20, grade=12, type=11)
    fitted = Imputer(strategy=strategy).fit(table)
    restored = FittedImputer(json.loads(json.dumps(fitted.state)))
    pd.testing.assert_frame_equal(restored.transform(table).values, fitted.transform(table).values)
    one = fitted.transform(table.rows(["p003"])).values
    pd.testing.assert_frame_equal(one, fitted.transform(table).values.loc[["p003"]])


def test_infinite_and_absent_values_are_refused():
    table = _table()
    values = table.values.copy()
    values.iloc[3, 0] = np.inf
    with pytest.raises(FitError, match="feature age"):
        Imputer().fit(FeatureTable(values, FEATURES))
    with pytest.raises(FitError, match="no feature has any value"):
        Imputer().fit(FeatureTable(table.values[["age"]] * np.nan, FEATURES[:1]))
    with pytest.raises(FitError, match="not in the table"):
        Imputer().fit(table).transform(FeatureTable(table.values[["age"]], FEATURES[:1]))


def test_nullable_columns_are_read_like_any_other():
    table = _with_gaps(_table(), age=20, er=12, type=11)
    nullable = FeatureTable(
        table.values.astype(
            {"age": "Float64", "er": "Float64", "grade": "Int64", "type": "string"}
        ),
        FEATURES,
    )
    first, second = Imputer().fit(table), Imputer().fit(nullable)
    assert first.state == second.state
    pd.testing.assert_frame_equal(first.transform(table).values, second.transform(nullable).values)
