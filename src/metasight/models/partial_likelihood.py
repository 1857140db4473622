"""Cox partial likelihood in the linear predictor: value, gradient, curvature, baseline hazard.

Working on the linear predictor rather than on coefficients lets the plain fit, the elastic net
and cross-validation share one kernel. Ties by Efron (JASA 1977;72:557).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metasight.engine.kernels import njit


@njit(cache=True)
def efron_terms(time, event, eta, gradient, curvature):  # type: ignore[no-untyped-def]
    """Log partial likelihood; writes its gradient and negative diagonal Hessian in ``eta``.

    ``time`` ascends; ``event`` is 0/1. All arrays have shape (n,).
    """
    n = len(time)
    top = eta[0]
    for i in range(n):
        top = max(top, eta[i])
    loglik = 0.0
    at_risk = 0.0
    first = np.empty(n)
    second = np.empty(n)
    first_tied = np.zeros(n)
    second_tied = np.zeros(n)
    stop = n
    while stop > 0:
        start = stop - 1
        while start > 0 and time[start - 1] == time[stop - 1]:
            start -= 1
        dying = 0.0
        deaths = 0
        for i in range(start, stop):
            weight = np.exp(eta[i] - top)
            at_risk += weight
            if event[i]:
                dying += weight
                deaths += 1
                loglik += eta[i] - top
        a = b = a_tied = b_tied = 0.0
        for r in range(deaths):
            share = r / deaths
            size = at_risk - share * dying
            loglik -= np.log(size)
            a += 1.0 / size
            b += 1.0 / size**2
            a_tied += (1.0 - share) / size
            b_tied += (1.0 - share) ** 2 / size**2
        for i in range(start, stop):
            first[i] = a if i == start else 0.0
            second[i] = b if i == start else 0.0
            if event[i]:
                first_tied[i] = a_tied - a
                second_tied[i] = b_tied - b
        stop = start
    total_a = total_b = 0.0
    for i in range(n):
        total_a += first[i]
        total_b += second[i]
        weight = np.exp(eta[i] - top)
        gradient[i] = event[i] - weight * (total_a + first_tied[i])
        curvature[i] = weight * (total_a + first_tied[i]) - weight**2 * (total_b + second_tied[i])
    return loglik


@njit(cache=True)
def efron_increments(time, event, eta):  # type: ignore[no-untyped-def]
    """Baseline hazard steps at each row that opens an event time, else 0; ``time`` ascends."""
    n = len(time)
    steps = np.zeros(n)
    at_risk = 0.0
    stop = n
    while stop > 0:
        start = stop - 1
        while start > 0 and time[start - 1] == time[stop - 1]:
            start -= 1
        dying = 0.0
        deaths = 0
        for i in range(start, stop):
            weight = np.exp(eta[i])
            at_risk += weight
            if event[i]:
                dying += weight
                deaths += 1
        for r in range(deaths):
            steps[start] += 1.0 / (at_risk - r / deaths * dying)
        stop = start
    return steps


@dataclass(frozen=True)
class PartialLikelihood:
    """Follow-up sorted by time, ready for the kernels.

    Attributes
    ----------
    time
        Shape (n,), ascending, days.
    event
        Shape (n,), 1.0 where the cause of interest ended follow-up.
    order
        Shape (n,): positions in the unsorted data.
    """

    time: NDArray[np.float64]
    event: NDArray[np.float64]
    order: NDArray[np.intp]

    @classmethod
    def of(cls, time: NDArray[np.float64], event: NDArray[np.bool_]) -> PartialLikelihood:
        """Sort ``time`` (ties keep their order) and ``event`` along."""
        order = np.argsort(time, kind="stable")
        return cls(
            np.ascontiguousarray(time[order], dtype=np.float64),
            np.ascontiguousarray(event[order], dtype=np.float64),
            order,
        )

    def terms(
        self, eta: NDArray[np.float64]
    ) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
        """Log partial likelihood, gradient and negative diagonal Hessian, sorted like ``time``."""
        gradient, curvature = np.empty_like(eta), np.empty_like(eta)
        loglik = float(efron_terms(self.time, self.event, eta, gradient, curvature))
        return loglik, gradient, curvature

    def baseline(self, eta: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Event times and Efron steps of the baseline cumulative hazard at ``eta`` = 0."""
        steps = efron_increments(self.time, self.event, eta)
        at = steps > 0
        return self.time[at], steps[at]
