"""Errors: one message with place, problem, value and remedy, also across process borders."""

from __future__ import annotations

import inspect
import pickle

import pytest

from metasight import errors
from metasight.errors import MetasightError, Problem, StudyError, TableError


def test_message():
    error = StudyError("no such file", where="study.toml", value="x.csv", remedy="Correct it")
    assert str(error) == "study.toml: no such file (value: x.csv). Correct it."
    assert str(StudyError("no such file")) == "no such file."


@pytest.mark.parametrize(
    "error",
    [
        StudyError("p", where="w", value="v", remedy="r"),
        TableError([Problem(table="t", row=2, column="c", value="v", problem="p", accepted="a")]),
    ],
)
def test_errors_survive_the_way_from_a_worker(error):
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert str(again) == str(error)


def test_the_tree_in_the_docstring_is_complete():
    kinds = [
        n
        for n, c in inspect.getmembers(errors, inspect.isclass)
        if issubclass(c, MetasightError) and c is not MetasightError
    ]
    for name in kinds:
        assert f"── {name}" in (errors.__doc__ or ""), name


def test_every_table_problem_is_listed():
    problems = [
        Problem(table="t.csv", row=r, column="c", value="", problem="p", accepted="a")
        for r in (2, 3)
    ]
    text = str(TableError(problems))
    assert text.startswith("1 problem in the patient tables\n")
    assert "  t.csv, row 2, column c: p; accepted: a\n    … and 1 more row (3)\n" in text
    assert text.endswith("run `metasight check`.")


def of_row(row: int, value: str = "x", problem: str = "p", column: str = "c") -> Problem:
    return Problem(
        table="t.csv", row=row, column=column, value=value, problem=problem, accepted="a"
    )


def test_problems_of_one_kind_are_told_together():
    problems = [of_row(r, f"v{r}") for r in range(2, 22)] + [of_row(30, "w", "another")]
    error = TableError(problems)
    assert error.problems == tuple(problems)
    assert str(error).splitlines()[:-1] == [
        "2 problems in the patient tables",
        "  t.csv, row 2, column c: p (value: v2); accepted: a",
        "    … and 19 more rows (3, 4, 5, 6, 7, 8, 9, 10, 11, 12, …); "
        "other values: v3, v4, v5, v6, v7, …",
        "  t.csv, row 30, column c: another (value: w); accepted: a",
    ]
    assert "    … and 1 more row (3); other values: v3\n" in str(TableError(problems[:2]))
    assert "    … and 1 more row (3)\n" in str(TableError([of_row(2), of_row(3)]))


def test_many_kinds_of_problems_are_cut_and_counted():
    problems = [of_row(r, problem=f"duplicate, first in row {r}") for r in range(100)]
    problems += [of_row(r, column="d") for r in range(100)]
    lines = str(TableError(problems)).splitlines()
    assert len(lines) == 1 + 60 + 1
    assert lines[0] == "101 problems in the patient tables"
    assert lines[-2] == "  … and 42 more problems; correct these first"
    assert lines[-1].startswith("Correct the table")
    exactly = str(TableError(problems[:60])).splitlines()
    assert len(exactly) == 62
    assert "more problems" not in exactly[-2]


def test_rows_that_a_study_may_leave_out_have_that_remedy():
    told = TableError([of_row(2)], may_leave_out=True)
    assert 'set on_problem = "exclude"' in str(told)
    assert str(pickle.loads(pickle.dumps(told))) == str(told)
    assert "on_problem" not in str(TableError([of_row(2)]))
