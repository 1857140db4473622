"""Draws from what the other features leave possible, learnt from training rows alone."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from metasight.errors import FitError
from metasight.features.columns import CENTRE, Feature, FeatureTable, Kind
from metasight.features.multiple_imputation import (
    MultipleImputer,
    _drawn_linear,
    _drawn_logistic,
    incomplete,
)

FEATURES = (
    Feature(name="size", kind=Kind.CONTINUOUS),
    Feature(name="age", kind=Kind.CONTINUOUS),
    Feature(name="grade", kind=Kind.ORDINAL),
    Feature(name="er", kind=Kind.BINARY),
    Feature(name="subtype", kind=Kind.CATEGORICAL, levels=("a", "b", "c", "d")),
)


def table(n: int = 200, seed: int = 0, missing: float = 0.2) -> FeatureTable:
    rng = np.random.default_rng(seed)
    z = rng.normal(size=n)
    values = pd.DataFrame(
        {
            "size": 20 + 5 * z + rng.normal(size=n),
            "age": rng.normal(60, 10, n),
            "grade": np.digitize(z + rng.normal(size=n), [-0.7, 0.7]) + 1.0,
            "er": (z + rng.normal(size=n) < 0.5).astype(float),
            "subtype": np.array(["a", "b", "c"], dtype=object)[
                np.digitize(z + 0.3 * rng.normal(size=n), [-0.5, 0.5])
            ],
        },
        index=[f"p{seed}-{i:04d}" for i in range(n)],
    )
    for name in ("size", "grade", "er", "subtype"):
        values.loc[rng.random(n) < missing, name] = None if name == "subtype" else np.nan
    return FeatureTable(values, FEATURES)


def test_every_gap_is_filled_with_a_value_that_was_seen_and_nothing_else_changes():
    given = table()
    found = MultipleImputer().complete(given, None, seed=1)
    assert not found.values.isna().any().any()
    for name in given.values:
        known = given.values[name].notna()
        assert (found.values[name][known] == given.values[name][known]).all()
        assert set(found.values[name]) <= set(given.values[name][known])
    assert found.features == given.features
    assert (found.values.index == given.values.index).all()


def test_the_same_seed_gives_the_same_bytes_and_another_does_not():
    given = table()
    one, same, other = (MultipleImputer().complete(given, None, seed=s) for s in (1, 1, 2))
    pd.testing.assert_frame_equal(one.values, same.values, check_exact=True)
    assert not one.values.equals(other.values)


def test_draws_follow_what_the_other_features_tell():
    """Levels and numbers that go together in rows with a value do so among the imputed ones."""
    given = table(600)
    imputed = [MultipleImputer().complete(given, None, seed=s).values for s in range(5)]
    gap = given.values["subtype"].isna() & given.values["size"].notna()
    size = {
        level: np.mean([v.loc[gap & (v["subtype"] == level), "size"].mean() for v in imputed])
        for level in "abc"
    }
    assert size["a"] < 18 < size["b"] < 22 < size["c"]
    gap = given.values["size"].isna() & given.values["subtype"].notna()
    correlations = [
        np.corrcoef(v.loc[gap, "size"], v.loc[gap, "subtype"].map({"a": 0, "b": 1, "c": 2}))[0, 1]
        for v in imputed
    ]
    assert np.mean(correlations) > 0.7
    # a single value, such as the mean, would show no spread
    assert np.mean([v.loc[gap, "size"].std() for v in imputed]) == pytest.approx(
        given.values["size"].std(), rel=0.2
    )


def test_new_rows_are_filled_and_take_no_part_in_what_is_learnt():
    train, new = table(150, 0), table(60, 1)
    found = MultipleImputer().complete_new(train, new, seed=3)
    assert not found.values.isna().any().any()
    assert list(found.values.index) == list(new.values.index)
    part = FeatureTable(new.values.iloc[:1], new.features)
    alone = MultipleImputer().complete_new(train, part, seed=3)
    wild = new.values.copy()
    gap = wild["size"].isna()
    wild.loc[~gap, "size"] = 1e9
    beside = MultipleImputer().complete_new(train, FeatureTable(wild, new.features), seed=3)
    assert beside.values.loc[gap, "size"].max() < 1e3
    assert alone.values.shape == (1, 5)


def test_training_rows_are_filled_alike_whatever_the_new_rows_are():
    """What is drawn for training rows, by which new rows are filled, does not hang on them."""
    train = table(150, 0)
    imputer = MultipleImputer()
    own = imputer.complete(train, None, seed=3).values
    for seed in (1, 2):
        new = table(50, seed, missing=0.5)
        both = FeatureTable(pd.concat([train.values, new.values]), train.features)
        found = imputer._run(both, 150, None, 3).values.iloc[:150]
        pd.testing.assert_frame_equal(found, own, check_exact=True)


def test_the_outcome_is_read_in_training():
    """Without it an association with the outcome would be lost in the imputed values."""
    rng = np.random.default_rng(5)
    n = 800
    x = rng.normal(size=n)
    y = x + rng.normal(size=n)
    x[rng.random(n) < 0.5] = np.nan
    given = FeatureTable(
        pd.DataFrame({"x": x}, index=[f"p{i:03d}" for i in range(n)]),
        (Feature(name="x", kind=Kind.CONTINUOUS),),
    )
    gap = np.isnan(x)
    told = MultipleImputer().complete(given, y[:, None], seed=1).values["x"].to_numpy()
    blind = MultipleImputer().complete(given, None, seed=1).values["x"].to_numpy()
    assert np.corrcoef(told[gap], y[gap])[0, 1] == pytest.approx(0.7, abs=0.08)
    assert abs(np.corrcoef(blind[gap], y[gap])[0, 1]) < 0.12


def test_images_errors_and_the_centre_stay_as_they_are_and_a_feature_that_nobody_has():
    n = 40
    rng = np.random.default_rng(0)
    values = pd.DataFrame(
        {
            "x": np.where(rng.random(n) < 0.3, np.nan, rng.normal(size=n)),
            "x_error": np.where(rng.random(n) < 0.5, np.nan, 1.0),
            "empty": np.full(n, np.nan),
            "bag": [None] * n,
            CENTRE: [None if i % 5 == 0 else "A" for i in range(n)],
        },
        index=[f"p{i:02d}" for i in range(n)],
    )
    features = (
        Feature(name="x", kind=Kind.CONTINUOUS),
        Feature(name="x_error", kind=Kind.CONTINUOUS, error_of="x"),
        Feature(name="empty", kind=Kind.CONTINUOUS),
        Feature(name="bag", kind=Kind.BAG),
        Feature(name=CENTRE, kind=Kind.CATEGORICAL, modality=CENTRE, levels=("A", "B")),
    )
    given = FeatureTable(values, features)
    found = MultipleImputer().complete(given, None, seed=1).values
    assert [f.name for f in incomplete(given)] == ["x"]
    assert not found["x"].isna().any()
    for name in ("x_error", "empty", "bag", CENTRE):
        assert (found[name].isna() == values[name].isna()).all()


def test_features_that_are_not_asked_for_are_neither_filled_nor_read():
    given = table()
    found = MultipleImputer(features=("size", "age")).complete(given, None, seed=1).values
    assert not found["size"].isna().any()
    assert (found["grade"].isna() == given.values["grade"].isna()).all()
    other = given.values.assign(grade=given.values["grade"].to_numpy()[::-1])
    again = MultipleImputer(features=("size", "age")).complete(
        FeatureTable(other, FEATURES), None, seed=1
    )
    assert (again.values["size"] == found["size"]).all()


def test_of_many_columns_those_that_tell_most_are_read():
    rng = np.random.default_rng(0)
    n, p = 120, 60
    x = rng.normal(size=(n, p))
    x[:, 0] = x[:, 41] + 0.1 * rng.normal(size=n)
    truth = x[:, 0].copy()
    gap = rng.random(n) < 0.3
    x[gap, 0] = np.nan
    given = FeatureTable(
        pd.DataFrame(x, columns=[f"x{j}" for j in range(p)], index=[f"p{i:03d}" for i in range(n)]),
        tuple(Feature(name=f"x{j}", kind=Kind.CONTINUOUS) for j in range(p)),
    )
    found = MultipleImputer(most_predictors=5).complete(given, None, seed=1).values["x0"]
    assert np.corrcoef(found.to_numpy()[gap], truth[gap])[0, 1] > 0.95


def test_few_values_and_constants_are_taken_as_they_are():
    n = 60
    values = pd.DataFrame(
        {
            "few": [1.0, 2.0, 3.0] + [np.nan] * (n - 3),
            "same": [np.nan if i % 4 == 0 else 7.0 for i in range(n)],
            "yes": [np.nan if i % 3 == 0 else 1.0 for i in range(n)],
        },
        index=[f"p{i:02d}" for i in range(n)],
    )
    features = (
        Feature(name="few", kind=Kind.CONTINUOUS),
        Feature(name="same", kind=Kind.CONTINUOUS),
        Feature(name="yes", kind=Kind.BINARY),
    )
    found = MultipleImputer().complete(FeatureTable(values, features), None, seed=1).values
    assert set(found["few"]) == {1.0, 2.0, 3.0}
    assert set(found["same"]) == {7.0}
    assert set(found["yes"]) == {1.0}


def test_separation_gives_finite_draws():
    n = 80
    x = np.linspace(-1, 1, n)
    y = (x > 0).astype(float)
    y[::5] = np.nan
    values = pd.DataFrame({"x": x, "y": y}, index=[f"p{i:02d}" for i in range(n)])
    features = (Feature(name="x", kind=Kind.CONTINUOUS), Feature(name="y", kind=Kind.BINARY))
    found = MultipleImputer().complete(FeatureTable(values, features), None, seed=1).values["y"]
    far = np.abs(x) > 0.5
    assert (found[far] == (x > 0)[far]).mean() > 0.9


def test_a_table_without_gaps_is_returned_as_it_is():
    given = table(missing=0.0)
    assert MultipleImputer().complete(given, None, seed=1) is given
    assert incomplete(given) == ()


def test_settings_below_one_are_refused():
    with pytest.raises(FitError, match="at least 1"):
        MultipleImputer(cycles=0)


def test_coefficients_are_drawn_from_their_posterior():
    """Around least squares, with its covariance; of a logistic regression around its maximum."""
    rng = np.random.default_rng(0)
    x = np.column_stack([np.ones(400), rng.normal(size=(400, 2))])
    y = x @ [1.0, 0.5, -0.5] + rng.normal(size=400)
    fitted = np.linalg.lstsq(x, y, rcond=None)[0]
    spread = ((y - x @ fitted) ** 2).sum() / 397
    covariance = spread * np.linalg.inv(x.T @ x)
    draws = np.array([_drawn_linear(x, y, rng)[1] for _ in range(3000)])
    errors = np.sqrt(np.diag(covariance))
    np.testing.assert_allclose(draws.mean(axis=0), fitted, atol=5 * errors.max() / 3000**0.5)
    np.testing.assert_allclose(draws.std(axis=0), errors, rtol=0.06)

    positive = (rng.random(400) < 1 / (1 + np.exp(-(x @ [0.2, 0.8, -0.4])))).astype(np.intp)
    known = fit_logistic(x[:, 1:], positive.astype(float))
    found = np.array([_drawn_logistic(x, positive, 2, rng)[:, 0] for _ in range(2000)])
    # the prior draws a slope towards zero by some 0.3 % of its standard deviation squared
    np.testing.assert_allclose(found.mean(axis=0), known, atol=0.02)
    share = 1 / (1 + np.exp(-(x @ known)))
    information = (x * (share * (1 - share))[:, None]).T @ x
    errors = np.sqrt(np.diag(np.linalg.inv(information)))
    np.testing.assert_allclose(found.std(axis=0), errors, rtol=0.06)


def fit_logistic(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Intercept and slopes of a plain logistic regression."""
    from sklearn.linear_model import LogisticRegression

    found = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(x, y)
    return np.r_[found.intercept_, found.coef_[0]]


def test_three_classes_are_drawn_in_the_proportions_that_the_predictors_tell():
    rng = np.random.default_rng(1)
    group = rng.integers(0, 2, 900)
    code = np.where(group == 0, rng.choice(3, 900, p=[0.7, 0.2, 0.1]), rng.choice(3, 900))
    level = np.array(["a", "b", "c"], dtype=object)[code]
    level[rng.random(900) < 0.4] = None
    values = pd.DataFrame(
        {"group": group.astype(float), "level": level}, index=[f"p{i:03d}" for i in range(900)]
    )
    features = (
        Feature(name="group", kind=Kind.BINARY),
        Feature(name="level", kind=Kind.CATEGORICAL, levels=("a", "b", "c")),
    )
    gap = values["level"].isna() & (values["group"] == 0)
    shares = [
        MultipleImputer()
        .complete(FeatureTable(values, features), None, seed=s)
        .values.loc[gap, "level"]
        .value_counts(normalize=True)
        for s in range(20)
    ]
    mean = pd.concat(shares, axis=1).mean(axis=1)
    np.testing.assert_allclose(mean[["a", "b", "c"]], [0.7, 0.2, 0.1], atol=0.06)
