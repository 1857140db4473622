"""Pooling a performance measure over centres.

Centres differ, so the average is pooled with random effects: REML for the between-centre
variance, Hartung–Knapp for the interval, and a prediction interval for the next centre.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.special import expit, logit
from scipy.stats import t as student

from metasight.errors import EvaluationError
from metasight.validation.ordering import Floats
from metasight.validation.results import Pooled

Scale = Literal["logit", "log", "identity"]


def reml_tau2(estimate: Floats, variance: Floats) -> float:
    """Between-centre variance by restricted maximum likelihood, ≥ 0.

    Parameters
    ----------
    estimate, variance
        Shape ``(k,)``, on the pooling scale.

    References
    ----------
    Viechtbauer 2005; R metafor::rma(method = "REML").
    """

    def negative(tau2: float) -> float:
        w = 1 / (variance + tau2)
        mean = (w * estimate).sum() / w.sum()
        q = (w * (estimate - mean) ** 2).sum()
        return float(0.5 * (-np.log(w).sum() + np.log(w.sum()) + q))

    top = 10 * max(float(estimate.var(ddof=1)), float(variance.max()), 1e-12)
    # the likelihood may have its maximum at 0: look on a grid, then close in
    grid = np.concatenate([[0.0], np.geomspace(top * 1e-9, top, 60)])
    best = int(np.argmin([negative(v) for v in grid]))
    if best == 0:
        lo, hi = 0.0, float(grid[1])
    else:
        lo, hi = float(grid[best - 1]), float(grid[min(best + 1, grid.size - 1)])
    found = minimize_scalar(negative, bounds=(lo, hi), method="bounded", options={"xatol": 1e-14})
    tau2 = float(found.x)
    return tau2 if negative(tau2) < negative(0.0) else 0.0


def pool_centres(
    values: npt.ArrayLike,
    standard_errors: npt.ArrayLike,
    *,
    scale: Scale,
    confidence: float = 0.95,
    ad_hoc: bool = False,
) -> Pooled:
    """Random-effects average over centres.

    Parameters
    ----------
    values, standard_errors
        Each centre's measure and its standard error on the measure's own scale, shape ``(k,)``;
        errors go to the pooling scale by the delta method.
    scale
        ``logit`` for C and AUC, ``log`` for O/E, ``identity`` for a slope.
    confidence
        Level of both intervals.
    ad_hoc
        Never narrower than the fixed-effect variance (Röver, Knapp and Friede 2015): alike centres
        by chance otherwise give an interval below what their own errors allow. The prediction
        interval then takes t with k − 2 degrees of freedom (Higgins 2009).

    Returns
    -------
    Pooled
        On the measure's own scale, but ``tau2``.

    Raises
    ------
    EvaluationError
        Fewer than two centres, or a value or error that the scale does not allow.

    References
    ----------
    Debray 2017 and 2019; Hartung and Knapp 2001; Snell 2018 (logit of C); Higgins 2002 (I²).
    """
    v, se = np.asarray(values, dtype=float), np.asarray(standard_errors, dtype=float)
    _check(v, se, scale)
    if scale == "logit":
        y, error = logit(v), se / (v * (1 - v))
    elif scale == "log":
        y, error = np.log(v), se / v
    else:
        y, error = v, se
    variance = error**2
    k = y.size
    tau2 = reml_tau2(y, variance)
    w = 1 / (variance + tau2)
    mean = float((w * y).sum() / w.sum())
    hk = float((w * (y - mean) ** 2).sum() / ((k - 1) * w.sum()))
    q = far_q = float(student.ppf(0.5 + confidence / 2, k - 1))
    if ad_hoc:
        hk = max(hk, float(1 / w.sum()))
        far_q = float(student.ppf(0.5 + confidence / 2, max(k - 2, 1)))
    reach, far = q * hk**0.5, far_q * (hk + tau2) ** 0.5
    fixed = 1 / variance
    typical = (k - 1) * fixed.sum() / (fixed.sum() ** 2 - (fixed**2).sum())

    def back(x: float) -> float:
        if scale == "logit":
            return float(expit(x))
        return float(np.exp(x)) if scale == "log" else x

    return Pooled(
        value=back(mean),
        lower=back(mean - reach),
        upper=back(mean + reach),
        prediction_lower=back(mean - far) if k >= 3 else None,
        prediction_upper=back(mean + far) if k >= 3 else None,
        tau2=tau2,
        i2=float(tau2 / (tau2 + typical)),
        k=k,
        scale=scale,
    )


def _check(v: Floats, se: Floats, scale: Scale) -> None:
    if v.size < 2 or v.shape != se.shape:
        raise EvaluationError(
            "pooling needs two centres or more",
            value=f"{v.size} centres",
            remedy="With one centre report its own interval",
        )
    high = 1.0 if scale == "logit" else np.inf
    low = -np.inf if scale == "identity" else 0.0
    if not ((v > low) & (v < high) & (se > 0) & np.isfinite(se)).all():
        raise EvaluationError(
            f"a centre's value has no {scale} or no standard error",
            value=str(v.tolist()),
            remedy="Leave out a centre whose estimate lies on the boundary, and say so",
        )
