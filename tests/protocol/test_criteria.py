"""Three-valued criteria: unknown is never silently met or not met."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from metasight.protocol.criteria import Condition, Criterion, Verdict

PARSE = TypeAdapter(Condition).validate_python
TRUTH = {"t": True, "f": False, "u": None}


def var(name: str) -> dict:
    return {"variable": name, "is": True}


@pytest.mark.parametrize("a", "tfu")
@pytest.mark.parametrize("b", "tfu")
def test_kleene_tables(a, b):
    row = {"a": TRUTH[a], "b": TRUTH[b]}
    both = PARSE({"all": [var("a"), var("b")]}).evaluate(row)
    either = PARSE({"any": [var("a"), var("b")]}).evaluate(row)
    order = "fut"
    assert both is TRUTH[min(a, b, key=order.index)]
    assert either is TRUTH[max(a, b, key=order.index)]
    assert PARSE({"not": var("a")}).evaluate(row) is (None if TRUTH[a] is None else not TRUTH[a])


CONDITIONS = st.recursive(
    st.sampled_from("abc").map(var),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: {"all": parts}),
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: {"any": parts}),
        inner.map(lambda part: {"not": part}),
    ),
    max_leaves=8,
)
VALUES = st.sampled_from([True, False, None])


@given(CONDITIONS, VALUES, VALUES, VALUES)
def test_a_known_verdict_survives_whatever_the_missing_values_turn_out_to_be(tree, a, b, c):
    condition, row = PARSE(tree), {"a": a, "b": b, "c": c}
    verdict = condition.evaluate(row)
    if verdict is None:
        return
    for fill in (True, False):
        filled = {k: fill if v is None else v for k, v in row.items()}
        assert condition.evaluate(filled) is verdict


@pytest.mark.parametrize(
    ("condition", "row", "expected"),
    [
        ({"variable": "age", "at_least": 18}, {"age": 18}, True),
        ({"variable": "age", "at_least": 18}, {"age": 17.9}, False),
        ({"variable": "age", "above": 18}, {"age": 18}, False),
        ({"variable": "age", "below": 18}, {"age": 17}, True),
        ({"variable": "d", "at_most": dt.date(2025, 12, 31)}, {"d": dt.date(2025, 12, 31)}, True),
        ({"variable": "n", "any_of": ["N0", "N1"]}, {"n": "N2"}, False),
        ({"variable": "n", "none_of": ["N0"]}, {"n": "N2"}, True),
        ({"variable": "n", "none_of": ["N0"]}, {}, None),
        ({"recorded": ["a", "b"]}, {"a": 0}, False),
        ({"recorded": ["a", "b"]}, {"a": 0, "b": ""}, True),
        ({"variable": "a", "at_most_variable": "b"}, {"a": 1, "b": 2}, True),
        ({"variable": "a", "at_most_variable": "b"}, {"a": 1}, None),
    ],
)
def test_comparisons(condition, row, expected):
    assert PARSE(condition).evaluate(row) is expected


def test_a_condition_that_tests_nothing_is_refused():
    with pytest.raises(ValidationError, match="tests nothing"):
        PARSE({"variable": "age"})


def test_unknown_keeps_nobody_and_excludes_nobody():
    for kind in ("inclusion", "exclusion"):
        criterion = Criterion(id="I1", kind=kind, text="x", evidence="table", condition=var("a"))
        assert criterion.keeps(Verdict.UNKNOWN) is None
    assert criterion.keeps(Verdict.MET) is False


def test_the_value_is_shown_without_a_day():
    criterion = Criterion(
        id="I3",
        kind="inclusion",
        text="x",
        evidence="table",
        condition={"variable": "d", "at_least": dt.date(2015, 1, 1)},
    )
    assert criterion.evaluate({"d": dt.date(2016, 7, 23)}) == (Verdict.MET, "d=2016-07")
    assert criterion.evaluate({}) == (Verdict.UNKNOWN, "d=missing")


@pytest.mark.parametrize(
    ("lower", "upper", "undecided"),
    [(2, 9, False), (10, 30, False), (9.9, 10, True), (2, 30, True), (10, 10, False)],
)
def test_an_interval_across_the_limit_decides_nothing(lower, upper, undecided):
    criterion = Criterion(
        id="E6",
        kind="exclusion",
        text="Area < 10 %",
        evidence="tissue maps",
        condition={"variable": "area", "below": 10},
    )
    assert criterion.undecided_by("area", (lower, upper)) is undecided


def test_what_other_variables_decide_is_not_undecided_by_this_one():
    criterion = Criterion(
        id="E6",
        kind="exclusion",
        text="x",
        evidence="tissue maps",
        condition={"all": [{"variable": "imaged", "is": True}, {"variable": "a", "below": 10}]},
    )
    # without knowing whether there are images, below 10 is unknown and above is not met
    assert criterion.undecided_by("a", (2, 30))
    assert not criterion.undecided_by("a", (2, 9))
