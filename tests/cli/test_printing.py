"""What the terminal shows: no markup, no control characters, no other patient than was asked."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from metasight.cli import printing
from metasight.engine.step import StepKind
from metasight.errors import StudyError


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setattr(printing.out, "width", 200, raising=False)
    return lambda: capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("[bold]x[/bold]", "\\[bold]x\\[/bold]"),
        ("a\x1b[31mb", "a[31mb"),
        ("a\u202eb\u200bc", "abc"),
        ("two\nlines\tand", "two\nlines\tand"),
        (3, "3"),
    ],
)
def test_text_of_others_cannot_colour_or_turn_the_line(text, shown) -> None:
    assert printing.shown(text) == shown


def test_a_command_can_be_typed_as_it_is_shown() -> None:
    assert printing.command_line("run", Path("my study")) == "`metasight run 'my study'`"


def step(kind: StepKind, label: str) -> SimpleNamespace:
    return SimpleNamespace(step=SimpleNamespace(kind=kind, label=label), why="new")


def test_pending_steps_are_counted_by_stage_and_reason(said) -> None:
    printing.print_pending((step(StepKind.FIT, "fits"), step(StepKind.FIT, "fits")))
    text = said()
    assert "fits" in text
    assert "2 steps would run" in text


def test_measurements_come_before_what_can_be_planned(said) -> None:
    printing.print_pending((step(StepKind.MEASURE_SCANS, "scans"), step(StepKind.FIT, "fits")))
    assert "1 image measurement" in said()
    printing.print_pending(())
    assert "up to date" in said()


def predictions(folder: Path, *patients: dict) -> Path:
    content = {"disclaimer": "Research software.", "patients": list(patients)}
    (folder / "predictions.json").write_text(json.dumps(content), "utf-8")
    return folder


def risk(value, lower=None, upper=None) -> dict:
    return {"value": value, "lower": lower, "upper": upper}


ONE = {
    "patient": "P1",
    "risks": [{"target": "1826", "risk": risk(0.152, 0.1, 0.21)}],
    "why_none": [],
}
TWO = {"patient": "P2", "risks": [], "why_none": ["not eligible: I1", "no slide"]}


def test_risks_have_their_interval_and_silence_its_reason(said, tmp_path: Path) -> None:
    printing.print_predictions(predictions(tmp_path, ONE, TWO), None)
    text = said()
    assert "Research software." in text
    assert "P1: 5 years 15.2 % (10.0 to 21.0)" in text
    assert "P2: no risk given: not eligible: I1; no slide" in text


def test_one_patient_alone(said, tmp_path: Path) -> None:
    printing.print_predictions(predictions(tmp_path, ONE, TWO), "P1")
    assert "P2" not in said()
    with pytest.raises(StudyError, match="no such patient"):
        printing.print_predictions(tmp_path, "P3")


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (risk(0.152), "15.2 %"),
        (risk(None), "unknown"),
        (risk(0.152, 0.1), "15.2 %"),
    ],
)
def test_a_risk_without_an_interval_has_none(said, tmp_path: Path, given, shown) -> None:
    patient = {**ONE, "risks": [{"target": "N2", "risk": given}]}
    printing.print_predictions(predictions(tmp_path, patient), None)
    assert f"P1: N2 {shown}" in said()


def test_results_name_what_is_there(said, tmp_path: Path) -> None:
    results = tmp_path / "abc"
    results.mkdir()
    (results / "report.html").write_text("x")
    printing.print_results(results)
    text = said()
    assert "latest/report.html" in text
    assert "report.pdf" not in text
