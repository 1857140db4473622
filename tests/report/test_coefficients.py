"""Coefficients in a table: with intervals, over refits, or neither, and said which."""

from __future__ import annotations

from dataclasses import replace

import pytest

from metasight.estimate import Estimate
from metasight.features.skewness import Logarithm
from metasight.models.by_hand import Formula
from metasight.models.final_fit import FinalFit
from metasight.models.refit_spread import RefitSpread, TermSpread
from metasight.report.blocks import DataTable
from metasight.report.coefficients import MOST_COEFFICIENTS, coefficients, term_label
from metasight.report.view import View


def table_of(survival, model) -> DataTable:
    view = View(replace(survival, models=(model,)))
    return next(b for b in coefficients(view, model, 0) if isinstance(b, DataTable))


def plain(value) -> str:
    return str(value).replace("\u00a0", " ")


def test_an_interval_is_that_of_the_ratio(survival):
    final = FinalFit(
        intervals={
            "age_years": Estimate(value=0.02, lower=0.0, upper=0.04, se=0.0102),
            "X1_at": Estimate(value=-0.4, lower=-0.8, upper=0.0, se=0.204),
        }
    )
    table = table_of(survival, replace(survival.models[0], final=final))
    assert [c.text for c in table.columns][-1] == "95 % confidence interval"
    assert [plain(c) for c in table.rows[0].cells] == [
        "X1_at",
        "−0.4000",
        "0.2040",
        "0.670",
        "0.449 to 1.000",
    ]
    assert plain(table.rows[1].cells[-1]) == "1.000 to 1.041"
    assert "one fit to all patients" in " ".join(table.notes)
    assert "1 further term with coefficient 0." in table.notes


def spread(refits: int, ends: tuple[float, float] | None) -> RefitSpread:
    low, high = ends or (None, None)
    return RefitSpread(
        model="m",
        refits=refits,
        terms={"X1_at": TermSpread(kept=0.65, lower=low, upper=high)},
    )


def test_a_penalised_model_shows_its_refits_and_how_many(survival):
    model = replace(survival.models[0], refits=spread(40, (-0.8, 0.0)))
    table = table_of(survival, model)
    assert [plain(c) for c in table.rows[0].cells[3:]] == ["65 %", "0.449 to 1.000"]
    assert [plain(c) for c in table.rows[1].cells[3:]] == ["–", "–"]
    notes = " ".join(table.notes)
    assert "40 refits" in notes and "no confidence interval" in notes


def test_few_refits_have_no_range(survival):
    table = table_of(survival, replace(survival.models[0], refits=spread(3, None)))
    assert len(table.columns) == 4
    assert "too few for a range" in " ".join(table.notes)


def test_without_either_it_says_why(survival):
    table = table_of(survival, survival.models[0])
    assert "not refitted" in " ".join(table.notes)
    assert len(table.columns) == 3


def test_many_terms_are_cut_and_side_by_side(survival):
    many = {f"g{k}": 0.01 * (k + 1) for k in range(60)}
    table = table_of(survival, replace(survival.models[0], coefficients=many))
    assert len(table.rows) == MOST_COEFFICIENTS // 2
    assert len(table.columns) == 6
    assert f"The {MOST_COEFFICIENTS} largest of 60" in " ".join(table.notes)
    assert table.rows[0].cells[0] == "g59"


def test_a_formula_says_how_a_logarithm_is_taken(survival):
    formula = Formula(
        kind="hazard",
        terms=(("log(positive_nodes)", 0.4, 0.8), ("log(age_years)", 0.02, 4.1)),
        constants=(("1826", 0.1),),
        logarithms={
            "log(positive_nodes)": ("positive_nodes", Logarithm(offset=1.0, floor=0.0)),
            "log(age_years)": ("age_years", Logarithm(offset=0.0, floor=28.0)),
        },
    )
    view = View(replace(survival, models=(replace(survival.models[0], formula=formula),)))
    blocks = list(coefficients(view, view.contents.models[0], 0))
    table = next(b for b in blocks if isinstance(b, DataTable) and b.anchor.startswith("formula"))
    notes = plain(" ".join(table.notes))
    assert "natural logarithm" in notes
    assert "log(value + 1), lowest value 0" in notes
    assert "Age at surgery: log(value), lowest value 28" in notes


@pytest.mark.parametrize(
    ("term", "shown"),
    [
        ("age_years", "Age at surgery"),
        ("age_years'", "Age at surgery, spline term 2"),
        ("grade=3", "Histological grade: 3"),
        ("X1_at", "X1_at"),
        ("log(age_years)", "log(Age at surgery)"),
        ("log(age_years)'", "log(Age at surgery), spline term 2"),
    ],
)
def test_a_column_is_named_by_its_variable(survival, term, shown):
    assert term_label(View(survival), term) == shown
