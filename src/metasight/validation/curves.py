"""Kaplan–Meier and Aalen–Johansen curves with frequency weights.

The weighted estimators exist because every bootstrap resample needs them on the ordering that is
already there; with unit weights they are the textbook estimators.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from metasight.engine.kernels import njit
from metasight.validation.ordering import (
    CENSORED,
    EVENT,
    Floats,
    Ints,
    as_weights,
    follow_up,
)


@dataclass(frozen=True, kw_only=True)
class StepCurve:
    """A right-continuous step function of time.

    Attributes
    ----------
    times
        Ascending times at which the curve may jump.
    values
        Value from each time on.
    start
        Value before the first time.
    se
        Standard error from each time on; empty where none was computed.
    """

    times: Floats
    values: Floats
    start: float
    se: Floats

    def at(self, t: npt.ArrayLike) -> Floats:
        """Value at ``t`` (jumps at ``t`` included)."""
        return self._look(t, "right", self.values, self.start)

    def before(self, t: npt.ArrayLike) -> Floats:
        """Left limit at ``t`` (jumps at ``t`` left out)."""
        return self._look(t, "left", self.values, self.start)

    def se_at(self, t: npt.ArrayLike) -> Floats:
        """Standard error at ``t``."""
        return self._look(t, "right", self.se, 0.0)

    def _look(self, t: npt.ArrayLike, side: str, values: Floats, start: float) -> Floats:
        index = np.searchsorted(self.times, np.asarray(t, dtype=float), side=side)  # type: ignore[call-overload]
        return np.asarray(np.concatenate([[start], values])[index], dtype=np.float64)


@njit(cache=True)
def _risk_table(
    time: Floats, status: Ints, weight: Floats
) -> tuple[Floats, Floats, Floats, Floats, Floats]:
    """Unique times with the weight at risk, and of events, competing events and censorings."""
    n = time.shape[0]
    out = np.zeros((5, n))
    at_risk = weight.sum()
    k = 0
    i = 0
    while i < n:
        out[0, k] = time[i]
        out[1, k] = at_risk
        j = i
        while j < n and time[j] == time[i]:
            row = 4 if status[j] == 0 else 1 + status[j]
            out[row, k] += weight[j]
            at_risk -= weight[j]
            j += 1
        k += 1
        i = j
    return out[0, :k], out[1, :k], out[2, :k], out[3, :k], out[4, :k]


@njit(cache=True)
def incidence_at(
    time: Floats,
    status: Ints,
    weight: Floats,
    chosen: npt.NDArray[np.bool_],
    horizons: Floats,
) -> Floats:
    """As :func:`incidence_by`, at each of ascending horizons in one pass."""
    out = np.full(horizons.shape[0], np.nan)
    at_risk = 0.0
    for i in range(time.shape[0]):
        if chosen[i]:
            at_risk += weight[i]
    if at_risk <= 0:
        return out
    n = time.shape[0]
    surviving = 1.0
    incidence = 0.0
    i = 0
    for k in range(horizons.shape[0]):
        while i < n and time[i] <= horizons[k]:
            events = 0.0
            leaving = 0.0
            gone = 0.0
            j = i
            while j < n and time[j] == time[i]:
                if chosen[j]:
                    gone += weight[j]
                    if status[j] == 1:
                        events += weight[j]
                    if status[j] != 0:
                        leaving += weight[j]
                j += 1
            if leaving > 0:
                incidence += surviving * events / at_risk
                surviving *= 1.0 - leaving / at_risk
            at_risk -= gone
            i = j
        out[k] = incidence
    return out


@njit(cache=True)
def incidence_by(
    time: Floats, status: Ints, weight: Floats, chosen: npt.NDArray[np.bool_], horizon: float
) -> float:
    """Aalen–Johansen cumulative incidence of status 1 by ``horizon`` among the chosen rows.

    Without competing events this is 1 − Kaplan–Meier. Rows are in ascending time. The estimate
    stays flat past the last time of the chosen rows; NaN if no weight is chosen.
    """
    return float(incidence_at(time, status, weight, chosen, np.array([horizon]))[0])


@njit(cache=True)
def censoring_before_and_at(
    time: Floats, status: Ints, weight: Floats, before: Floats, at: Floats
) -> None:
    """Fill the censoring survival G just before and at each row's time (ascending rows).

    The risk set of G at t leaves out the events at t: they can't be censored at t any more.
    """
    n = time.shape[0]
    at_risk = 0.0
    for i in range(n):
        at_risk += weight[i]
    g = 1.0
    i = 0
    while i < n:
        censored = 0.0
        events = 0.0
        j = i
        while j < n and time[j] == time[i]:
            if status[j] == 0:
                censored += weight[j]
            else:
                events += weight[j]
            j += 1
        after = g
        if censored > 0:
            after = g * (1.0 - censored / (at_risk - events))
        for k in range(i, j):
            before[k] = g
            at[k] = after
        at_risk -= censored + events
        g = after
        i = j


def kaplan_meier(
    time: npt.ArrayLike, status: npt.ArrayLike, *, weights: npt.ArrayLike | None = None
) -> StepCurve:
    """Kaplan–Meier survival with Greenwood's standard error.

    Parameters
    ----------
    time, status
        Shape ``(n,)``; any status above 0 is the event.
    weights
        Frequency weights (how often each patient was drawn).

    Returns
    -------
    StepCurve
        Survival in [0, 1], never increasing; ``se`` on the survival scale.

    References
    ----------
    Kaplan and Meier 1958; Greenwood 1926.
    """
    data = follow_up(time, status)
    w = as_weights(weights, data.n)[data.order]
    t, at_risk, event, competing, _ = _risk_table(data.time, data.status, w)
    dead = event + competing
    some = at_risk > 0
    hazard = np.divide(dead, at_risk, out=np.zeros_like(dead), where=some)
    survival = np.cumprod(1 - hazard)
    room = at_risk * (at_risk - dead)
    term = np.divide(dead, room, out=np.zeros_like(dead), where=room > 0)
    return StepCurve(times=t, values=survival, start=1.0, se=survival * np.sqrt(np.cumsum(term)))


def aalen_johansen(
    time: npt.ArrayLike,
    status: npt.ArrayLike,
    *,
    cause: int = EVENT,
    weights: npt.ArrayLike | None = None,
) -> StepCurve:
    """Cumulative incidence of ``cause`` with the other event competing.

    Parameters
    ----------
    time, status
        Shape ``(n,)``; 0 censored, 1 event, 2 competing event.
    cause
        1 or 2.
    weights
        Frequency weights.

    Returns
    -------
    StepCurve
        Values in [0, 1] that can only increase over time; never 1 − Kaplan–Meier unless nothing
        competes. ``se`` from Gray's variance.

    References
    ----------
    Aalen and Johansen 1978; Gray 1988 (the variance of R cmprsk::cuminc).
    """
    data = follow_up(time, status)
    w = as_weights(weights, data.n)[data.order]
    t, at_risk, event, competing, _ = _risk_table(data.time, data.status, w)
    own, other = (event, competing) if cause == EVENT else (competing, event)
    values, variance = _incidence(at_risk, own, other)
    return StepCurve(times=t, values=values, start=0.0, se=np.sqrt(variance))


@njit(cache=True)
def _incidence(at_risk: Floats, own: Floats, other: Floats) -> tuple[Floats, Floats]:
    """Cumulative incidence and its variance (Gray's, with the correction for tied events)."""
    n = at_risk.shape[0]
    values, variance = np.zeros(n), np.zeros(n)
    surviving, incidence, var = 1.0, 0.0, 0.0
    a, b, c = 0.0, 0.0, 0.0
    for k in range(n):
        gone = own[k] + other[k]
        if gone > 0:
            after = surviving * (at_risk[k] - gone) / at_risk[k]
            incidence += surviving * own[k] / at_risk[k]
            inverse = 1.0 / after if after > 0 else 0.0
            for count, step in ((other[k], 0.0), (own[k], 1.0)):
                if count > 0 and (step > 0 or after > 0):
                    ties = 1.0 - (count - 1) / (at_risk[k] - 1) if count > 1 else 1.0
                    part = surviving * surviving * ties * count / at_risk[k] ** 2
                    height = step + inverse * incidence
                    a += height * height * part
                    b += inverse * height * part
                    c += inverse * inverse * part
            var = a + incidence * incidence * c - 2 * incidence * b
            surviving = after
        values[k] = incidence
        variance[k] = max(var, 0.0)
    return values, variance


def censoring_survival(
    time: npt.ArrayLike, status: npt.ArrayLike, *, weights: npt.ArrayLike | None = None
) -> StepCurve:
    """Kaplan–Meier of staying uncensored, G; events at t have left its risk set at t.

    Assumes that censoring does not depend on covariates.

    Parameters
    ----------
    time, status
        Shape ``(n,)``; status 0 is the censoring.
    weights
        Frequency weights.
    """
    data = follow_up(time, status)
    w = as_weights(weights, data.n)[data.order]
    t, at_risk, event, competing, censored = _risk_table(data.time, data.status, w)
    room = at_risk - event - competing
    hazard = np.divide(censored, room, out=np.zeros_like(censored), where=censored > 0)
    return StepCurve(times=t, values=np.cumprod(1 - hazard), start=1.0, se=np.zeros_like(censored))


def median_follow_up(time: npt.ArrayLike, status: npt.ArrayLike) -> float | None:
    """Median follow-up by reverse Kaplan–Meier; ``None`` if it is not reached.

    The time at which half would still be followed had nobody had an event (Schemper 1996).
    """
    data = follow_up(time, status)
    curve = kaplan_meier(data.time, (data.status == CENSORED).astype(np.int64))
    reached = np.flatnonzero(curve.values <= 0.5)
    return None if reached.size == 0 else float(curve.times[reached[0]])
