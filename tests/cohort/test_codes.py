"""A code is a code however a program wrote it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metasight.cohort.codes import MissingCodes, find_code, meaning, number_of


@pytest.mark.parametrize("text", ["-99", "-99.0", "-99,0", "-99.00", "-9.9e1", "NA", ""])
def test_numbers_that_mean_missing_compare_as_numbers(text):
    assert text in MissingCodes(["-99", "NA"])


@pytest.mark.parametrize("text", ["99", "-99.5", "-999", "na", "N/A", "UNK", "- 99", "-99-"])
def test_what_is_not_declared_is_not_missing(text):
    assert text not in MissingCodes(["-99", "NA"])


@pytest.mark.parametrize("text", ["2", "2.0", "2,0", "2.00", "+2"])
def test_two_is_two(text):
    assert find_code(text, ["1", "2"]) == "2"
    assert meaning(text, {"1": "T1", "2": "T2"}) == "T2"


def test_capitals_and_spaces_do_not_count():
    assert find_code("FEMALE", ["female", "male"]) == "female"
    assert find_code("no  Special type", ["no special type"]) == "no special type"


def test_the_code_as_written_goes_first_and_none_is_guessed():
    assert find_code("Y", ["Y", "y"]) == "Y"
    assert find_code("yes", ["Yes", "YES"]) is None
    assert find_code("1,0", ["1", "1.0"]) is None
    assert find_code("3", ["1", "2"]) is None
    assert meaning("3", {"1": True}) is None


def test_numbers_with_grouped_thousands_are_none():
    assert number_of("1,234,5") is None
    assert number_of("1.234,5") is None
    assert number_of("1,5") == 1.5
    assert number_of("1_0") is None
    assert number_of("") is None


@given(st.integers(-10_000, 10_000), st.integers(0, 3), st.sampled_from([".", ","]))
def test_any_integer_code_is_found_with_any_zeros_behind_it(code, zeros, sign):
    text = str(code) + (sign + "0" * zeros if zeros else "")
    assert find_code(text, [str(code)]) == str(code)
    assert text in MissingCodes([str(code)])
    assert find_code(str(code + 1), [text]) is None
