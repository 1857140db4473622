"""Variance of Fine–Gray coefficients that counts the estimated censoring weights.

The inverse information is not their variance: patients with the competing event stay at risk by
weights that were estimated. Fine and Gray (JASA 1999;94:496, §3.3) give each patient's influence
on the score, η + ψ, ψ being what the patient does to the censoring curve. As ``cmprsk::crr``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from metasight.cohort.outcome import CENSORED, SurvivalOutcome
from metasight.models.fine_gray import SubdistributionSets, subdistribution_sets

Floats = NDArray[np.float64]


def subdistribution_covariance(
    matrix: Floats, follow_up: SurvivalOutcome, coefficients: Floats
) -> Floats:
    """Covariance of the coefficients, shape (p, p).

    Parameters
    ----------
    matrix
        Shape (n, p), full rank.
    follow_up
        Of the same patients.
    coefficients
        Shape (p,), at the maximum of the pseudo-likelihood.
    """
    sets = subdistribution_sets(matrix, follow_up)
    _, _, information, steps = sets.terms(coefficients)
    ratio = np.exp(sets.matrix @ coefficients)
    mean = sets.means(ratio)
    order = sets.order
    time, status = follow_up.time_days[order], follow_up.status[order]
    influence = _of_events(sets, ratio, mean, steps)
    influence += _of_censoring(sets, ratio, (mean, steps), time, status == CENSORED)
    middle = influence.T @ influence
    bread = np.linalg.inv(information)
    return np.asarray(bread @ middle @ bread)


def _of_events(sets: SubdistributionSets, ratio: Floats, mean: Floats, steps: Floats) -> Floats:
    """η: what each patient adds to the score, were the weights known; shape (n, p)."""
    early, early_mean = _until(steps, mean)
    late, late_mean = _until(sets.g * steps, mean)
    reached = sets.reached
    kept = (sets.weight * ratio)[:, None]
    x = sets.matrix
    out = -ratio[:, None] * (x * early[reached, None] - early_mean[reached])
    out -= kept * (x * (late[-1] - late[reached])[:, None] - (late_mean[-1] - late_mean[reached]))
    own = np.flatnonzero(sets.event)
    out[own] += x[own] - mean[reached[own] - 1]
    return np.asarray(out)


def _of_censoring(
    sets: SubdistributionSets,
    ratio: Floats,
    at_events: tuple[Floats, Floats],
    time: Floats,
    censored: NDArray[np.bool_],
) -> Floats:
    """ψ: what each patient does to the score through the censoring curve; shape (n, p)."""
    mean, steps = at_events
    late, late_mean = _until(sets.g * steps, mean)
    kept = sets.weight * ratio
    heavy = np.column_stack([kept, kept[:, None] * sets.matrix])
    before = np.concatenate([np.zeros((1, heavy.shape[1])), np.cumsum(heavy, axis=0)])
    distinct, first = np.unique(time, return_index=True)
    at_risk = len(time) - first
    left = np.add.reduceat(censored.astype(np.float64), first)
    sums = before[first]  # of patients with the competing event earlier than each time
    passed = np.searchsorted(sets.times, distinct, side="left")  # event times earlier than it
    q = sums[:, 1:] * (late[-1] - late[passed])[:, None] - sums[:, :1] * (
        late_mean[-1] - late_mean[passed]
    )
    share = q / at_risk[:, None]
    total = np.cumsum(share * (left / at_risk)[:, None], axis=0)
    where = np.searchsorted(distinct, time)
    return np.asarray(np.where(censored[:, None], share[where], 0.0) - total[where])


def _until(steps: Floats, mean: Floats) -> tuple[Floats, Floats]:
    """Σ of steps, and of steps × means, over the first 0, 1, … event times."""
    total = np.concatenate([[0.0], np.cumsum(steps)])
    means = np.concatenate([np.zeros((1, mean.shape[1])), np.cumsum(steps[:, None] * mean, axis=0)])
    return total, means
