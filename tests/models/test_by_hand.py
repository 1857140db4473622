"""The printed formula gives the model's own risks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from metasight.cohort.outcome import NodalOutcome, SurvivalOutcome
from metasight.features.columns import Feature, FeatureTable, Kind
from metasight.models.by_hand import formula_of
from metasight.models.registry import build
from metasight.models.settings import ModelSettings

HORIZONS = np.array([730, 1826])
N = 150
RNG = np.random.default_rng(0)
VALUES = pd.DataFrame(
    {"age": RNG.normal(60, 10, N), "size": RNG.gamma(5, 5, N), "er": RNG.integers(0, 2, N) * 1.0},
    index=[f"P{k}" for k in range(N)],
)
TABLE = FeatureTable(
    VALUES,
    (
        Feature(name="age", kind=Kind.CONTINUOUS),
        Feature(name="size", kind=Kind.CONTINUOUS),
        Feature(name="er", kind=Kind.BINARY),
    ),
)
HAZARD = np.exp(0.03 * (VALUES["size"] - 25)).to_numpy()
TIME = RNG.exponential(3000 / HAZARD).round() + 1
FOLLOW_UP = SurvivalOutcome(np.minimum(TIME, 3000), (TIME < 3000).astype(np.int8))
NODES = NodalOutcome(np.minimum(RNG.poisson(HAZARD / 2), 2).astype(np.int8))


@pytest.mark.parametrize("kind", ["cox", "elastic_net_cox", "modality_ridge"])
def test_risks_of_follow_up(kind):
    fitted = build(ModelSettings(kind=kind, name="m")).fit(TABLE, FOLLOW_UP, seed=1)
    told = formula_of(fitted.state, HORIZONS.tolist())
    assert [c[0] for c in told.constants] == ["730", "1826"]
    model = fitted.predict(TABLE, HORIZONS)
    for k in (0, 7, 99):
        by_hand = told.risk(VALUES.iloc[k].to_dict())
        np.testing.assert_allclose(by_hand, model[k], atol=1e-12)


def test_probabilities_of_stage():
    fitted = build(ModelSettings(kind="ordinal", name="m")).fit(TABLE, NODES, seed=1)
    told = formula_of(fitted.state, ())
    model = fitted.predict(TABLE, HORIZONS)
    for k in (0, 7, 99):
        above_n0, above_n1 = told.risk(VALUES.iloc[k].to_dict())
        assert above_n0 == pytest.approx(1 - model[k, 0], abs=1e-12)
        assert above_n1 == pytest.approx(model[k, 2], abs=1e-12)


def test_a_logarithm_is_taken_of_the_features_value():
    fitted = build(ModelSettings(kind="modality_ridge", name="m")).fit(TABLE, NODES, seed=1)
    told = formula_of(fitted.state, ())
    (name,) = told.logarithms
    assert name == "log(size)" and told.logarithms[name][0] == "size"
    assert {t[0] for t in told.terms} == {"age", "log(size)", "er"}
    model = fitted.predict(TABLE, HORIZONS)
    for k in (0, 7, 99):
        above_n0, above_n1 = told.risk(VALUES.iloc[k].to_dict())
        assert above_n0 == pytest.approx(1 - model[k, 0], abs=1e-12)
        assert above_n1 == pytest.approx(model[k, 2], abs=1e-12)


def test_a_logarithm_that_is_bent_gives_the_values_of_its_columns():
    spline = tuple(replace(f, spline=f.name == "size") for f in TABLE.features)
    table = FeatureTable(VALUES, spline)
    asked = ModelSettings(kind="modality_ridge", name="m", splines=True)
    fitted = build(asked).fit(table, FOLLOW_UP, seed=1)
    told = formula_of(fitted.state, HORIZONS.tolist())
    assert [t[0] for t in told.terms] == ["age", "er", "log(size)", "log(size)'"]
    assert set(told.logarithms) == {"log(size)"}


def test_a_value_that_is_drawn_in_for_its_error_has_no_formula():
    """What is measured is not what the coefficient is of."""
    error = Feature(name="size_error", kind=Kind.CONTINUOUS, error_of="size")
    table = FeatureTable(VALUES.assign(size_error=2.0), (*TABLE.features, error))
    for kind in ("elastic_net_cox", "modality_ridge"):
        fitted = build(ModelSettings(kind=kind, name="m")).fit(table, FOLLOW_UP, seed=1)
        assert formula_of(fitted.state, (730,)) is None


def test_any_positive_node():
    fitted = build(ModelSettings(kind="logistic", name="m")).fit(TABLE, NODES, seed=1)
    told = formula_of(fitted.state, ())
    (risk,) = told.risk(VALUES.iloc[3].to_dict())
    assert risk == pytest.approx(1 - fitted.predict(TABLE, HORIZONS)[3, 0], abs=1e-12)


def test_what_has_no_formula():
    settings = ModelSettings(kind="forest", name="m", n_trees=10)
    assert formula_of(build(settings).fit(TABLE, FOLLOW_UP, seed=1).state, (730,)) is None
