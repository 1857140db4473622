"""What the last run left is read whether or not it is still up to date."""

from __future__ import annotations

import importlib
import threading
from pathlib import Path

import pandas as pd
import pytest

from metasight import pipeline
from metasight.engine.step import StepKind
from metasight.engine.store import DamagedResultError
from metasight.errors import StudyError
from metasight.finished import FinishedRun
from metasight.serve.last_run import _KINDS, LastRun
from metasight.study.file import read_study


def test_it_says_what_the_finished_run_says(finished_folder: Path) -> None:
    study = read_study(finished_folder)
    run, finished = LastRun(study), FinishedRun(study)
    assert run.risks.of == finished.risks.of and len(run.risks.of) > 100
    assert run.risks.why_none == finished.risks.why_none
    assert run.name == pipeline.finished(study).run
    assert set(run.table.index) >= set(run.risks.of)
    assert run.headline is not None and run.headline.endpoint == study.protocol.primary.name


def test_it_is_read_when_it_is_no_longer_up_to_date(study_folder: Path) -> None:
    before = LastRun(read_study(study_folder)).risks.of
    table = study_folder / "patients.csv"
    table.write_text(table.read_text().replace("mastectomy", "breast-conserving", 1))
    study = read_study(study_folder)
    with pytest.raises(StudyError, match="not up to date"):
        pipeline.finished(study)
    assert LastRun(study).risks.of == before


def test_curves_end_at_the_risk_that_is_shown(finished_folder: Path) -> None:
    run = LastRun(read_study(finished_folder))
    for patient, risks in run.risks.of.items():
        curve = run.curves[patient]
        assert [d for d, _ in curve] == sorted(d for d, _ in curve)
        assert dict(curve)[risks[-1].horizon_days] == pytest.approx(risks[-1].value)


def test_the_ledger_is_that_of_the_run(finished_folder: Path) -> None:
    run = LastRun(read_study(finished_folder))
    table = pd.read_parquet(finished_folder / "results" / "latest" / "ledger.parquet")
    assert sum(map(len, run.ledger.values())) == len(table)


def test_a_study_that_was_not_run_says_so(study_folder: Path) -> None:
    (study_folder / ".metasight" / "last_run.json").unlink()
    run = LastRun(read_study(study_folder))
    assert run.steps == {}
    with pytest.raises(StudyError, match="not run to its end"):
        _ = run.cohort


def test_a_result_that_was_altered_is_not_shown(study_folder: Path) -> None:
    run = LastRun(read_study(study_folder))
    (screened,) = run.of(StepKind.SCREEN)
    path = next((study_folder / ".metasight" / "store").rglob(f"{screened.key}/cohort.json"))
    path.write_text(path.read_text().replace("1", "2"))
    with pytest.raises(DamagedResultError):
        _ = run.cohort


@pytest.mark.parametrize("noted", _KINDS)
def test_every_step_that_is_shown_is_made_by_a_function_that_there_is(noted: str) -> None:
    module, _, function = noted.partition(":")
    assert hasattr(importlib.import_module(module), function)


def test_properties_that_rest_on_each_other_can_be_asked_for_at_once(
    finished_folder: Path,
) -> None:
    """One lock for all: with one for each property two threads waited for each other for ever."""
    for _ in range(5):
        run = LastRun(read_study(finished_folder))
        names = ("risks", "headline", "ledger", "curves", "inputs", "contributions", "cohort")
        asking = [threading.Thread(target=getattr, args=(run, n), daemon=True) for n in names]
        for one in asking:
            one.start()
        for one in asking:
            one.join(60)
        assert not [one for one in asking if one.is_alive()]
