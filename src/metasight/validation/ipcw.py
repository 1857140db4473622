"""Inverse probability of censoring weights, and the refusals that protect them.

An event weighs 1/G(T−), a patient followed beyond the horizon 1/G(horizon), a patient censored
before it nothing. A weighted metric says nothing where nearly everybody is censored, so a horizon
with a low G is refused rather than computed.
"""

# ruff: noqa: PLR0917 (numba kernels take their arguments by position)

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from metasight.engine.kernels import njit
from metasight.errors import EvaluationError
from metasight.validation.curves import censoring_before_and_at, censoring_survival
from metasight.validation.ordering import CENSORED, EVENT, Floats, FollowUp, Ints, follow_up

MIN_CENSORING_SURVIVAL = 0.1
"""A horizon where less than this share would still be uncensored is refused."""


def require_horizon(
    time: npt.ArrayLike,
    status: npt.ArrayLike,
    horizon: float,
    *,
    min_censoring_survival: float = MIN_CENSORING_SURVIVAL,
) -> None:
    """Refuse a horizon that these data cannot speak about.

    Parameters
    ----------
    time, status
        Shape ``(n,)``.
    horizon
        Same unit as ``time``.
    min_censoring_survival
        Lowest G(horizon) accepted.

    Raises
    ------
    EvaluationError
        Nobody had the event by the horizon, everyone is censored, the horizon is past the last
        follow-up, or G(horizon) is below the floor.
    """
    data = follow_up(time, status)
    if not np.isfinite(horizon) or horizon <= 0:
        raise EvaluationError(
            "the horizon must be above zero", value=str(horizon), remedy="Give it in days"
        )
    if (data.status == CENSORED).all():
        raise EvaluationError(
            "every patient is censored",
            value=f"0 events in {data.n} patients",
            remedy="Check the status codes: 0 censored, 1 event, 2 competing event",
        )
    if not ((data.status == EVENT) & (data.time <= horizon)).any():
        raise EvaluationError(
            "no event by the horizon",
            value=f"horizon {horizon:g}, {int((data.status == EVENT).sum())} events later",
            remedy="Choose a later horizon, or wait for more follow-up",
        )
    if horizon >= data.time[-1]:
        raise EvaluationError(
            "the horizon is beyond the follow-up",
            value=f"horizon {horizon:g}, last follow-up {data.time[-1]:g}",
            remedy="Choose a horizon before the last follow-up",
        )
    g = float(censoring_survival(data.time, data.status).at(horizon))
    if g < min_censoring_survival:
        raise EvaluationError(
            "too few patients are still followed at the horizon",
            value=f"censoring survival {g:.3f} at {horizon:g}, floor {min_censoring_survival:g}",
            remedy="Choose an earlier horizon",
        )


def require_tau(tau: float | None) -> float:
    """Return ``tau``, or refuse a missing one.

    Raises
    ------
    EvaluationError
        ``tau`` is ``None``: without it Uno's C weighs the last, least certain times most.
    """
    if tau is None:
        raise EvaluationError(
            "Uno's C needs tau",
            value="None",
            remedy="Give the time up to which follow-up is adequate, such as the last horizon",
        )
    return float(tau)


@dataclass(frozen=True, kw_only=True)
class HorizonWeights:
    """Weights of cases and controls at a horizon, in the caller's order, shape ``(n,)``.

    Attributes
    ----------
    case
        1/G(T−) for an event by the horizon, else 0.
    control
        1/G(horizon) if still event-free after it, 1/G(T−) for a competing event by it, else 0.
    """

    case: Floats
    control: Floats


@njit(cache=True)
def horizon_weights_sorted(
    time: Floats,
    status: Ints,
    weight: Floats,
    horizon: float,
    before: Floats,
    case: Floats,
    control: Floats,
) -> None:
    """Fill case and control weights (times the frequency weight) for ascending rows."""
    n = time.shape[0]
    g_horizon = 1.0
    for i in range(n):
        if time[i] > horizon:
            # nothing is censored between the last time by the horizon and this one
            g_horizon = before[i]
            break
    for i in range(n):
        case[i] = 0.0
        control[i] = 0.0
        if weight[i] == 0.0:
            continue
        if time[i] > horizon:
            control[i] = weight[i] / g_horizon
        elif status[i] == 1:
            case[i] = weight[i] / before[i]
        elif status[i] == 2:
            control[i] = weight[i] / before[i]


def horizon_weights(time: npt.ArrayLike, status: npt.ArrayLike, horizon: float) -> HorizonWeights:
    """IPCW weights of cases and controls at ``horizon``.

    Parameters
    ----------
    time, status
        Shape ``(n,)``.
    horizon
        Same unit as ``time``.

    Returns
    -------
    HorizonWeights
        Their means add to 1 in expectation.

    References
    ----------
    Graf 1999; Blanche 2013; Gerds and Schumacher 2006.
    """
    data = follow_up(time, status)
    before, at = np.empty(data.n), np.empty(data.n)
    ones = np.ones(data.n)
    censoring_before_and_at(data.time, data.status, ones, before, at)
    case, control = np.empty(data.n), np.empty(data.n)
    horizon_weights_sorted(data.time, data.status, ones, float(horizon), before, case, control)
    out = HorizonWeights(case=np.empty(data.n), control=np.empty(data.n))
    out.case[data.order] = case
    out.control[data.order] = control
    return out


def censoring_influence(data: FollowUp, horizon: float, slope: Floats) -> Floats:
    """What estimating G adds to each patient's influence on an IPCW mean.

    Parameters
    ----------
    data
        Ascending follow-up.
    horizon
        Weights are evaluated at ``min(T, horizon)``.
    slope
        Each patient's contribution to the mean, weights included, ascending rows.

    Returns
    -------
    ndarray of shape (n,)
        Ascending rows; ``mean_i(slope_i · ∫_0^{min(T_i−, horizon)} dM^C_k / P(T ≥ u))`` of each k.

    Notes
    -----
    The martingale uses the Nelson–Aalen hazard with everybody at risk, events at u too, as
    riskRegression does; it differs from G's own convention only where an event and a censoring
    share a day, and there by less than the second decimal of the standard error.

    References
    ----------
    Blanche 2013, appendix A; Hung and Chiang 2010.
    """
    n = data.n
    unique, first, group = np.unique(data.time, return_index=True, return_inverse=True)
    at_risk = (n - first).astype(np.float64)
    hazard = np.bincount(group, data.status == CENSORED, unique.size) / at_risk
    # the slope still to come after each unique time, up to the horizon
    total = np.bincount(group, slope, unique.size)
    from_here = np.cumsum(total[::-1])[::-1]
    tail = np.where(unique <= horizon, (from_here - total) / at_risk, 0.0)
    drift = np.cumsum(hazard * tail)
    return np.asarray(np.where(data.status == CENSORED, tail[group], 0.0) - drift[group])
