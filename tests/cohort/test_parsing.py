"""One cell to one value."""

from __future__ import annotations

import datetime as dt

import pytest

from metasight.cohort.mapping import ColumnMapping
from metasight.cohort.parsing import accepted_in, date_from, is_percentage, parse_cell
from metasight.protocol.load import read_protocol

BREAST, LUNG = read_protocol("breast-dmfs"), read_protocol("nsclc-occult-node")


def parsed(name, text, decimal=".", protocol=BREAST, **mapping):
    return parse_cell(text, protocol.variables[name], ColumnMapping(column="c", **mapping), decimal)


@pytest.mark.parametrize(
    ("name", "text", "mapping", "value"),
    [
        ("tumour_area_percent", "45%", {}, 45.0),
        ("tumour_area_percent", "45 %", {}, 45.0),
        ("tumour_area_percent", "45", {}, 45.0),
        ("tumour_area_percent", "0.45", {"unit": "fraction"}, 45.0),
        # the sign says the unit, whatever the others of the column are in
        ("tumour_area_percent", "45%", {"unit": "fraction"}, 45.0),
    ],
)
def test_percentages(name, text, mapping, value):
    assert parsed(name, text, **mapping) == (value, "")


def test_a_ratio_may_be_given_as_a_percentage():
    assert parsed("ctr", "45%", protocol=LUNG) == (0.45, "")
    assert parsed("tumour_area_percent", "45,5%", ",") == (45.5, "")


def test_a_percentage_of_millimetres_is_none():
    value, problem = parsed("tumour_size_mm", "45%")
    assert value is None
    assert problem == "a percentage instead of mm"
    assert parsed("grade", "2%")[1] == "a percentage"


@pytest.mark.parametrize("text", ["Female", "FEMALE", " female".strip()])
def test_levels_ignore_capitals(text):
    assert parsed("sex", text) == ("female", "")


@pytest.mark.parametrize(
    ("text", "value"),
    [("Yes", True), ("TRUE", True), ("1", True), ("1.0", True), ("1,0", True), ("n", False)],
)
def test_yes_and_no(text, value):
    assert parsed("er_positive", text) == (value, "")
    assert parsed("er_positive", "2")[1] == "not yes or no"


def test_codes_by_number():
    values = {"1": "T1", "2": "T2"}
    assert parsed("pt_stage", "2.0", values=values) == ("T2", "")
    assert parsed("pt_stage", "2,0", ",", values=values) == ("T2", "")
    assert parsed("pt_stage", "3.0", values=values)[1] == "a code that study.toml does not define"


def test_the_sign_of_a_number_is_turned_where_the_study_says_so():
    value, problem = parsed("age_years", "-15209", unit="days", negate=True)
    assert (round(value, 2), problem) == (41.64, "")
    assert parsed("age_years", "-15209", unit="days")[1] == "below the accepted range"


@pytest.mark.parametrize(
    "text", ["2016-03-01", "2016-03-01 00:00:00", "2016-03-01T00:00:00.000", "2016-03-01 00:00"]
)
def test_a_day_as_programs_write_it(text):
    assert parsed("surgery_date", text) == (dt.date(2016, 3, 1), "")


def test_a_time_of_day_is_no_day():
    assert date_from("2016-03-01 12:00:00", None) is None
    assert date_from("01.03.2016", "%d.%m.%Y") == dt.date(2016, 3, 1)
    assert date_from("2016-03-01", "%d.%m.%Y") is None
    assert parsed("surgery_date", "42430")[1] == "an Excel serial number instead of a date"


def test_what_is_a_percentage():
    assert is_percentage("4.5%")
    assert is_percentage("4,5 %")
    assert not is_percentage("%")
    assert not is_percentage("about 4%")


def test_what_is_accepted_is_said_with_unit_codes_and_format():
    size = BREAST.variables["tumour_size_mm"]
    assert "given in cm" in accepted_in(size, ColumnMapping(column="c", unit="cm"))
    assert accepted_in(size, ColumnMapping(column="c", values={"a": 1})) == "one of the codes a"
    day = BREAST.variables["surgery_date"]
    assert "%d.%m.%Y" in accepted_in(day, ColumnMapping(column="c", date_format="%d.%m.%Y"))
