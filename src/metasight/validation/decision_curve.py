"""Decision curves: what acting on the risk is worth, in true positives per patient.

Net benefit at threshold t is P(event, risk ≥ t) − P(no event, risk ≥ t)·t/(1 − t). Under
censoring the event's probability among those at or above the threshold is 1 − Kaplan–Meier, with
competing events Aalen–Johansen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from metasight.errors import EvaluationError
from metasight.validation.brier import as_risk
from metasight.validation.curves import incidence_by
from metasight.validation.ipcw import require_horizon
from metasight.validation.ordering import Floats, as_outcome, follow_up


@dataclass(frozen=True, kw_only=True)
class NetBenefit:
    """Net benefit per patient across thresholds, shape ``(k,)`` each; treating none is 0.

    Attributes
    ----------
    thresholds
        Risks at or above which one acts, in (0, 1).
    model
        Acting on the risk; at most the event's probability.
    treat_all
        Acting on everybody.
    treated
        Share of patients at or above the threshold.
    """

    thresholds: Floats
    model: Floats
    treat_all: Floats
    treated: Floats


def _thresholds(values: npt.ArrayLike) -> Floats:
    out = np.atleast_1d(np.asarray(values, dtype=np.float64))
    if not ((out > 0) & (out < 1)).all():
        raise EvaluationError(
            "a decision threshold is a risk",
            value=str(values),
            remedy="Give thresholds in (0, 1)",
        )
    return out


def net_benefit(
    time: npt.ArrayLike,
    status: npt.ArrayLike,
    risk: npt.ArrayLike,
    horizon: float,
    thresholds: npt.ArrayLike,
) -> NetBenefit:
    """Decision curve of a risk by ``horizon``.

    Parameters
    ----------
    time, status, risk
        Shape ``(n,)``; status 0 censored, 1 event, 2 competing event.
    horizon
        Same unit as ``time``.
    thresholds
        In (0, 1).

    Raises
    ------
    EvaluationError
        The horizon is refused, or a threshold or risk is out of range.

    Notes
    -----
    Censoring is assumed not to depend on covariates among those at or above a threshold. Where
    their follow-up ends before the horizon, the last estimate is carried forward.

    References
    ----------
    Vickers and Elkin 2006; Vickers 2008 (censoring and competing risks).
    """
    limits = _thresholds(thresholds)
    require_horizon(time, status, horizon, min_censoring_survival=0.0)
    data = follow_up(time, status)
    r = as_risk(risk, data.n)[data.order]
    ones = np.ones(data.n)
    everyone = np.ones(data.n, dtype=np.bool_)
    overall = incidence_by(data.time, data.status, ones, everyone, float(horizon))
    odds = limits / (1 - limits)
    treated = np.array([(r >= t).mean() for t in limits])
    rate = np.array(
        [
            incidence_by(data.time, data.status, ones, r >= t, float(horizon))
            if (r >= t).any()
            else 0.0
            for t in limits
        ]
    )
    return NetBenefit(
        thresholds=limits,
        model=treated * (rate - (1 - rate) * odds),
        treat_all=overall - (1 - overall) * odds,
        treated=treated,
    )


def net_benefit_class(
    risk: npt.ArrayLike, y: npt.ArrayLike, thresholds: npt.ArrayLike
) -> NetBenefit:
    """Decision curve of a class probability.

    Parameters
    ----------
    risk, y
        Shape ``(n,)``; ``y`` is 0 or 1.
    thresholds
        In (0, 1).

    Raises
    ------
    EvaluationError
        One class only, or a threshold or risk out of range.

    References
    ----------
    Vickers and Elkin 2006.
    """
    limits = _thresholds(thresholds)
    outcome = as_outcome(y)
    r = as_risk(risk, outcome.size)
    odds = limits / (1 - limits)
    above = r[:, None] >= limits
    cases = (above & (outcome == 1)[:, None]).mean(axis=0)
    treated = above.mean(axis=0)
    prevalence = outcome.mean()
    return NetBenefit(
        thresholds=limits,
        model=cases - (treated - cases) * odds,
        treat_all=prevalence - (1 - prevalence) * odds,
        treated=treated,
    )
