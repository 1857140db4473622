"""Limits with both ends included; unknown is neither passed nor failed."""

from __future__ import annotations

import math
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metasight.errors import VolumeError
from metasight.protocol.load import read_protocol
from metasight.volumes.ct_limits import CtLimits, Limit


@pytest.mark.parametrize(
    ("limit", "value", "verdict"),
    [
        (Limit(high=3.0), 3.0, "passed"),
        (Limit(high=3.0), 3.0001, "failed"),
        (Limit(low=20.0, high=90.0), 20.0, "passed"),
        (Limit(low=20.0, high=90.0), 19.999, "failed"),
        (Limit(low=20.0, high=90.0), 90.0, "passed"),
        (Limit(low=1.0), 1e9, "passed"),
        (Limit(), -1e9, "passed"),
        (Limit(low=0.0), None, "unknown"),
        (Limit(low=0.0), math.nan, "unknown"),
        (Limit(low=0.0), math.inf, "unknown"),
        (Limit(), None, "unknown"),
    ],
)
def test_verdicts(limit, value, verdict):
    assert limit.verdict(value) == verdict


@given(st.floats(-1e3, 1e3), st.floats(0, 1e3), st.floats(-3e3, 3e3))
def test_a_value_passes_where_it_lies_within(low, width, value):
    limit = Limit(low=low, high=low + width)
    assert (limit.verdict(value) == "passed") == (low <= value <= low + width)


@pytest.mark.parametrize(
    ("limit", "text"),
    [
        (Limit(), "no limit"),
        (Limit(high=0.1), "≤ 0.1"),
        (Limit(low=1000.0), "≥ 1000"),
        (Limit(low=-1040.0, high=-960.0), "-1040 to -960"),
    ],
)
def test_a_limit_in_words(limit, text):
    assert str(limit) == text


def test_an_empty_range_is_refused():
    with pytest.raises(VolumeError, match="low is above its high"):
        Limit(low=2.0, high=1.0)


def test_a_protocol_sets_what_it_names_and_leaves_the_rest():
    limits = CtLimits.from_table({"slice_jump_mm": {"high": 2}, "fat_hu": {"low": -140.0}})
    assert limits.slice_jump_mm == Limit(high=2.0)
    assert limits.fat_hu == Limit(low=-140.0)
    assert limits.lung_volume_ml == CtLimits().lung_volume_ml


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ({"slice_jump": {"high": 2}}, "no such value"),
        ({"slice_jump_mm": {"hihg": 2}}, "numbers"),
        ({"slice_jump_mm": {"high": "2"}}, "numbers"),
        ({"slice_jump_mm": {"high": True}}, "numbers"),
        ({"slice_jump_mm": {"required": 1}}, "true or false"),
        ({"slice_jump_mm": {"low": 5, "high": 2}}, "low is above its high"),
    ],
)
def test_tables_that_are_none(table, problem):
    with pytest.raises(VolumeError, match=problem):
        CtLimits.from_table(table)


def test_the_lung_protocol_prints_the_defaults_and_names_them_all():
    """What is written in the protocol is what the code would do without it."""
    table = read_protocol("nsclc-occult-node").ct_quality
    assert CtLimits.from_table(table) == CtLimits()
    assert set(table) <= {f.name for f in fields(CtLimits)}
