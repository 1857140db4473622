"""One Cox or Fine–Gray fit, with its standard errors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from metasight.errors import EvaluationError
from metasight.validation.curves import censoring_before_and_at, kaplan_meier
from metasight.validation.ordering import (
    CENSORED,
    COMPETING,
    EVENT,
    Floats,
    Ints,
    as_weights,
    follow_up,
)
from metasight.validation.partial_likelihood import maximise


@dataclass(frozen=True, kw_only=True)
class HazardFit:
    """A Cox or Fine–Gray fit.

    Attributes
    ----------
    coef
        Log hazard ratios, shape ``(p,)``.
    se
        Model-based standard errors (for Fine–Gray, not robust).
    loglik
        At zero and at the maximum.
    centre
        Means taken off the covariates, shape ``(p,)``.
    baseline
        Cumulative (subdistribution) hazard by the horizon at the centre.
    g_before
        G(T−) that weighed the competing events, ascending time, shape ``(n,)``.
    """

    coef: Floats
    se: Floats
    loglik: tuple[float, float]
    centre: Floats
    baseline: float
    g_before: Floats

    def risk(self, x: npt.ArrayLike) -> Floats:
        """Risk of the event by the horizon at covariates ``x``, shape ``(k, p)``."""
        eta = (np.asarray(x, dtype=float) - self.centre) @ self.coef
        return np.asarray(-np.expm1(-self.baseline * np.exp(eta)))


def fit_hazard(
    time: npt.ArrayLike,
    status: npt.ArrayLike,
    x: npt.ArrayLike,
    horizon: float,
    *,
    fine_gray: bool = False,
    efron: bool = True,
    weights: npt.ArrayLike | None = None,
    as_crr: bool = False,
) -> HazardFit:
    """Fit a Cox (cause-specific) or a Fine–Gray model.

    Parameters
    ----------
    time, status
        Shape ``(n,)``; a Cox fit censors competing events, a Fine–Gray fit keeps them at risk.
    x
        Covariates, shape ``(n, p)``, few columns.
    horizon
        Where the baseline is wanted.
    fine_gray
        Subdistribution hazard with weights G(t−)/G(T−).
    efron
        Ties by Efron (R's default), else Breslow.
    weights
        Frequency weights; integer with Efron.
    as_crr
        A Fine–Gray fit to the digits of cmprsk::crr: ties by Breslow, events at t stay in G's
        risk set, and Newton stops at crr's looser tolerance (1e-6 of the log-likelihood).

    Raises
    ------
    EvaluationError
        No maximum: a covariate is constant, or separates the events.

    References
    ----------
    Cox 1972; Efron 1977; Fine and Gray 1999.
    """
    data = follow_up(time, status)
    design = np.asarray(x, dtype=np.float64).reshape(data.n, -1)
    w = as_weights(weights, data.n)
    centre = np.average(design, axis=0, weights=w)
    ordered = np.ascontiguousarray((design - centre)[data.order])
    before, at = np.ones(data.n), np.ones(data.n)
    w = w[data.order]
    if as_crr:
        censored = (data.status == CENSORED).astype(np.int64)
        before = kaplan_meier(data.time, censored, weights=w).before(data.time)
    elif fine_gray:
        censoring_before_and_at(data.time, data.status, w, before, at)
    p = ordered.shape[1]
    beta, information = np.zeros(p), np.zeros((p, p))
    efron = efron and not as_crr
    loose = 1e-6 if as_crr else 0.0
    done, null, best, baseline = maximise(
        data.time,
        data.status,
        ordered,
        w,
        before,
        fine_gray,
        efron,
        float(horizon),
        loose,
        beta,
        information,
    )
    if not done:
        raise EvaluationError(
            "the calibration model has no maximum",
            value=f"{int((data.status == 1).sum())} events, {p} columns",
            remedy="The predicted risks may be constant or separate the events completely",
        )
    return HazardFit(
        coef=beta,
        se=np.sqrt(np.diag(np.linalg.inv(information))),
        loglik=(null, best),
        centre=centre,
        baseline=baseline,
        g_before=before,
    )


def fine_gray_robust_se(
    time: npt.ArrayLike, status: npt.ArrayLike, x: npt.ArrayLike, fit: HazardFit
) -> Floats:
    """Sandwich standard errors of a Fine–Gray fit, the estimation of G counted.

    Parameters
    ----------
    time, status, x
        What ``fit`` was fitted to, unweighted.
    fit
        From :func:`fit_hazard` with ``fine_gray``.

    Returns
    -------
    ndarray of shape (p,)
        O(n · event times) memory.

    References
    ----------
    Fine and Gray 1999, section 5; cmprsk::crr.
    """
    data = follow_up(time, status)
    z = (np.asarray(x, dtype=np.float64).reshape(data.n, -1) - fit.centre)[data.order]
    t, g = data.time, fit.g_before
    event = data.status == EVENT
    at = np.unique(t[event])
    deaths = np.bincount(np.searchsorted(at, t[event]), minlength=at.size)
    g_at = g[np.searchsorted(t, at)]
    removed = data.status == COMPETING
    weight = (t[:, None] >= at).astype(np.float64)
    weight += (removed[:, None] & (t[:, None] < at)) * g_at / g[:, None]
    weight *= np.exp(z @ fit.coef)[:, None]
    total = weight.sum(axis=0)
    mean = (weight.T @ z) / total[:, None]
    weight *= deaths / total
    information = np.linalg.inv(_information(z, weight, mean))
    influence = np.zeros_like(z)
    influence[event] = (z - mean[np.searchsorted(at, t).clip(max=at.size - 1)])[event]
    influence -= z * weight.sum(axis=1)[:, None] - weight @ mean
    influence += _censoring_term(t, data.status, z, weight, mean, at)
    meat = influence.T @ influence
    return np.asarray(np.sqrt(np.diag(information @ meat @ information)))


def _information(z: Floats, weight: Floats, mean: Floats) -> Floats:
    """Sum over event times of the deaths times the weighted variance of the covariates."""
    second = (z * weight.sum(axis=1)[:, None]).T @ z
    return np.asarray(second - (mean * weight.sum(axis=0)[:, None]).T @ mean)


def _censoring_term(
    t: Floats, status: Ints, z: Floats, weight: Floats, mean: Floats, at: Floats
) -> Floats:
    n, p = z.shape
    unique, first, group = np.unique(t, return_index=True, return_inverse=True)
    at_risk = n - first
    removed = status == COMPETING
    q = np.zeros((unique.size, p))
    # compensators still to come after u, of those whom a competing event removed before u
    later = np.cumsum(weight[removed][:, ::-1], axis=1)[:, ::-1]
    for k, u in enumerate(unique):
        gone = t[removed] < u
        start = int(np.searchsorted(at, u))
        if gone.any() and start < at.size:
            part = weight[removed][gone][:, start:]
            q[k] = z[removed][gone].T @ later[gone, start] - part.sum(axis=0) @ mean[start:]
    hazard = np.bincount(group, status == CENSORED, unique.size) / at_risk
    ratio = q / at_risk[:, None]
    drift = np.cumsum(ratio * hazard[:, None], axis=0)
    return np.asarray(np.where((status == CENSORED)[:, None], ratio[group], 0.0) - drift[group])
