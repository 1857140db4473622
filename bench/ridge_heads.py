"""Ridge regression for a time and for a class that fits in about a millisecond, for benchmarks.

A study's heads take 30 ms a fit, mostly for tables; intervals that refit need thousands of fits a
replicate. These stand in for them: standardised columns, a path of penalties, the penalty chosen
by Akaike's criterion with the effective number of parameters (Verweij and van Houwelingen 1994).
"""

from __future__ import annotations

import numpy as np

from metasight.engine.kernels import njit

COX, LOGISTIC = 0, 1
PENALTIES = np.geomspace(3.0, 0.003, 8)
"""Per patient and squared coefficient of a standardised column."""


@njit(cache=True)
def _logistic_terms(x, event, beta, gradient, hessian):  # type: ignore[no-untyped-def]
    """Log likelihood; adds to the lower triangle of the information."""
    n, p = x.shape
    loglik = 0.0
    for i in range(n):
        eta = 0.0
        for j in range(p):
            eta += x[i, j] * beta[j]
        risk = 1.0 / (1.0 + np.exp(-eta))
        loglik += event[i] * eta - max(eta, 0.0) - np.log1p(np.exp(-abs(eta)))
        for j in range(p):
            gradient[j] += x[i, j] * (event[i] - risk)
            for k in range(j + 1):
                hessian[j, k] += risk * (1.0 - risk) * x[i, j] * x[i, k]
    return loglik


@njit(cache=True)
def _cox_terms(x, event, beta, gradient, hessian, s1, s2):  # type: ignore[no-untyped-def]
    """The same; rows by descending time, ties as Breslow."""
    n, p = x.shape
    loglik = 0.0
    s0 = 0.0
    s1[:] = 0.0
    s2[:] = 0.0
    for i in range(n):
        eta = 0.0
        for j in range(p):
            eta += x[i, j] * beta[j]
        w = np.exp(eta)
        s0 += w
        for j in range(p):
            s1[j] += w * x[i, j]
            for k in range(j + 1):
                s2[j, k] += w * x[i, j] * x[i, k]
        if event[i] > 0:
            loglik += eta - np.log(s0)
            for j in range(p):
                gradient[j] += x[i, j] - s1[j] / s0
                for k in range(j + 1):
                    hessian[j, k] += s2[j, k] / s0 - s1[j] * s1[k] / (s0 * s0)
    return loglik


@njit(cache=True)
def _terms(family, x, event, beta, gradient, hessian, s1, s2):  # type: ignore[no-untyped-def]
    gradient[:] = 0.0
    hessian[:] = 0.0
    if family == 1:
        loglik = _logistic_terms(x, event, beta, gradient, hessian)
    else:
        loglik = _cox_terms(x, event, beta, gradient, hessian, s1, s2)
    for j in range(x.shape[1]):
        for k in range(j):
            hessian[k, j] = hessian[j, k]
    return loglik


@njit(cache=True)
def _path(family, x, event, penalties, free):  # type: ignore[no-untyped-def]
    """Coefficients at the penalty of least AIC; the first ``free`` columns are not penalised."""
    n, p = x.shape
    beta, best = np.zeros(p), np.zeros(p)
    gradient, hessian = np.empty(p), np.empty((p, p))
    s1, s2 = np.empty(p), np.empty((p, p))
    least = np.inf
    for lam in penalties:
        shrink = np.full(p, lam * n)
        shrink[:free] = 1e-9
        loglik = 0.0
        for _ in range(12):
            loglik = _terms(family, x, event, beta, gradient, hessian, s1, s2)
            for j in range(p):
                gradient[j] -= shrink[j] * beta[j]
            penalised = hessian.copy()
            for j in range(p):
                penalised[j, j] += shrink[j]
            step = np.linalg.solve(penalised, gradient)
            largest = np.abs(step).max()
            if largest > 1.0:
                step /= largest
            beta = beta + step
            if largest < 1e-3:
                break
        penalised = hessian.copy()
        for j in range(p):
            penalised[j, j] += shrink[j]
        parameters = np.trace(np.linalg.solve(penalised, hessian))
        criterion = -2.0 * loglik + 2.0 * parameters
        if criterion < least:
            least = criterion
            best = beta.copy()
    return best


def ridge(x: np.ndarray, time: np.ndarray | None, event: np.ndarray) -> np.ndarray:
    """Coefficients of the columns of ``x`` on their own scale, shape (p,).

    Parameters
    ----------
    x
        Shape (n, p).
    time
        For a Cox regression; None for a logistic one, whose intercept is left out of the result.
    event
        0 or 1.
    """
    mean, sd = x.mean(axis=0), x.std(axis=0)
    z = (x - mean) / sd
    y = event.astype(np.float64)
    if time is None:
        beta = _path(LOGISTIC, np.column_stack([np.ones(len(z)), z]), y, PENALTIES, 1)[1:]
    else:
        order = np.argsort(-time, kind="stable")
        beta = _path(COX, np.ascontiguousarray(z[order]), y[order], PENALTIES, 0)
    return beta / sd
