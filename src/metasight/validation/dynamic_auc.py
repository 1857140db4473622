"""Cumulative/dynamic AUC at a horizon, weighted for censoring.

Cases had the event by the horizon; controls were event-free at it or had a competing event
before it. The AUC is the probability that a case's risk is above a control's.
"""

# ruff: noqa: PLR0917 (numba kernels take their arguments by position)

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

from metasight.engine.kernels import njit
from metasight.errors import EvaluationError
from metasight.validation.curves import censoring_before_and_at
from metasight.validation.ipcw import (
    censoring_influence,
    horizon_weights,
    horizon_weights_sorted,
    require_horizon,
)
from metasight.validation.ordering import Floats, Ints, as_strata, as_vector, follow_up


@dataclass(frozen=True, kw_only=True)
class InfluenceEstimate:
    """An estimate whose standard error comes from each patient's influence on it.

    Attributes
    ----------
    value
        The estimate.
    se
        Standard deviation of the influence (n − 1) over √n.
    lower, upper
        Wald interval, cut at 0 and 1.
    influence
        Each patient's influence, the caller's order, shape ``(n,)``; mean 0. Differences of two
        estimates on the same patients have the difference of influences.
    """

    value: float
    se: float
    lower: float
    upper: float
    influence: Floats


def influence_estimate(value: float, influence: Floats, confidence: float) -> InfluenceEstimate:
    """Wald interval from an influence function, cut at 0 and 1."""
    se = float(influence.std(ddof=1) / np.sqrt(influence.size)) if influence.size > 1 else np.nan
    z = float(norm.ppf(0.5 + confidence / 2))
    return InfluenceEstimate(
        value=value,
        se=se,
        lower=max(0.0, value - z * se),
        upper=min(1.0, value + z * se),
        influence=influence,
    )


def risk_order(risk: Floats, strata: Ints) -> tuple[Ints, Ints, Ints]:
    """Rows by stratum and ascending risk, the strata's bounds, and the group of equal risks."""
    one = strata.size > 0 and strata.max() == 0
    row = np.argsort(risk) if one else np.lexsort((risk, strata)).astype(np.int64)
    bounds = np.concatenate([[0], np.cumsum(np.bincount(strata))]).astype(np.int64)
    r, s = risk[row], strata[row]
    new = np.concatenate([[True], (r[1:] != r[:-1]) | (s[1:] != s[:-1])])
    return row, bounds, np.cumsum(new).astype(np.int64)


@njit(cache=True)
def ordered_pairs(
    row: Ints, bounds: Ints, group: Ints, case: Floats, control: Floats
) -> tuple[float, float]:
    """Weight of pairs with the case above its control (ties half), and of all pairs.

    ``row``, ``bounds`` and ``group`` come from :func:`risk_order`.
    """
    above = 0.0
    pairs = 0.0
    for s in range(bounds.shape[0] - 1):
        hi = bounds[s + 1]
        i = bounds[s]
        below = 0.0
        cases = 0.0
        while i < hi:
            j = i
            tied_case = 0.0
            tied_control = 0.0
            while j < hi and group[j] == group[i]:
                tied_case += case[row[j]]
                tied_control += control[row[j]]
                j += 1
            above += tied_case * (below + 0.5 * tied_control)
            below += tied_control
            cases += tied_case
            i = j
        pairs += cases * below
    return above, pairs


def _pair_shares(risk: Floats, strata: Ints, case: Floats, control: Floats) -> tuple[Floats, ...]:
    """For each row: control weight below it, case weight above it, both totals in its stratum."""
    out = [np.empty(risk.size) for _ in range(4)]
    for s in range(int(strata.max()) + 1):
        rows = np.flatnonzero(strata == s)
        group = np.unique(risk[rows], return_inverse=True)[1]
        by_case, by_control = np.bincount(group, case[rows]), np.bincount(group, control[rows])
        below = np.cumsum(by_control) - by_control / 2
        above = by_case.sum() - np.cumsum(by_case) + by_case / 2
        out[0][rows], out[1][rows] = below[group], above[group]
        out[2][rows], out[3][rows] = by_control.sum(), by_case.sum()
    return tuple(out)


def cumulative_dynamic_auc(
    time: npt.ArrayLike,
    status: npt.ArrayLike,
    risk: npt.ArrayLike,
    horizon: float,
    *,
    strata: npt.ArrayLike | None = None,
    confidence: float = 0.95,
    min_censoring_survival: float = 0.0,
) -> InfluenceEstimate:
    """AUC of the risk for the event by ``horizon``, with IPCW.

    Parameters
    ----------
    time, status, risk
        Shape ``(n,)``; status 0 censored, 1 event, 2 competing event.
    horizon
        Same unit as ``time``.
    strata
        Only case–control pairs within a stratum are compared; G is estimated on all patients.
    confidence
        Level of the interval.
    min_censoring_survival
        Floor on G(horizon).

    Returns
    -------
    InfluenceEstimate
        In [0, 1]; 0.5 is no discrimination. The influence counts the estimation of G.

    Raises
    ------
    EvaluationError
        The horizon is refused (see :func:`require_horizon`) or there is no control.

    References
    ----------
    Uno 2007; Blanche 2013 and 2015; the weights and influence of R riskRegression::Score.
    """
    floor = min_censoring_survival
    require_horizon(time, status, horizon, min_censoring_survival=floor)
    data = follow_up(time, status)
    r = as_vector(risk, data.n, "risk")
    stratum = as_strata(strata, data.n)
    w = horizon_weights(time, status, horizon)
    below, above, controls, cases = _pair_shares(r, stratum, w.case, w.control)
    pairs = float((w.case * controls).sum())
    if pairs <= 0:
        raise EvaluationError(
            "no control to compare a case with",
            value=f"horizon {horizon:g}",
            remedy="Choose an earlier horizon",
        )
    auc = float((w.case * below).sum() / pairs)
    own = (w.case * (below - auc * controls) + w.control * (above - auc * cases)) / pairs * data.n
    influence = np.empty(data.n)
    ordered = own[data.order]
    influence[data.order] = ordered + censoring_influence(data, float(horizon), ordered)
    return influence_estimate(auc, influence, confidence)


@njit(cache=True)
def _auc_at(
    time: Floats,
    status: Ints,
    horizons: Floats,
    row: Ints,
    bounds: Ints,
    group: Ints,
) -> Floats:
    n = time.shape[0]
    weight, before, at = np.ones(n), np.ones(n), np.ones(n)
    case, control = np.empty(n), np.empty(n)
    censoring_before_and_at(time, status, weight, before, at)
    out = np.empty(horizons.shape[0])
    for k in range(horizons.shape[0]):
        horizon_weights_sorted(time, status, weight, horizons[k], before, case, control)
        above, pairs = ordered_pairs(row, bounds, group, case, control)
        out[k] = above / pairs if pairs > 0 else np.nan
    return out


def auc_at_times(
    time: npt.ArrayLike,
    status: npt.ArrayLike,
    risk: npt.ArrayLike,
    horizons: npt.ArrayLike,
    *,
    strata: npt.ArrayLike | None = None,
) -> Floats:
    """AUC at many horizons from one ordering, for curves; no standard errors, no refusals.

    Parameters
    ----------
    time, status, risk
        Shape ``(n,)``; one score for all horizons.
    horizons
        Shape ``(k,)``.
    strata
        Only case–control pairs within a stratum are compared.

    Returns
    -------
    ndarray of shape (k,)
        As :func:`cumulative_dynamic_auc`; NaN at a horizon without cases or controls.
    """
    data = follow_up(time, status)
    r = as_vector(risk, data.n, "risk")[data.order]
    stratum = as_strata(strata, data.n)[data.order]
    row, bounds, group = risk_order(r, stratum)
    times = np.atleast_1d(np.asarray(horizons, dtype=np.float64))
    return np.asarray(_auc_at(data.time, data.status, times, row, bounds, group))
