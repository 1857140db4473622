"""Values that are counted from other columns, by a closed vocabulary."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metasight.cohort.codes import MissingCodes
from metasight.cohort.derived import (
    Told,
    between,
    days_on,
    happened,
    known_until,
    point_of,
    told_by,
    unfit,
)
from metasight.cohort.mapping import Filled, Interval, TimeAndStatus
from metasight.protocol.load import read_protocol

BREAST = read_protocol("breast-dmfs")
DAYS, YEARS = Interval(days_between=("a", "b")), Interval(years_between=("a", "b"))


def test_days_between_dates_and_between_offsets():
    assert between(DAYS, dt.date(2016, 2, 28), dt.date(2016, 3, 1)) == (2.0, "")
    assert between(DAYS, 30.0, 730.0) == (700.0, "")
    value, problem = between(DAYS, 30.0, dt.date(2016, 3, 1))
    assert value is None
    assert "a date in one column and a number of days in the other" in problem


def test_days_from_time_zero_to_a_day_of_the_calendar():
    zero = dt.date(2016, 2, 28)
    assert days_on("01.03.2016", "%d.%m.%Y", is_date=False, zero=zero) == (2.0, "")
    assert days_on("2016-03-01", "%d.%m.%Y", is_date=True, zero=zero) == (2.0, "")
    assert days_on("2016-03-01", None, is_date=False, zero=None) == (None, "")
    assert "not a date" in days_on("soon", None, is_date=False, zero=zero)[1]
    assert "before time zero" in days_on("2016-01-01", None, is_date=False, zero=zero)[1]


@pytest.mark.parametrize(
    ("born", "operated", "age"),
    [
        (dt.date(1960, 3, 1), dt.date(2016, 3, 1), 56.0),
        (dt.date(1960, 3, 2), dt.date(2016, 3, 1), 55.0),
        (dt.date(1960, 2, 29), dt.date(2015, 2, 28), 54.0),
        (dt.date(1960, 2, 29), dt.date(2015, 3, 1), 55.0),
    ],
)
def test_an_age_counts_birthdays(born, operated, age):
    assert between(YEARS, born, operated) == (age, "")
    assert between(YEARS, -18262.5, 0.0) == (50.0, "")


@pytest.mark.parametrize(
    ("text", "date_format", "is_date", "point"),
    [
        ("2016-03-01", None, False, dt.date(2016, 3, 1)),
        ("2016-03-01", "%d.%m.%Y", True, dt.date(2016, 3, 1)),
        ("01.03.2016", "%d.%m.%Y", False, dt.date(2016, 3, 1)),
        ("20160301", "%Y%m%d", False, dt.date(2016, 3, 1)),
        ("-153", None, False, -153.0),
        ("1,5", None, False, 1.5),
        ("soon", None, False, None),
    ],
)
def test_a_cell_is_a_date_or_a_number_of_days(text, date_format, is_date, point):
    assert point_of(text, date_format, is_date=is_date, decimal=".") == point


def test_an_event_is_there_where_its_time_is():
    missing = MissingCodes(["NP"])
    event = Filled(filled="days", unknown=("?",))
    assert happened(event, "700", missing) == (True, "")
    assert happened(event, "2016-03-01", missing) == (True, "")
    assert happened(event, "NP", missing) == (False, "")
    assert happened(event, "", missing) == (False, "")
    assert happened(event, "?", missing) == (None, "")
    assert happened(event, "not yet", missing)[1].startswith("neither a time nor a date")


def test_what_can_be_derived_of_which_variable():
    assert not unfit(DAYS, BREAST.variables["death_days"])
    assert not unfit(YEARS, BREAST.variables["age_years"])
    assert "gives days" in unfit(DAYS, BREAST.variables["age_years"])
    assert not unfit(Filled(filled="d"), BREAST.variables["death"])
    assert "not a number" in unfit(Filled(filled="d"), BREAST.variables["death_days"])


STATUS = TimeAndStatus(
    time="t",
    status="s",
    codes={"0": "censored", "1": "distant_metastasis", "2": "death"},
)


@pytest.mark.parametrize(
    ("status", "event"), [("0", None), ("1.0", "distant_metastasis"), ("2,0", "death")]
)
def test_one_status_tells_which_event_came_first(status, event):
    told, problem = told_by(STATUS, status, 700.0)
    assert problem == ""
    assert told.last_day == 700.0
    assert told.censored == (event is None)
    for name in STATUS.events:
        assert told.values[name] is (name == event)
        assert told.values[f"{name}_days"] == (700.0 if name == event else None)


@pytest.mark.parametrize(
    ("status", "days", "problem"),
    [
        ("3", 700.0, "a code that study.toml does not define"),
        ("1", None, "a status has no time"),
        (None, 700.0, "a time has no status"),
    ],
)
def test_what_a_status_cannot_be(status, days, problem):
    told, said = told_by(STATUS, status, days)
    assert problem in said
    assert set(told.values.values()) == {None}


def test_nothing_is_known_where_both_are_missing():
    told, problem = told_by(STATUS, None, None)
    assert problem == ""
    assert told.last_day is None


def of(last_day, *, censored):
    return Told(values={}, last_day=last_day, censored=censored)


@given(st.lists(st.tuples(st.floats(1, 9000), st.booleans()), min_size=1, max_size=4))
def test_follow_up_never_reaches_past_a_status_that_was_closed(parts):
    """Property: no event is taken to be absent on a day on which nobody looked for it."""
    until = known_until([of(d, censored=c) for d, c in parts])
    assert all(until <= day for day, censored in parts if censored)
    assert until in {day for day, _ in parts}


def test_an_unknown_status_leaves_the_follow_up_unknown():
    assert known_until([of(700.0, censored=True), of(None, censored=False)]) is None
