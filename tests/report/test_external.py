"""What the report of a validation says of its size and of recalibration is what was computed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from metasight.report import limitations
from metasight.report.blocks import DataTable, Paragraph
from metasight.report.external import section
from metasight.report.tripod import answers
from metasight.report.view import View
from metasight.validation.results import NotEstimable
from metasight.validation.validation_size import validation_size
from steps.test_recalibrating import FIT, OFFERED

SIZE = validation_size([0.1, 0.2, 0.3, 0.4], thresholds=(0.05, 0.25), uncensored=[1.0, 0.8])


def external(contents, *, size=None, offered=OFFERED) -> View:
    told = size or validation_size(
        [0.1, 0.2, 0.3, 0.4], thresholds=(0.05, 0.25), uncensored=[1.0, 0.8]
    )
    first = replace(
        contents.analyses[0], population="external", recalibration=offered, validation_size=told
    )
    return View(replace(contents, analyses=(first,)))


def words(blocks) -> str:
    return " ".join(str(b.text) for b in blocks if isinstance(b, Paragraph)).replace("\u00a0", " ")


def test_a_study_that_developed_its_models_has_no_such_section(survival):
    assert section(View(survival)) == []


def test_how_many_there_are_against_how_many_are_needed(survival):
    blocks = section(external(survival))
    size = SIZE
    table = next(b for b in blocks if isinstance(b, DataTable))
    there = survival.analyses[0].evaluation.data.n_patients
    needed = [r.cells[2].replace(",", "") for r in table.rows]
    assert needed[:3] == [str(size.oe_n), str(size.slope_n), str(size.c_n)]
    assert needed[3] == "–"
    assert {r.cells[3] for r in table.rows} == {str(there)}
    assert table.rows[0].cells[4] == "no"
    assert f"There are {there} patients" in words(blocks)
    assert "smaller than that" in words(blocks)
    assert f"{round(100 * size.seen)} % of the events by the horizon" in words(blocks)


def test_of_stage_the_events_are_patients_with_any_positive_node(nodal):
    view = external(nodal, offered=replace(OFFERED, horizon_days=None, scale="logit"))
    data = nodal.analyses[0].evaluation.data
    told = words(section(view))
    assert f"with {data.events_by_horizon['N1 or worse']} events" in told
    assert "for all cuts of the stage" in told


def test_the_recommendation_is_that_of_the_result(survival):
    told = words(section(external(survival)))
    assert "Recommended: recalibration in the large (intercept)." in told
    assert "patients left out of its estimation" in told
    as_it_is = words(section(external(survival, offered=replace(OFFERED, recommended=""))))
    assert "Recommended: the model as it is" in as_it_is


def test_the_table_holds_each_line_and_what_is_not_offered(survival):
    table = [b for b in section(external(survival)) if isinstance(b, DataTable)][1]
    assert table.rows[0].cells == ("as it is", "0", "1", "0.4100", "", "0.1100")
    assert table.rows[1].cells[3:5] == ("0.4000", "−0.0100 (0.0040)")
    assert "intercept and slope" in table.notes[1]
    more = (replace(FIT, method=m, slope=0.8) for m in ("slope", "refit"))
    both = replace(OFFERED, fits=(FIT, *more))
    table = [b for b in section(external(survival, offered=both)) if isinstance(b, DataTable)][1]
    assert len(table.notes) == 1
    assert len(table.rows) == 4


@pytest.mark.parametrize("which", ["size", "offered"])
def test_what_could_not_be_estimated_says_why(survival, which):
    none = NotEstimable(not_estimable="all patients have the same predicted risk")
    assert none.not_estimable in words(section(external(survival, **{which: none})))


def test_the_checklist_and_the_limitations_name_size_and_updating(survival):
    view = external(survival)
    told = {a.item.item: str(a.text) for a in answers(view)}
    assert f"{SIZE.n} patients are needed" in told["10"].replace(",", "")
    assert "judged on patients left out" in told["12f"]
    assert told["24"] == told["12f"] or "judged on patients left out" in told["24"]
    assert "A small validation." in str(limitations.section(view))
    large = replace(SIZE, n=1)
    assert "A small validation." not in str(limitations.section(external(survival, size=large)))
