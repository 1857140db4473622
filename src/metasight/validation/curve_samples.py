"""The smoothed calibration curve of one model at one target, with its band and its indices."""

from __future__ import annotations

import numpy as np

from metasight.errors import EvaluationError
from metasight.validation.bootstrap import Draws, to_metric
from metasight.validation.calibration_bootstrap import (
    CurveSamples,
    resampled_hazard,
    resampled_logistic,
)
from metasight.validation.links import to_cloglog, to_logit
from metasight.validation.ordering import Floats
from metasight.validation.results import CalibrationCurve, Metric, NotEstimable
from metasight.validation.smoothing import spline_basis, spline_knots
from metasight.validation.table import Target

N_GRID = 50
N_KNOTS = 3
METHODS = {
    "survival": "Cox model on a restricted cubic spline of log(-log(1 - risk)), 3 knots",
    "competing": "Fine-Gray model on a restricted cubic spline of log(-log(1 - risk)), 3 knots",
    "nodal": "logistic model on a restricted cubic spline of the log-odds, 3 knots",
}


def curve_samples(
    target: Target, risk: Floats, draws: Draws, kind: str, confidence: float
) -> tuple[CalibrationCurve | NotEstimable, tuple[Metric, Metric, Metric, Metric]]:
    """Smoothed calibration averaged over repeats, and ICI, E50, E90, Emax.

    Parameters
    ----------
    target
        Horizon or threshold.
    risk
        Shape ``(repeats, n)``, patients in the aligned order.
    draws
        Shape ``(1 + B, n)``; every row fits a model a repeat.
    kind
        survival, competing or nodal.
    confidence
        Level of the band and intervals.

    Returns
    -------
    tuple
        Curve and the four indices; all not estimable where the risks have too few values or the
        calibration model has no maximum.
    """
    low, high = np.quantile(risk, [0.01, 0.99])
    grid = np.linspace(low, high, N_GRID)
    curves, indices = [], []
    for r in risk:
        try:
            smooth, basis, knots = _smooth(target, r, draws)
        except EvaluationError as error:
            none = NotEstimable(not_estimable=error.problem)
            return none, (none, none, none, none)
        curves.append(smooth.risk(spline_basis(_link(target, grid), knots)))
        indices.append(_indices(smooth.risk(basis), r, draws))
    curve = np.mean(curves, axis=0)
    parts = np.mean(indices, axis=0)
    reason = "the calibration model has no maximum"
    metrics = [to_metric(parts[:, k], confidence, reason) for k in range(4)]
    if not np.isfinite(curve[0]).all():
        return NotEstimable(not_estimable=reason), (metrics[0], metrics[1], metrics[2], metrics[3])
    return (
        _banded(curve, grid, METHODS[kind], confidence),
        (metrics[0], metrics[1], metrics[2], metrics[3]),
    )


def _banded(curve: Floats, grid: Floats, method: str, confidence: float) -> CalibrationCurve:
    boot = curve[1:][np.isfinite(curve[1:]).all(axis=1)]
    tail = (1 - confidence) / 2
    if boot.shape[0] >= 10:
        lower, upper = np.quantile(boot, [tail, 1 - tail], axis=0)
    else:
        lower, upper = np.full(grid.size, np.nan), np.full(grid.size, np.nan)
    return CalibrationCurve(
        method=method,
        predicted=tuple(grid.tolist()),
        observed=tuple(curve[0].tolist()),
        lower=tuple(lower.tolist()),
        upper=tuple(upper.tolist()),
    )


def _link(target: Target, risk: Floats) -> Floats:
    return to_logit(risk) if target.horizon_days is None else to_cloglog(risk)


def _smooth(target: Target, risk: Floats, draws: Draws) -> tuple[CurveSamples, Floats, Floats]:
    """Fit the calibration model under every row; returns it, the basis and the knots."""
    x = _link(target, risk)
    knots = spline_knots(x, N_KNOTS)
    basis = spline_basis(x, knots)
    order = target.data.order
    by_time = np.ascontiguousarray(draws[:, order])
    if target.horizon_days is None:
        y = (target.data.status == 1).astype(np.float64)
        return resampled_logistic(by_time, y, basis[order]), basis, knots
    known = target.data.censored_at(target.horizon)
    fit = resampled_hazard(by_time, known, basis[order], target.horizon)
    return fit, basis, knots


def _indices(observed: Floats, risk: Floats, draws: Draws) -> Floats:
    """ICI, E50, E90 and Emax under each row of weights, shape ``(m, 4)``."""
    gap = np.abs(observed - risk)
    out = np.full((draws.shape[0], 4), np.nan)
    for b, (row, weight) in enumerate(zip(gap, draws, strict=True)):
        drawn = np.repeat(row, weight)
        if drawn.size and np.isfinite(drawn).all():
            out[b] = drawn.mean(), *np.quantile(drawn, [0.5, 0.9, 1.0])
    return out
