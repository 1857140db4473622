"""What is observed over time in patients of alike predicted risk."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class GroupCurve:
    """Cumulative incidence in one group of predicted risk.

    Attributes
    ----------
    name
        Of the group: ``lowest third of risk``.
    n, events
        Patients; events by the last time.
    lowest, highest
        Predicted risk of its patients by the horizon that groups them.
    days
        Ascending from 0 to tau, shape ``(k,)``.
    incidence, lower, upper
        1 − Kaplan–Meier, or Aalen–Johansen with competing events, and its pointwise bootstrap
        interval, shape ``(k,)``.
    at_risk
        Patients still followed without an event at each of ``days``.
    """

    name: str
    n: int
    events: int
    lowest: float
    highest: float
    days: tuple[float, ...]
    incidence: tuple[float, ...]
    lower: tuple[float, ...]
    upper: tuple[float, ...]
    at_risk: tuple[int, ...]
