"""A value with its interval, written and read."""

from __future__ import annotations

import math

import pytest

from metasight.estimate import Estimate


def test_there_and_back() -> None:
    one = Estimate(value=0.7, lower=0.6, upper=0.8, se=0.05)
    assert one.to_json() == {"value": 0.7, "lower": 0.6, "upper": 0.8, "se": 0.05}
    assert Estimate.from_json(one.to_json()) == one
    assert one.ends == (0.6, 0.8)


def test_what_is_not_defined_is_null() -> None:
    nothing = Estimate(value=math.nan, lower=math.inf)
    assert nothing.to_json() == {"value": None, "lower": None, "upper": None, "se": None}
    back = Estimate.from_json(nothing.to_json())
    assert math.isnan(back.value)
    assert back.lower is None
    with pytest.raises(ValueError, match="no interval"):
        _ = Estimate(value=1.0, lower=0.5).ends


def test_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="not an estimate: value"):
        Estimate.from_json({"value": 1.0})
