"""Weighted Cox and Fine–Gray fits small and fast enough to sit inside a bootstrap.

Calibration needs one or two covariates (a transformed risk and its spline) fitted again in every
resample. Models of patients are fitted elsewhere; this is a metric's tool.
"""

# ruff: noqa: PLR0917 (numba kernels take their arguments by position)

from __future__ import annotations

import numpy as np

from metasight.engine.kernels import njit
from metasight.validation.ordering import (
    Floats,
    Ints,
)

MAX_STEPS = 40


@njit(cache=True, error_model="numpy")
def solve_in_place(a: Floats, b: Floats) -> bool:
    """Solve ``a x = b`` by elimination with pivoting; ``b`` becomes x, False if singular."""
    n = b.shape[0]
    for k in range(n):
        p = k
        for i in range(k + 1, n):
            if abs(a[i, k]) > abs(a[p, k]):
                p = i
        if not abs(a[p, k]) > 1e-14:
            return False
        if p != k:
            for j in range(n):
                a[k, j], a[p, j] = a[p, j], a[k, j]
            b[k], b[p] = b[p], b[k]
        for i in range(k + 1, n):
            f = a[i, k] / a[k, k]
            for j in range(k, n):
                a[i, j] -= f * a[k, j]
            b[i] -= f * b[k]
    for k in range(n - 1, -1, -1):
        for j in range(k + 1, n):
            b[k] -= a[k, j] * b[j]
        b[k] /= a[k, k]
    return True


@njit(cache=True, error_model="numpy")
def _accumulate(s: Floats, r: float, x: Floats, i: int) -> None:
    """Add ``r·(1, x, x xᵀ)`` of row ``i`` to the packed sums ``s``."""
    p = x.shape[1]
    s[0] += r
    k = 1 + p
    for a in range(p):
        ra = r * x[i, a]
        s[1 + a] += ra
        for b in range(a + 1):
            s[k] += ra * x[i, b]
            k += 1


@njit(cache=True, error_model="numpy")
def _score_event(s: Floats, count: float, gradient: Floats, information: Floats) -> float:
    """Take ``count`` events off the gradient with risk-set sums ``s``; returns the log part."""
    p = gradient.shape[0]
    k = 1 + p
    for a in range(p):
        mean = s[1 + a] / s[0]
        gradient[a] -= count * mean
        for b in range(a + 1):
            v = count * (s[k] / s[0] - mean * s[1 + b] / s[0])
            information[a, b] += v
            if b < a:
                information[b, a] += v
            k += 1
    return float(count * np.log(s[0]))


@njit(cache=True, error_model="numpy")
def _relative_risks(x: Floats, weight: Floats, beta: Floats) -> Floats:
    """Weight times exp(x β) of each row."""
    r = np.empty(x.shape[0])
    for i in range(x.shape[0]):
        eta = 0.0
        for a in range(x.shape[1]):
            eta += x[i, a] * beta[a]
        r[i] = weight[i] * np.exp(min(eta, 500.0))
    return r


# one fused pass: a call for each day costs several times what the day's sums cost
@njit(cache=True, error_model="numpy")
def _likelihood(  # noqa: C901, PLR0912
    time: Floats,
    status: Ints,
    x: Floats,
    weight: Floats,
    g: Floats,
    fine_gray: bool,
    efron: bool,
    beta: Floats,
    horizon: float,
    gradient: Floats,
    information: Floats,
) -> tuple[float, float]:
    """Log partial likelihood and the baseline cumulative hazard by ``horizon``; fills the rest.

    ``g`` is G(T−); with ``fine_gray`` a competing event stays at risk with weight G(t−)/G(T−).
    """
    n, p = x.shape
    m = 1 + p + p * (p + 1) // 2
    at_risk, removed, dying, total = np.zeros(m), np.zeros(m), np.zeros(m), np.zeros(m)
    gradient[:] = 0.0
    information[:] = 0.0
    r = _relative_risks(x, weight, beta)
    if fine_gray:
        for i in range(n):
            if status[i] == 2 and weight[i] > 0:
                _accumulate(removed, r[i] / g[i], x, i)
    share = 1.0 if fine_gray else 0.0
    loglik = 0.0
    hazard = 0.0
    j = n - 1
    while j >= 0:
        for k in range(m):
            dying[k] = 0.0
        deaths = 0.0
        i = j
        while i >= 0 and time[i] == time[j]:
            _accumulate(at_risk, r[i], x, i)
            if status[i] == 1 and weight[i] > 0:
                deaths += weight[i]
                loglik += weight[i] * np.log(r[i] / weight[i])
                _accumulate(dying, r[i], x, i)
                for a in range(p):
                    gradient[a] += weight[i] * x[i, a]
            elif fine_gray and status[i] == 2 and weight[i] > 0:
                _accumulate(removed, -r[i] / g[i], x, i)
            i -= 1
        if deaths > 0:
            steps = round(deaths) if efron else 1
            for k in range(m):
                total[k] = at_risk[k] + share * g[j] * removed[k]
            for step in range(steps):
                if step > 0:
                    for k in range(m):
                        total[k] -= dying[k] / steps
                loglik -= _score_event(total, deaths / steps, gradient, information)
                if time[j] <= horizon:
                    hazard += deaths / steps / total[0]
        j = i
    return loglik, hazard


@njit(cache=True, error_model="numpy")
def maximise(
    time: Floats,
    status: Ints,
    x: Floats,
    weight: Floats,
    g: Floats,
    fine_gray: bool,
    efron: bool,
    horizon: float,
    loose: float,
    beta: Floats,
    information: Floats,
) -> tuple[bool, float, float, float]:
    """Newton steps with halving from ``beta = 0``.

    ``loose`` above 0 also stops where the gradient is below that share of the log-likelihood.
    Returns whether it converged, the log-likelihood at 0 and at the end, and the baseline
    cumulative hazard by ``horizon``. ``beta`` and ``information`` are filled.
    """
    p = x.shape[1]
    gradient, step, trial = np.zeros(p), np.zeros(p), np.zeros(p)
    work = np.zeros((p, p))
    null, best, hazard, scale, gain, last = 0.0, 0.0, 0.0, 1.0, np.inf, np.inf
    for k in range(MAX_STEPS * 15):
        value, hazard = _likelihood(
            time, status, x, weight, g, fine_gray, efron, trial, horizon, gradient, information
        )
        if k == 0:
            null = value
        elif not value >= best - 1e-10 * (1 + abs(best)) and scale > 1e-4:
            scale /= 2
            for a in range(p):
                trial[a] = beta[a] + scale * step[a]
            continue
        best = value
        gain = last
        size = 0.0
        slope = 0.0
        for a in range(p):
            beta[a] = trial[a]
            size = max(size, abs(beta[a]))
            slope = max(slope, abs(gradient[a]) * max(abs(beta[a]), 1.0))
        if not np.isfinite(best) or size > 1e4:
            return False, null, best, hazard
        if slope < loose * max(abs(best), 1.0) or gain < 1e-18 * (1 + abs(best)):
            return True, null, best, hazard
        for a in range(p):
            step[a] = gradient[a]
            for c in range(p):
                work[a, c] = information[a, c]
        if not solve_in_place(work, step):
            return False, null, best, hazard
        scale = 1.0
        last = 0.0
        for a in range(p):
            last += abs(step[a] * gradient[a])
            trial[a] = beta[a] + step[a]
    return gain < 1e-8, null, best, hazard
