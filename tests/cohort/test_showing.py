"""Nothing that a message shows of a cell identifies a patient."""

from __future__ import annotations

import pytest

from metasight.cohort.showing import HIDDEN_DATE, HIDDEN_ID, HIDDEN_TEXT, visible


@pytest.mark.parametrize("text", ["MRN-1", " MRN-1 ", "see MRN-12345", "7.0", "7", "7,0"])
def test_no_id_is_shown(text):
    assert visible(text, {"MRN-1", "MRN-12345", "7"}) == HIDDEN_ID


@pytest.mark.parametrize(
    "text", ["01/03/2016", "3-Feb", "01032016", "5. Mai 1950", "Feb-3", "1.3.16"]
)
def test_no_day_of_the_calendar_is_shown(text):
    assert visible(text) == HIDDEN_DATE


def test_a_date_shows_its_month_and_a_date_column_no_number():
    assert visible("2016-03-01") == visible("20160301") == "2016-03"
    assert visible("42430", date=True) == HIDDEN_DATE
    assert visible("42430") == "42430"
    assert visible("unknown", date=True) == "unknown"


def test_control_characters_and_long_texts():
    assert visible("a\x1b[31mb\nc\u202e", repeated=True) == "a [31mb c"
    assert len(visible("x" * 500, repeated=True)) == 41


@pytest.mark.parametrize(
    "text",
    [
        *("Meier", "Anna Meier", "MEIER^ANNA", "MRN4711", "A-30021-77", "0171 2345678 privat"),
        *("x" * 500, "seen by Dr. Weiss", "Haus 3, Zimmer 12", "see letter"),
    ],
)
def test_a_text_that_may_be_somebodys_is_not_shown(text):
    assert visible(text) == HIDDEN_TEXT
    assert visible(text, expected=["positive", "Luminal A", "2"]) == HIDDEN_TEXT


@pytest.mark.parametrize(
    "text",
    [
        *("12", "-3.5", "12,5 mm", ">= 20", "1.234,5", "3+", "pT2", "T1mi", "G3", "IIIa", "80 %"),
        *("45 y", "yes", "Unknwon", "n/a", "#N/A", "postiv", "-99", "2/3", "1e5"),
    ],
)
def test_numbers_with_units_and_misspelt_words_are_shown(text):
    assert visible(text) == text


def test_a_misspelling_of_what_was_expected_is_shown():
    assert visible("Luminal", expected=["Luminal A", "Luminal B"]) == "Luminal"
    assert visible("lobulr", expected=["lobular", "ductal"]) == "lobulr"
    assert visible("Meier", expected=["lobular", "ductal"]) == HIDDEN_TEXT
    assert visible("ductal, NST", repeated=True) == "ductal, NST"
