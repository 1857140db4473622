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
    assert text.startswith("2 problems in the patient tables\n")
    assert text.count("t.csv, row") == 2
    assert text.endswith("run `metasight check`.")
