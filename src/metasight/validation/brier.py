"""Brier score, its null, IPA and the integrated Brier score."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from metasight.errors import EvaluationError
from metasight.validation.curves import incidence_by
from metasight.validation.dynamic_auc import InfluenceEstimate, influence_estimate
from metasight.validation.ipcw import (
    censoring_influence,
    horizon_weights,
    require_horizon,
    require_tau,
)
from metasight.validation.ordering import Floats, as_vector, follow_up


@dataclass(frozen=True, kw_only=True)
class BrierScore:
    """Mean squared error of a risk at a horizon.

    Attributes
    ----------
    brier
        Of the model, with its influence.
    null
        Of one risk for everybody, the cumulative incidence in these data.
    ipa
        1 − brier / null, at most 1; 0 or less is no better than the null.
    """

    brier: InfluenceEstimate
    null: InfluenceEstimate
    ipa: float


def as_risk(risk: npt.ArrayLike, n: int) -> Floats:
    """Return risks checked to lie in [0, 1].

    Raises
    ------
    EvaluationError
        A risk is missing or outside [0, 1].
    """
    out = as_vector(risk, n, "risk")
    if ((out < 0) | (out > 1)).any():
        raise EvaluationError(
            "a risk is outside [0, 1]",
            value=str(out[(out < 0) | (out > 1)][0]),
            remedy="Give the probability of the event by the horizon, not a linear predictor",
        )
    return out


def observed_risk(time: npt.ArrayLike, status: npt.ArrayLike, horizon: float) -> float:
    """Aalen–Johansen cumulative incidence by ``horizon`` (1 − Kaplan–Meier if nothing competes)."""
    data = follow_up(time, status)
    everyone = np.ones(data.n, dtype=np.bool_)
    return float(incidence_by(data.time, data.status, np.ones(data.n), everyone, float(horizon)))


def brier_score(
    time: npt.ArrayLike,
    status: npt.ArrayLike,
    risk: npt.ArrayLike,
    horizon: float,
    *,
    confidence: float = 0.95,
    min_censoring_survival: float = 0.0,
) -> BrierScore:
    """IPCW Brier score of the risk of the event by ``horizon``.

    Parameters
    ----------
    time, status
        Shape ``(n,)``; a competing event by the horizon is a non-event for certain.
    risk
        Probability of the event by the horizon, shape ``(n,)``, in [0, 1].
    horizon
        Same unit as ``time``.
    confidence
        Level of the intervals.
    min_censoring_survival
        Floor on G(horizon).

    Raises
    ------
    EvaluationError
        The horizon is refused, or a risk is outside [0, 1].

    References
    ----------
    Graf 1999; Gerds and Schumacher 2006; Kattan and Gerds 2018 (IPA).
    """
    floor = min_censoring_survival
    require_horizon(time, status, horizon, min_censoring_survival=floor)
    n = follow_up(time, status).n
    r = as_risk(risk, n)
    flat = np.full(n, observed_risk(time, status, horizon))
    model = _brier(time, status, r, horizon, confidence)
    null = _brier(time, status, flat, horizon, confidence)
    return BrierScore(brier=model, null=null, ipa=1 - model.value / null.value)


def _brier(
    time: npt.ArrayLike,
    status: npt.ArrayLike,
    risk: Floats,
    horizon: float,
    confidence: float,
) -> InfluenceEstimate:
    data = follow_up(time, status)
    w = horizon_weights(time, status, horizon)
    loss = w.case * (1 - risk) ** 2 + w.control * risk**2
    value = float(loss.mean())
    ordered = loss[data.order]
    influence = np.empty(data.n)
    extra = censoring_influence(data, float(horizon), ordered)
    influence[data.order] = ordered - value + extra
    return influence_estimate(value, influence, confidence)


def prediction_error_curve(
    time: npt.ArrayLike, status: npt.ArrayLike, risk: npt.ArrayLike, horizons: npt.ArrayLike
) -> Floats:
    """IPCW Brier score at each of ``horizons``; no refusals, for curves and integrals.

    Parameters
    ----------
    time, status
        Shape ``(n,)``.
    risk
        Shape ``(n, k)``: risk by each horizon, or ``(k,)``: one risk for everybody.
    horizons
        Shape ``(k,)``.

    Returns
    -------
    ndarray of shape (k,)
    """
    times = np.asarray(horizons, dtype=np.float64)
    r = np.asarray(risk, dtype=np.float64)
    out = np.empty(times.size)
    for k, horizon in enumerate(times):
        w = horizon_weights(time, status, float(horizon))
        column = r[..., k]
        out[k] = float((w.case * (1 - column) ** 2 + w.control * column**2).mean())
    return out


def integrated_brier(
    times: npt.ArrayLike, scores: npt.ArrayLike, *, tau: float | None, step: bool = False
) -> float:
    """Brier score integrated from 0 to ``tau``, divided by ``tau``.

    Parameters
    ----------
    times
        Ascending times, shape ``(k,)``; the score at time 0 is 0.
    scores
        Brier score at each time.
    tau
        Upper limit, required; times after it are left out, and the score stays at its last value
        up to it.
    step
        A right-continuous step function (R pec) in place of the trapezoid.

    Raises
    ------
    EvaluationError
        ``tau`` is missing or no time lies at or before it.

    References
    ----------
    Graf 1999; R pec::crps.
    """
    limit = require_tau(tau)
    t, s = np.asarray(times, dtype=float), np.asarray(scores, dtype=float)
    keep = t <= limit
    if not keep.any():
        raise EvaluationError(
            "no predicted horizon up to tau",
            value=f"tau {limit:g}",
            remedy="Predict at least one horizon by tau",
        )
    t = np.concatenate([[0.0], t[keep], [limit]])
    s = np.concatenate([[0.0], s[keep], [s[keep][-1]]])
    width = np.diff(t)
    height = s[:-1] if step else (s[:-1] + s[1:]) / 2
    return float((width * height).sum() / limit)
