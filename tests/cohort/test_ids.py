"""Ids that look alike are one; ids that tables spell in two ways meet or are a problem."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metasight.cohort.ids import loose_id, meet, normal_id, same_but_for_format


def meeting(given, patients):
    ids = dict(enumerate(given, start=2))
    return meet(ids, patients, table="s.csv", column="id", patient_table="p.csv")


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        (" A1 ", "A1"),
        ("A\u200b1", "A1"),  # zero-width space
        ("\ufeffA1", "A1"),
        ("A1\u00ad", "A1"),  # soft hyphen
        ("A1\u202e", "A1"),  # right-to-left override
        ("A1\u3164", "A1"),  # Hangul filler
        ("A1\ufe0f", "A1"),  # variation selector
        ("A\u00a01", "A 1"),  # no-break space
        ("A\t 1", "A 1"),
        ("Mu\u0308ller", "M\u00fcller"),
        ("0017", "0017"),
        ("a1", "a1"),
        ("17.0", "17.0"),
        ("", ""),
        ("\u200b", ""),
    ],
)
def test_what_cannot_be_seen_is_taken_out_and_nothing_else(text, normal):
    assert normal_id(text) == normal


@given(st.text())
def test_normal_ids_stay_as_they_are(text):
    assert normal_id(normal_id(text)) == normal_id(text)


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("0017", "17", True),
        ("17.0", "17", True),
        ("17,0", "0017", True),
        ("A-0017", "a17", True),
        ("A_17", "A 17", True),
        ("17", "170", False),
        ("17.5", "17", False),
        ("1.0.0", "1", False),
        ("10", "1", False),
    ],
)
def test_ids_that_a_spreadsheet_makes_of_one_another(one, other, alike):
    assert (loose_id(one) == loose_id(other)) == alike


@pytest.mark.parametrize(
    ("given_ids", "cause"),
    [
        (["17", "18"], "leading zeros"),
        (["17.0"], "leading zeros"),
        (["0017.0"], 'a trailing ".0"'),
    ],
)
def test_ids_that_meet_only_after_a_change_are_one_problem(given_ids, cause):
    (problem,) = meeting(given_ids, {"0017", "0018"}).problems
    assert problem.row is None
    assert cause in problem.problem
    assert "p.csv" in problem.problem
    assert "17" not in str(problem), "no id is shown"
    assert problem.value.startswith(f"{len(given_ids)} id")


def test_capitals_and_separators_are_told():
    assert "capitals" in meeting(["a1"], {"A1"}).problems[0].problem
    assert "separators" in meeting(["A-1"], {"A1"}).problems[0].problem
    assert "capitals and leading zeros" in meeting(["a01", "b2"], {"A1"}).problems[0].problem


def test_strangers_are_counted_and_a_table_of_strangers_is_a_problem():
    some = meeting(["x", "A1", ""], {"A1"})
    assert some.strangers == (2,)
    assert some.problems == ()
    (problem,) = meeting(["x", "y", ""], {"A1"}).problems
    assert "0 of 2 rows" in problem.problem
    assert meeting(["", ""], {"A1"}).problems == ()


def test_within_one_table_zeros_and_floats_are_perhaps_one_patient():
    ids = {2: "17", 3: "017", 4: "18", 5: "18.0", 6: "19", 7: "19", 8: "a1", 9: "A1", 10: ""}
    # the same id twice is a duplicate, said elsewhere; capitals may tell patients apart
    assert same_but_for_format(ids) == {3: 2, 5: 4}


WAYS = {
    "text": str,
    "number": lambda i: str(int(i)) if i.isdigit() else i,
    "float": lambda i: f"{int(i)}.0" if i.isdigit() else i,
    "zeros": lambda i: i.zfill(8),
    "capitals": str.upper,
    "small": str.lower,
    "spaces": lambda i: f" {i} ",
    "invisible": lambda i: i + "\u200b",
}


@given(
    ids=st.lists(
        st.text(alphabet=string.ascii_uppercase + string.digits, min_size=1, max_size=6),
        min_size=1,
        max_size=8,
        unique_by=loose_id,
    ),
    way=st.sampled_from(sorted(WAYS)),
)
def test_however_ids_are_formatted_the_same_patients_meet_or_it_is_a_problem(ids, way):
    changed = [normal_id(WAYS[way](i)) for i in ids]
    found = meeting(changed, set(ids))
    assert found.problems or not found.strangers
    if way in {"text", "spaces", "invisible"}:
        assert not found.problems
