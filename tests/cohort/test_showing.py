"""Nothing that a message shows of a cell identifies a patient."""

from __future__ import annotations

import pytest

from metasight.cohort.showing import HIDDEN_DATE, HIDDEN_ID, visible


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
    assert visible("a\x1b[31mb\nc\u202e") == "a [31mb c"
    assert len(visible("x" * 500)) == 41
