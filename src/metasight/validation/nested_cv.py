"""An interval of a difference in C that counts the fitting, by nested cross-validation.

What a refit to other training patients moves is measured, not inferred from a share of overlap:
in every division into K folds the models are fitted without each fold and without each pair of
folds. Of one outer fold the models that saw neither it nor an inner fold give an estimate, and
the outer fold, which no part of that estimate has seen, says how far the estimate was off. The
mean squared distance, less what the outer fold's own patients add by chance, is the mean squared
error of a cross-validated difference as an estimate of what the procedure does in new patients.

The estimand is the difference of the two procedures, each fitted to as many patients as K − 1 of
K folds hold, in new patients; not of the locked models, which are fitted to all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import norm

from metasight.errors import EvaluationError
from metasight.validation.fold_contrast import NESTED, FoldContrast
from metasight.validation.ordering import COMPETING, EVENT, Floats, Ints
from metasight.validation.results import EvaluationPlan, FoldContrastMetric, NotEstimable
from metasight.validation.samples import in_order
from metasight.validation.table import Aligned

FEWEST_FOLDS = 3
"""With two folds no patient is left to fit to without a pair."""
FEWEST_SPLITS = 3
"""Divisions into folds below which a mean squared error is too uncertain to be reported."""
_LEAST_SHARE = 0.8
"""Of outer folds in which the measures are defined."""


@dataclass(frozen=True, kw_only=True)
class SplitDifferences:
    """Model minus reference in the folds of one division into K folds; NaN where not defined.

    Attributes
    ----------
    outer
        In each fold, by the models fitted to the other K − 1; shape ``(K,)``.
    variance
        Of ``outer`` over patients, with the models held fixed; shape ``(K,)``.
    inner
        ``inner[a, b]``: in fold b, by the models fitted without the folds a and b; shape
        ``(K, K)``. The diagonal is not read.
    """

    outer: Floats
    variance: Floats
    inner: Floats

    def __post_init__(self) -> None:
        k = len(self.outer)
        if k < FEWEST_FOLDS or self.variance.shape != (k,) or self.inner.shape != (k, k):
            raise EvaluationError(
                "nested cross-validation needs the differences of three or more folds, and of "
                "every pair of them",
                value=f"{self.outer.shape}, {self.variance.shape}, {self.inner.shape}",
            )


def paired_difference(
    time: Floats,
    status: Ints,
    first: Floats,
    second: Floats,
    *,
    tau: float | None = None,
) -> tuple[float, float]:
    """Harrell's C of the first risk minus that of the second, and its variance over patients.

    Parameters
    ----------
    time, status
        Of the patients of one fold, shape ``(n,)``; 0 censored, 1 event, 2 competing event, which
        never has the event. A class is given as times that order it.
    first, second
        Risks by two models, shape ``(n,)``.
    tau
        Only events by then open a pair.

    Returns
    -------
    Difference, and its variance by the infinitesimal jackknife; both NaN without a usable pair.
    """
    opens = np.flatnonzero((status == EVENT) & (time <= (np.inf if tau is None else tau)))
    own = time[opens, None]
    usable = (
        (time > own) | ((time == own) & (status == 0)) | ((time <= own) & (status == COMPETING))
    )
    pairs = float(usable.sum())
    if pairs == 0:
        return float("nan"), float("nan")
    gap = np.sign(first[opens, None] - first) - np.sign(second[opens, None] - second)
    difference = float((usable * gap).sum()) / (2 * pairs)
    parts = usable * (gap / 2 - difference) / pairs
    influence = parts.sum(axis=0)
    influence[opens] += parts.sum(axis=1)
    n = len(time)
    return difference, float((influence**2).sum()) * n / max(n - 1, 1)


def nested_cv(
    difference: float, splits: Sequence[SplitDifferences], *, confidence: float
) -> FoldContrastMetric:
    """Interval of a cross-validated difference by nested cross-validation.

    Parameters
    ----------
    difference
        The estimate: of K-fold cross-validation, averaged over the repeats.
    splits
        Of each division into folds, all with the same number of folds.
    confidence
        Level of the interval.

    Returns
    -------
    FoldContrast or NotEstimable
        Not estimable with fewer than three divisions, or where more than a fifth of the outer
        folds have no value.

    Notes
    -----
    The standard error is held between that of the fixed models and √K times it, as by the
    authors: with few divisions the mean squared error is itself uncertain. Where the two models
    agree in every fold both are 0, and so is the interval.

    References
    ----------
    Bates, Hastie and Tibshirani, J Am Stat Assoc 2024;119:1434, algorithm 1; here the centre stays
    the K-fold estimate, so that the estimand is that of the training folds, and the loss of one
    patient is replaced by the difference in a fold with its jackknife variance.
    """
    if not np.isfinite(difference):
        return NotEstimable(not_estimable="one of the two models has no estimate")
    if len(splits) < FEWEST_SPLITS:
        return NotEstimable(
            not_estimable=f"{len(splits)} divisions into folds; nested cross-validation needs "
            f"{FEWEST_SPLITS}"
        )
    folds = len(splits[0].outer)
    squared, fixed = [], []
    for split in splits:
        off_diagonal = np.where(np.eye(folds, dtype=bool), np.nan, split.inner)
        known = np.isfinite(split.outer + split.variance)
        known &= np.isfinite(off_diagonal).any(axis=1)
        estimate = np.array(
            [np.nanmean(row) if k else np.nan for row, k in zip(off_diagonal, known, strict=True)]
        )
        squared.append(((estimate - split.outer) ** 2 - split.variance)[known])
        fixed.append(split.variance[known])
    every = np.concatenate(squared)
    if every.size < _LEAST_SHARE * folds * len(splits):
        return NotEstimable(
            not_estimable=f"{every.size} of {folds * len(splits)} folds have a value"
        )
    # Of one estimate over K folds; the divisions are of the same patients and do not add any.
    fixed_models = float(np.concatenate(fixed).mean()) / folds
    # On (K − 1) / K of the patients: all of them would give that much less.
    mse = float(every.mean()) * (folds - 1) / folds
    se = float(np.sqrt(np.clip(mse, fixed_models, folds * fixed_models)))
    reach = float(norm.ppf(0.5 + confidence / 2)) * se
    return FoldContrast(
        difference=difference,
        lower=difference - reach,
        upper=difference + reach,
        se=se,
        folds=int(every.size),
        method=NESTED,
        splits=len(splits),
    )


def nested_contrast(
    aligned: Aligned,
    name: str,
    difference: float,
    pairs: Mapping[str, pd.DataFrame],
    plan: EvaluationPlan,
) -> FoldContrastMetric:
    """The difference in C between a model and the plan's reference, by nested cross-validation.

    Parameters
    ----------
    aligned, name
        Everybody, and the model.
    difference
        The estimate.
    pairs
        Model → what its fits without two folds say of the patients of both: ``repeat patient fold
        other ranking``, ``other`` being the fold left out beside the patient's own.
    plan
        Names the reference and the level of the interval.
    """
    names = (name, plan.reference_model)
    if any(n not in pairs for n in names):
        return NotEstimable(not_estimable="the models were not fitted without pairs of folds")
    models = [aligned.models[n] for n in names]
    if not np.array_equal(models[0].strata, models[1].strata):
        return NotEstimable(not_estimable="the models were fitted in other folds")
    repeats = sorted(set(pairs[names[0]]["repeat"]) & set(pairs[names[1]]["repeat"]))
    splits = []
    for repeat in repeats:
        both = [_by_pair(pairs[n][pairs[n]["repeat"] == repeat], aligned.patients) for n in names]
        ranking = [m.ranking[repeat] for m in models]
        splits.append(_split(aligned, models[0].strata[repeat], ranking, both, plan.tau_days))
    return nested_cv(difference, splits, confidence=plan.confidence)


def _by_pair(rows: pd.DataFrame, patients: npt.NDArray[np.object_]) -> Floats:
    """What the models without each other fold say, shape (n, K); NaN at the patient's own."""
    wide = rows.set_index(["patient", "other"])["ranking"].unstack()  # noqa: PD010 (no aggregate)
    return wide.reindex(list(patients)).to_numpy(dtype=np.float64)


def _split(
    aligned: Aligned,
    fold: Ints,
    ranking: Sequence[Floats],
    pairs: Sequence[Floats],
    tau: float | None,
) -> SplitDifferences:
    time, status = in_order(aligned)
    k = int(fold.max()) + 1

    def gap(inside: int, first: Floats, second: Floats) -> tuple[float, float]:
        own = fold == inside
        return paired_difference(time[own], status[own], first[own], second[own], tau=tau)

    outer = np.array([gap(a, *ranking) for a in range(k)])
    inner = np.full((k, k), np.nan)
    for a in range(k):
        for b in range(k):
            if a != b:
                inner[a, b] = gap(b, pairs[0][:, a], pairs[1][:, a])[0]
    return SplitDifferences(outer=outer[:, 0], variance=outer[:, 1], inner=inner)
