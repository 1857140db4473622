"""Two hospitals find their common patients without showing their lists."""

from __future__ import annotations

import hashlib
import subprocess
import sys

from metasight.cohort.overlap import METHOD, key_from, marks_of, shared, table_of

KEY = key_from("a study's secret")
DAY, VALUES = "2019-05-02", ("61", "18.0")


def test_both_sides_make_the_same_marks_and_only_with_the_key():
    ours = marks_of("Ab17", DAY, VALUES, KEY)
    assert marks_of(" aB17 ", DAY, VALUES, KEY) == ours
    assert not set(ours) & set(marks_of("Ab17", DAY, VALUES, key_from("another")))
    assert all(len(m) == 10 for m in ours)


def test_a_mark_costs_what_its_method_says():
    """In a process of its own: here marks are made cheap (``cheap_marks`` in conftest.py)."""
    code = f"from metasight.cohort.overlap import mark; print(mark('17', '{KEY}'))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()
    key = bytes.fromhex(KEY)
    assert done == hashlib.scrypt(b"17", salt=key, n=4096, r=8, p=1, dklen=5).hex()
    assert METHOD == "scrypt-4096-8-1-40bit"


def test_the_same_number_at_two_hospitals_is_not_the_same_patient():
    ours = marks_of("17", DAY, VALUES, KEY)
    assert not set(ours) & set(marks_of("17", "2020-01-01", VALUES, KEY))
    without_days = [marks_of("17", "", values, KEY) for values in (VALUES, ("44", "9.0"))]
    assert not set(without_days[0]) & set(without_days[1])


def test_a_patient_under_another_number_is_found_by_day_and_predictors():
    assert set(marks_of("17", DAY, VALUES, KEY)) & set(marks_of("H-0042", DAY, VALUES, KEY))


def test_the_key_does_not_tell_the_secret():
    assert "secret" not in key_from("secret")
    assert key_from("a") != key_from("b")


def test_common_patients_alone_are_found():
    patients = {i: marks_of(i, f"2020-01-0{i}", VALUES, KEY) for i in "123"}
    table = table_of((m for own in patients.values() for m in own), KEY)
    assert table["marks"] == sorted(table["marks"])
    theirs = {"PA": patients["2"], "PB": marks_of("9", "2021-01-01", VALUES, KEY)}
    assert shared(table, theirs) == ("PA",)
    assert shared({}, theirs) == ()
