import json
import time

import numpy as np
import pandas as pd
import pytest

from metasight.cohort.outcome import SurvivalOutcome
from metasight.errors import FitError
from metasight.features.columns import Feature, FeatureTable, Kind
from metasight.models.preparation import FittedPreparation, Preparation, canonical


def _wide(n=120, p=5000, seed=0):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        rng.normal(size=(n, p)),
        index=[f"p{i:03d}" for i in range(n)],
        columns=[f"x{j:04d}" for j in range(p)],
    )
    features = tuple(
        Feature(name=c, kind=Kind.CONTINUOUS, modality="genes" if j % 2 else "clinical")
        for j, c in enumerate(frame)
    )
    outcome = SurvivalOutcome(rng.exponential(size=n) + 0.01, np.ones(n, dtype=np.int8))
    return FeatureTable(frame, features), outcome


def test_thousands_of_columns_are_screened_within_a_second_or_two():
    table, outcome = _wide()
    prepared = Preparation(modalities=("clinical", "genes"), top_k=15, full_rank=True)
    started = time.process_time()
    fitted = prepared.fit(table, outcome)
    assert time.process_time() - started < 3.0
    assert len(fitted.columns) == 15
    assert any("15 of 5000" in note for note in fitted.notes)
    restored = FittedPreparation.from_state(json.loads(json.dumps(fitted.state)))
    assert np.array_equal(restored.matrix(table), fitted.matrix(table))


def test_the_screen_sees_training_rows_only():
    table, outcome = _wide(p=200)
    train = np.arange(80)
    spoilt = table.values.copy()
    spoilt.iloc[80:] = 1e6
    first, second = (
        Preparation(modalities=("genes",), top_k=5).fit(
            t.rows(t.values.index[:80]), outcome.take(train)
        )
        for t in (table, FeatureTable(spoilt, table.features))
    )
    assert json.dumps(first.state) == json.dumps(second.state)
    assert set(first.modalities) == {"genes"}


def test_features_that_are_not_there_are_named():
    table, _ = _wide(p=10)
    with pytest.raises(FitError, match="ki67"):
        Preparation(modalities=("genes",), features=("ki67",)).select(table)
    with pytest.raises(FitError, match="no feature to read"):
        Preparation(modalities=("slides",)).select(table)
    own = Preparation(modalities=("genes",), features=("x0009", "x0001")).select(table)
    assert list(own.values) == ["x0001", "x0009"]


def _skewed(n=120, seed=0):
    rng = np.random.default_rng(seed)
    volume = np.exp(rng.normal(3, 0.9, n))
    frame = pd.DataFrame(
        {"age": rng.normal(60, 9, n), "volume": volume, "volume_error": 0.2 * volume},
        index=[f"p{i:03d}" for i in range(n)],
    )
    features = (
        Feature(name="age", kind=Kind.CONTINUOUS),
        Feature(name="volume", kind=Kind.CONTINUOUS, modality="scan"),
        Feature(name="volume_error", kind=Kind.CONTINUOUS, modality="scan", error_of="volume"),
    )
    outcome = SurvivalOutcome(rng.exponential(size=n) + 0.01, np.ones(n, dtype=np.int8))
    return FeatureTable(frame, features), outcome


BOTH = {"modalities": ("clinical", "scan"), "logarithms": True}


def test_logarithms_come_before_errors_and_gaps():
    table, outcome = _skewed()
    holed = table.values.copy()
    holed.loc["p007", ["volume", "volume_error"]] = np.nan
    table = FeatureTable(holed, table.features)
    fitted = Preparation(**BOTH).fit(table, outcome)
    assert fitted.columns == ["age", "log(volume)"]
    known = np.log(holed["volume"].drop("p007"))
    error = fitted.logarithms.apply(table).values["volume_error"].drop("p007")
    assert error.median() == pytest.approx(np.log(1.2 / 0.8) / 2)
    column, mean, signal = fitted.shrinkage.learnt["volume"]
    assert column == "volume_error"
    assert mean == pytest.approx(known.mean())
    assert signal == pytest.approx(known.var() - (error**2).mean())
    complete = fitted.complete(table).values["volume"]
    drawn = mean + (known - mean) * signal / (signal + error**2)
    np.testing.assert_allclose(complete.drop("p007"), drawn)
    assert complete["p007"] == pytest.approx(drawn.median())


def test_reliability_is_that_of_the_logarithm():
    table, outcome = _skewed()
    logs = Preparation(**BOTH).fit(table, outcome).logarithms.apply(table).values
    share = 1 - (logs["volume_error"] ** 2).mean() / logs["volume"].var()
    kept = Preparation(**BOTH, least_reliability=share - 0.01).fit(table, outcome)
    assert "log(volume)" in kept.columns
    dropped = Preparation(**BOTH, least_reliability=share + 0.01).fit(table, outcome)
    assert dropped.columns == ["age"]


def test_a_preparation_with_logarithms_round_trips_and_another_has_none():
    table, outcome = _skewed()
    fitted = Preparation(**BOTH).fit(table, outcome)
    restored = FittedPreparation.from_state(json.loads(json.dumps(fitted.state)))
    assert np.array_equal(restored.matrix(table), fitted.matrix(table))
    assert restored.columns == fitted.columns
    plain = Preparation(modalities=("clinical", "scan")).fit(table, outcome)
    assert plain.columns == ["age", "volume"] and "logarithms" not in plain.state


def test_logarithms_rest_on_training_rows():
    table, outcome = _skewed()
    spoilt = table.values.copy()
    spoilt.iloc[80:] = -1e6
    first, second = (
        Preparation(**BOTH).fit(t.rows(t.values.index[:80]), outcome.take(np.arange(80)))
        for t in (table, FeatureTable(spoilt, table.features))
    )
    assert json.dumps(first.state) == json.dumps(second.state)


def test_columns_that_equal_another_are_dropped_before_the_screen():
    table, outcome = _wide(p=6)
    values = table.values.assign(x0005=table.values["x0001"])
    table = FeatureTable(values, table.features)
    asked = {"modalities": ("clinical", "genes")}
    fitted = Preparation(**asked, distinct=True).fit(table, outcome)
    assert fitted.columns == [f"x{j:04d}" for j in range(5)]
    assert "1 columns are equal to others and were dropped" in fitted.notes
    screened = Preparation(**asked, distinct=True, top_k=5).fit(table, outcome)
    assert screened.columns == fitted.columns
    assert len(Preparation(**asked).fit(table, outcome).columns) == 6


def test_canonical_order_is_by_patient_and_lengths_must_agree():
    table, outcome = _wide(p=4)
    order = np.random.default_rng(0).permutation(120)
    shuffled = FeatureTable(table.values.iloc[order], table.features)
    again, y = canonical(shuffled, outcome.take(order))
    pd.testing.assert_frame_equal(again.values, table.values)
    assert np.array_equal(y.time_days, outcome.time_days)
    with pytest.raises(FitError, match="differ in length"):
        canonical(table, outcome.take(order[:5]))
