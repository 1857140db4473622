"""Calibration of the probability of a class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import chi2, norm

from metasight.validation.binary import binary_auc
from metasight.validation.brier import as_risk
from metasight.validation.calibration import CalibrationIndex, calibration_index
from metasight.validation.recalibration import as_outcome, fit_logistic, to_logit
from metasight.validation.smoothing import loess, lowess, spline_basis, spline_knots


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


@dataclass(frozen=True, kw_only=True)
class ValidationSummary:
    """The quantities of rms::val.prob.

    Attributes
    ----------
    r2
        Nagelkerke's, of the risks as they are.
    d, d_chisq
        Discrimination index (LR − 1)/n and its LR chi-square, of the risks as they are.
    u, u_chisq, u_p
        Unreliability: that intercept and slope are 0 and 1.
    q
        d − u.
    emax, e90, eavg
        Of |lowess − risk|.
    s_z, s_p
        Spiegelhalter's test of calibration.
    dxy
        Somers' D, 2·AUC − 1, on exact ranks.
    """

    dxy: float
    r2: float
    d: float
    d_chisq: float
    u: float
    u_chisq: float
    u_p: float
    q: float
    brier: float
    intercept: float
    slope: float
    emax: float
    e90: float
    eavg: float
    s_z: float
    s_p: float


def nagelkerke_r2(null_deviance: float, deviance: float, n: int) -> float:
    """Nagelkerke's R² from deviances (−2 log-likelihood), in [0, 1]."""
    largest = 1 - np.exp(-null_deviance / n)
    return float((1 - np.exp(-(null_deviance - deviance) / n)) / largest)


def validation_summary(risk: npt.ArrayLike, y: npt.ArrayLike) -> ValidationSummary:
    """Everything rms::val.prob prints for a class probability.

    Parameters
    ----------
    risk
        In [0, 1], shape ``(n,)``.
    y
        0 or 1, shape ``(n,)``.

    Raises
    ------
    EvaluationError
        One class only.

    References
    ----------
    Harrell, R rms; Miller 1991; Spiegelhalter 1986. Rank statistics are exact here, where rms
    bins the risks by 0.0002.
    """
    outcome = as_outcome(y)
    n = outcome.size
    r = as_risk(risk, n)
    x = to_logit(r)
    fit = fit_logistic(x, outcome)
    as_is = -2 * float((outcome * x - np.logaddexp(0, x)).sum())
    lr = fit.deviance[0] - as_is
    u_chisq = as_is - fit.deviance[1]
    d, u = (lr - 1) / n, (u_chisq - 2) / n
    grid, smooth = lowess(r, outcome)
    gap = calibration_index(np.interp(r, grid, smooth), r)
    spread = float((((1 - 2 * r) ** 2) * r * (1 - r)).sum())
    s_z = float(((outcome - r) * (1 - 2 * r)).sum()) / spread**0.5
    return ValidationSummary(
        dxy=2 * binary_auc(r, outcome).auc - 1,
        r2=nagelkerke_r2(fit.deviance[0], as_is, n),
        d=d,
        d_chisq=lr,
        u=u,
        u_chisq=u_chisq,
        u_p=float(chi2.sf(u_chisq, 2)),
        q=d - u,
        brier=float(((r - outcome) ** 2).mean()),
        intercept=float(fit.coef[0]),
        slope=float(fit.coef[1]),
        emax=gap.emax,
        e90=gap.e90,
        eavg=gap.ici,
        s_z=s_z,
        s_p=float(2 * norm.sf(abs(s_z))),
    )
