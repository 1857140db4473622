"""Units as types, and the few conversions that a study needs.

A number with a unit carries it in its type or in its name (``size_mm``, ``horizon_days``).
"""

from __future__ import annotations

from typing import NewType

Days = NewType("Days", int)
Years = NewType("Years", float)
Millimetres = NewType("Millimetres", float)
Centimetres = NewType("Centimetres", float)
Microns = NewType("Microns", float)

DAYS_PER_YEAR = 365.25


def years_to_days(years: float) -> Days:
    """Whole days in ``years`` of 365.25 days, rounded down (5 years are 1826 days)."""
    return Days(int(years * DAYS_PER_YEAR))


_TO_BASE = {
    # length, in mm
    "mm": ("mm", 1.0),
    "cm": ("mm", 10.0),
    "m": ("mm", 1000.0),
    # time, in days; a year is 365.25 days, a month a twelfth of it
    "days": ("days", 1.0),
    "weeks": ("days", 7.0),
    "months": ("days", DAYS_PER_YEAR / 12),
    "years": ("days", DAYS_PER_YEAR),
    # share, in per cent
    "%": ("%", 1.0),
    "fraction": ("%", 100.0),
}


def conversion_factor(given: str, wanted: str) -> float | None:
    """Factor that turns a number in unit ``given`` into ``wanted``; None if there is none."""
    if given == wanted:
        return 1.0
    if given not in _TO_BASE or wanted not in _TO_BASE:
        return None
    (base_given, factor_given), (base_wanted, factor_wanted) = _TO_BASE[given], _TO_BASE[wanted]
    return factor_given / factor_wanted if base_given == base_wanted else None


def units_like(unit: str) -> tuple[str, ...]:
    """Units that convert to ``unit``, itself excluded."""
    base = _TO_BASE.get(unit, (None, 1.0))[0]
    return tuple(u for u, (b, _) in _TO_BASE.items() if b == base and u != unit)
