"""Logarithms of skewed features are learnt on training rows and kept for new patients."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from metasight.features.columns import Feature, FeatureTable, Kind
from metasight.features.skewness import Logarithm, Logarithms, skewness

N = 300
RNG = np.random.default_rng(0)
DENSITY = np.exp(RNG.normal(2, 0.8, N))
VALUES = pd.DataFrame(
    {
        "density": DENSITY,
        "density_error": 0.1 * DENSITY,
        "nodes": np.where(RNG.random(N) < 0.6, 0, 1 + np.floor(RNG.exponential(2.6, N))),
        "age": RNG.normal(60, 10, N),
        "change": np.exp(RNG.normal(0, 1, N)) - 1,
        "left": 10 - np.minimum(np.exp(RNG.normal(0, 0.8, N)), 10),
        "grade": RNG.integers(1, 4, N) * 1.0,
        "central": (RNG.random(N) < 0.1) * 1.0,
    },
    index=[f"P{k:03d}" for k in range(N)],
)
KINDS = {"grade": Kind.ORDINAL}
TABLE = FeatureTable(
    VALUES,
    tuple(
        Feature(
            name=c,
            kind=KINDS.get(c, Kind.CONTINUOUS),
            error_of="density" if c.endswith("_error") else "",
        )
        for c in VALUES
    ),
)


def test_skewness_is_the_third_standardised_moment():
    x = np.array([0.0, 0.0, 0.0, 1.0])
    p = 0.25
    assert skewness(x) == pytest.approx((1 - 2 * p) / np.sqrt(p * (1 - p)))
    assert skewness(np.full(5, 3.0)) == 0.0
    assert skewness(7 - 2 * x) == pytest.approx(-skewness(x))


def test_right_skewed_features_that_are_never_negative_are_read_by_their_logarithm():
    learnt = Logarithms.of(TABLE.without_errors()).learnt
    assert set(learnt) == {"density", "nodes"}
    assert learnt["density"] == Logarithm(offset=0.0, floor=float(DENSITY.min()))
    above = VALUES["nodes"][VALUES["nodes"] > 0]
    assert learnt["nodes"] == Logarithm(offset=float(above.quantile(0.25)), floor=0.0)
    for name, log in learnt.items():
        x = VALUES[name].to_numpy()
        assert abs(skewness(log.of(x))) < skewness(x)


def test_scale_of_a_feature_does_not_matter():
    """Millimetres or micrometres: the same column but for a constant."""
    other = FeatureTable(VALUES.assign(nodes=1000 * VALUES["nodes"]), TABLE.features)
    one, two = (Logarithms.of(t.without_errors()).apply(t).values for t in (TABLE, other))
    np.testing.assert_allclose(two["nodes"] - one["nodes"], np.log(1000))


def test_a_value_below_all_of_training_counts_as_the_lowest():
    log = Logarithm(offset=0.0, floor=0.5)
    found = log.of(np.array([-3.0, 0.0, 0.5, 1.0, np.nan]))
    np.testing.assert_allclose(found, [np.log(0.5)] * 3 + [0.0, np.nan])


def test_an_error_becomes_that_of_the_logarithm():
    """For a small error the slope of the logarithm at the value, times the error."""
    log, step = Logarithm(offset=2.0, floor=0.0), 1e-6
    x = np.array([1.0, 9.0, 40.0])
    slope = (log.of(x + step) - log.of(x)) / step
    np.testing.assert_allclose(log.error(x, np.full(3, 0.01)), 0.01 * slope, rtol=1e-4)
    found = Logarithms.of(TABLE.without_errors()).apply(TABLE).values
    high = 1.2 * DENSITY.min() < DENSITY
    np.testing.assert_allclose(found["density_error"][high], np.log(1.1 / 0.9) / 2)


def test_an_error_near_0_stays_within_what_was_seen():
    log = Logarithm(offset=0.0, floor=0.01)
    error = log.error(np.array([0.01, 0.02, np.nan]), np.array([0.5, 0.5, 0.5]))
    np.testing.assert_allclose(error[:2], np.log(np.array([0.51, 0.52]) / 0.01) / 2)
    assert np.isnan(error[2])


def test_what_was_learnt_round_trips_and_other_columns_stay():
    learnt = Logarithms.of(TABLE.without_errors())
    again = Logarithms.from_state(json.loads(json.dumps(learnt.state)))
    pd.testing.assert_frame_equal(again.apply(TABLE).values, learnt.apply(TABLE).values)
    kept = ["age", "change", "left", "grade", "central"]
    pd.testing.assert_frame_equal(learnt.apply(TABLE).values[kept], VALUES[kept])
    assert Logarithms().apply(TABLE) is TABLE


def test_too_few_values_say_nothing_of_a_shape():
    few = FeatureTable(VALUES.iloc[:9], TABLE.features)
    assert not Logarithms.of(few.without_errors()).learnt


def test_a_column_is_named_by_its_logarithm():
    learnt = Logarithms.of(TABLE.without_errors())
    assert learnt.named("density", "density") == "log(density)"
    assert learnt.named("density''", "density") == "log(density)''"
    assert learnt.named("age", "age") == "age"
    assert learnt.named("density_missing", "density_missing") == "density_missing"
