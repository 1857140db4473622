"""A patient's interval: of the true risk, given what was observed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from metasight.cohort.outcome import NodalOutcome, SurvivalOutcome
from metasight.errors import FitError
from metasight.features.columns import Feature, FeatureTable, Kind
from metasight.models import patient_interval as pi
from metasight.models.patient_interval import Bends, FittedIntervals, IntervalModel, seen_by
from metasight.models.preparation import Preparation
from metasight.validation.curves import censoring_survival
from metasight.validation.ipcw import horizon_weights

NO_HORIZON = np.array([], dtype=np.int64)
MODEL = IntervalModel(
    name="fused", preparation=Preparation(modalities=("clinical", "scan")), refits=100
)


def table(n: int, seed: int, p: int = 6) -> FeatureTable:
    x = np.random.default_rng([seed, 1]).normal(size=(n, p))
    names = [f"x{k}" for k in range(p)]
    features = tuple(
        Feature(name=c, kind=Kind.CONTINUOUS, modality="clinical" if k < 3 else "scan")
        for k, c in enumerate(names)
    )
    index = pd.Index([f"P{i:04d}" for i in range(n)], name="patient")
    return FeatureTable(pd.DataFrame(x, columns=names, index=index), features)


def true_risk(features: FeatureTable):
    return expit(-1.2 + features.values.to_numpy() @ [0.6, -0.4, 0.0, 0.3, 0.2, 0.0])


def stages(features: FeatureTable, seed: int) -> NodalOutcome:
    rng = np.random.default_rng([seed, 2])
    positive = rng.random(len(features.values)) < true_risk(features)
    return NodalOutcome(np.where(positive, rng.integers(1, 3, len(positive)), 0).astype(np.int8))


@pytest.fixture(scope="module")
def fitted():
    features = table(400, 1)
    return MODEL.fit(features, stages(features, 1), NO_HORIZON, seed=1)


def test_it_holds_the_true_risk():
    """Ten cohorts; bench/patient_intervals.py judges more."""
    held = []
    for seed in range(10):
        features, new = table(300, seed), table(200, 100 + seed)
        found = MODEL.fit(features, stages(features, seed), NO_HORIZON, seed=seed)
        band = found.bands(new)["N0"]
        free = 1 - true_risk(new)
        held.append(((band.lower <= free) & (free <= band.upper)).mean())
    assert np.mean(held) > 0.90


def test_the_true_risk_of_a_bent_effect_is_held_where_a_straight_one_loses_it():
    features = table(3000, 5)
    x = features.values["x0"].to_numpy()
    risk = expit(-1.2 + 0.8 * (np.minimum(np.abs(x), 2.5) ** 2 - 1))
    rng = np.random.default_rng(6)
    outcome = NodalOutcome((rng.random(3000) < risk).astype(np.int8))
    found = MODEL.fit(features, outcome, NO_HORIZON, seed=1)
    band = found.bands(features)["N0"]
    assert ((band.lower <= 1 - risk) & (1 - risk <= band.upper)).mean() > 0.8
    assert np.corrcoef(band.centre, 1 - risk)[0, 1] > 0.95


def test_targets_are_stages_or_horizons(fitted):
    assert set(fitted.refits) == {"N0", "N1", "N2"}
    features = table(200, 3)
    rng = np.random.default_rng(3)
    time = rng.exponential(900 / true_risk(features))
    follow_up = SurvivalOutcome(np.minimum(time, 3000.0), (time < 3000).astype(np.int8))
    found = MODEL.fit(features, follow_up, np.array([1, 1000]), seed=1)
    assert set(found.refits) == {"1000"}  # nobody has an event on day 1


def test_the_ends_lie_around_the_centre_within_0_and_1(fitted):
    for band in fitted.bands(table(50, 2)).values():
        assert (band.lower > 0).all()
        assert (band.upper < 1).all()
        assert (band.lower < band.centre).all()
        assert (band.centre < band.upper).all()


def test_a_patient_with_less_known_has_an_interval_too(fitted):
    new = table(1, 4)
    lost = FeatureTable(new.values.assign(x0=np.nan), new.features)
    assert np.isfinite(fitted.bands(lost)["N0"].upper).all()


def test_its_state_gives_the_same_intervals(fitted):
    again = FittedIntervals.from_state(fitted.state)
    new = table(20, 9)
    for target, band in fitted.bands(new).items():
        np.testing.assert_array_equal(again.bands(new)[target].lower, band.lower)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda s: {**s, "refits": {"N0": [r[:-1] for r in s["refits"]["N0"]]}},
        lambda s: {**s, "refits": {"N0": s["refits"]["N0"][:50]}},
        lambda s: {**s, "refits": {"N0": [[float("nan")] * len(r) for r in s["refits"]["N0"]]}},
        lambda s: {**s, "bends": {**s["bends"], "sd": [0.0] * len(s["bends"]["sd"])}},
        lambda s: {**s, "bends": {**s["bends"], "columns": [99] * len(s["bends"]["columns"])}},
        lambda s: {**s, "bends": {**s["bends"], "mean": s["bends"]["mean"][:-1]}},
        lambda s: {k: v for k, v in s.items() if k != "bends"},
        lambda s: {**s, "reader": {}},
    ],
)
def test_a_spoilt_state_is_refused(fitted, spoil):
    with pytest.raises(FitError, match="are damaged"):
        FittedIntervals.from_state(spoil(fitted.state))


def test_too_few_events_give_no_interval():
    features = table(100, 1)
    stage = np.zeros(100, dtype=np.int8)
    stage[: pi.FEWEST_EVENTS - 1] = 1
    found = MODEL.fit(features, NodalOutcome(stage), NO_HORIZON, seed=1)
    assert found.refits == {}
    assert found.bands(features) == {}


def test_unexamined_nodes_teach_nothing():
    features = table(300, 1)
    outcome = stages(features, 1)
    more = table(400, 1)
    assert (more.values.iloc[:300].to_numpy() == features.values.to_numpy()).all()
    unseen = NodalOutcome(np.concatenate([outcome.stage, np.full(100, -1, dtype=np.int8)]))
    a = MODEL.fit(features, outcome, NO_HORIZON, seed=1)
    b = MODEL.fit(more, unseen, NO_HORIZON, seed=1)
    assert a.state == b.state


def test_the_order_of_the_table_changes_nothing(fitted):
    features = table(400, 1)
    outcome = stages(features, 1)
    order = np.random.default_rng(0).permutation(400)
    turned = FeatureTable(features.values.iloc[order], features.features)
    assert MODEL.fit(turned, outcome.take(order), NO_HORIZON, seed=1).state == fitted.state


@pytest.mark.parametrize("competing", [False, True])
def test_weights_are_those_of_the_evaluation(competing):
    """The same inverse probabilities as validation.ipcw, ties of events and censoring included."""
    rng = np.random.default_rng(2)
    time = rng.integers(1, 40, 200).astype(float)
    status = rng.choice([0, 1, 2] if competing else [0, 1], 200)
    event, weight = seen_by(SurvivalOutcome(time, status.astype(np.int8)), np.array([20]))["20"]
    wanted = horizon_weights(time, status, 20.0)
    assert weight == pytest.approx(wanted.case + wanted.control)
    assert (event == ((time <= 20) & (status == 1))).all()
    assert weight.sum() == pytest.approx(200, rel=0.02)
    assert censoring_survival(time, status).at(20.0) < 1


def test_a_column_of_two_values_has_no_bend():
    x = np.column_stack([np.linspace(-1, 2, 30), np.arange(30) % 2])
    bends = Bends.of(x, np.zeros(2, dtype=np.intp))
    assert bends.columns.tolist() == [0]
    added = bends.added(x)
    assert added.shape == (30, 3)
    assert added[:, 2].mean() == pytest.approx(0)


def test_features_of_two_values_alone_have_an_interval():
    features = table(200, 8)
    binary = FeatureTable(
        (features.values > 0).astype(float),
        tuple(replace(f, kind=Kind.BINARY) for f in features.features),
    )
    found = MODEL.fit(binary, stages(features, 8), NO_HORIZON, seed=1)
    assert len(found.bends.columns) == 0
    band = found.bands(binary)["N0"]
    assert (band.lower < band.upper).all()
    assert FittedIntervals.from_state(found.state).refits.keys() == found.refits.keys()


def test_bends_of_the_first_modality_come_first(monkeypatch):
    monkeypatch.setattr(pi, "MOST_BENDS", 2)
    x = np.random.default_rng(1).normal(size=(40, 4))
    assert Bends.of(x, np.array([1, 1, 0, 1])).columns.tolist() == [2, 0]


def test_too_few_refits_are_refused():
    with pytest.raises(FitError, match="too few refits"):
        IntervalModel(name="fused", preparation=Preparation(modalities=("clinical",)), refits=99)
