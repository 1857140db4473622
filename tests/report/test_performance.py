"""Performance tables: every cell is its model's figure, in its row and column, rightly scaled."""

from __future__ import annotations

from dataclasses import replace

import pytest

from metasight.report.blocks import DataTable, Paragraph
from metasight.report.performance import role, section
from metasight.report.view import View


def plain(value) -> str:
    text = str(value).replace("\u00a0", " ").replace("\u202f", " ")
    return text.replace("\u2212", "-")


def tables(contents) -> dict[str, DataTable]:
    return {b.anchor: b for b in section(View(contents)) if isinstance(b, DataTable)}


def cells(table: DataTable) -> list[tuple[str, ...]]:
    return [tuple(plain(c) for c in r.cells) for r in table.rows]


def figure(cell: str) -> float:
    return float(cell.split(maxsplit=1)[0])


def with_headline(contents, **changes):
    first, *others = contents.analyses
    return replace(contents, analyses=(replace(first, **changes), *others))


def test_names_say_who_is_headline_and_reference(survival):
    view = View(survival)
    assert role(view, view.lead) == f"{view.lead} (headline)"
    assert role(view, view.reference) == f"{view.reference} (reference)"
    assert role(view, "another") == "another"


def test_overall_figures_are_each_models_own(survival):
    view = View(survival)
    rows = cells(tables(survival)["overall"])
    assert len(rows) == len(view.models)
    for row, name in zip(rows, view.models, strict=True):
        m = view.evaluation.models[name]
        assert row[0] == role(view, name)
        assert figure(row[1]) == pytest.approx(m.harrell_c.value, abs=5e-4)
        assert figure(row[2]) == pytest.approx(m.uno_c.value, abs=5e-4)
        assert figure(row[3]) == pytest.approx(m.integrated_brier.value, abs=5e-4)
        assert figure(row[4]) == pytest.approx(100 * m.integrated_ipa.value, abs=0.05)


@pytest.mark.parametrize("contents", ["survival", "nodal"])
def test_targets_are_not_exchanged(contents, request):
    told = request.getfixturevalue(contents)
    view = View(told)
    rows = cells(tables(told)["targets"])
    n = len(view.models)
    for k in range(len(view.evaluation.models[view.lead].targets)):
        assert len(rows[k * (n + 1)]) == 1
        for row, name in zip(rows[k * (n + 1) + 1 :], view.models, strict=False):
            t = view.evaluation.models[name].targets[k]
            assert row[0] == role(view, name)
            assert figure(row[1]) == pytest.approx(t.auc.value, abs=5e-4)
            assert figure(row[2]) == pytest.approx(t.brier.value, abs=5e-4)
            assert figure(row[3]) == pytest.approx(100 * t.ipa.value, abs=0.05)


def test_calibration_is_in_its_columns(survival):
    view = View(survival)
    rows = [r for r in cells(tables(survival)["calibration-table"]) if len(r) > 1]
    wanted = [
        view.evaluation.models[name].targets[k].calibration
        for k in range(2)
        for name in view.models
    ]
    for row, c in zip(rows, wanted, strict=True):
        assert figure(row[1]) == pytest.approx(c.oe.value, abs=5e-3)
        assert figure(row[2]) == pytest.approx(c.intercept.value, abs=5e-3)
        assert figure(row[3]) == pytest.approx(c.slope.value, abs=5e-3)
        assert figure(row[4]) == pytest.approx(100 * c.ici.value, abs=0.05)
        assert figure(row[5]) == pytest.approx(100 * c.e90.value, abs=0.05)


def test_a_difference_is_headline_minus_reference(survival):
    view = View(survival)
    lead, reference = (view.evaluation.models[m] for m in (view.lead, view.reference))
    rows = [r for r in cells(tables(survival)["increment-table"]) if len(r) > 1]
    assert figure(rows[0][1]) == pytest.approx(
        lead.harrell_c.value - reference.harrell_c.value, abs=1e-3
    )
    for row, a, b in zip(rows[1:], lead.targets, reference.targets, strict=True):
        assert figure(row[1]) == pytest.approx(a.auc.value - b.auc.value, abs=1e-3)
        assert figure(row[2]) == pytest.approx(100 * (a.ipa.value - b.ipa.value), abs=0.1)
        assert figure(row[3]) == pytest.approx(a.brier.value - b.brier.value, abs=1e-3)


def test_net_benefit_is_per_hundred_and_its_difference_is_that_of_the_two(survival):
    rows = [r for r in cells(tables(survival)["decision-table"]) if len(r) > 1]
    assert [r[0] for r in rows] == ["10 %", "20 %", "30 %"] * 2
    view = View(survival)
    for k in range(2):
        a, b = (
            view.evaluation.models[m].targets[k].decision_curve.points
            for m in (view.reference, view.lead)
        )
        for row, ref, lead in zip(rows[3 * k : 3 * k + 3], a, b, strict=True):
            assert figure(row[1]) == pytest.approx(100 * ref.treat_all.value, abs=0.05)
            assert figure(row[2]) == pytest.approx(100 * ref.net_benefit.value, abs=0.05)
            assert figure(row[3]) == pytest.approx(100 * lead.net_benefit.value, abs=0.05)
            assert figure(row[4]) == pytest.approx(
                100 * (lead.net_benefit.value - ref.net_benefit.value), abs=0.01
            )
            assert float(row[5].split()[0]) == pytest.approx(100 * lead.treated, abs=0.5)


def test_d_calibration_is_shown_without_a_test(survival):
    """With few events the test of equal bins has no size: it finds nothing wrong with anything."""
    words = " ".join(plain(b.text) for b in section(View(survival)) if isinstance(b, Paragraph))
    assert "D-calibration is shown without a test" in words
    assert "χ²" not in words


def test_stages_have_an_ordinal_c_and_no_follow_up(nodal):
    view = View(nodal)
    rows = cells(tables(nodal)["overall"])
    for row, name in zip(rows, view.models, strict=True):
        assert len(row) == 2
        c = view.evaluation.models[name].ordinal_c
        assert figure(row[1]) == pytest.approx(c.value, abs=5e-4)
