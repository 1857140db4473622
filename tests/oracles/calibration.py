"""Calibration of a risk by a horizon in one sample, each estimator by itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from metasight.errors import EvaluationError
from metasight.validation.brier import as_risk, observed_risk
from metasight.validation.calibration import risk_groups
from metasight.validation.curves import incidence_by
from metasight.validation.ipcw import require_horizon
from metasight.validation.links import to_cloglog
from metasight.validation.ordering import COMPETING, Floats, follow_up
from metasight.validation.smoothing import spline_basis, spline_knots

from .hazard_fit import fine_gray_robust_se, fit_hazard
from .loess import loess


@dataclass(frozen=True, kw_only=True)
class CalibrationIndex:
    """Distance of a smoothed calibration curve from the diagonal, over the patients.

    Attributes
    ----------
    ici, e50, e90, emax
        Mean, median, 90th percentile and maximum of |observed − predicted|; 0 is ideal.
    observed
        Smoothed observed risk of each patient, shape ``(n,)``.
    knots
        Of the spline, on its own scale; empty for loess.
    """

    ici: float
    e50: float
    e90: float
    emax: float
    observed: Floats
    knots: Floats


def calibration_index(
    observed: Floats, predicted: Floats, knots: Floats | None = None
) -> CalibrationIndex:
    """Summarise |observed − predicted| (Austin and Steyerberg 2019)."""
    gap = np.abs(observed - predicted)
    return CalibrationIndex(
        ici=float(gap.mean()),
        e50=float(np.median(gap)),
        e90=float(np.quantile(gap, 0.9)),
        emax=float(gap.max()),
        observed=observed,
        knots=np.empty(0) if knots is None else knots,
    )


@dataclass(frozen=True, kw_only=True)
class MeanCalibration:
    """Observed against expected events by a horizon.

    Attributes
    ----------
    observed
        1 − Kaplan–Meier, or Aalen–Johansen with competing events.
    expected
        Mean predicted risk.
    oe
        observed / expected; above 1 the model predicts too little risk.
    """

    observed: float
    expected: float
    oe: float


def mean_calibration(
    time: npt.ArrayLike, status: npt.ArrayLike, risk: npt.ArrayLike, horizon: float
) -> MeanCalibration:
    """O/E by ``horizon``.

    Parameters
    ----------
    time, status, risk
        Shape ``(n,)``.
    horizon
        Same unit as ``time``.

    Raises
    ------
    EvaluationError
        The horizon is refused, a risk is outside [0, 1], or all of them are 0.
    """
    require_horizon(time, status, horizon, min_censoring_survival=0.0)
    expected = float(as_risk(risk, np.asarray(status).size).mean())
    if expected == 0:
        raise EvaluationError(
            "O/E needs a risk above 0: no event is expected",
            value=f"risk 0 in {np.asarray(status).size} patients",
            remedy="Check the model: it predicts no event for any patient",
        )
    observed = observed_risk(time, status, horizon)
    return MeanCalibration(observed=observed, expected=expected, oe=observed / expected)


@dataclass(frozen=True, kw_only=True)
class CalibrationSlope:
    """Log hazard ratio a unit of log(−log(1 − risk)); 1 is ideal, below 1 too extreme risks."""

    slope: float
    se: float


def calibration_slope(
    time: npt.ArrayLike,
    status: npt.ArrayLike,
    risk: npt.ArrayLike,
    horizon: float,
    *,
    as_crr: bool = False,
) -> CalibrationSlope:
    """Slope of a Cox model (Efron), or with competing events a Fine–Gray model, on the risk.

    Parameters
    ----------
    time, status, risk
        Shape ``(n,)``.
    horizon
        Horizon of the risk.
    as_crr
        Fine–Gray with the conventions of cmprsk::crr.

    Raises
    ------
    EvaluationError
        The risks are constant, or nobody had the event.

    References
    ----------
    Royston and Altman 2013; Austin 2022 (competing events).
    """
    x = to_cloglog(as_risk(risk, np.asarray(status).size))
    competing = bool((np.asarray(status) == COMPETING).any())
    fit = fit_hazard(time, status, x, horizon, fine_gray=competing, as_crr=as_crr and competing)
    se = fine_gray_robust_se(time, status, x, fit) if competing else fit.se
    return CalibrationSlope(slope=float(fit.coef[0]), se=float(se[0]))


def spline_calibration(
    time: npt.ArrayLike,
    status: npt.ArrayLike,
    risk: npt.ArrayLike,
    horizon: float,
    *,
    n_knots: int = 3,
    as_crr: bool = False,
) -> CalibrationIndex:
    """Smoothed calibration by a Cox or Fine–Gray model on a restricted cubic spline.

    The spline is of log(−log(1 − risk)); proportional (subdistribution) hazards in it are
    assumed.

    Parameters
    ----------
    time, status, risk
        Shape ``(n,)``.
    horizon
        Horizon of the risk.
    n_knots
        3, 4 or 5, at Harrell's quantiles.
    as_crr
        Fine–Gray with the conventions of cmprsk::crr.

    Raises
    ------
    EvaluationError
        The horizon is refused, or the risks have too few distinct values.

    References
    ----------
    Austin, Harrell and van Klaveren 2020; Austin 2022.
    """
    require_horizon(time, status, horizon, min_censoring_survival=0.0)
    r = as_risk(risk, np.asarray(status).size)
    x = to_cloglog(r)
    knots = spline_knots(x, n_knots)
    basis = spline_basis(x, knots)
    competing = bool((np.asarray(status) == COMPETING).any())
    fit = fit_hazard(time, status, basis, horizon, fine_gray=competing, as_crr=as_crr and competing)
    return calibration_index(fit.risk(basis), r, knots)


def pseudo_value_calibration(
    time: npt.ArrayLike,
    status: npt.ArrayLike,
    risk: npt.ArrayLike,
    horizon: float,
    *,
    span: float = 0.75,
) -> CalibrationIndex:
    """Smoothed calibration by loess of jackknife pseudo-values on the risk.

    Assumes no model; the curve is cut to [0, 1] only by the reader.

    Parameters
    ----------
    time, status, risk
        Shape ``(n,)``.
    horizon
        Horizon of the risk.
    span
        Of the loess.

    References
    ----------
    Gerds 2014; van Geloven 2022.
    """
    require_horizon(time, status, horizon, min_censoring_survival=0.0)
    r = as_risk(risk, np.asarray(status).size)
    smooth = loess(r, pseudo_values(time, status, horizon), r, span=span)
    return calibration_index(smooth, r)


@dataclass(frozen=True, kw_only=True)
class RiskGroup:
    """Patients of like predicted risk: how many, their mean prediction and observed risk."""

    n: int
    mean_predicted: float
    observed: float


def grouped_calibration(
    time: npt.ArrayLike,
    status: npt.ArrayLike,
    risk: npt.ArrayLike,
    horizon: float,
    *,
    k: int = 5,
) -> tuple[RiskGroup, ...]:
    """Observed against mean predicted risk in ``k`` groups of equal size.

    Parameters
    ----------
    time, status, risk
        Shape ``(n,)``.
    horizon
        Horizon of the risk.
    k
        Number of groups.

    Returns
    -------
    tuple of RiskGroup
        Lowest risk first; a group left empty by ties is left out.
    """
    data = follow_up(time, status)
    r = as_risk(risk, data.n)[data.order]
    group = risk_groups(r, k)
    ones = np.ones(data.n)
    return tuple(
        RiskGroup(
            n=int((group == g).sum()),
            mean_predicted=float(r[group == g].mean()),
            observed=float(incidence_by(data.time, data.status, ones, group == g, float(horizon))),
        )
        for g in range(k)
        if (group == g).any()
    )


def _leave_one_out(
    time: Floats, status: npt.NDArray[np.int64], horizon: float, chosen: npt.NDArray[np.bool_]
) -> Floats:
    n = time.shape[0]
    weight = np.ones(n)
    out = np.empty(n)
    for i in range(n):
        weight[i] = 0.0
        out[i] = incidence_by(time, status, weight, chosen, horizon)
        weight[i] = 1.0
    return out


def pseudo_values(time: npt.ArrayLike, status: npt.ArrayLike, horizon: float) -> Floats:
    """Jackknife pseudo-values of the cumulative incidence of status 1 by ``horizon``.

    ``n·F − (n − 1)·F₋ᵢ``: an unbiased stand-in for the event indicator that censoring hides,
    if censoring does not depend on covariates (Andersen 2003). Values may fall outside [0, 1].

    Parameters
    ----------
    time, status
        Shape ``(n,)``.
    horizon
        Same unit as ``time``.

    Returns
    -------
    ndarray of shape (n,)
        In the caller's order. O(n²).
    """
    data = follow_up(time, status)
    everyone = np.ones(data.n, dtype=np.bool_)
    whole = incidence_by(data.time, data.status, np.ones(data.n), everyone, float(horizon))
    left = _leave_one_out(data.time, data.status, float(horizon), everyone)
    out = np.empty(data.n)
    out[data.order] = data.n * whole - (data.n - 1) * left
    return out


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
