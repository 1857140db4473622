"""What a column's name may say besides the name."""

from __future__ import annotations

import pytest

from metasight.study.column_names import (
    column_name,
    plain_code,
    plain_name,
    plain_spelling,
    words_of,
)


@pytest.mark.parametrize(
    ("column", "part", "unit"),
    [
        ("Size (cm)", "size", "cm"),
        ("OS_MONTHS", "os", "months"),
        ("tumorSizeMm", "tumorsize", "mm"),
        ("Alter bei Operation (Jahre)", "alterbeioperation", "years"),
        ("Tumorgröße [mm]", "tumorgroesse", "mm"),
        ("Überlebenszeit in Monaten", "ueberlebenszeit", "months"),
        ("Days to death (from the date of diagnosis)", "daystodeath", ""),
        ("Overall Survival (Months)", "overallsurvival", "months"),
        ("demographic.vital_status", "vitalstatus", ""),
        ("Patient's age", "age", ""),
        ("Adjuvant therapy (choice=Chemotherapy)", "chemotherapy", ""),
    ],
)
def test_additions_are_taken_off_and_the_unit_is_kept(column, part, unit):
    found = column_name(column)
    assert part in found.parts
    assert found.unit == unit


def test_a_unit_within_a_word_is_none():
    assert column_name("method").unit == ""
    assert column_name("status").unit == ""


def test_the_whole_name_goes_before_its_parts_and_those_before_a_beginning():
    known = {"age", "agesurgery", "ageat*"}
    assert column_name("age surgery").rank(known) == 1
    assert column_name("age (years)").rank(known) == 2
    assert column_name("Age at diagnosis").rank(known) == 4
    assert column_name("dx_age").rank(known, {words_of("age at diagnosis")}) == 3
    assert column_name("stage").rank(known) is None


def test_plain_names_and_codes():
    assert plain_name("Tumorgröße, pT") == "tumorgroessept"
    assert plain_spelling("age at *") == "ageat*"
    assert plain_code("≤ 20 mm") == plain_code("<=20mm") == "<=20mm"
    assert plain_code("3+") == "3+"
    assert plain_code("+") == "+"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Date distant mets", "distant metastasis date"),
        ("Adj. chemo", "adjuvant chemotherapy"),
        ("TNM_PATH_N", "pathological n stage"),
        ("date_last_fu", "date of last follow-up"),
        ("ER status", "er"),
    ],
)
def test_words_in_another_order_and_abbreviated_are_the_same(one, other):
    assert words_of(one) == words_of(other)


def test_words_that_tell_apart_are_kept():
    assert words_of("node") != words_of("nodal stage")
    assert words_of("overall_survival") != words_of("overall survival status")
    assert words_of("days to death") != words_of("date of death")
    assert words_of("nodes examined") != words_of("positive nodes")
