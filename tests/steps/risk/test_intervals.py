"""The step that gives patients their intervals."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from metasight.cohort.outcome import SurvivalOutcome
from metasight.cohort.splits import repeated_kfold
from metasight.engine.step import StepKind
from metasight.features.columns import Feature, FeatureTable, Kind
from metasight.models.patient_interval import FittedIntervals
from metasight.models.settings import ModelSettings
from metasight.steps import artefacts
from metasight.steps.risk import intervals
from metasight.steps.risk.intervals import IntervalArgument, fit_intervals
from steps.analysed import data_of
from worked import inputs_of


@pytest.fixture
def inputs(tmp_path, monkeypatch):
    """A step's inputs whose data are made up: 150 patients, about half with an event by 5 years."""
    rng = np.random.default_rng(1)
    index = pd.Index([f"P{i:04d}" for i in range(150)], name="patient")
    values = pd.DataFrame(rng.normal(size=(150, 3)), columns=["a", "b", "c"], index=index)
    onset = rng.exponential(2500 * np.exp(-values["a"].to_numpy()))
    outcome = SurvivalOutcome(np.minimum(onset, 3000.0) + 1, (onset <= 3000).astype(np.int8))
    features = tuple(Feature(name=c, kind=Kind.CONTINUOUS, modality="clinical") for c in values)
    data = data_of(FeatureTable(values, features), outcome, ["North"] * 150, "dmfs")
    splits = repeated_kfold(data.patients, outcome.status, folds=4, repeats=2, seed=1)
    folder = tmp_path / "data"
    folder.mkdir()
    artefacts.DATA.write(folder, {"horizons_days": [1826]})
    monkeypatch.setattr(intervals, "load_data", lambda _: (data, splits, np.array([1826])))
    return data, inputs_of(StepKind.CUT_DATA, {"data": folder})


def argument(**changes):
    model = ModelSettings(kind="elastic_net_cox", name="net", **changes)
    return IntervalArgument(data="data", model=model, refits=100, seed=3)


def test_every_patient_has_an_interval_and_a_new_one_can_get_it(inputs, tmp_path):
    data, read = inputs
    fit_intervals(read, tmp_path, argument())
    own = pd.read_parquet(artefacts.OWN_INTERVALS.path(tmp_path))
    assert sorted(own["patient"]) == sorted(data.patients)
    assert set(own["target"]) == {"1826"}
    assert (own["lower"] < own["upper"]).all()
    told = artefacts.INTERVALS.read(tmp_path)
    assert len(FittedIntervals.from_state(told).refits["1826"]) == 100


def test_a_model_that_reads_images_leaves_nothing(inputs, tmp_path):
    from metasight.features.bags import MODALITY

    fit_intervals(inputs[1], tmp_path, argument(modalities=("clinical", MODALITY)))
    assert not artefacts.OWN_INTERVALS.is_in(tmp_path)
    assert not artefacts.INTERVALS.is_in(tmp_path)


def test_rows_that_cannot_be_fitted_are_recorded(inputs, tmp_path):
    fit_intervals(inputs[1], tmp_path, argument(features=("absent",)))
    assert "absent" in artefacts.FAILURE.read(tmp_path)["reason"]
    assert not artefacts.INTERVALS.is_in(tmp_path)
