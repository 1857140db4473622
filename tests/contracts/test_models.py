"""Every model, on every outcome it can be fitted to, by the same tests."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest

from metasight.cohort.outcome import NodalOutcome, SurvivalOutcome
from metasight.errors import FitError
from metasight.features.columns import Feature, FeatureTable, Kind
from metasight.models.base import FittedModel
from metasight.models.registry import KINDS, ModelSettings, build, load, outcomes_of

HORIZONS = np.array([180, 365, 730, 1826, 5000])
N = 160

FEATURES = (
    Feature(name="age_years", kind=Kind.CONTINUOUS, unit="years", spline=True),
    Feature(name="tumour_size_mm", kind=Kind.CONTINUOUS, unit="mm", spline=True),
    Feature(name="positive_nodes", kind=Kind.CONTINUOUS),
    Feature(name="grade", kind=Kind.ORDINAL),
    Feature(name="central", kind=Kind.BINARY),
    Feature(name="adenocarcinoma", kind=Kind.BINARY),
    Feature(name="subtype", kind=Kind.CATEGORICAL, levels=("luminal", "her2", "basal")),
    Feature(name="ctr", kind=Kind.CONTINUOUS, modality="imaging"),
    Feature(name="suvmax", kind=Kind.CONTINUOUS, modality="imaging"),
    Feature(name="solid_size_mm", kind=Kind.CONTINUOUS, modality="imaging"),
)


def _table(rng: np.random.Generator, n: int = N) -> FeatureTable:
    size = rng.gamma(6, 3.5, n)
    values = pd.DataFrame(
        {
            "age_years": rng.normal(60, 10, n),
            "tumour_size_mm": size,
            "positive_nodes": rng.poisson(1.5, n).astype(float),
            "grade": rng.integers(1, 4, n).astype(float),
            "central": rng.integers(0, 2, n).astype(float),
            "adenocarcinoma": rng.integers(0, 2, n).astype(float),
            "subtype": rng.choice(["luminal", "her2", "basal"], n),
            "ctr": rng.uniform(0, 1, n),
            "suvmax": rng.gamma(3, 1.5, n),
            "solid_size_mm": np.linspace(1, 30, n) % 7 + 1,
        },
        index=[f"p{i:04d}" for i in rng.permutation(n)],
    )
    return FeatureTable(values, FEATURES)


def _risk(table: FeatureTable) -> np.ndarray:
    v = table.values
    return 0.06 * (v["tumour_size_mm"].to_numpy() - 21) + 0.5 * (v["ctr"].to_numpy() - 0.5)


def _survival(table: FeatureTable, rng: np.random.Generator, competing: bool) -> SurvivalOutcome:
    n = len(table.values)
    event = rng.exponential(1500 * np.exp(-_risk(table)))
    other = rng.exponential(3000, n) if competing else np.full(n, np.inf)
    censor = rng.uniform(300, 4000, n)
    time = np.maximum(np.ceil(np.minimum(np.minimum(event, other), censor)), 1.0)
    status = np.where(censor < np.minimum(event, other), 0, np.where(event < other, 1, 2))
    return SurvivalOutcome(time, status.astype(np.int8))


def _nodal(table: FeatureTable, rng: np.random.Generator) -> NodalOutcome:
    latent = _risk(table) + rng.logistic(size=len(table.values))
    stage = (latent > 0.3).astype(np.int8) + (latent > 1.2).astype(np.int8)
    stage[rng.random(len(stage)) < 0.15] = -1
    return NodalOutcome(stage)


def make(outcome: str, seed: int = 1):
    rng = np.random.default_rng(seed)
    table = _table(rng)
    if outcome == "nodal":
        return table, _nodal(table, rng)
    return table, _survival(table, rng, competing=outcome == "competing")


def settings(kind: str, **changes: object) -> ModelSettings:
    return ModelSettings(
        kind=kind, name=kind, modalities=("clinical", "imaging"), n_trees=20, **changes
    )


@cache
def fitted_once(kind: str, outcome: str) -> FittedModel:
    """The model as most tests look at it; predicting changes nothing in it."""
    return build(settings(kind)).fit(*make(outcome), seed=3)


# They read no columns: tests/models/test_mil.py, test_volume_network.py
OF_IMAGES = {"attention_mil", "scan_network"}
CASES = [(k, o) for k in KINDS if k not in OF_IMAGES for o in sorted(outcomes_of(k))]
READS_LEVELS = [c for c in CASES if c[0] in KINDS[: KINDS.index("npi")]]
UNPENALISED = ["cox", "cause_specific_cox", "fine_gray"]

everywhere = pytest.mark.parametrize(("kind", "outcome"), CASES)


@everywhere
def test_risk_is_a_probability_of_the_right_shape(kind, outcome):
    table, _ = make(outcome)
    risk = fitted_once(kind, outcome).predict(table, HORIZONS)
    assert np.isfinite(risk).all()
    assert (risk >= 0).all() and (risk <= 1).all()
    if outcome == "nodal":
        assert risk.shape == (N, 3)
        np.testing.assert_allclose(risk.sum(axis=1), 1.0, atol=1e-12)
    else:
        assert risk.shape == (N, len(HORIZONS))
        assert (np.diff(risk, axis=1) >= 0).all()
        assert risk.std(axis=0)[2] > 0


@everywhere
def test_state_is_json_and_restores_identical_predictions(kind, outcome):
    table, _ = make(outcome)
    fitted = fitted_once(kind, outcome)
    text = json.dumps(fitted.state, allow_nan=False)
    restored = load(json.loads(text))
    assert np.array_equal(restored.predict(table, HORIZONS), fitted.predict(table, HORIZONS))
    assert json.dumps(restored.state) == text
    assert fitted.state["kind"] == kind


@everywhere
def test_same_seed_gives_the_same_bytes(kind, outcome):
    again = build(settings(kind)).fit(*make(outcome), seed=3)
    assert json.dumps(again.state) == json.dumps(fitted_once(kind, outcome).state)


@everywhere
def test_order_of_rows_and_columns_does_not_matter(kind, outcome):
    table, y = make(outcome)
    before = fitted_once(kind, outcome).predict(table, HORIZONS)
    order = np.random.default_rng(0).permutation(N)
    shuffled = FeatureTable(
        table.values.iloc[order][[f.name for f in FEATURES[::-1]]], FEATURES[::-1]
    )
    after = build(settings(kind)).fit(shuffled, y.take(order), seed=3)
    np.testing.assert_allclose(after.predict(table, HORIZONS), before, atol=1e-8)


@everywhere
def test_a_prediction_does_not_depend_on_the_other_patients(kind, outcome):
    table, _ = make(outcome)
    fitted = fitted_once(kind, outcome)
    everyone = fitted.predict(table, HORIZONS)
    few = fitted.predict(table.rows(table.values.index[:7]), HORIZONS)
    np.testing.assert_allclose(few, everyone[:7], atol=1e-12)


@everywhere
@pytest.mark.parametrize("imputation", ["median", "iterative"])
def test_missing_values_are_tolerated(kind, outcome, imputation):
    table, y = make(outcome)
    rng = np.random.default_rng(2)
    values = table.values.mask(rng.random(table.values.shape) < 0.12)
    holed = FeatureTable(values, FEATURES)
    fitted = build(settings(kind, imputation=imputation)).fit(holed, y, seed=3)
    empty = FeatureTable(
        table.values.iloc[:3].mask(np.ones((3, table.values.shape[1]), dtype=bool)), FEATURES
    )
    risk = fitted.predict(empty, HORIZONS)
    assert np.isfinite(risk).all()
    restored = load(json.loads(json.dumps(fitted.state)))
    assert np.array_equal(restored.predict(holed, HORIZONS), fitted.predict(holed, HORIZONS))


@pytest.mark.parametrize(("kind", "outcome"), READS_LEVELS)
def test_an_unseen_level_is_refused_by_name(kind, outcome):
    table, _ = make(outcome)
    fitted = fitted_once(kind, outcome)
    values = table.values.iloc[:2].copy()
    values["subtype"] = "metaplastic"
    with pytest.raises(FitError, match="feature subtype"):
        fitted.predict(FeatureTable(values, FEATURES), HORIZONS)


@everywhere
def test_an_absent_feature_is_refused(kind, outcome):
    table, _ = make(outcome)
    fitted = fitted_once(kind, outcome)
    with pytest.raises(FitError, match="not in the table"):
        fitted.predict(FeatureTable(table.values[["subtype"]], (FEATURES[6],)), HORIZONS)


@everywhere
def test_no_events_and_constant_outcomes_are_refused(kind, outcome):
    table, y = make(outcome)
    model = build(settings(kind))
    if outcome == "nodal":
        constants = [0, 1, -1]
        for stage in constants:
            with pytest.raises(FitError):
                model.fit(table, NodalOutcome(np.full(N, stage, dtype=np.int8)), seed=0)
    else:
        with pytest.raises(FitError, match="no patient has the event"):
            model.fit(table, replace(y, status=np.zeros(N, dtype=np.int8)), seed=0)
        with pytest.raises(FitError, match="same follow-up time"):
            model.fit(table, replace(y, time_days=np.full(N, 9.0)), seed=0)


@pytest.mark.parametrize(("kind", "outcome"), CASES)
def test_the_other_kind_of_outcome_is_refused(kind, outcome):
    if kind in ("forest", "stacked", "modality_ridge"):
        pytest.skip("fits every outcome")
    table, _ = make("survival")
    _, wrong = make("survival" if outcome == "nodal" else "nodal")
    with pytest.raises(FitError, match="this model needs"):
        build(settings(kind)).fit(table, wrong, seed=0)


@pytest.mark.parametrize("kind", UNPENALISED)
def test_more_parameters_than_events_is_refused_without_a_penalty(kind):
    table, y = make("survival")
    status = np.zeros(N, dtype=np.int8)
    status[np.flatnonzero(y.status == 1)[:6]] = 1
    few = SurvivalOutcome(y.time_days, status)
    with pytest.raises(FitError, match="penalised"):
        build(settings(kind)).fit(table, few, seed=0)
    build(settings("elastic_net_cox")).fit(table, few, seed=0)


def test_competing_events_are_never_censored_by_cox():
    table, y = make("competing")
    with pytest.raises(FitError, match="competing"):
        build(settings("cox")).fit(table, y, seed=0)


@pytest.mark.parametrize(
    "kind", ["logistic", "ordinal", "forest", "stacked", "modality_ridge", "nodal_size"]
)
def test_unobserved_nodes_change_nothing(kind):
    table, y = make("nodal")
    fitted = build(settings(kind)).fit(table, y, seed=3)
    seen = np.flatnonzero(y.observed)
    alone = build(settings(kind)).fit(table.rows(table.values.index[seen]), y.take(seen), seed=3)
    assert json.dumps(alone.state) == json.dumps(fitted.state)


def test_a_state_of_another_version_is_refused():
    table, y = make("survival")
    state = build(settings("cox")).fit(table, y, seed=0).state
    with pytest.raises(FitError, match="another version"):
        load({**state, "version": 0})
