"""The figures of the models' page are those of the run's evaluation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="the extra `serve` is not installed")

from metasight.errors import StudyError
from metasight.estimate import Estimate
from metasight.report.wording import metric
from metasight.serve import model
from metasight.serve.last_run import LastRun
from metasight.study.file import read_study
from metasight.validation.results import NotEstimable


@pytest.fixture(scope="module")
def judged(finished_folder: Path) -> tuple[model.Judged, ...]:
    return model.judged_by(LastRun(read_study(finished_folder)))


def test_the_headline_analysis_comes_first(judged: tuple[model.Judged, ...]) -> None:
    assert judged[0].label.endswith(", all eligible")
    assert "_" not in judged[0].label and "dmfs" not in judged[0].label
    assert len({j.label for j in judged}) == len(judged) >= 2


def test_each_model_has_its_own_figures(judged: tuple[model.Judged, ...]) -> None:
    own = judged[0].evaluation
    sheet = model.models_sheet(own, 0)
    assert f"{own.data.n_patients} patients, {own.data.n_events} events" in sheet.caption
    by_name = {row[0]: row for row in sheet.rows}
    for name, found in own.models.items():
        role = " (headline)" if name == own.settings.headline_model else ""
        role = " (reference)" if name == own.settings.reference_model and not role else role
        row = by_name[name + role]
        assert row[1] == metric(found.harrell_c)
        assert row[2] == metric(found.targets[0].auc)
        assert len(row) == len(sheet.head)


def test_what_is_not_estimable_is_named_below(judged: tuple[model.Judged, ...]) -> None:
    of = next(iter(judged[0].evaluation.models.values()))
    lacking = replace(of, subgroups=tuple(
        replace(g, auc=NotEstimable(not_estimable="2 events by 1826 days")) for g in of.subgroups
    ))  # fmt: skip
    sheet = model.subgroups_sheet(lacking)
    assert sheet is not None
    assert sheet.notes[0] == "(a) not estimable: 2 events by 5 years."


def test_the_drawings_hold_the_curves(judged: tuple[model.Judged, ...]) -> None:
    at = next(iter(judged[0].evaluation.models.values())).targets[0]
    drawn = model.calibration_plot(at)
    known = [g for g in at.calibration.groups if isinstance(g.observed, Estimate)]
    assert len(drawn.dots) == len(known)
    xs = [x for x, _, _, _ in drawn.dots]
    assert xs == sorted(xs)
    points = at.decision_curve.points
    curve = model.decision_plot(at, points[1])
    assert curve.marker == pytest.approx(
        model.MARGIN + model.SIDE * points[1].threshold / points[-1].threshold, abs=0.06
    )
    inside = (model.MARGIN - 0.1, model.MARGIN + model.SIDE + 0.1)
    for _, line in (*drawn.lines, *curve.lines, *curve.bands):
        for pair in line.split():
            x, y = (float(v) for v in pair.split(","))
            assert inside[0] <= x <= inside[1]
            assert 9.9 <= y <= 10.1 + model.SIDE


def test_the_threshold_is_put_into_words(judged: tuple[model.Judged, ...]) -> None:
    of = next(iter(judged[0].evaluation.models.values()))
    at = of.targets[0]
    for point in at.decision_curve.points:
        said = model.decision_words(at, point, of.model)
        assert f"{100 * point.treated:.0f} of 100 patients" in said[0]
        assert isinstance(point.net_benefit, Estimate)
        assert metric(point.net_benefit, 1, scale=100) in said[1]


def test_a_place_that_is_none_is_the_first() -> None:
    assert model.chosen(("a", "b"), 1) == "b"
    assert model.chosen(("a", "b"), 7) == "a"
    with pytest.raises(StudyError, match="evaluated no model"):
        model.chosen((), 0)
