"""Dates and times of DICOM and of tables, moved."""

from __future__ import annotations

import pytest

from metasight.deidentify.dates import shifted, shifted_in_table


@pytest.mark.parametrize(
    ("text", "vr", "moved"),
    [
        ("20200301", "DA", "20200229"),
        ("2020.03.01", "DA", "20200229"),
        ("20210301 ", "DA", "20210228"),
        ("", "DA", ""),
        ("20210230", "DA", None),
        ("00010101", "DA", None),
        ("Meier", "DA", None),
        ("235959.999", "TM", "235959.999"),
        ("12:30:00", "TM", "12:30:00"),
        ("Meier", "TM", None),
        ("20200301101112.5+0100", "DT", "20200229101112.5+0100"),
        ("2020", "DT", None),
        ("20200301Meier", "DT", None),
    ],
)
def test_of_dicom(text, vr, moved):
    assert shifted(text, vr, -1) == moved


@pytest.mark.parametrize(
    ("text", "moved"),
    [
        ("2020-03-01", "2020-02-29"),
        ("2020-03-01 10:11", "2020-02-29 10:11"),
        ("1.3.2020", "2020-02-29"),
        ("2020/3/1", "2020-02-29"),
        ("20200301", "2020-02-29"),
        ("03/01/2020", None),  # March or January
        ("1.3.20", None),
        ("soon", None),
    ],
)
def test_of_a_table(text, moved):
    assert shifted_in_table(text, -1) == moved
