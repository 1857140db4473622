"""What fits leave for the steps that judge them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from metasight.cohort.outcome import NodalOutcome
from metasight.cohort.splits import repeated_kfold
from metasight.engine.step import StepKind
from metasight.leakage import folds_disjoint
from metasight.models import crossfit
from metasight.models.registry import build
from metasight.models.settings import ModelSettings
from metasight.predictions import Predictions
from metasight.steps import artefacts
from metasight.steps.risk import fitting
from metasight.steps.risk.fitting import FitArgument, pairs, ranking_of
from steps.analysed import data_of, followed
from worked import inputs_of

HORIZON = 2000
COX = ModelSettings(kind="cox", name="cox", modalities=("clinical", "image"))


@pytest.fixture
def read(tmp_path, monkeypatch):
    """Data of a step, its splits, and the inputs that a fit reads."""

    def of(data, reported):
        strata = getattr(data.outcome, "status", getattr(data.outcome, "stage", None))
        splits = repeated_kfold(data.patients, strata, folds=4, repeats=2, seed=1)
        folder = tmp_path / "data"
        folder.mkdir()
        artefacts.DATA.write(folder, {"horizons_days": reported})
        grid = np.array([500, *reported] if reported else [], dtype=np.int64)
        monkeypatch.setattr(fitting, "load_data", lambda _: (data, splits, grid))
        return splits, inputs_of(StepKind.CUT_DATA, {"data": folder})

    return of


def test_pairs_rank_the_patients_of_both_folds_by_a_model_that_saw_neither(read, tmp_path):
    data = followed()
    splits, inputs = read(data, [1000, HORIZON])
    pairs(inputs, tmp_path, FitArgument(data="data", model=COX, seed=3, repeat=1))
    found = pd.read_parquet(artefacts.PAIRS.path(tmp_path))
    assert set(found["repeat"]) == {1}
    assert len(found) == 3 * len(data.patients)
    division = [s for s in splits if s.repeat == 1]
    a, b = division[0], division[2]
    train = sorted(set(a.train) & set(b.train))
    fitted = build(COX).fit(*data.take(train), seed=0)  # Cox draws nothing
    rows = found[(found["fold"] == 2) & (found["other"] == 0)].set_index("patient")
    assert sorted(rows.index) == sorted(b.test)
    expected = fitted.predict(data.features.rows(list(b.test)), np.array([HORIZON]))[:, 0]
    assert rows.loc[list(b.test), "ranking"].to_numpy() == pytest.approx(expected, abs=1e-9)


def test_who_was_handed_to_each_fit_of_a_pair_is_written_down(read, tmp_path):
    data = followed()
    splits, inputs = read(data, [HORIZON])
    pairs(inputs, tmp_path, FitArgument(data="data", model=COX, seed=3, repeat=1))
    audits = artefacts.PAIR_AUDITS.read(tmp_path)
    assert len(audits) == 6
    predicted = [s for s in splits if s.repeat == 1]
    told = Predictions.concat(
        crossfit.fit_fold(build(COX), data, s, np.array([HORIZON]), seed=3).predictions
        for s in predicted
    )
    check = folds_disjoint(splits, audits, told)
    assert check.verdict == "pass"
    assert "6 of them without a pair of folds" in check.finding
    other = [a | {"repeat": 0} for a in audits]  # as if handed the patients of other folds
    assert folds_disjoint(splits, other, told).verdict == "fail"


def test_a_stage_is_ranked_by_its_expectation(read, tmp_path):
    data = followed()
    stage = np.random.default_rng(2).integers(0, 3, len(data.patients)).astype(np.int8)
    nodal = data_of(data.features, NodalOutcome(stage), ["North"] * len(stage))
    splits, inputs = read(nodal, [])
    model = ModelSettings(kind="ordinal", name="ordinal")
    fold = crossfit.fit_fold(build(model), nodal, splits[0], np.array([], dtype=int), seed=1)
    risk = fold.fitted.predict(nodal.features.rows(splits[0].test), np.array([], dtype=int))
    expected = dict(zip(splits[0].test, risk @ [0, 1, 2], strict=True))
    assert ranking_of(fold.predictions).to_dict() == pytest.approx(expected)
    pairs(inputs, tmp_path, FitArgument(data="data", model=model, seed=3))
    found = pd.read_parquet(artefacts.PAIRS.path(tmp_path))
    assert found["ranking"].between(0, 2).all()


def test_a_pair_that_cannot_be_fitted_is_a_row_of_the_ledger(read, tmp_path):
    _, inputs = read(followed(), [HORIZON])
    absent = COX.model_copy(update={"features": ("absent",)})
    pairs(inputs, tmp_path, FitArgument(data="data", model=absent, seed=3))
    assert not artefacts.PAIRS.is_in(tmp_path)
    assert artefacts.FAILURE.read(tmp_path)["stage"] == "pair of folds data"
