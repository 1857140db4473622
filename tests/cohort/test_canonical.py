"""Cells become values or a problem that says which cell, and shows nothing it must not."""

from __future__ import annotations

import pandas as pd
import pytest

from metasight.cohort.parsing import parse_cell
from metasight.cohort.read import read_cohort
from metasight.cohort.settings import ColumnMapping
from metasight.errors import TableError
from metasight.protocol.load import read_protocol
from metasight.study.file import read_study

PROTOCOL = read_protocol("breast-dmfs")
SIZE = PROTOCOL.variables["tumour_size_mm"]
ER = PROTOCOL.variables["er_positive"]


def cohort_of(folder):
    study = read_study(folder)
    return read_cohort(study.folder, study.settings, study.protocol)


def problems_of(folder):
    with pytest.raises(TableError) as caught:
        cohort_of(folder)
    return caught.value.problems


@pytest.mark.parametrize(
    ("text", "decimal", "problem"),
    [
        ("1.234", ",", "a point, which may be decimal or group thousands"),
        ("23.5", ",", "a point, which may be decimal or group thousands"),
        ("1.234,5", ",", "thousands are grouped"),
        ("1,234.5", ".", "thousands are grouped"),
        ("1,234", ".", "a decimal comma"),
        ("inf", ".", "not a finite number"),
        ("-Infinity", ".", "not a finite number"),
        ("nan", ".", "not a finite number"),
        ("1e999", ".", "not a finite number"),
        ("many", ".", "not a number"),
        ("3-Feb", ".", "a spreadsheet may have turned it into a date"),
    ],
)
def test_what_is_no_number(text, decimal, problem):
    value, told = parse_cell(text, SIZE, ColumnMapping(column="size"), decimal)
    assert value is None
    assert problem in told
    assert ("spreadsheet" in told) == ("Feb" in text)


def test_numbers_with_a_decimal_comma():
    assert parse_cell("23,5", SIZE, ColumnMapping(column="size"), ",") == (23.5, "")
    coded = ColumnMapping(column="size", values={"small": 10.5})
    assert parse_cell("small", SIZE, coded, ",") == (10.5, "")


def test_booleans_as_r_and_pandas_write_them():
    for text, value in (("1.0", True), ("0.0", False)):
        assert parse_cell(text, ER, ColumnMapping(column="er"), ".") == (value, "")


@pytest.mark.parametrize(
    ("column", "date", "days_name"),
    [("last_seen", "2916-05-04", "followup"), ("death_date", "2921-07-08", "death")],
)
def test_days_from_dates_have_the_range_of_a_column(
    breast_study, breast_table, column, date, days_name
):
    table = breast_table()
    row = table.index[table["dead"] == "yes"][0]
    table.loc[row, column] = date
    (problem,) = problems_of(breast_study(table))
    assert (problem.row, problem.column) == (row + 2, column)
    assert problem.problem == "above the accepted range"
    assert problem.value.endswith(" days")
    assert date not in str(problem)
    assert "from 0 to 20000 days" in problem.accepted


def test_an_unreadable_date_is_one_problem(breast_study, breast_table):
    table = breast_table()
    both = table.index[(table["dead"] == "yes") & (table["metastasis"] == "yes")][0]
    table.loc[both, ["metastasis_date", "death_date"]] = "31.02.2017"
    found = problems_of(breast_study(table))
    assert sorted(p.column for p in found) == ["death_date", "metastasis_date"]
    assert all("31.02.2017" not in str(p) for p in found)


def test_an_unreadable_time_zero_is_one_problem(breast_study, breast_table):
    table = breast_table()
    row = table.index[table["dead"] == "yes"][0]
    table.loc[row, "operated"] = "42430"
    (problem,) = problems_of(breast_study(table))
    assert (problem.row, problem.column) == (row + 2, "operated")
    assert "42430" not in str(problem)


def test_a_missing_date_column_breaks_no_rule(breast_study, breast_table):
    found = problems_of(breast_study(breast_table().drop(columns="death_date")))
    assert [(p.row, p.column) for p in found] == [(None, "death_date")]


def test_a_variable_has_one_source(breast_study):
    twice = breast_study(
        replace=[("[waive]", 'grade = { value = 2, reason = "made up for tests" }\n\n[waive]')]
    )
    (problem,) = problems_of(twice)
    assert problem.row is None
    assert "given in [columns] and in [constants]" in problem.problem
    declared = breast_study(
        replace=[("[waive]", '[not_recorded]\ndeath = "not in this registry"\n\n[waive]')],
        name="declared",
    )
    assert any("given in [columns] and in [not_recorded]" in str(p) for p in problems_of(declared))


def test_follow_up_reaches_until_a_known_death(breast_study, breast_table):
    table = breast_table()
    dead = table.index[(table["dead"] == "yes") & (table["metastasis"] == "no")][0]
    start = pd.Timestamp(table.loc[dead, "operated"])
    table.loc[dead, "last_seen"] = (start + pd.Timedelta(days=1500)).date().isoformat()
    table.loc[dead, "death_date"] = (start + pd.Timedelta(days=2000)).date().isoformat()
    read = cohort_of(breast_study(table))
    (entry,) = [e for e in read.ledger.entries if e.stage == "derived times"]
    assert (entry.item, entry.value) == (f"patients.csv row {dead + 2}", "1500 -> 2000 days")
    assert read.table.at[entry.patient, "followup_days"] == 2000
    (i8,) = [e for e in read.ledger.entries if (e.patient, e.criterion) == (entry.patient, "I8")]
    assert "followup_days=2000" in i8.value


def test_the_id_column_is_no_variable(breast_study):
    (problem,) = problems_of(breast_study(replace=[('age_years = "age"', 'age_years = "id"')]))
    assert (problem.row, problem.column, problem.value) == (None, "id", "")
    assert "the column of the patient id is mapped to age_years" in problem.problem


def test_no_id_in_a_message(breast_study, breast_table):
    table = breast_table().astype(object)
    table.loc[3, "grade"] = table.loc[8, "id"]
    table.loc[4, "hospital"] = table.loc[4, "id"]
    table.loc[5, "er"] = "\x1b[2J" + "perhaps " * 50
    found = problems_of(breast_study(table))
    assert len(found) == 3
    assert not any("MRN-" in str(p) or "\x1b" in str(p) for p in found)
    assert all(len(p.value) <= 41 for p in found)


def test_no_exact_date_in_a_ledger(breast_study, breast_table):
    table = breast_table().astype(object)
    table.loc[3, "operated"] = "01/03/2016"
    table.loc[4, "size"] = "2016-03-01"
    read = cohort_of(breast_study(table, [('on_problem = "stop"', 'on_problem = "exclude"')]))
    failed = {e.item: e.value for e in read.ledger.entries if e.verdict == "failed"}
    assert failed == {
        "patients.csv row 5": "(a date, not shown)",
        "patients.csv row 6": "2016-03",
    }


def test_a_code_with_a_wrong_meaning(breast_study):
    folder = breast_study(
        replace=[
            (
                'surgery = "operation"',
                'surgery = { column = "operation", values = { mastectomy = "excision", '
                'breast-conserving = "breast-conserving" } }',
            )
        ]
    )
    (problem,) = problems_of(folder)
    assert (problem.row, problem.value) == (None, "excision")
    assert "the code 'mastectomy' a meaning that surgery cannot have" in problem.problem
    assert problem.accepted == "one of mastectomy, breast-conserving, none"


@pytest.mark.parametrize(("size", "fits"), [(75.0, None), (70.0, ""), (8.0, ""), (7.9, None)])
def test_a_median_outside_the_plausible_range_is_a_wrong_unit(
    breast_study, breast_table, size, fits
):
    """From 8 to 70 mm, the limits among them: half of all tumours are never of 7.5 cm."""
    table = breast_table()
    table["size"] = size
    if fits is not None:
        cohort_of(breast_study(table))
        return
    (problem,) = problems_of(breast_study(table))
    assert (problem.row, problem.column, problem.problem) == (None, "size", "wrong unit")
    assert problem.value == f"median {size:g} mm"
    assert "tumour_size_mm in mm, median 8 to 70" in problem.accepted


def test_centimetres_called_millimetres_are_told_apart(breast_study, breast_table):
    table = breast_table()
    table["size"] = 2.4
    (problem,) = problems_of(breast_study(table))
    assert problem.accepted.endswith('the values look like cm: set unit = "cm"')


def test_a_predictor_dated_after_the_metastasis_is_a_problem(breast_study, breast_table):
    """Ten metastases on days 10 to 19, and a pathology report of day 60: nobody knew it then."""
    table = breast_table(n=120)
    operated = pd.to_datetime(table["operated"])
    table["reported"] = (operated + pd.Timedelta(days=60)).dt.date.astype(str)
    table["metastasis"], table["metastasis_date"] = "no", ""
    table["dead"], table["death_date"] = "no", ""
    for k in range(10):
        table.loc[k, "metastasis"] = "yes"
        day = operated[k] + pd.Timedelta(days=10 + k)
        table.loc[k, "metastasis_date"] = day.date().isoformat()
    with pytest.raises(TableError) as refusal:
        cohort_of(breast_study(table))
    found = [p for p in refusal.value.problems if "after the outcome" in p.problem]
    assert [p.row for p in found] == list(range(2, 12)), "one a patient, not one a predictor"
    assert {p.column for p in found} == {"reported"}
    assert found[0].value == "day 60; event on day 10"
    left_out = cohort_of(breast_study(table, [('"stop"', '"exclude"')], name="excluded"))
    assert left_out.failed == 10
    rows = [e for e in left_out.ledger.entries if "after the outcome" in e.reason]
    assert len(rows) == 10


def test_a_metastasis_on_the_day_of_the_report_is_none(breast_study, breast_table):
    table = breast_table(n=60)
    early = pd.to_datetime(table["operated"]) + pd.Timedelta(days=10)
    table["metastasis"], table["metastasis_date"] = "no", ""
    table.loc[0, "metastasis"] = "yes"
    table.loc[0, "metastasis_date"] = early[0].date().isoformat()
    assert cohort_of(breast_study(table)).failed == 0
