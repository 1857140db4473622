"""Discrimination of a class: AUC with DeLong's variance, and paired AUCs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import norm, rankdata

from metasight.errors import EvaluationError
from metasight.validation.ordering import Floats, as_outcome, as_vector


@dataclass(frozen=True, kw_only=True)
class BinaryAuc:
    """AUC of a class and its DeLong interval.

    Attributes
    ----------
    auc
        Probability that a case's risk is above a control's, ties half; in [0, 1].
    variance
        DeLong.
    lower, upper
        Wald interval, cut at 0 and 1.
    case_parts, control_parts
        Structural components: each case's share of controls below it, and the reverse.
    """

    auc: float
    variance: float
    lower: float
    upper: float
    case_parts: Floats
    control_parts: Floats


def binary_auc(risk: npt.ArrayLike, y: npt.ArrayLike, *, confidence: float = 0.95) -> BinaryAuc:
    """AUC with DeLong's variance, O(n log n).

    Parameters
    ----------
    risk
        Shape ``(n,)``; higher is more likely the class.
    y
        0 or 1, shape ``(n,)``.
    confidence
        Level of the interval.

    Raises
    ------
    EvaluationError
        One class only, or fewer than two in a class.

    References
    ----------
    DeLong 1988; Sun and Xu 2014; R pROC.
    """
    outcome = as_outcome(y)
    r = as_vector(risk, outcome.size, "risk")
    case, control = r[outcome == 1], r[outcome == 0]
    m, n = case.size, control.size
    if min(m, n) < 2:
        raise EvaluationError(
            "too few patients in a class for a variance",
            value=f"{m} with, {n} without",
            remedy="At least two of each are needed",
        )
    everyone = rankdata(np.concatenate([case, control]))
    case_parts = (everyone[:m] - rankdata(case)) / n
    control_parts = 1 - (everyone[m:] - rankdata(control)) / m
    auc = float(case_parts.mean())
    variance = float(case_parts.var(ddof=1) / m + control_parts.var(ddof=1) / n)
    half = float(norm.ppf(0.5 + confidence / 2)) * variance**0.5
    return BinaryAuc(
        auc=auc,
        variance=variance,
        lower=max(0.0, auc - half),
        upper=min(1.0, auc + half),
        case_parts=case_parts,
        control_parts=control_parts,
    )


@dataclass(frozen=True, kw_only=True)
class PairedTest:
    """Difference of two estimates on the same patients.

    Attributes
    ----------
    difference
        First minus second.
    se
        Standard error of the difference.
    lower, upper
        Wald interval.
    z, p
        Test of no difference, two-sided.
    """

    difference: float
    se: float
    lower: float
    upper: float
    z: float
    p: float


def wald_test(difference: float, se: float, confidence: float = 0.95) -> PairedTest:
    """Two-sided normal test of a difference; p is 1 where both are exactly 0."""
    half = float(norm.ppf(0.5 + confidence / 2)) * se
    z = difference / se if se > 0 else (0.0 if difference == 0 else float("inf"))
    return PairedTest(
        difference=difference,
        se=se,
        lower=difference - half,
        upper=difference + half,
        z=z,
        p=float(2 * norm.sf(abs(z))),
    )


def delong_test(
    first: npt.ArrayLike, second: npt.ArrayLike, y: npt.ArrayLike, *, confidence: float = 0.95
) -> PairedTest:
    """Difference in AUC of two risks for the same patients.

    Parameters
    ----------
    first, second, y
        Shape ``(n,)``.
    confidence
        Level of the interval.

    References
    ----------
    DeLong 1988.
    """
    a, b = binary_auc(first, y), binary_auc(second, y)
    case, control = a.case_parts - b.case_parts, a.control_parts - b.control_parts
    variance = case.var(ddof=1) / case.size + control.var(ddof=1) / control.size
    return wald_test(a.auc - b.auc, float(variance**0.5), confidence)


def delong_within(
    first: Floats,
    second: Floats,
    y: npt.ArrayLike,
    strata: npt.ArrayLike,
    *,
    confidence: float = 0.95,
) -> PairedTest:
    """Difference in AUC of two risks, patients compared within a stratum only.

    Risks of two folds come from two fitted models, so their patients are not compared (ADR 1). A
    stratum counts by its pairs of a case and a control; repeats are averaged, their variances too,
    for they are of the same patients.

    Parameters
    ----------
    first, second
        Shape ``(repeats, n)``.
    y
        0 or 1, shape ``(n,)``.
    strata
        Fold of each patient, shape ``(repeats, n)``; those with fewer than two patients of a class
        are left out.

    Raises
    ------
    EvaluationError
        No stratum has two of each class.
    """
    outcome = as_outcome(y)
    found = []
    for a, b, fold in zip(first, second, np.asarray(strata), strict=True):
        parts = []
        for number in np.unique(fold):
            own = fold == number
            cases = int(outcome[own].sum())
            controls = int(own.sum()) - cases
            if min(cases, controls) >= 2:
                test = delong_test(a[own], b[own], outcome[own])
                parts.append((cases * controls, test.difference, test.se**2))
        if parts:
            weight, difference, variance = np.array(parts).T
            share = weight / weight.sum()
            found.append((float(share @ difference), float(share**2 @ variance)))
    if not found:
        raise EvaluationError("no fold has two patients of each class for DeLong's test")
    difference, variance = np.mean(found, axis=0)
    return wald_test(float(difference), float(variance**0.5), confidence)
