"""Whether performance depends on how missing predictors are imputed: multiple beside single."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from metasight.predictions import Predictions
from metasight.validation.bootstrap import Draws, draw, to_metric
from metasight.validation.compare import bootstrap_contrast
from metasight.validation.json_tree import from_jsonable, to_jsonable
from metasight.validation.ordering import Floats
from metasight.validation.results import ContrastMetric, EvaluationPlan, Metric
from metasight.validation.samples import concordance_samples, target_samples
from metasight.validation.subgroups import headline_number, headline_target
from metasight.validation.table import Aligned, align

_NO_PAIR = "no pair of patients of one fold can be compared"
_MULTIPLE = "\x1fmultiple"
"""Ends the name of a model's predictions over imputations while both are aligned."""


@dataclass(frozen=True, kw_only=True)
class ImputedMeasure:
    """One measure of one model, or its difference between two.

    Attributes
    ----------
    single, multiple
        With gaps filled as the model fills them, and over multiple imputations.
    change
        Multiple minus single, on the same patients and resamples.
    """

    single: Metric
    multiple: Metric
    change: ContrastMetric


@dataclass(frozen=True, kw_only=True)
class ImputedDifference:
    """As :class:`ImputedMeasure`, of the headline model minus a reference."""

    reference: str
    measure: str
    single: ContrastMetric
    multiple: ContrastMetric
    change: ContrastMetric


@dataclass(frozen=True, kw_only=True)
class ImputedModel:
    """One model: C, and AUC at the headline target.

    ``complete`` tells that no predictor of it is missing, so that nothing changes.
    """

    model: str
    complete: bool
    discrimination: ImputedMeasure
    auc: ImputedMeasure


@dataclass(frozen=True, kw_only=True)
class ImputedEvaluation:
    """Out-of-fold performance over multiple imputations, beside single imputation.

    Attributes
    ----------
    imputations
        Of each fold's training and test side.
    target
        Of the AUC.
    n
        Patients.
    models
        Refitted to every imputation, or complete.
    differences
        Of the headline model to its references; empty where one of them is neither.
    """

    imputations: int
    target: str
    n: int
    models: tuple[ImputedModel, ...]
    differences: tuple[ImputedDifference, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return to_jsonable(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ImputedEvaluation:
        """What :meth:`to_json` gave."""
        return from_jsonable(cls, data)


def evaluate_imputed(
    single: Predictions,
    multiple: Predictions,
    plan: EvaluationPlan,
    *,
    imputations: int,
    complete: Sequence[str] = (),
) -> ImputedEvaluation:
    """Judge models that were refitted to imputations.

    Parameters
    ----------
    single, multiple
        The same folds and patients, with single imputation and over imputations.
    plan
        Of the evaluation.
    imputations
        That ``multiple`` rests on.
    complete
        Models without a missing predictor, whose predictions over imputations are the single ones.

    Raises
    ------
    EvaluationError
        No patient is predicted by all, as :func:`metasight.validation.table.align`.
    """
    names = [m for m in single.models if m in multiple.models or m in complete]
    own = single.table[single.table["model"].isin(names)]
    unchanged = own[own["model"].isin(set(complete))]
    over = pd.concat([multiple.table, unchanged], ignore_index=True)
    renamed = over.assign(model=over["model"].astype(str) + _MULTIPLE)
    aligned = align(Predictions(pd.concat([own, renamed], ignore_index=True)), plan)
    draws = draw(aligned.n, plan.n_bootstrap, plan.seed)
    c = {name: _concordance(aligned, name, draws, plan) for name in aligned.models}
    auc = {name: _auc(aligned, name, draws) for name in aligned.models}
    lead = plan.headline_model
    references = [
        m for m in (plan.reference_model, *plan.also_against) if m in names and lead in names
    ]
    return ImputedEvaluation(
        imputations=imputations,
        target=headline_target(aligned).name,
        n=aligned.n,
        models=tuple(
            ImputedModel(
                model=name,
                complete=name in complete,
                discrimination=_measure(c, name, plan),
                auc=_measure(auc, name, plan),
            )
            for name in names
        ),
        differences=tuple(
            _difference(found, measure, lead, reference, plan)
            for reference in references
            if reference != lead
            for measure, found in (("C", c), ("AUC", auc))
        ),
    )


def _concordance(aligned: Aligned, name: str, draws: Draws, plan: EvaluationPlan) -> Floats:
    return concordance_samples(aligned, aligned.models[name], draws, plan.tau_days, censoring=False)


def _auc(aligned: Aligned, name: str, draws: Draws) -> Floats:
    k, model = headline_number(aligned), aligned.models[name]
    return target_samples(
        aligned.targets[k], model.risk[:, k], model.strata, draws, (), calibrate=False
    ).auc


def _measure(found: Mapping[str, Floats], name: str, plan: EvaluationPlan) -> ImputedMeasure:
    single, multiple = found[name], found[name + _MULTIPLE]
    return ImputedMeasure(
        single=to_metric(single, plan.confidence, _NO_PAIR),
        multiple=to_metric(multiple, plan.confidence, _NO_PAIR),
        change=_contrast(multiple - single, plan),
    )


def _difference(
    found: Mapping[str, Floats], measure: str, model: str, reference: str, plan: EvaluationPlan
) -> ImputedDifference:
    single = found[model] - found[reference]
    multiple = found[model + _MULTIPLE] - found[reference + _MULTIPLE]
    return ImputedDifference(
        reference=reference,
        measure=measure,
        single=_contrast(single, plan),
        multiple=_contrast(multiple, plan),
        change=_contrast(multiple - single, plan),
    )


def _contrast(gap: Floats, plan: EvaluationPlan) -> ContrastMetric:
    return bootstrap_contrast(
        float(gap[0]), np.asarray(gap[1:]), confidence=plan.confidence, higher_is_better=True
    )
