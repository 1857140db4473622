"""Calibration of the probability of a class in one sample."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from metasight.validation.brier import as_risk
from metasight.validation.links import to_logit
from metasight.validation.ordering import as_outcome
from metasight.validation.smoothing import spline_basis, spline_knots

from .calibration import CalibrationIndex, calibration_index
from .loess import loess
from .logistic_fit import fit_logistic


@dataclass(frozen=True, kw_only=True)
class BinaryCalibration:
    """Calibration of a class probability.

    Attributes
    ----------
    oe
        Observed over expected cases.
    intercept_large, intercept_large_se
        Calibration in the large: intercept with the slope held at 1; 0 is ideal.
    slope, slope_se, intercept
        Of the logistic model on the logit of the risk; 1 and 0 are ideal.
    brier, brier_null, ipa
        Brier score, that of the prevalence, and 1 − their ratio.
    """

    oe: float
    intercept_large: float
    intercept_large_se: float
    slope: float
    slope_se: float
    intercept: float
    brier: float
    brier_null: float
    ipa: float


def binary_calibration(risk: npt.ArrayLike, y: npt.ArrayLike) -> BinaryCalibration:
    """Mean and weak calibration, and the Brier score.

    Parameters
    ----------
    risk
        In [0, 1], shape ``(n,)``; held 1e-8 from 0 and 1 for the logit.
    y
        0 or 1, shape ``(n,)``.

    Raises
    ------
    EvaluationError
        One class only, or constant risks.

    References
    ----------
    Cox 1958; Van Calster 2019.
    """
    outcome = as_outcome(y)
    r = as_risk(risk, outcome.size)
    x = to_logit(r)
    large = fit_logistic(np.empty((outcome.size, 0)), outcome, offset=x)
    both = fit_logistic(x, outcome)
    brier = float(((r - outcome) ** 2).mean())
    null = float(outcome.mean() * (1 - outcome.mean()))
    return BinaryCalibration(
        oe=float(outcome.mean() / r.mean()),
        intercept_large=float(large.coef[0]),
        intercept_large_se=float(large.se[0]),
        slope=float(both.coef[1]),
        slope_se=float(both.se[1]),
        intercept=float(both.coef[0]),
        brier=brier,
        brier_null=null,
        ipa=1 - brier / null,
    )


def loess_calibration(
    risk: npt.ArrayLike, y: npt.ArrayLike, *, span: float = 0.75
) -> CalibrationIndex:
    """Smoothed calibration by loess of the class on the risk (Austin and Steyerberg 2019)."""
    outcome = as_outcome(y)
    r = as_risk(risk, outcome.size)
    return calibration_index(loess(r, outcome, r, span=span), r)


def spline_class_calibration(
    risk: npt.ArrayLike, y: npt.ArrayLike, *, n_knots: int = 4
) -> CalibrationIndex:
    """Smoothed calibration by a logistic model on a restricted cubic spline of the logit.

    Raises
    ------
    EvaluationError
        One class only, or too few distinct risks.
    """
    outcome = as_outcome(y)
    r = as_risk(risk, outcome.size)
    x = to_logit(r)
    knots = spline_knots(x, n_knots)
    basis = spline_basis(x, knots)
    return calibration_index(fit_logistic(basis, outcome).risk(basis), r, knots)
