"""An interval of a difference that counts the fitting, from the folds of a cross-validation.

A bootstrap of patients holds the fitted models fixed. It says how these models compare in other
patients; what a refit to other training patients would move is not in it, and an increment that is
quoted for a procedure needs it. Differences of folds vary by both, but training sets overlap, so
their variance is raised by the share of patients that a fold tests (Nadeau and Bengio).
"""

from __future__ import annotations

import numpy as np
from scipy.stats import t as student

from metasight.validation.fold_contrast import FoldContrast
from metasight.validation.ordering import Floats
from metasight.validation.results import (
    EvaluationPlan,
    FoldContrastMetric,
    NotEstimable,
)
from metasight.validation.table import Aligned

_LEAST_FOLDS = 5
_LEAST_SHARE = 0.8
"""Of folds in which the measure is defined."""


def nadeau_bengio(
    difference: float, by_fold: Floats, *, test_share: float, confidence: float
) -> FoldContrastMetric:
    """Interval of a cross-validated difference by the corrected resampled t test.

    Parameters
    ----------
    difference
        The estimate.
    by_fold
        The difference in every fold of every repeat, shape ``(folds,)``; NaN where a fold has no
        value.
    test_share
        Patients tested over patients trained on, in a fold: 1 / (k − 1) in k folds.
    confidence
        Level of the interval.

    Returns
    -------
    FoldContrast or NotEstimable
        Not estimable in fewer than five folds, or where more than a fifth have no value.

    References
    ----------
    Nadeau and Bengio, Machine Learning 2003;52:239; Bouckaert and Frank 2004 (repeats).
    """
    known = by_fold[np.isfinite(by_fold)]
    if known.size < max(_LEAST_FOLDS, _LEAST_SHARE * by_fold.size):
        return NotEstimable(not_estimable=f"{known.size} of {by_fold.size} folds have a value")
    if not np.isfinite(difference):
        return NotEstimable(not_estimable="one of the two models has no estimate")
    se = float(np.sqrt((1 / known.size + test_share) * known.var(ddof=1)))
    reach = float(student.ppf(0.5 + confidence / 2, known.size - 1)) * se
    return FoldContrast(
        difference=difference,
        lower=difference - reach,
        upper=difference + reach,
        se=se,
        folds=int(known.size),
    )


def fold_contrast(
    aligned: Aligned,
    name: str,
    difference: float,
    by_fold: tuple[Floats, Floats],
    plan: EvaluationPlan,
) -> FoldContrastMetric:
    """The difference in C between a model and the plan's reference, with that interval.

    Parameters
    ----------
    aligned, name
        Everybody, and the model.
    difference
        The estimate.
    by_fold
        C of the model and of the reference in every fold of every repeat.
    plan
        Names the reference and the level of the interval.
    """
    strata = aligned.models[name].strata
    if aligned.n_folds < 2:
        return NotEstimable(not_estimable="nothing was fitted in these patients")
    if not np.array_equal(strata, aligned.models[plan.reference_model].strata):
        return NotEstimable(not_estimable="the models were fitted in other folds")
    tested = np.concatenate([np.bincount(folds) for folds in strata])
    shares = tested / np.maximum(aligned.n - tested, 1)
    return nadeau_bengio(
        difference,
        by_fold[0] - by_fold[1],
        test_share=float(shares.mean()),
        confidence=plan.confidence,
    )
