"""Columns that nobody flagged."""

from __future__ import annotations

import pytest

from metasight.deidentify.suspicion import suspicion


@pytest.mark.parametrize(
    ("column", "cells", "looks"),
    [
        ("surname", ["x"], "its name says"),
        ("PatientId", ["1"], "its name says"),
        ("geburtsdatum", [""], "its name says"),
        ("operated", ["", "2020-01-02"], "dates"),
        ("operated", ["1", "17.3.21"], "dates"),
        ("operated", ["17 March 2021"], "dates"),
        ("operated", ["20210317"], "dates"),
        ("who", ["A-7", "1"], "ids of patients"),
        ("reach", ["a@b.org"], "addresses"),
        ("reach", ["+43 1 234 5678"], "addresses"),
        ("lab", ["4711081", "3"], "six digits"),
        ("block", ["H20-12345", "H20-12346"], "codes"),
        ("more", ["Kontrolle bei Herrn Kanarius, Lunge frei"], "free text"),
        ("hidden", ["Kanarius", "Zeisiger", "Meise"], "names"),
        ("hidden", ["A", "B", "C", "D", "A"], "names"),
        ("hidden", ["Kanarius"], "names"),
    ],
)
def test_that_look_like_somebody(column, cells, looks):
    assert looks in suspicion(column, cells, {"A-7"})


@pytest.mark.parametrize(
    ("column", "cells"),
    [
        ("age", ["61", "72.5", ""]),
        ("grade", ["G1", "G2", "G2", "G1", "G1"]),
        ("centre", ["North", "South", "North", "South", "North", "South"]),
        ("histology", ["adenocarcinoma", "adenocarcinoma", "squamous cell carcinoma"]),
        ("gene", ["0.001", "-3", "1e-7"]),
        ("empty", ["", ""]),
    ],
)
def test_that_do_not(column, cells):
    assert suspicion(column, cells, {"A-7"}) == ""
