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


def days_to_years(days: float) -> Years:
    """Years of 365.25 days in ``days``."""
    return Years(days / DAYS_PER_YEAR)
