"""One permutation of the added modality's rows."""

from __future__ import annotations

import numpy as np
import pytest

from metasight.cohort.splits import repeated_kfold
from metasight.engine.step import Input, Inputs, StepKind
from metasight.models import crossfit
from metasight.models.registry import build
from metasight.models.settings import ModelSettings
from metasight.predictions import Predictions
from metasight.steps import artefacts
from metasight.steps.risk import permuting
from metasight.steps.risk.permuting import STRATA, PermuteArgument, permute, risk_strata
from metasight.validation.permutation import increment_of
from metasight.validation.results import EvaluationPlan
from steps.analysed import followed

HORIZON = 2000
FUSED = ModelSettings(kind="cox", name="fused", modalities=("clinical", "image"))
CLINICAL = ModelSettings(kind="cox", name="clinical")


@pytest.fixture
def work(tmp_path, monkeypatch):
    """Data, splits, and inputs with the reference's fits of two repeats."""
    data = followed()
    splits = repeated_kfold(data.patients, data.outcome.status, folds=4, repeats=2, seed=1)
    folder = tmp_path / "data"
    folder.mkdir()
    artefacts.DATA.write(folder, {"horizons_days": [HORIZON]})
    found = [Input(name="data", kind=StepKind.CUT_DATA, subject="data", folder=folder)]
    for k, split in enumerate(splits):
        fold = crossfit.fit_fold(build(CLINICAL), data, split, np.array([500, HORIZON]), seed=1)
        place = tmp_path / f"fit {k}"
        place.mkdir()
        fold.predictions.to_parquet(artefacts.PREDICTIONS.path(place))
        found.append(Input(name=f"fit {k}", kind=StepKind.FIT, subject="clinical", folder=place))
    monkeypatch.setattr(permuting, "load_data", lambda _: (data, splits, np.array([500, HORIZON])))
    return data, splits, Inputs(tuple(found))


def argument(number=0, **changes):
    told = {"model": FUSED, "reference": "clinical", "added": ("image",), **changes}
    return PermuteArgument(data="data", seed=3, number=number, **told)


def test_strata_are_fifths_of_the_references_risk_of_the_first_repeat(work):
    data, splits, inputs = work
    strata = risk_strata(inputs, "clinical", data.patients, [HORIZON])
    assert np.bincount(strata).tolist() == [30] * STRATA
    risk = np.empty(len(data.patients))
    for split in splits[:4]:
        fold = crossfit.fit_fold(build(CLINICAL), data, split, np.array([HORIZON]), seed=1)
        risk[data.positions(split.test)] = fold.predictions.table["risk"]
    assert [risk[strata == k].max() for k in range(4)] <= [
        risk[strata == k].min() for k in range(1, 5)
    ]
    assert risk_strata(inputs, "another", data.patients, [HORIZON]) is None


def test_what_the_images_told_is_gone_and_everybody_is_predicted(work, tmp_path):
    data, splits, inputs = work
    permute(inputs, tmp_path, argument())
    found = Predictions.from_parquet(artefacts.PREDICTIONS.path(tmp_path))
    assert sorted(found.table["patient"]) == sorted(data.patients)
    assert set(found.table["repeat"]) == {0}
    plan = EvaluationPlan(
        endpoint="dmfs",
        horizons_days=(HORIZON,),
        tau_days=float(HORIZON),
        reference_model="clinical",
        headline_model="fused",
    )

    def fold_of(model, split):
        return crossfit.fit_fold(build(model), data, split, np.array([HORIZON]), seed=3).predictions

    clinical = [fold_of(CLINICAL, s) for s in splits[:4]]
    true = [fold_of(FUSED, s) for s in splits[:4]]
    assert increment_of(Predictions.concat([*true, *clinical]), plan) > 0.05
    assert increment_of(Predictions.concat([found, *clinical]), plan) < 0.05


def test_each_number_is_another_permutation(work, tmp_path):
    _, _, inputs = work
    found = []
    for number in (0, 1, 0):
        permute(inputs, tmp_path, argument(number))
        found.append(Predictions.from_parquet(artefacts.PREDICTIONS.path(tmp_path)).table["risk"])
    assert found[0].equals(found[2])
    assert not found[0].equals(found[1])


def test_a_permutation_that_cannot_be_fitted_is_a_row_of_the_ledger(work, tmp_path):
    model = FUSED.model_copy(update={"features": ("absent",)})
    permute(work[2], tmp_path, argument(model=model))
    assert not artefacts.PREDICTIONS.is_in(tmp_path)
    assert artefacts.FAILURE.read(tmp_path)["stage"] == "permutation data"
