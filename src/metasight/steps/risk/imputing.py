"""Models over multiple imputations: refits in each fold, coefficients, and what they come to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from metasight.engine.step import Inputs, StepKind
from metasight.errors import EvaluationError, FitError
from metasight.features.columns import CENTRE
from metasight.features.multiple_imputation import MultipleImputer, incomplete
from metasight.models import crossfit
from metasight.models.pooled_coefficients import pooled_coefficients
from metasight.models.registry import associations, build, reads
from metasight.models.settings import ModelSettings
from metasight.predictions import Predictions
from metasight.steps import artefacts
from metasight.steps.cohort.data import load_data
from metasight.validation.imputed import evaluate_imputed
from metasight.validation.results import EvaluationPlan


@dataclass(frozen=True, kw_only=True)
class ImputeArgument:
    """What is imputed and refitted.

    Attributes
    ----------
    data
        Name of the analysis-data step among the inputs.
    models
        Refitted to every imputation; together they say which features an imputation reads.
    imputations
        2 or more.
    seed
        Of the study.
    """

    data: str
    models: tuple[ModelSettings, ...]
    imputations: int
    seed: int


@dataclass(frozen=True, kw_only=True)
class ImputeFoldArgument(ImputeArgument):
    """One fold of the first repeat."""

    fold: int


@dataclass(frozen=True, kw_only=True)
class CoefficientsArgument(ImputeArgument):
    """All patients.

    Attributes
    ----------
    reference
        The study's reference model, whose predictors' coefficients are pooled.
    complete
        Models of which no predictor is missing: nothing in them changes.
    left_out
        Model that is not refitted → why.
    """

    reference: ModelSettings
    complete: tuple[str, ...]
    left_out: Mapping[str, str]


def impute_fold(inputs: Inputs, out: Path, argument: ImputeFoldArgument) -> None:
    """Write ``predictions.parquet`` of every model, or ``skipped.json`` with the reason."""
    data, splits, _ = load_data(inputs[argument.data])
    reported = artefacts.DATA.read(inputs[argument.data])["horizons_days"]
    place = ("kfold", 0, argument.fold)
    split = next((s for s in splits if (s.scheme, s.repeat, s.fold) == place), None)
    if split is None:
        return  # fewer folds were cut than asked for
    try:
        parts = crossfit.fit_imputed_fold(
            # what a model abstains from is not asked: all are judged on the same patients
            [build(m.model_copy(update={"abstain_by": ()})) for m in argument.models],
            data,
            split,
            np.array(reported, dtype=np.int64),
            imputer=_imputer(data, argument.models),
            imputations=argument.imputations,
            seed=argument.seed,
        )
    except FitError as error:
        artefacts.SKIPPED.write(out, f"fold {argument.fold}: {error}")
        return
    Predictions.concat(parts).to_parquet(artefacts.PREDICTIONS.path(out))


def _imputer(data: crossfit.Data, models: tuple[ModelSettings, ...]) -> MultipleImputer:
    """An imputation reads what the models read."""
    features = data.features.features
    read = {name for m in models for name in reads(m, features)} - {CENTRE}
    return MultipleImputer(features=tuple(f.name for f in features if f.name in read))


def impute_coefficients(inputs: Inputs, out: Path, argument: CoefficientsArgument) -> None:
    """Write ``pooled.json``: coefficients of the reference's predictors, or why there are none."""
    data, _, _ = load_data(inputs[argument.data])
    imputer = _imputer(data, (argument.reference, *argument.models))
    told = {
        "imputations": argument.imputations,
        "complete": list(argument.complete),
        "left_out": dict(argument.left_out),
        "predictors": sum(f.name in imputer.features for f in incomplete(data.features)),
        "reference": argument.reference.name,
        "coefficients": None,
        "skipped": "",
    }
    preparation = associations(argument.reference)
    if argument.reference.name in argument.complete:
        told["skipped"] = "none of its predictors has a missing value"
    elif preparation is None:
        told["skipped"] = "those of a published score are given, not estimated"
    else:
        try:
            told["coefficients"] = pooled_coefficients(
                preparation,
                data.features,
                data.outcome,
                imputer=imputer,
                imputations=argument.imputations,
                seed=crossfit.fold_seed(argument.seed, "imputation", "coefficients"),
            ).to_json()
        except FitError as error:
            told["skipped"] = str(error)
    artefacts.POOLED.write(out, told)


def judge_imputed(inputs: Inputs, out: Path, cross: Predictions, plan: EvaluationPlan) -> None:
    """Performance over imputations beside that of the same folds, if it was planned."""
    steps = inputs.of(StepKind.FIT_IMPUTED)
    pooled = [artefacts.POOLED.read(i.folder) for i in steps if artefacts.POOLED.is_in(i.folder)]
    if not pooled:
        return
    told = {**pooled[0], "performance": None, "not_judged": ""}
    artefacts.IMPUTED.write(out, told | _performance(inputs, cross, plan, told))


def _performance(
    inputs: Inputs, cross: Predictions, plan: EvaluationPlan, told: Mapping[str, Any]
) -> dict[str, object]:
    failed = [
        str(artefacts.SKIPPED.read(i.folder))
        for i in inputs.with_file(StepKind.FIT_IMPUTED, artefacts.SKIPPED.name)
    ]
    made = inputs.with_file(StepKind.FIT_IMPUTED, artefacts.PREDICTIONS.name)
    if failed or not made:
        return {"not_judged": failed[0] if failed else "no model is refitted"}
    multiple = Predictions.concat(
        Predictions.from_parquet(artefacts.PREDICTIONS.path(i.folder)) for i in made
    )
    single = Predictions(cross.table[cross.table["repeat"] == 0])
    try:
        found = evaluate_imputed(
            single, multiple, plan, imputations=told["imputations"], complete=told["complete"]
        )
    except EvaluationError as error:
        return {"not_judged": str(error)}
    return {"performance": found.to_json()}
