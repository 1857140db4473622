"""Survival and incidence in exact fractions, without a product limit.

Efron's redistribution to the right: everybody starts with a mass of 1/n; who is censored leaves his
to those who are followed longer, in equal parts. What remains with the events is the incidence.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction


def repeated(values: Sequence[int], weights: Sequence[int]) -> list[int]:
    """Every value as often as its weight."""
    return [v for v, w in zip(values, weights, strict=True) for _ in range(w)]


def masses(time: Sequence[int], status: Sequence[int]) -> list[Fraction]:
    """Mass of each patient once every censored patient has passed his on.

    An event comes before a censoring of its day; who is censored last keeps what he has.
    """
    n = len(time)
    mass = [Fraction(1, n)] * n
    for i in sorted(range(n), key=lambda i: (time[i], status[i] == 0)):
        longer = [j for j in range(n) if time[j] > time[i]]
        if status[i] == 0 and longer:
            for j in longer:
                mass[j] += mass[i] / len(longer)
            mass[i] = Fraction(0)
    return mass


def incidence(time: Sequence[int], status: Sequence[int], by: float, cause: int = 1) -> Fraction:
    """Mass of the events of one cause by ``by``; NaN has no fraction, so somebody must be there."""
    found = zip(masses(time, status), time, status, strict=True)
    return sum((m for m, t, s in found if s == cause and t <= by), Fraction(0))


def survival(time: Sequence[int], status: Sequence[int], after: float) -> Fraction:
    """Probability of no event of any cause by ``after``."""
    return 1 - incidence(time, status, after, 1) - incidence(time, status, after, 2)


def uncensored(
    time: Sequence[int], status: Sequence[int], at: float, *, before: bool = False
) -> Fraction:
    """Probability G of not being censored by ``at``, or before it; events of a day leave first."""
    g = Fraction(1)
    for day in sorted(set(time)):
        if day > at or (before and day == at):
            break
        events = sum(t == day and s != 0 for t, s in zip(time, status, strict=True))
        censored = sum(t == day and s == 0 for t, s in zip(time, status, strict=True))
        left = sum(t >= day for t in time) - events
        if left:
            g *= Fraction(left - censored, left)
    return g
