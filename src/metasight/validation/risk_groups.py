"""What became of patients by risk group: cumulative incidence, competing events counted as such."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

from metasight.estimate import Estimate
from metasight.validation.curves import aalen_johansen
from metasight.validation.ordering import EVENT

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class RiskGroup:
    """Patients whose risk lies from ``low`` up to, but not at, ``high``.

    Attributes
    ----------
    low, high
        Ends of the group, in [0, 1].
    patients, events
        How many.
    at
        Cumulative incidence at each horizon with its 95 % interval; None beyond the group's
        follow-up. Empty in a group without patients.
    days, incidence
        The curve's steps.
    followed_to
        Longest follow-up in days; None in a group without patients.
    """

    low: float
    high: float
    patients: int
    events: int
    at: tuple[Estimate | None, ...] = ()
    days: Floats
    incidence: Floats
    followed_to: float | None = None


def incidence_by_risk_group(
    risk: Floats,
    time_days: Floats,
    status: npt.NDArray[np.integer],
    *,
    edges: Sequence[float],
    horizons_days: Sequence[float],
    shown_days: float,
) -> tuple[RiskGroup, ...]:
    """Cumulative incidence (Aalen–Johansen) of each risk group.

    Parameters
    ----------
    risk
        In [0, 1], shape (n,).
    time_days, status
        Follow-up: 0 censored, 1 event, 2 competing event.
    edges
        Rising limits between groups, 0 and 1 left out.
    horizons_days
        Where the incidence is read off.
    shown_days
        How far the curves reach.
    """
    groups = []
    for low, high in pairwise((0.0, *edges, 1.0 + 1e-9)):
        own = (risk >= low) & (risk < high)
        group = RiskGroup(
            low=low,
            high=min(high, 1.0),
            patients=int(own.sum()),
            events=int((status[own] == EVENT).sum()),
            days=np.zeros(0),
            incidence=np.zeros(0),
        )
        if own.any():
            group = _followed(group, time_days[own], status[own], horizons_days, shown_days)
        groups.append(group)
    return tuple(groups)


def _followed(
    group: RiskGroup,
    time_days: Floats,
    status: npt.NDArray[np.integer],
    horizons_days: Sequence[float],
    shown_days: float,
) -> RiskGroup:
    curve = aalen_johansen(time_days, status)
    until = float(time_days.max())
    shown = curve.times[curve.times <= shown_days]
    at = tuple(
        None if h > until else incidence_interval(float(curve.at(h)), float(curve.se_at(h)))
        for h in horizons_days
    )
    return replace(
        group, at=at, days=shown, incidence=np.asarray(curve.at(shown)), followed_to=until
    )


def incidence_interval(value: float, se: float, *, confidence: float = 0.95) -> Estimate:
    """Interval of a probability on the complementary log-log scale, which keeps within [0, 1].

    An incidence of 0 or 1, or one without error, has itself as its interval.
    """
    if not 0 < value < 1 or se == 0:
        return Estimate(value=value, lower=value, upper=value)
    z = float(norm.ppf((1 + confidence) / 2))
    half = z * se / abs((1 - value) * np.log1p(-value))
    level = np.log(-np.log1p(-value))
    lower, upper = (float(-np.expm1(-np.exp(level + s * half))) for s in (-1, 1))
    return Estimate(value=value, lower=lower, upper=upper)
