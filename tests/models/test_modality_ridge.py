"""One ridge over all modalities: what it reads, what it leaves out, and what it keeps of a fit."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from metasight.cohort.outcome import NodalOutcome, SurvivalOutcome
from metasight.errors import FitError
from metasight.features.columns import Feature, FeatureTable, Kind
from metasight.models.by_hand import formula_of
from metasight.models.fusion import contributions, fuses
from metasight.models.registry import build, describe, features_of, load
from metasight.models.ridge import HazardLikelihood, maximise
from metasight.models.ridge_choice import weigh
from metasight.models.settings import ModelSettings
from metasight.validation.discrimination import harrell_c

HORIZONS = np.array([365, 1826])
MODALITIES = ("clinical", "spatial", "noise")
WIDTHS = {"clinical": 4, "spatial": 5, "noise": 5}


def settings(*modalities: str, **changes) -> ModelSettings:
    read = modalities or MODALITIES
    return ModelSettings(kind="modality_ridge", name="ridge", modalities=read, **changes)


def table_of(n: int, seed: int, skewed: bool = True) -> tuple[FeatureTable, np.ndarray]:
    """Features and the latents that they are measured from."""
    rng = np.random.default_rng(seed)
    columns, features, latent = {}, [], {}
    for modality, p in WIDTHS.items():
        z = rng.normal(size=(n, p))
        latent[modality] = z
        seen = np.exp(0.8 * z) if skewed and modality == "spatial" else z
        for j in range(p):
            name = f"{modality}_{j}"
            columns[name] = seen[:, j]
            features.append(Feature(name=name, kind=Kind.CONTINUOUS, modality=modality))
    frame = pd.DataFrame(columns, index=[f"P{k:05d}" for k in range(n)])
    score = latent["clinical"][:, 0] * 0.5 - latent["clinical"][:, 1] * 0.4
    return FeatureTable(frame, tuple(features)), np.column_stack([score, latent["spatial"]])


def cohort(n: int = 300, seed: int = 0, effect: float = 0.4, **changes):
    """Follow-up whose hazard rests on clinical data and on the spatial latents."""
    table, parts = table_of(n, seed, **changes)
    rng = np.random.default_rng([seed, 1])
    hazard = np.exp(parts[:, 0] + effect * parts[:, 1:].sum(axis=1))
    event = rng.exponential(9000 / hazard)
    end = rng.uniform(1000, 4000, n)
    return table, SurvivalOutcome(np.ceil(np.minimum(event, end)), (event <= end).astype(np.int8))


def nodal(n: int = 300, seed: int = 0, effect: float = 0.5):
    table, parts = table_of(n, seed)
    rng = np.random.default_rng([seed, 2])
    latent = parts[:, 0] + effect * parts[:, 1:].sum(axis=1) + rng.logistic(size=n)
    stage = (latent > 1.0).astype(np.int8) + (latent > 2.5)
    return table, NodalOutcome(stage.astype(np.int8))


def competing(n: int = 300, seed: int = 0, others: int | None = None):
    table, y = cohort(n, seed)
    censored = np.flatnonzero(y.status == 0)
    status = y.status.copy()
    chosen = np.random.default_rng(seed).permutation(censored)[: others or len(censored) // 2]
    status[chosen] = 2
    return table, replace(y, status=status)


@pytest.fixture(scope="module")
def fitted():
    table, outcome = cohort()
    return table, outcome, build(settings()).fit(table, outcome, seed=3)


def weights(model, cause: int = 0) -> dict[str, float]:
    told = model.state["head"]["fit"]["tuning"][cause]["modalities"]
    return {m["modality"]: m["weight"] for m in told}


def c_of(model, fresh, y) -> float:
    return harrell_c(y.time_days, y.status, model.predict(fresh, HORIZONS)[:, 1]).c


def test_a_planted_modality_is_read_and_noise_hardly(fitted):
    _, _, model = fitted
    found = weights(model)
    assert found["clinical"] == pytest.approx(1)
    assert found["spatial"] > 0.99
    assert found["noise"] < 0.5
    assert any(note.startswith("noise: ") for note in model.notes)
    assert not any(note.startswith("spatial: ") for note in model.notes)
    fresh, y = cohort(2000, seed=50)
    alone = build(settings("clinical")).fit(*cohort(), seed=3)
    assert c_of(model, fresh, y) > c_of(alone, fresh, y) + 0.05


def test_without_an_effect_little_is_lost():
    fresh, y = cohort(2000, seed=51, effect=0.0)
    lost, read = [], []
    for seed in range(8):
        table, outcome = cohort(300, seed=100 + seed, effect=0.0)
        both = build(settings()).fit(table, outcome, seed=1)
        alone = build(settings("clinical")).fit(table, outcome, seed=1)
        lost.append(c_of(alone, fresh, y) - c_of(both, fresh, y))
        read.append(max(weights(both)[m] for m in ("spatial", "noise")))
    assert np.mean(lost) < 0.01
    assert np.mean(read) < 0.5


def test_choices_rest_on_training_patients_alone():
    table, outcome = cohort()
    spoilt = table.values.copy()
    spoilt.iloc[200:] = 1e9
    train = np.arange(200)
    states = [
        build(settings()).fit(t.rows(table.values.index[:200]), outcome.take(train), seed=3).state
        for t in (table, FeatureTable(spoilt, table.features))
    ]
    assert json.dumps(states[0]) == json.dumps(states[1])


def test_logarithms_are_learnt_kept_and_named(fitted):
    table, _, model = fitted
    logs = model.state["reader"]["logarithms"]
    assert {f"spatial_{j}" for j in range(5)} <= set(logs)
    coefficients = describe(model.state)["coefficients"]
    assert "log(spatial_0)" in coefficients and "spatial_0" not in coefficients
    assert features_of(model.state) == {f.name for f in table.features}


def test_state_round_trips_byte_for_byte(fitted):
    table, _, model = fitted
    text = json.dumps(model.state, allow_nan=False)
    restored = load(json.loads(text))
    assert json.dumps(restored.state) == text
    assert np.array_equal(restored.predict(table, HORIZONS), model.predict(table, HORIZONS))


@pytest.mark.parametrize(
    "bad",
    [
        {"spatial_0": [0.0]},
        {"spatial_0": [-1.0, 2.0]},
        {"spatial_0": [0.0, 0.0]},
        {"spatial_0": ["x", 1.0]},
        {"spatial_0": [float("nan"), 1.0]},
        [],
        "no",
    ],
)
def test_a_state_with_impossible_logarithms_is_refused(fitted, bad):
    state = json.loads(json.dumps(fitted[2].state))
    state["reader"]["logarithms"] = bad
    with pytest.raises(FitError, match="model state"):
        load(state)


def test_the_formula_gives_the_models_risks(fitted):
    table, _, model = fitted
    told = formula_of(model.state, HORIZONS.tolist())
    assert told.logarithms["log(spatial_1)"][0] == "spatial_1"
    risk = model.predict(table, HORIZONS)
    for k in (0, 5, 77):
        by_hand = told.risk(table.values.iloc[k].to_dict())
        np.testing.assert_allclose(by_hand, risk[k], atol=1e-12)


def test_measured_errors_are_those_of_the_logarithm():
    """A value that is poorly known is drawn towards the mean on the scale that the model reads."""
    table, outcome = cohort()
    values = table.values.assign(spatial_0_error=0.3 * table.values["spatial_0"])
    error = Feature(
        name="spatial_0_error", kind=Kind.CONTINUOUS, modality="spatial", error_of="spatial_0"
    )
    with_errors = FeatureTable(values, (*table.features, error))
    model = build(settings()).fit(with_errors, outcome, seed=3)
    _, mean, signal = model.state["reader"]["shrinkage"]["spatial_0"]
    read = model.reader.logarithms.apply(with_errors).values
    logs, errors = np.log(table.values["spatial_0"]), read["spatial_0_error"]
    np.testing.assert_allclose(read["spatial_0"], logs)
    assert errors.median() == pytest.approx(np.log(1.3 / 0.7) / 2)
    assert mean == pytest.approx(logs.mean())
    assert signal == pytest.approx(logs.var() - (errors**2).mean())
    drawn = model.reader.complete(with_errors).values["spatial_0"]
    np.testing.assert_allclose(drawn, mean + (logs - mean) * signal / (signal + errors**2))
    assert formula_of(model.state, HORIZONS.tolist()) is None, "not from the measured value alone"


def test_stage_of_nodes_and_few_of_a_class():
    table, outcome = nodal()
    model = build(settings()).fit(table, outcome, seed=3)
    found = weights(model)
    assert found["spatial"] > 0.9 > found["noise"]
    assert model.predict(table, HORIZONS).shape == (300, 3)
    stage = outcome.stage.copy()
    stage[np.flatnonzero(stage == 2)[2:]] = 1
    few = build(settings()).fit(table, NodalOutcome(stage), seed=3)
    assert (few.predict(table, HORIZONS)[:, 2] > 0).all(), "two patients with N2 are still a stage"


def test_each_cause_has_penalties_of_its_own():
    model = build(settings()).fit(*competing(), seed=3)
    state = model.state["head"]
    assert state["scale"] == "product_integral" and len(state["fit"]["tuning"]) == 2
    few = build(settings()).fit(*competing(others=9), seed=3)
    assert len(few.state["head"]["fit"]["tuning"]) == 1
    assert any("hazard has no features" in n for n in few.notes)


def test_an_unpenalised_modality_is_never_left_out():
    table, outcome = cohort()
    model = build(settings(penalty_factors={"noise": 0.0})).fit(table, outcome, seed=3)
    assert weights(model)["noise"] == 1.0
    matrix = model.reader.matrix(table)
    likelihood = HazardLikelihood.of(matrix, outcome.time_days, outcome.status == 1)
    noise = [k for k, m in enumerate(model.reader.modalities) if m == "noise"]
    slope = likelihood.terms(model.head.causes[0].coefficients)[1][noise]
    np.testing.assert_allclose(slope, 0, atol=0.5)  # a mean of fits of which it is 0 in each


def test_more_columns_than_patients_are_fitted_in_the_directions_that_vary():
    rng = np.random.default_rng(0)
    table, outcome = cohort(80)
    wide = rng.normal(size=(80, 200))
    names = [f"gene_{j:03d}" for j in range(200)]
    values = pd.concat(
        [table.values, pd.DataFrame(wide, columns=names, index=table.values.index)], axis=1
    )
    features = (
        *table.features,
        *(Feature(name=n, kind=Kind.CONTINUOUS, modality="genes") for n in names),
    )
    model = build(settings("genes")).fit(FeatureTable(values, features), outcome, seed=3)
    matrix = model.reader.matrix(FeatureTable(values, features))
    told = model.state["head"]["fit"]["tuning"][0]
    assert told["modalities"][0]["columns"] == 200
    likelihood = HazardLikelihood.of(matrix, outcome.time_days, outcome.status == 1)
    by_columns = sum(
        r["weight"] * maximise(likelihood, np.full(200, 200 / r["spreads"][0] ** 2))
        for r in told["ridges"]
    )
    np.testing.assert_allclose(model.head.causes[0].coefficients, by_columns, atol=1e-7)


def test_patients_without_a_modality_have_one_indicator_of_it():
    table, outcome = cohort()
    values = table.values.copy()
    own = [f"spatial_{j}" for j in range(5)]
    values.iloc[:60, [values.columns.get_loc(c) for c in own]] = np.nan
    model = build(settings()).fit(FeatureTable(values, table.features), outcome, seed=3)
    assert [c for c in model.reader.columns if c.endswith("_missing")] == ["spatial_0_missing"]
    assert any("equal to others" in n for n in model.notes)


@pytest.mark.parametrize("nodes", [False, True])
def test_copies_of_a_patient_share_an_inner_fold(monkeypatch, nodes):
    """A bootstrap resample does not weigh ridges on copies of who is held out."""
    seen = []

    def watched(whole, fold, blocks, *, model):
        seen.append(fold)
        return weigh(whole, fold, blocks, model=model)

    monkeypatch.setattr("metasight.models.modality_ridge.weigh", watched)
    table, outcome = nodal(200) if nodes else cohort(200)
    rows = np.random.default_rng(0).integers(0, 200, 200)
    names = [f"P{r:05d}·{k:03d}" for k, r in enumerate(rows)]
    copies = FeatureTable(table.values.iloc[rows].set_axis(names), table.features)
    build(settings()).fit(copies, outcome.take(rows), seed=3)
    order = np.argsort(names, kind="stable")
    patient = rows[order]
    if not nodes:
        time_days = outcome.take(rows).take(order).time_days
        patient = patient[np.argsort(time_days, kind="stable")]
    (folds,) = seen
    assert folds.shape == (2, 200)
    for fold in folds:
        assert all(len(set(fold[patient == p])) == 1 for p in patient)
        assert len(set(fold)) == 5


def test_too_few_events_are_refused_by_name():
    table, outcome = cohort()
    status = np.zeros(300, dtype=np.int8)
    status[np.flatnonzero(outcome.status == 1)[:2]] = 1
    with pytest.raises(FitError, match="too few to choose penalties") as caught:
        build(settings()).fit(table, replace(outcome, status=status), seed=3)
    assert "ridge" in str(caught.value)


def test_nothing_to_penalise_is_refused():
    none = dict.fromkeys(MODALITIES, 0.0)
    with pytest.raises(FitError, match="no modality of the penalised model"):
        build(settings(penalty_factors=none))


def test_what_each_modality_adds_makes_up_the_linear_predictor(fitted):
    table, _, model = fitted
    assert fuses(model)
    parts = contributions(model, table)
    assert list(parts) == list(MODALITIES)
    np.testing.assert_allclose(sum(parts.values()), model.score(table)[:, 0], atol=1e-12)
    assert parts["spatial"].std() > parts["noise"].std()
    alone = build(ModelSettings(kind="elastic_net_cox", name="m")).fit(*cohort(), seed=3)
    assert not fuses(alone)
    with pytest.raises(FitError, match="does not tell what each modality adds"):
        contributions(alone, table)
