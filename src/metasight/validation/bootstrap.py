"""Patient bootstrap: integer weights on one ordering of the data.

A resample is how often each patient was drawn. Orders of time and risk are found once, the same
resamples serve every model and metric (so that differences are paired), and G, Kaplan–Meier and
the null model are estimated again in each. Row 0 of a weight matrix made by :func:`draw` is all
ones: its metric is the point estimate. Models are not fitted again: the intervals describe the
given predictions in new patients like these.
"""

# ruff: noqa: PLR0917 (numba kernels take their arguments by position)

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from metasight.engine.kernels import njit
from metasight.estimate import Estimate
from metasight.validation.curves import censoring_before_and_at
from metasight.validation.discrimination import PairOrder, concordance_counts
from metasight.validation.dynamic_auc import ordered_pairs, risk_order
from metasight.validation.ipcw import horizon_weights_sorted
from metasight.validation.ordering import Floats, FollowUp, Ints
from metasight.validation.results import Metric, NotEstimable

Draws = npt.NDArray[np.int32]
MAX_LOST_SHARE = 0.1
"""A metric that more than this share of the resamples can't give has no interval."""


def draw(n: int, n_bootstrap: int, seed: int) -> Draws:
    """Weights of ``n_bootstrap`` resamples of ``n`` patients, after a first row of ones.

    Parameters
    ----------
    n
        Patients.
    n_bootstrap
        Resamples.
    seed
        The same seed gives the same weights.

    Returns
    -------
    ndarray of int32, shape (1 + n_bootstrap, n)
        Each row adds to ``n``.
    """
    rng = np.random.default_rng(seed)
    out = np.ones((1 + n_bootstrap, n), dtype=np.int32)
    for b in range(1, 1 + n_bootstrap):
        out[b] = np.bincount(rng.integers(0, n, n), minlength=n)
    return out


def to_metric(samples: Floats, confidence: float, reason: str) -> Metric:
    """Make an estimate of a point (first) and its resamples.

    Parameters
    ----------
    samples
        Shape ``(1 + B,)``; NaN where it could not be computed.
    confidence
        Level of the percentile interval.
    reason
        Why there is no number, if the point is NaN.
    """
    point, boot = float(samples[0]), samples[1:]
    if not np.isfinite(point):
        return NotEstimable(not_estimable=reason)
    finite = boot[np.isfinite(boot)]
    if finite.size < (1 - MAX_LOST_SHARE) * boot.size or finite.size < 2:
        return Estimate(value=point)
    tail = (1 - confidence) / 2
    lower, upper = np.quantile(finite, [tail, 1 - tail])
    return Estimate(
        value=point, lower=float(lower), upper=float(upper), se=float(finite.std(ddof=1))
    )


@njit(cache=True)
def _resampled_concordance(
    draws: Draws,
    row: Ints,
    bounds: Ints,
    time: Floats,
    status: Ints,
    rank: Ints,
    by_time: Ints,
    sorted_time: Floats,
    sorted_status: Ints,
    tau: float,
    censoring: bool,
    competing: bool,
) -> Floats:
    m, n = draws.shape
    out = np.empty(m)
    weight, tree = np.empty(n), np.empty(n + 2)
    later, earlier = np.ones(n), np.ones(n)
    late_by, early_by = np.ones(n), np.ones(n)
    drawn, before, at = np.empty(n), np.ones(n), np.ones(n)
    counts = np.zeros(3)
    for b in range(m):
        for i in range(n):
            weight[i] = draws[b, row[i]]
        if censoring:
            for i in range(n):
                drawn[i] = draws[b, by_time[i]]
            censoring_before_and_at(sorted_time, sorted_status, drawn, before, at)
            infinite = False
            for i in range(n):
                if drawn[i] > 0 and sorted_status[i] != 0 and sorted_time[i] <= tau:
                    early_by[by_time[i]] = 1.0 / before[i]
                    if sorted_status[i] == 1:
                        second = at[i] if competing else before[i]
                        infinite |= second <= 0
                        late_by[by_time[i]] = 1.0 / (before[i] * second) if second > 0 else 0.0
            if infinite:
                out[b] = np.nan
                continue
            for i in range(n):
                later[i] = late_by[row[i]]
                earlier[i] = early_by[row[i]]
        concordance_counts(bounds, time, status, rank, weight, later, earlier, tau, tree, counts)
        usable = counts[0] + counts[1] + counts[2]
        out[b] = (counts[0] + counts[2] / 2) / usable if usable > 0 else np.nan
    return out


def resampled_concordance(
    draws: Draws, data: FollowUp, order: PairOrder, *, tau: float | None, censoring: bool
) -> Floats:
    """C index under each row of weights, O(B · n log n).

    Parameters
    ----------
    draws
        Shape ``(m, n)``, columns in the caller's order of patients.
    data
        The patients' follow-up.
    order
        From :func:`metasight.validation.discrimination.pair_order`.
    tau
        Only events by ``tau`` open a pair; ``None`` for all.
    censoring
        Uno's weights, G estimated again in each row; else Harrell's.

    Returns
    -------
    ndarray of shape (m,)
        NaN where no pair was usable, or where a resample's G is 0 at an event by ``tau``
        (:func:`metasight.validation.discrimination.uno_weights`).
    """
    return np.asarray(
        _resampled_concordance(
            draws,
            order.row,
            order.bounds,
            order.time,
            order.status,
            order.rank,
            data.order.astype(np.int64),
            data.time,
            data.status,
            np.inf if tau is None else float(tau),
            censoring,
            data.competing,
        )
    )


@njit(cache=True)
def _close_day(
    bottom: int,
    top: int,
    surviving: Floats,
    left: Floats,
    events: Floats,
    leaving: Floats,
    gone: Floats,
    out: Floats,
) -> None:
    """Move the groups ``bottom … top − 1`` past one day and empty its counts."""
    for q in range(bottom, top):
        if leaving[q] > 0:
            out[q] += surviving[q] * events[q] / left[q]
            surviving[q] *= 1.0 - leaving[q] / left[q]
        left[q] -= gone[q]
        events[q] = 0.0
        leaving[q] = 0.0
        gone[q] = 0.0


@njit(cache=True)
def _incidence_by_group(
    time: Floats,
    status: Ints,
    weight: Floats,
    member: Ints,
    nested: bool,
    horizon: float,
    risk_set: Floats,
    out: Floats,
) -> None:
    """Aalen–Johansen by ``horizon`` in each of ``k`` groups, in one pass; fills ``out``.

    ``member[i]`` is a patient's group or, when ``nested``, the number of groups, 0 … member − 1,
    that it belongs to (thresholds). Empty groups give NaN. ``risk_set`` gets their weight.
    """
    n, k = time.shape[0], out.shape[0]
    surviving, events = np.ones(k), np.zeros(k)
    leaving, gone = np.zeros(k), np.zeros(k)
    risk_set[:] = 0.0
    out[:] = 0.0
    for i in range(n):
        lo = 0 if nested else member[i]
        hi = member[i] if nested else member[i] + 1
        for q in range(lo, hi):
            risk_set[q] += weight[i]
    left = risk_set.copy()
    i = 0
    while i < n and time[i] <= horizon:
        top = 0
        bottom = k
        j = i
        while j < n and time[j] == time[i]:
            if weight[j] > 0:
                lo = 0 if nested else member[j]
                hi = member[j] if nested else member[j] + 1
                top = max(top, hi)
                bottom = min(bottom, lo)
                for q in range(lo, hi):
                    gone[q] += weight[j]
                    leaving[q] += weight[j] * (status[j] != 0)
                    events[q] += weight[j] * (status[j] == 1)
            j += 1
        _close_day(bottom, top, surviving, left, events, leaving, gone, out)
        i = j
    for q in range(k):
        if risk_set[q] <= 0:
            out[q] = np.nan


@njit(cache=True)
def _resampled_horizon(
    draws: Draws,
    time: Floats,
    status: Ints,
    horizon: float,
    risk: Floats,
    row: Ints,
    bounds: Ints,
    group: Ints,
    above: Ints,
    odds: Floats,
    fifth: Ints,
    n_groups: int,
) -> Floats:
    """One row of metrics a resample; patients in ascending time, columns of ``HorizonSamples``."""
    m, n = draws.shape
    k = odds.shape[0]
    out = np.empty((m, 5 + k + n_groups))
    weight, before, at = np.empty(n), np.ones(n), np.ones(n)
    case, control = np.empty(n), np.empty(n)
    everyone = np.zeros(n, dtype=np.int64)
    whole, whole_set = np.empty(1), np.empty(1)
    rate, rate_set = np.empty(k), np.empty(k)
    observed, observed_set = np.empty(n_groups), np.empty(n_groups)
    for b in range(m):
        total = 0.0
        for i in range(n):
            weight[i] = draws[b, i]
            total += weight[i]
        if total == 0:
            out[b] = np.nan
            continue
        censoring_before_and_at(time, status, weight, before, at)
        horizon_weights_sorted(time, status, weight, horizon, before, case, control)
        pairs = ordered_pairs(row, bounds, group, case, control)
        out[b, 0] = pairs[0] / pairs[1] if pairs[1] > 0 else np.nan
        _incidence_by_group(time, status, weight, everyone, False, horizon, whole_set, whole)
        loss = 0.0
        null = 0.0
        expected = 0.0
        for i in range(n):
            loss += case[i] * (1 - risk[i]) ** 2 + control[i] * risk[i] ** 2
            null += case[i] * (1 - whole[0]) ** 2 + control[i] * whole[0] ** 2
            expected += weight[i] * risk[i]
        out[b, 1] = loss / total
        out[b, 2] = null / total
        out[b, 3] = whole[0]
        out[b, 4] = expected / total
        if k > 0:
            _incidence_by_group(time, status, weight, above, True, horizon, rate_set, rate)
            for q in range(k):
                share = rate_set[q] / total
                out[b, 5 + q] = share * (rate[q] - (1 - rate[q]) * odds[q]) if share > 0 else 0.0
        if n_groups > 0:
            _incidence_by_group(time, status, weight, fifth, False, horizon, observed_set, observed)
            out[b, 5 + k :] = observed
    return out


@dataclass(frozen=True, kw_only=True)
class HorizonSamples:
    """Metrics of one risk at one horizon under each row of weights, shape ``(m,)`` each.

    Attributes
    ----------
    auc, brier, brier_null
        NaN where there was no case or no control.
    observed, expected
        Aalen–Johansen incidence by the horizon, and mean predicted risk.
    net_benefit, treat_all
        Shape ``(m, k)``: at each threshold.
    group_observed
        Shape ``(m, g)``: incidence in each group of predicted risk; NaN where it is empty.
    """

    auc: Floats
    brier: Floats
    brier_null: Floats
    observed: Floats
    expected: Floats
    net_benefit: Floats
    treat_all: Floats
    group_observed: Floats

    @property
    def ipa(self) -> Floats:
        """1 − brier / brier_null; NaN where the null is 0."""
        return _ratio(self.brier_null - self.brier, self.brier_null)

    @property
    def oe(self) -> Floats:
        """Observed / expected; NaN where nothing is expected."""
        return _ratio(self.observed, self.expected)


def _ratio(top: Floats, bottom: Floats) -> Floats:
    return np.divide(top, bottom, out=np.full_like(top, np.nan), where=bottom > 0)


def resampled_horizon(
    draws_by_time: Draws,
    data: FollowUp,
    risk: npt.ArrayLike,
    horizon: float,
    *,
    strata: Ints,
    thresholds: npt.ArrayLike = (),
    groups: Ints | None = None,
) -> HorizonSamples:
    """AUC, Brier, O/E, net benefit and grouped incidence under each row of weights.

    Parameters
    ----------
    draws_by_time
        Shape ``(m, n)``, columns in ascending time: ``draws[:, data.order]``.
    data
        The patients' follow-up.
    risk, strata, groups
        In ascending time too, shape ``(n,)``; ``strata`` 0 … s − 1, ``groups`` 0 … g − 1.
    horizon
        Same unit as the times.
    thresholds
        Of net benefit, ascending.
    """
    r = np.ascontiguousarray(risk, dtype=np.float64)
    limits = np.asarray(thresholds, dtype=np.float64)
    row, bounds, group = risk_order(r, strata)
    above = np.searchsorted(limits, r, side="right").astype(np.int64)
    odds = limits / (1 - limits)
    none = groups is None
    fifth = np.zeros(data.n, dtype=np.int64) if groups is None else groups
    n_groups = 0 if none else int(fifth.max()) + 1
    out = _resampled_horizon(
        draws_by_time,
        data.time,
        data.status,
        float(horizon),
        r,
        row,
        bounds,
        group,
        above,
        odds,
        fifth,
        n_groups,
    )
    k = limits.size
    seen = out[:, 3:4]
    return HorizonSamples(
        auc=out[:, 0],
        brier=out[:, 1],
        brier_null=out[:, 2],
        observed=out[:, 3],
        expected=out[:, 4],
        net_benefit=out[:, 5 : 5 + k],
        treat_all=seen - (1 - seen) * odds,
        group_observed=out[:, 5 + k :],
    )
