"""What a column's name may say besides the name."""

from __future__ import annotations

import pytest

from metasight.study.column_names import column_name, plain_code, plain_name, plain_spelling


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
    assert column_name("Age at diagnosis").rank(known) == 3
    assert column_name("stage").rank(known) is None


def test_plain_names_and_codes():
    assert plain_name("Tumorgröße, pT") == "tumorgroessept"
    assert plain_spelling("age at *") == "ageat*"
    assert plain_code("≤ 20 mm") == plain_code("<=20mm") == "<=20mm"
    assert plain_code("3+") == "3+"
    assert plain_code("+") == "+"
