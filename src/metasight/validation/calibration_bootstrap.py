"""Calibration slope and smoothed curve under patient resamples.

The transformed risk and its spline knots are fixed; only the calibration model is fitted again.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from metasight.engine.kernels import njit
from metasight.validation.bootstrap import Draws
from metasight.validation.curves import censoring_before_and_at
from metasight.validation.ordering import Floats, FollowUp
from metasight.validation.partial_likelihood import maximise, solve_in_place

TOLERANCE = 1e-10
"""Newton stops in a resample where the gradient is below this share of the log-likelihood."""


def _resampled_hazard(draws: Draws, data: FollowUp, x: Floats, horizon: float) -> Floats:
    """Log baseline hazard and coefficients of each row; the loop calls one compiled fit."""
    m, n = draws.shape
    p = x.shape[1]
    out = np.full((m, 1 + p), np.nan)
    before, at = np.ones(n), np.ones(n)
    beta, information = np.zeros(p), np.zeros((p, p))
    fine_gray = data.competing
    for b in range(m):
        weight = draws[b].astype(np.float64)
        if fine_gray:
            censoring_before_and_at(data.time, data.status, weight, before, at)
        done, _, _, baseline = maximise(
            data.time,
            data.status,
            x,
            weight,
            before,
            fine_gray,
            True,
            horizon,
            TOLERANCE,
            beta,
            information,
        )
        if done and baseline > 0:
            out[b, 0] = np.log(baseline)
            out[b, 1:] = beta
    return out


@njit(cache=True, error_model="numpy")
def _resampled_logistic(draws: Draws, y: Floats, x: Floats, offset: Floats) -> Floats:
    m, n = draws.shape
    p = x.shape[1]
    out = np.full((m, p), np.nan)
    beta, gradient, information = np.zeros(p), np.zeros(p), np.zeros((p, p))
    for b in range(m):
        beta[:] = 0.0
        for _ in range(40):
            gradient[:] = 0.0
            information[:] = 0.0
            for i in range(n):
                w = draws[b, i]
                if w == 0:
                    continue
                eta = offset[i]
                for j in range(p):
                    eta += beta[j] * x[i, j]
                risk = 1.0 / (1.0 + np.exp(-eta))
                v = w * risk * (1 - risk)
                for j in range(p):
                    gradient[j] += w * (y[i] - risk) * x[i, j]
                    for k in range(p):
                        information[j, k] += v * x[i, j] * x[i, k]
            if not solve_in_place(information, gradient):
                break
            size = np.abs(gradient).max()
            beta += gradient * min(1.0, 5.0 / max(size, 1e-300))
            if not np.abs(beta).max() < 1e3:
                break
            if size < 1e-9:
                out[b] = beta
                break
    return out


@njit(cache=True)
def _resampled_shift(draws: Draws, x: Floats, target: Floats) -> Floats:
    """Newton between bounds that hold the root: the mean risk rises with the shift."""
    m, n = draws.shape
    out = np.full(m, np.nan)
    lowest, highest = x.min(), x.max()
    for b in range(m):
        if not 0.0 < target[b] < 1.0:
            continue
        low, high = -40.0 - highest, 5.0 - lowest
        a = 0.0
        for _ in range(200):
            risk, slope, total = 0.0, 0.0, 0.0
            for i in range(n):
                w = draws[b, i]
                if w == 0:
                    continue
                hazard = np.exp(min(x[i] + a, 50.0))
                risk -= w * np.expm1(-hazard)
                slope += w * hazard * np.exp(-hazard)
                total += w
            gap = risk / total - target[b]
            if gap < 0:
                low = a
            else:
                high = a
            step = -gap * total / slope if slope > 0 else np.inf
            near = a + step
            if not low < near < high:
                near = (low + high) / 2
            done = abs(near - a) < 1e-12
            a = near
            if done:
                break
        out[b] = a
    return out


def resampled_shift(draws_by_time: Draws, x: Floats, observed: Floats) -> Floats:
    """Calibration in the large under each row of weights.

    The shift ``a`` of log(−log(1 − risk)) after which the mean risk is the observed one: the
    intercept with the slope fixed at 1. It is not the difference between the transformed means,
    which is nearer 0 where the risks are spread.

    Parameters
    ----------
    draws_by_time
        Shape ``(m, n)``, columns in the order of ``x``.
    x
        log(−log(1 − risk)), shape ``(n,)``.
    observed
        Observed risk by the horizon in each row, shape ``(m,)``.

    Returns
    -------
    ndarray of shape (m,)
        NaN where the observed risk is 0 or 1.
    """
    return np.asarray(_resampled_shift(draws_by_time, np.ascontiguousarray(x), observed))


@dataclass(frozen=True, kw_only=True)
class CurveSamples:
    """Calibration models under each row of weights.

    Attributes
    ----------
    intercept
        Log baseline hazard by the horizon, or log-odds, shape ``(m,)``; NaN without a maximum.
    coef
        Shape ``(m, p)``.
    link
        ``cloglog`` or ``logit``.
    """

    intercept: Floats
    coef: Floats
    link: str

    def risk(self, x: Floats) -> Floats:
        """Smoothed observed risk at ``x``, shape ``(k, p)``: one row a resample, ``(m, k)``."""
        eta = self.intercept[:, None] + self.coef @ x.T
        if self.link == "logit":
            return np.asarray(1 / (1 + np.exp(-eta)))
        return np.asarray(-np.expm1(-np.exp(np.minimum(eta, 50.0))))


def resampled_hazard(
    draws_by_time: Draws, data: FollowUp, x: Floats, horizon: float
) -> CurveSamples:
    """Cox (Efron) or, with competing events, Fine–Gray fits under each row of weights.

    Parameters
    ----------
    draws_by_time
        Shape ``(m, n)``, columns in ascending time.
    data
        The patients' follow-up.
    x
        Covariates in ascending time, shape ``(n, p)``.
    horizon
        Of the baseline.
    """
    centre = x.mean(axis=0)
    design = np.ascontiguousarray(x - centre)
    out = _resampled_hazard(draws_by_time, data, design, float(horizon))
    coef = out[:, 1:]
    return CurveSamples(intercept=out[:, 0] - coef @ centre, coef=coef, link="cloglog")


def resampled_logistic(
    draws: Draws, y: Floats, x: Floats, *, offset: Floats | None = None
) -> CurveSamples:
    """Logistic fits with an intercept under each row of weights.

    Parameters
    ----------
    draws
        Shape ``(m, n)``.
    y, x
        Outcome 0/1, shape ``(n,)``; covariates ``(n, p)``, ``p`` may be 0.
    offset
        Added to the linear predictor.
    """
    design = np.ascontiguousarray(np.column_stack([np.ones(y.size), x]))
    base = np.zeros(y.size) if offset is None else offset
    out = _resampled_logistic(draws, np.ascontiguousarray(y, dtype=np.float64), design, base)
    return CurveSamples(intercept=out[:, 0], coef=out[:, 1:], link="logit")
