"""The step that gives patients their intervals."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from metasight.cohort.splits import repeated_kfold
from metasight.engine.step import StepKind
from metasight.models.patient_interval import FittedIntervals
from metasight.models.settings import ModelSettings
from metasight.steps import artefacts
from metasight.steps.risk import intervals
from metasight.steps.risk.intervals import IntervalArgument, fit_intervals
from steps.analysed import followed
from worked import inputs_of


@pytest.fixture
def inputs(tmp_path, monkeypatch):
    """A step's inputs whose data are made up."""
    data = followed()
    splits = repeated_kfold(data.patients, data.outcome.status, folds=4, repeats=2, seed=1)
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
    failure = artefacts.FAILURE.read(tmp_path)
    assert "absent" in failure["value"]
    assert (failure["stage"], failure["criterion"]) == ("patient intervals data", "net")
    assert not artefacts.INTERVALS.is_in(tmp_path)
