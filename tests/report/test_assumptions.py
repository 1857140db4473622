"""Tests of a Cox model's shape in words: what was found and no more."""

from __future__ import annotations

from dataclasses import replace

from metasight.models.final_fit import FinalFit
from metasight.models.proportional_hazards import GLOBAL, ChiSquare
from metasight.report.assumptions import assumptions
from metasight.report.blocks import DataTable, Paragraph
from metasight.report.view import View


def told(
    survival, *, age: float, whole: float, bent: float, terms: tuple[str, ...] = ("age_years",)
) -> tuple[str, DataTable]:
    tests = (ChiSquare.of("age_years", age, 1), ChiSquare.of(GLOBAL, whole, 2))
    final = FinalFit(
        over_time=tests, over_days=tests, straight=(ChiSquare.of("age_years", bent, 1),)
    )
    model = replace(survival.models[0], final=final, coefficients=dict.fromkeys(terms, 0.1))
    words, table = assumptions(View(survival), model, 0)
    assert isinstance(words, Paragraph) and isinstance(table, DataTable)
    return str(words.text), table


def test_a_model_without_tests_has_no_section(survival):
    assert list(assumptions(View(survival), survival.models[0], 0)) == []


def test_a_ratio_that_changes_is_named(survival):
    words, table = told(survival, age=9.0, whole=10.0, bent=0.1)
    assert "Hazard ratios of Age at surgery differ over time (p < 0.05)" in words
    assert "Ref(anchor='calibration')" in words
    assert "not linear" not in words
    assert [str(c) for c in table.rows[0].cells] == [
        "Age at surgery",
        "1",
        "9.00",
        "0.003",
        "9.00",
        "0.003",
        "0.10",
        "0.752",
    ]
    assert table.rows[-1].cells[0] == "All terms" and table.rows[-1].strong
    assert table.rows[-1].cells[-1] == "–"


def test_only_together(survival):
    words, _ = told(survival, age=1.0, whole=20.0, bent=0.1)
    assert "Together, though not one by one" in words and "p < 0.001" in words


def test_nothing_found_is_no_proof(survival):
    words, _ = told(survival, age=1.0, whole=2.0, bent=0.1)
    assert "a small study may miss" in words
    assert "calibration" not in words


def test_a_bend_is_named(survival):
    words, _ = told(survival, age=1.0, whole=2.0, bent=8.0)
    assert "The log hazard is not linear in Age at surgery" in words


def test_a_model_with_splines_is_not_said_to_be_linear(survival):
    terms = ("age_years", "age_years'")
    words, _ = told(survival, age=1.0, whole=2.0, bent=8.0, terms=terms)
    assert "linear in what it reads" not in words
    assert "spline terms" in words
