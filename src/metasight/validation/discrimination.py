"""Concordance: whether the patient with the earlier event has the higher risk.

Harrell's C counts every usable pair once; Uno's C weighs a pair by the inverse of the squared
censoring survival, so that it does not depend on the censoring. With competing events a patient
who had one never has the event, so he outlives everyone (Wolbers 2009).

Pairs can be kept within strata (a repeat and fold): risks from different fitted models are not
on one scale, and comparing them dilutes or inflates C.
"""

# ruff: noqa: PLR0917 (numba kernels take their arguments by position)

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from metasight.engine.kernels import njit
from metasight.errors import EvaluationError
from metasight.validation.curves import censoring_before_and_at
from metasight.validation.ipcw import require_tau
from metasight.validation.ordering import (
    CENSORED,
    COMPETING,
    EVENT,
    Floats,
    Ints,
    as_strata,
    as_vector,
    as_weights,
    follow_up,
)


@dataclass(frozen=True, kw_only=True)
class Concordance:
    """A C index and what it was counted from.

    Attributes
    ----------
    c
        (concordant + tied_risk / 2) / all usable pairs, in [0, 1]; 0.5 is no discrimination.
    se
        Infinitesimal jackknife with the pair weights taken as known.
    concordant, discordant, tied_risk
        Usable pairs (weighted, for Uno's C).
    tied_time, tied_both
        Pairs of events on one day, with different and with equal risk: not usable.
    """

    c: float
    se: float
    concordant: float
    discordant: float
    tied_risk: float
    tied_time: float
    tied_both: float


@dataclass(frozen=True, kw_only=True)
class PairOrder:
    """Rows ordered by stratum and ascending time, ready for any weights.

    Attributes
    ----------
    row
        Index into the caller's rows, shape ``(n,)``.
    bounds
        Stratum ``s`` is ``row[bounds[s]:bounds[s + 1]]``.
    time, status
        Of ``row``.
    rank
        1-based dense rank of the risk within the stratum.
    """

    row: Ints
    bounds: Ints
    time: Floats
    status: Ints
    rank: Ints


def pair_order(
    time: npt.ArrayLike,
    status: npt.ArrayLike,
    risk: npt.ArrayLike,
    strata: npt.ArrayLike | None = None,
) -> PairOrder:
    """Order rows once for concordance with any number of weight vectors."""
    data = follow_up(time, status)
    t, s = np.empty(data.n), np.empty(data.n, dtype=np.int64)
    t[data.order], s[data.order] = data.time, data.status
    r = as_vector(risk, data.n, "risk")
    stratum = as_strata(strata, data.n)
    row = np.lexsort((t, stratum)).astype(np.int64)
    sizes = np.bincount(stratum)
    bounds = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    rank = np.empty(data.n, dtype=np.int64)
    for lo, hi in pairwise(bounds):
        rank[lo:hi] = np.unique(r[row[lo:hi]], return_inverse=True)[1] + 1
    return PairOrder(row=row, bounds=bounds, time=t[row], status=s[row], rank=rank)


@njit(cache=True)
def _add(tree: Floats, i: int, size: int, value: float) -> None:
    while i <= size:
        tree[i] += value
        i += i & (-i)


@njit(cache=True)
def _sum_to(tree: Floats, i: int) -> float:
    total = 0.0
    while i > 0:
        total += tree[i]
        i &= i - 1
    return total


@njit(cache=True)
def _count_block(
    lo: int,
    hi: int,
    time: Floats,
    status: Ints,
    rank: Ints,
    weight: Floats,
    later: Floats,
    earlier: Floats,
    tau: float,
    tree: Floats,
    out: Floats,
) -> None:
    """Add concordant, discordant and tied weight of one stratum to ``out``.

    ``later[i]`` multiplies pairs of event i with whoever is followed longer; ``earlier`` is the
    weight 1/G(T−) of event and of competing event, whose product multiplies the pairs of an event
    with those whom a competing event removed by then.
    """
    size = 0
    for i in range(lo, hi):
        size = max(size, rank[i])
    has_competing = False
    tree[: size + 1] = 0.0
    total = 0.0
    j = hi - 1
    while j >= lo:
        i = j
        while i >= lo and time[i] == time[j]:
            if status[i] == 0 and weight[i] > 0:
                _add(tree, rank[i], size, weight[i])
                total += weight[i]
            i -= 1
        if time[j] <= tau:
            for k in range(i + 1, j + 1):
                if status[k] == 1 and weight[k] > 0:
                    below = _sum_to(tree, rank[k] - 1)
                    same = _sum_to(tree, rank[k]) - below
                    factor = weight[k] * later[k]
                    out[0] += factor * below
                    out[1] += factor * (total - below - same)
                    out[2] += factor * same
        for k in range(i + 1, j + 1):
            if status[k] != 0 and weight[k] > 0:
                _add(tree, rank[k], size, weight[k])
                total += weight[k]
                has_competing |= status[k] == 2
        j = i
    if has_competing:
        _count_competing(lo, hi, time, status, rank, weight, earlier, tau, tree, size, out)


@njit(cache=True)
def _count_competing(
    lo: int,
    hi: int,
    time: Floats,
    status: Ints,
    rank: Ints,
    weight: Floats,
    earlier: Floats,
    tau: float,
    tree: Floats,
    size: int,
    out: Floats,
) -> None:
    """Add the pairs of an event with a competing event at or before it."""
    tree[: size + 1] = 0.0
    total = 0.0
    i = lo
    while i < hi and time[i] <= tau:
        j = i
        while j < hi and time[j] == time[i]:
            if status[j] == 2 and weight[j] > 0:
                _add(tree, rank[j], size, weight[j] * earlier[j])
                total += weight[j] * earlier[j]
            j += 1
        for k in range(i, j):
            if status[k] == 1 and weight[k] > 0:
                below = _sum_to(tree, rank[k] - 1)
                same = _sum_to(tree, rank[k]) - below
                factor = weight[k] * earlier[k]
                out[0] += factor * below
                out[1] += factor * (total - below - same)
                out[2] += factor * same
        i = j


@njit(cache=True)
def concordance_counts(
    bounds: Ints,
    time: Floats,
    status: Ints,
    rank: Ints,
    weight: Floats,
    later: Floats,
    earlier: Floats,
    tau: float,
    tree: Floats,
    out: Floats,
) -> None:
    """Fill ``out`` with concordant, discordant and tied weight summed over strata."""
    out[:] = 0.0
    for s in range(bounds.shape[0] - 1):
        _count_block(
            bounds[s],
            bounds[s + 1],
            time,
            status,
            rank,
            weight,
            later,
            earlier,
            tau,
            tree,
            out,
        )


def _pair_matrix_scores(
    order: PairOrder, weight: Floats, later: Floats, earlier: Floats, tau: float, c: float
) -> Floats:
    """Each row's weighted sum over its usable pairs of (score − c), for the jackknife.

    O(n²) in blocks of rows, once for a point estimate.
    """
    n = order.row.size
    out = np.zeros(n)
    stratum = np.repeat(np.arange(order.bounds.size - 1), np.diff(order.bounds))
    events = np.flatnonzero((order.status == EVENT) & (order.time <= tau) & (weight > 0))
    for i in events:
        mates = stratum == stratum[i]
        longer = mates & (
            (order.time > order.time[i]) | ((order.time == order.time[i]) & (order.status == 0))
        )
        removed = mates & (order.status == COMPETING) & (order.time <= order.time[i])
        pair = np.where(longer, later[i], 0.0) + np.where(removed, earlier[i] * earlier, 0.0)
        score = np.where(
            order.rank < order.rank[i], 1.0, np.where(order.rank == order.rank[i], 0.5, 0.0)
        )
        part = pair * (score - c)
        out[i] += (part * weight).sum()
        out += part * weight[i]
    return out


def _concordance(
    order: PairOrder, weight: Floats, later: Floats, earlier: Floats, tau: float
) -> Concordance:
    counts = np.zeros(3)
    tree = np.zeros(order.row.size + 2)
    concordance_counts(
        order.bounds,
        order.time,
        order.status,
        order.rank,
        weight,
        later,
        earlier,
        tau,
        tree,
        counts,
    )
    usable = float(counts.sum())
    if usable <= 0:
        raise EvaluationError(
            "no pair of patients can be compared",
            value=f"{int((order.status == EVENT).sum())} events",
            remedy="C needs an event while another patient is still followed",
        )
    c = float((counts[0] + counts[2] / 2) / usable)
    score = _pair_matrix_scores(order, weight, later, earlier, tau, c) / usable
    tied_time, tied_both = _tied_events(order, weight, tau)
    return Concordance(
        c=c,
        se=float(np.sqrt((weight * score**2).sum())),
        concordant=float(counts[0]),
        discordant=float(counts[1]),
        tied_risk=float(counts[2]),
        tied_time=tied_time,
        tied_both=tied_both,
    )


def _tied_events(order: PairOrder, weight: Floats, tau: float) -> tuple[float, float]:
    stratum = np.repeat(np.arange(order.bounds.size - 1), np.diff(order.bounds))
    event = (order.status == EVENT) & (order.time <= tau)
    days = np.column_stack([stratum, order.time])[event]
    whole = np.column_stack([stratum, order.time, order.rank])[event]
    w = weight[event]
    pairs = []
    for keys in (days, whole):
        group = np.unique(keys, axis=0, return_inverse=True)[1].ravel()
        size = np.bincount(group, w)
        pairs.append(float((size * (size - 1) / 2).clip(0).sum()))
    return pairs[0] - pairs[1], pairs[1]


def harrell_c(
    time: npt.ArrayLike,
    status: npt.ArrayLike,
    risk: npt.ArrayLike,
    *,
    tau: float | None = None,
    weights: npt.ArrayLike | None = None,
    strata: npt.ArrayLike | None = None,
) -> Concordance:
    """Harrell's C; with competing events, Wolbers' C.

    Parameters
    ----------
    time, status, risk
        Shape ``(n,)``; status 0 censored, 1 event, 2 competing. Higher risk, earlier event.
    tau
        Only events by ``tau`` open a pair; ``None`` for all.
    weights
        Frequency weights.
    strata
        Only pairs within a stratum are compared; counts are summed over strata.

    Raises
    ------
    EvaluationError
        No pair is usable.

    Notes
    -----
    A patient censored on the day of an event is taken to outlive it. Its limit depends on the
    censoring: report Uno's C beside it.

    References
    ----------
    Harrell 1982; Wolbers 2009; Therneau's infinitesimal jackknife in R survival.
    """
    order = pair_order(time, status, risk, strata)
    n = order.row.size
    w = as_weights(weights, n)[order.row]
    limit = np.inf if tau is None else float(tau)
    return _concordance(order, w, np.ones(n), np.ones(n), limit)


def uno_c(
    time: npt.ArrayLike,
    status: npt.ArrayLike,
    risk: npt.ArrayLike,
    *,
    tau: float | None,
    weights: npt.ArrayLike | None = None,
    strata: npt.ArrayLike | None = None,
) -> Concordance:
    """Uno's C up to ``tau``, free of the censoring distribution.

    Without competing events a pair weighs 1/G(T−)². With them a pair of an event with a longer
    follow-up weighs 1/(G(T−)·G(T)), and one with an earlier competing event 1/G(T−) of each
    (Wolbers 2014, as R pec). G is estimated on all patients, whatever the strata.

    Parameters
    ----------
    time, status, risk
        Shape ``(n,)``.
    tau
        Required, same unit as ``time``; only events by ``tau`` count.
    weights
        Frequency weights; they weigh G too.
    strata
        Only pairs within a stratum are compared.

    Raises
    ------
    EvaluationError
        ``tau`` is missing, no pair is usable, or with competing events G is 0 at an event by
        ``tau``.

    References
    ----------
    Uno 2011; Wolbers 2014.
    """
    limit = require_tau(tau)
    order = pair_order(time, status, risk, strata)
    w = as_weights(weights, order.row.size)
    later, earlier = uno_weights(time, status, w, limit)
    return _concordance(order, w[order.row], later[order.row], earlier[order.row], limit)


def uno_weights(
    time: npt.ArrayLike, status: npt.ArrayLike, weight: Floats, tau: float
) -> tuple[Floats, Floats]:
    """Pair weights of :func:`uno_c` in the caller's order: ``later`` and ``earlier``.

    Nobody past ``tau`` needs one, and an event's G(T) is needed with competing events only.

    Raises
    ------
    EvaluationError
        An event by ``tau`` falls on the day on which all who are left are censored: G(T) is 0,
        its pairs would weigh infinitely (R pec returns NaN).
    """
    data = follow_up(time, status)
    w = weight[data.order]
    before, at = np.ones(data.n), np.ones(data.n)
    censoring_before_and_at(data.time, data.status, w, before, at)
    counted = (data.status != CENSORED) & (w > 0) & (data.time <= tau)
    event = counted & (data.status == EVENT)
    second = at if data.competing else before
    if (second[event] <= 0).any():
        raise EvaluationError(
            "no patient is followed past an event by tau",
            value=f"censoring survival 0 at {data.time[event & (second <= 0)][0]:g}, tau {tau:g}",
            remedy="Choose a tau before the last follow-up",
        )
    later, earlier = np.empty(data.n), np.empty(data.n)
    later[data.order] = np.divide(1.0, before * second, out=np.zeros(data.n), where=event)
    earlier[data.order] = np.divide(1.0, before, out=np.zeros(data.n), where=counted)
    return later, earlier
