"""Refits to imputations of one fold, coefficients, and what they come to."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from metasight.cohort.splits import repeated_kfold
from metasight.engine.step import Input, Inputs, StepKind
from metasight.features.columns import FeatureTable
from metasight.models import crossfit
from metasight.models.pooled_coefficients import PooledCoefficients
from metasight.models.registry import build
from metasight.models.settings import ModelSettings
from metasight.predictions import Predictions
from metasight.steps import artefacts
from metasight.steps.risk import imputing
from metasight.steps.risk.imputing import (
    CoefficientsArgument,
    ImputeFoldArgument,
    impute_coefficients,
    impute_fold,
    judge_imputed,
)
from metasight.validation.imputed import ImputedEvaluation
from metasight.validation.results import EvaluationPlan
from steps.analysed import followed

HORIZON = 2000
FUSED = ModelSettings(kind="cox", name="fused", modalities=("clinical", "image"))
CLINICAL = ModelSettings(kind="cox", name="clinical")
PLAN = EvaluationPlan(
    endpoint="dmfs",
    horizons_days=(HORIZON,),
    tau_days=float(HORIZON),
    reference_model="clinical",
    headline_model="fused",
    n_bootstrap=20,
)


def gapped() -> crossfit.Data:
    """A third of the patients lack one predictor of the images."""
    data = followed()
    values = data.features.values.copy()
    values.loc[np.random.default_rng(0).random(len(values)) < 0.3, "c"] = np.nan
    return replace(data, features=FeatureTable(values, data.features.features))


@pytest.fixture
def work(tmp_path, monkeypatch):
    data = gapped()
    splits = repeated_kfold(data.patients, data.outcome.status, folds=4, repeats=2, seed=1)
    folder = tmp_path / "data"
    folder.mkdir()
    artefacts.DATA.write(folder, {"horizons_days": [HORIZON]})
    cut = Input(name="data", kind=StepKind.CUT_DATA, subject="", folder=folder)
    monkeypatch.setattr(imputing, "load_data", lambda _: (data, splits, np.array([HORIZON])))
    return data, splits, Inputs((cut,))


TOLD = {"data": "data", "imputations": 3, "seed": 2}


def fold_of(k: int, models=(FUSED,)) -> ImputeFoldArgument:
    return ImputeFoldArgument(**TOLD, models=models, fold=k)


def coefficients_of(reference=FUSED, complete=("clinical",), **changes) -> CoefficientsArgument:
    told = {**TOLD, "models": (FUSED,), "left_out": {}, **changes}
    return CoefficientsArgument(**told, reference=reference, complete=complete)


def carried_out(work, tmp_path, folds=4) -> Inputs:
    _, _, inputs = work
    found = [*inputs.of(StepKind.CUT_DATA)]
    for k in range(folds + 1):
        place = tmp_path / f"step {k}"
        place.mkdir()
        if k < folds:
            impute_fold(inputs, place, fold_of(k))
        else:
            impute_coefficients(inputs, place, coefficients_of())
        found.append(Input(name=f"{k}", kind=StepKind.FIT_IMPUTED, subject="", folder=place))
    return Inputs(tuple(found))


def single(work) -> Predictions:
    data, splits, _ = work
    return Predictions.concat(
        crossfit.fit_fold(build(m), data, s, np.array([HORIZON]), seed=2).predictions
        for m in (CLINICAL, FUSED)
        for s in splits
    )


def test_a_fold_is_predicted_by_every_model_and_the_same_again(work, tmp_path):
    _, splits, inputs = work
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        impute_fold(inputs, tmp_path / name, fold_of(1))
    one, two = (artefacts.PREDICTIONS.path(tmp_path / n).read_bytes() for n in ("one", "two"))
    assert one == two
    found = Predictions.from_parquet(artefacts.PREDICTIONS.path(tmp_path / "one"))
    assert sorted(found.table["patient"]) == sorted(splits[1].test)
    assert found.models == ("fused",)


def test_performance_is_beside_that_of_the_first_repeat(work, tmp_path):
    inputs = carried_out(work, tmp_path)
    judge_imputed(inputs, tmp_path, single(work), PLAN)
    told = artefacts.IMPUTED.read(tmp_path)
    found = ImputedEvaluation.from_json(told["performance"])
    by_name = {m.model: m for m in found.models}
    assert by_name["clinical"].complete
    assert by_name["clinical"].discrimination.change.difference == 0
    assert by_name["fused"].discrimination.change.difference != 0
    assert found.imputations == 3
    assert {d.reference for d in found.differences} == {"clinical"}
    pooled = PooledCoefficients.from_json(told["coefficients"])
    assert [c.name for c in pooled.coefficients] == ["a", "b", "c", "d"]
    assert told["predictors"] == 1


def test_coefficients_of_a_complete_reference_or_a_published_score_are_not_pooled(work, tmp_path):
    _, _, inputs = work
    impute_coefficients(inputs, tmp_path, coefficients_of(reference=CLINICAL))
    told = artefacts.POOLED.read(tmp_path)
    assert (told["coefficients"], told["skipped"]) == (
        None,
        "none of its predictors has a missing value",
    )
    score = ModelSettings(kind="npi", name="NPI")
    impute_coefficients(inputs, tmp_path, coefficients_of(reference=score, complete=()))
    assert "published score" in artefacts.POOLED.read(tmp_path)["skipped"]


def test_a_fold_that_cannot_be_fitted_is_told_and_nothing_is_compared(work, tmp_path, monkeypatch):
    data, splits, _ = work
    inputs = carried_out(work, tmp_path)
    none = replace(data.outcome, status=np.zeros_like(data.outcome.status))
    monkeypatch.setattr(
        imputing,
        "load_data",
        lambda _: (replace(data, outcome=none), splits, np.array([HORIZON])),
    )
    broken = tmp_path / "step 0"
    artefacts.PREDICTIONS.path(broken).unlink()
    impute_fold(inputs, broken, fold_of(0))
    judge_imputed(inputs, tmp_path, single(work), PLAN)
    told = artefacts.IMPUTED.read(tmp_path)
    assert told["performance"] is None
    assert "fold 0" in told["not_judged"]
    assert "event" in told["not_judged"]


def test_without_a_model_to_refit_only_coefficients_are_told(work, tmp_path):
    _, _, inputs = work
    place = tmp_path / "only"
    place.mkdir()
    impute_coefficients(
        inputs, place, coefficients_of(models=(), left_out={"fused": "it takes too long"})
    )
    step = Input(name="c", kind=StepKind.FIT_IMPUTED, subject="", folder=place)
    judge_imputed(Inputs((step,)), tmp_path, single(work), PLAN)
    told = artefacts.IMPUTED.read(tmp_path)
    assert (told["performance"], told["not_judged"]) == (None, "no model is refitted")
    assert told["left_out"] == {"fused": "it takes too long"}
    assert told["coefficients"] is not None


def test_where_no_imputation_was_planned_nothing_is_written(work, tmp_path):
    _, _, inputs = work
    judge_imputed(inputs, tmp_path, Predictions(pd.DataFrame(single(work).table)), PLAN)
    assert not artefacts.IMPUTED.is_in(tmp_path)
