"""Logistic calibration models, and recalibration to new patients.

Recalibration changes the risks, not their order: on the logit (a class) or complementary log-log
(a risk by a horizon), with the intercept alone or with the slope too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit

from metasight.errors import EvaluationError
from metasight.validation.brier import as_risk, observed_risk
from metasight.validation.ordering import Floats, as_vector, as_weights
from metasight.validation.partial_likelihood import fit_hazard

EDGE = 1e-8
"""Risks are held this far from 0 and 1 before a logarithm."""


def to_logit(risk: npt.ArrayLike) -> Floats:
    """Log-odds of a risk held within [1e-8, 1 − 1e-8]."""
    return np.asarray(logit(np.clip(np.asarray(risk, dtype=float), EDGE, 1 - EDGE)))


def to_cloglog(risk: npt.ArrayLike) -> Floats:
    """log(−log(1 − risk)), the log cumulative hazard, of a risk held within [1e-8, 1 − 1e-8]."""
    held = np.clip(np.asarray(risk, dtype=float), EDGE, 1 - EDGE)
    return np.asarray(np.log(-np.log1p(-held)))


@dataclass(frozen=True, kw_only=True)
class LogisticFit:
    """A logistic regression by maximum likelihood.

    Attributes
    ----------
    coef
        Intercept first, shape ``(p + 1,)``.
    se
        From the observed information.
    deviance
        −2 log-likelihood, of the intercept alone (with the offset) and of the fit.
    """

    coef: Floats
    se: Floats
    deviance: tuple[float, float]

    def risk(self, x: npt.ArrayLike) -> Floats:
        """Probability at covariates ``x``, shape ``(k, p)``."""
        design = np.asarray(x, dtype=float)
        return np.asarray(expit(self.coef[0] + design @ self.coef[1:]))


def fit_logistic(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    *,
    offset: npt.ArrayLike | None = None,
    weights: npt.ArrayLike | None = None,
) -> LogisticFit:
    """Fit ``y`` on an intercept and ``x``.

    Parameters
    ----------
    x
        Shape ``(n, p)``; ``p`` may be 0.
    y
        0 or 1, shape ``(n,)``.
    offset
        Added to the linear predictor with coefficient 1.
    weights
        Frequency weights.

    Raises
    ------
    EvaluationError
        One class only, or no maximum (constant column, complete separation).
    """
    outcome = as_outcome(y)
    n = outcome.size
    design = np.column_stack([np.ones(n), np.asarray(x, dtype=float).reshape(n, -1)])
    base = np.zeros(n) if offset is None else as_vector(offset, n, "offset")
    w = as_weights(weights, n)
    _, _, null = _newton(design[:, :1], outcome, base, w)
    coef, information, deviance = _newton(design, outcome, base, w)
    se = np.sqrt(np.diag(np.linalg.inv(information)))
    return LogisticFit(coef=coef, se=se, deviance=(null, deviance))


def as_outcome(y: npt.ArrayLike) -> Floats:
    """Return a 0/1 outcome with both classes.

    Raises
    ------
    EvaluationError
        A value other than 0 and 1, or one class only.
    """
    out = np.asarray(y, dtype=np.float64)
    if out.ndim != 1 or not np.isin(out, (0.0, 1.0)).all():
        raise EvaluationError(
            "the outcome must be 0 or 1",
            value=str(out.ravel()[~np.isin(out.ravel(), (0.0, 1.0))][:1]),
            remedy="Leave out patients whose status was not observed",
        )
    if out.size == 0 or out.min() == out.max():
        raise EvaluationError(
            "one class only",
            value=f"{int(out.sum())} of {out.size} have the outcome",
            remedy="The metric needs patients with and without the outcome",
        )
    return out


def _newton(x: Floats, y: Floats, offset: Floats, w: Floats) -> tuple[Floats, Floats, float]:
    beta = np.zeros(x.shape[1])
    information = np.eye(x.shape[1])
    for _ in range(60):
        p = expit(x @ beta + offset)
        information = (x * (w * p * (1 - p))[:, None]).T @ x
        gradient = x.T @ (w * (y - p))
        try:
            step = np.linalg.solve(information, gradient)
        except np.linalg.LinAlgError:
            break
        size = float(np.abs(step).max())
        # long steps are cut: a flat start must not overshoot
        beta = beta + step * min(1.0, 5.0 / max(size, 1e-300))
        if np.abs(beta).max() > 1e4 or not np.isfinite(beta).all():
            break
        if size < 1e-11 * max(1.0, float(np.abs(beta).max())):
            eta = x @ beta + offset
            loglik = float((w * (y * eta - np.logaddexp(0, eta))).sum())
            return beta, information, -2 * loglik
    raise EvaluationError(
        "the calibration model has no maximum",
        value=f"{int(y.sum())} of {y.size} have the outcome",
        remedy="The predicted risks may be constant or separate the classes completely",
    )


@dataclass(frozen=True, kw_only=True)
class Recalibration:
    """A change of scale learnt from new patients: ``intercept + slope · link(risk)``.

    Attributes
    ----------
    link
        ``logit`` or ``cloglog``.
    intercept, slope
        0 and 1 leave the risks as they are.
    """

    link: Literal["logit", "cloglog"]
    intercept: float
    slope: float

    def apply(self, risk: npt.ArrayLike) -> Floats:
        """Recalibrated risks, in [0, 1], in the same order as before if ``slope`` > 0."""
        if self.link == "logit":
            return np.asarray(expit(self.intercept + self.slope * to_logit(risk)))
        eta = self.intercept + self.slope * to_cloglog(risk)
        return np.asarray(-np.expm1(-np.exp(eta)))


def recalibrate_class(risk: npt.ArrayLike, y: npt.ArrayLike, *, slope: bool) -> Recalibration:
    """Learn a logit recalibration from patients whose class is known.

    Parameters
    ----------
    risk, y
        Shape ``(n,)``.
    slope
        Whether to refit the slope as well as the intercept.

    Raises
    ------
    EvaluationError
        One class only.

    References
    ----------
    Steyerberg 2004; Vergouwe 2017.
    """
    outcome = as_outcome(y)
    x = to_logit(as_risk(risk, outcome.size))
    if slope:
        fit = fit_logistic(x, outcome)
        return Recalibration(link="logit", intercept=float(fit.coef[0]), slope=float(fit.coef[1]))
    fit = fit_logistic(np.empty((outcome.size, 0)), outcome, offset=x)
    return Recalibration(link="logit", intercept=float(fit.coef[0]), slope=1.0)


def recalibrate_horizon(
    time: npt.ArrayLike,
    status: npt.ArrayLike,
    risk: npt.ArrayLike,
    horizon: float,
    *,
    slope: bool,
) -> Recalibration:
    """Learn a complementary log-log recalibration of a risk by ``horizon``.

    With the slope, a Cox (or, with competing events, Fine–Gray) model of the transformed risk
    gives both. The intercept alone is the shift after which the mean risk equals the observed
    cumulative incidence.

    Parameters
    ----------
    time, status, risk
        Shape ``(n,)``.
    horizon
        Same unit as ``time``.
    slope
        Whether to refit the slope as well.

    Raises
    ------
    EvaluationError
        No event, or constant risks.
    """
    codes = np.asarray(status)
    x = to_cloglog(as_risk(risk, codes.size))
    if slope:
        fit = fit_hazard(time, status, x, horizon, fine_gray=bool((codes == 2).any()))
        b = float(fit.coef[0])
        intercept = float(np.log(fit.baseline) - b * fit.centre[0])
        return Recalibration(link="cloglog", intercept=intercept, slope=b)
    shift = shift_to_mean(x, observed_risk(time, status, horizon), np.ones(x.size))
    return Recalibration(link="cloglog", intercept=shift, slope=1.0)


def shift_to_mean(x: Floats, target: float, weight: Floats) -> float:
    """Find a with mean(1 − exp(−exp(x + a))) = ``target``, by bisection to 1e-12.

    Raises
    ------
    EvaluationError
        ``target`` is not strictly between 0 and 1.
    """
    if not 0 < target < 1:
        raise EvaluationError(
            "the observed risk is 0 or 1",
            value=str(target),
            remedy="Recalibrate at a horizon by which some and not all have the event",
        )
    lo, hi = -40.0 - float(x.max()), 5.0 - float(x.min())
    for _ in range(80):
        mid = (lo + hi) / 2
        mean = float(np.average(-np.expm1(-np.exp(x + mid)), weights=weight))
        lo, hi = (mid, hi) if mean < target else (lo, mid)
    return (lo + hi) / 2
