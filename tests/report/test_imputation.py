"""Missing predictors in the report: who lacks what, and what multiple imputation changes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from metasight.estimate import Estimate
from metasight.features.missing_patterns import ANY
from metasight.models.pooled_coefficients import PooledCoefficient, PooledCoefficients
from metasight.predictions import Predictions
from metasight.report.blocks import DataTable, Heading, Paragraph
from metasight.report.contents import ImputationResult, PatternsResult
from metasight.report.document import compose
from metasight.report.html import to_html
from metasight.report.imputation import blocks
from metasight.report.tripod_items import _missing
from metasight.report.view import View
from metasight.validation.evaluate import evaluate
from metasight.validation.imputed import evaluate_imputed
from metasight.validation.results import NotEstimable

from .conftest import HEADLINE, REFERENCE, analysis, build, plan, simulate
from .pages import Page

KINDS = ("survival", "competing", "nodal")
SOME = Estimate(value=0.02, lower=-0.01, upper=0.05, se=0.015)
COEFFICIENTS = PooledCoefficients(
    scale="log hazard ratio",
    coefficients=(
        PooledCoefficient(
            name="age_years", pooled=SOME, freedom=41.3, missing_information=0.12, single=SOME
        ),
        PooledCoefficient(
            name="grade", pooled=SOME, freedom=38.0, missing_information=0.2, single=None
        ),
    ),
    not_pooled=("er_positive",),
)
PATTERNS = PatternsResult(
    together={"grade": ("tumour_size_mm",)}, few={"age_years": 4}, further=("er_positive",)
)


def groups(told: Predictions) -> dict[str, dict[str, str]]:
    """Half the patients lack the grade; twelve of these all genes."""
    patients = sorted(told.table["patient"].unique())
    lacking = dict.fromkeys(patients[: len(patients) // 2], "missing")
    few = dict.fromkeys(patients[:12], "missing")
    return {
        ANY: {p: "some missing" if p in lacking else "complete" for p in patients},
        "grade": {p: lacking.get(p, "recorded") for p in patients},
        "genes": {p: few.get(p, "recorded") for p in patients},
    }


def shaken(told: Predictions) -> Predictions:
    """Risks as over imputations: near those with single imputation."""
    rng = np.random.default_rng(0)
    if told.table["label"].notna().any():
        return told
    risk = told.table["risk"] + rng.normal(0, 0.05, len(told.table))
    return Predictions(told.table.assign(risk=risk.clip(0.001, 0.999)))


def result(kind: str = "survival", **changes):
    """A run whose headline analysis has both parts."""
    told = simulate(kind)
    asked = replace(plan(kind, told), missing=groups(told))
    given = {
        "imputations": 20,
        "predictors": 2,
        "left_out": {},
        "performance": evaluate_imputed(told, shaken(told), asked, imputations=20),
        "not_judged": "",
        "reference": REFERENCE,
        "coefficients": COEFFICIENTS,
        "skipped": "",
    }
    one = replace(
        analysis(kind),
        evaluation=evaluate(told, asked),
        missing={"age_years": 4, "grade": 40},
        patterns=PATTERNS,
        imputation=ImputationResult(**{**given, **changes}),
    )
    return build(one)


def words(found) -> str:
    return " ".join(str(b.text) for b in found if isinstance(b, Paragraph)).replace("\u00a0", " ")


def tables(found) -> dict[str, DataTable]:
    return {b.anchor: b for b in found if isinstance(b, DataTable)}


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_shows_both_parts(kind):
    contents = result(kind)
    page = Page(to_html(compose(contents)))
    for anchor in ("missing-patterns-table", "multiple-imputation-table", "pooled-coefficients"):
        assert any(a.get("id") == anchor for _, a in page.tags)
    assert "not estimable" in page.text
    expected = "nodal stage" if kind == "nodal" else "Nelson–Aalen cumulative hazard"
    assert f"read their {expected}" in page.text or f"{expected} too" in page.text
    assert "regressions of the training patients that read no outcome" in page.text


def test_without_gaps_there_is_neither_part(survival):
    assert list(blocks(View(survival))) == []


def test_groups_have_numbers_and_figures_of_reference_and_headline():
    found = list(blocks(View(result())))
    table = tables(found)["missing-patterns-table"]
    heads = [r.cells[0] for r in table.rows if r.group]
    assert heads[0] == "Any predictor"
    assert "and 1 predictor that the same patients lack" in heads[1]
    assert heads[2] == "All predictors of genes"
    rows = [r.cells for r in table.rows if not r.group]
    assert [r[0] for r in rows[:2]] == [f"Complete: {REFERENCE}", f"Complete: {HEADLINE}"]
    assert [rows[0][1], rows[1][1]] == ["80", ""]
    # of twelve patients too few had the event: named once, and not judged
    small = next(r for r in rows if r[1] == "12")
    assert small[0] == "Missing: every model"
    assert small[3].startswith("not estimable")
    told = words(found)
    assert "Fewer than 10 patients lack, or have, Age at surgery (4 missing)" in told
    assert "No group is made of" in told


def test_differences_have_a_column_only_where_groups_can_be_compared():
    contents = result()
    table = tables(list(blocks(View(contents))))["missing-patterns-table"]
    assert table.columns[-1].text == "Δ to the others"
    assert any("Δ to the others" in n for n in table.notes)
    none = NotEstimable(not_estimable="too few")
    models = {
        name: replace(m, by_missing=tuple(replace(g, difference=none) for g in m.by_missing))
        for name, m in contents.analyses[0].evaluation.models.items()
    }
    one = contents.analyses[0]
    alone = replace(one, evaluation=replace(one.evaluation, models=models))
    table = tables(list(blocks(View(replace(contents, analyses=(alone,))))))
    columns = table["missing-patterns-table"].columns
    assert columns[-1].text == "O/E"
    assert all(
        r.group or len(r.cells) == len(columns) for r in table["missing-patterns-table"].rows
    )


def test_the_increment_is_told_with_both_ways_and_the_change():
    view = View(result())
    found = list(blocks(view))
    performance = view.headline.imputation.performance
    told = words(found)
    assert f"The increment in Harrell’s C over “{REFERENCE}” is" in told
    assert "over imputations and" in told
    assert "the interval of the change" in told
    table = tables(found)["multiple-imputation-table"]
    cells = [r.cells[0] for r in table.rows if not r.group]
    assert cells.count(HEADLINE) == cells.count(f"Δ over {REFERENCE}") == 2
    assert f"{performance.n} patients" in table.caption.replace("\u00a0", " ")


def test_models_that_were_not_refitted_are_named_with_the_reason():
    why = "forests, networks and models of images or painted maps are not"
    told = words(
        blocks(
            View(
                result(
                    left_out={"forest": why},
                    performance=None,
                    not_judged="no model is refitted",
                )
            )
        )
    )
    assert f"Not refitted: forest ({why})." in told
    assert "Performance was not compared: no model is refitted." in told


def test_without_an_increment_the_models_are_told():
    view = View(result())
    performance = replace(view.headline.imputation.performance, differences=())
    told = words(blocks(View(result(performance=performance))))
    assert "For no refitted model does the interval of the change" in told
    lead = performance.models[0]
    apart = replace(lead.discrimination.change, difference=0.2, lower=0.1, upper=0.3)
    changed = replace(lead, discrimination=replace(lead.discrimination, change=apart))
    told = words(blocks(View(result(performance=replace(performance, models=(changed,))))))
    assert f"excludes zero for {lead.model}" in told


def test_an_increment_that_cannot_be_estimated_is_said_to_be_none():
    performance = View(result()).headline.imputation.performance
    none = NotEstimable(not_estimable="a reason")
    unknown = replace(performance.differences[0], single=none, multiple=none, change=none)
    told = words(blocks(View(result(performance=replace(performance, differences=(unknown,))))))
    assert "The increment in Harrell’s C cannot be estimated." in told


def test_coefficients_have_their_missing_information_or_a_reason():
    found = list(blocks(View(result())))
    table = tables(found)["pooled-coefficients"]
    assert table.rows[0].cells[0] == "Age at surgery"
    assert table.rows[0].cells[3].replace("\u00a0", " ") == "12 %"
    assert table.rows[0].cells[4] == "41.3"
    assert table.rows[1].cells[5] == "–"
    assert any("not pooled" in n for n in table.notes)
    skipped = list(
        blocks(View(result(coefficients=None, skipped="none of its predictors has a gap")))
    )
    assert "pooled-coefficients" not in tables(skipped)
    assert "were not pooled over imputations: none of its predictors has a gap." in words(skipped)


def test_headings_and_tripod_lead_there():
    found = list(blocks(View(result())))
    anchors = {b.anchor for b in found if isinstance(b, Heading)}
    assert anchors == {"missing-patterns", "multiple-imputation"}
    told = _missing(View(result()))
    assert {getattr(part, "anchor", "") for part in told} >= anchors
