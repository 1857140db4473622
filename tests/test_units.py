"""Units: five years are 1826 days, and centimetres become millimetres."""

from __future__ import annotations

import pytest

from metasight.units import conversion_factor, units_like, years_to_days


@pytest.mark.parametrize(("years", "days"), [(1, 365), (2, 730), (5, 1826), (10, 3652)])
def test_years(years, days):
    assert years_to_days(years) == days


def test_conversion():
    assert conversion_factor("cm", "mm") == 10
    assert conversion_factor("months", "days") == pytest.approx(30.4375)
    assert conversion_factor("cm", "days") is None
    assert conversion_factor("HU", "HU") == 1
    assert units_like("mm") == ("cm", "m")
