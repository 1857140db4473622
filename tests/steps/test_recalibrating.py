"""A bundle is recalibrated only as the validation's result offers it."""

from types import SimpleNamespace

import pytest

from metasight.errors import StudyError
from metasight.steps import artefacts, recalibrating
from metasight.steps.recalibrating import recalibrate
from metasight.validation.json_tree import to_jsonable
from metasight.validation.recalibration import RecalibrationFit, Recalibrations
from metasight.validation.results import NotEstimable
from validation.conftest import predictions

FIT = RecalibrationFit(
    method="in-the-large",
    intercept=0.3,
    slope=1.0,
    coefficients=(),
    covariance=((0.01, 0.0), (0.0, 0.0)),
    log_loss=0.4,
    brier=0.1,
    difference=-0.01,
    se=0.004,
)
OFFERED = Recalibrations(
    model="m",
    target="1826 days",
    horizon_days=1826,
    scale="cloglog",
    n=30,
    events=12,
    log_loss=0.41,
    brier=0.11,
    fits=(FIT,),
    recommended="in-the-large",
)


def call(folder, method, marks):
    return recalibrate(
        SimpleNamespace(), content="ff", run="r", method=method, judged=folder, marks=marks
    )


def test_the_line_and_the_marks_of_those_who_were_judged(tmp_path, monkeypatch):
    monkeypatch.setattr(recalibrating, "recalibrated_bundle", lambda b, parent, m: (parent, [*m]))
    artefacts.RECALIBRATION.write(tmp_path, to_jsonable(OFFERED))
    predictions(30).to_parquet(artefacts.PREDICTIONS.path(tmp_path))
    marks = {"p0001": ["a", "b"], "p0000": ["c"], "left out": ["d"]}
    parent, used = call(tmp_path, "in-the-large", marks)
    assert used == ["c", "a", "b"]
    assert (parent.intercept, parent.slope, parent.horizon_days) == (0.3, 1.0, 1826)
    assert (parent.patients, parent.events, parent.recommended) == (30, 12, "in-the-large")
    assert (parent.content, parent.run) == ("ff", "r")


def test_what_is_not_offered_is_refused_with_the_reason(tmp_path):
    artefacts.RECALIBRATION.write(tmp_path, to_jsonable(OFFERED))
    with pytest.raises(StudyError, match="slope is not offered") as error:
        call(tmp_path, "slope", {})
    assert error.value.value == "offered: in-the-large"
    none = NotEstimable(not_estimable="3 patients with the event")
    artefacts.RECALIBRATION.write(tmp_path, to_jsonable(none))
    with pytest.raises(StudyError) as error:
        call(tmp_path, "slope", {})
    assert error.value.value == "3 patients with the event"
