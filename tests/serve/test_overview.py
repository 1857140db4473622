"""The study's page: its flow is the screening's, its downloads are the run's."""

from __future__ import annotations

from pathlib import Path

from metasight.serve.last_run import LastRun
from metasight.serve.overview import DOWNLOADS, download, downloads_of, flow_of, plan_of
from metasight.study.analysis_plan import lock_plan
from metasight.study.file import read_study


def test_the_flow_is_the_screening_s(finished_folder: Path) -> None:
    run = LastRun(read_study(finished_folder))
    flow = flow_of(run)
    assert flow.screened == run.cohort["screened"]
    assert [s.criterion for s in flow.lines] == list(run.study.protocol.criteria)
    left = flow.screened - sum(s.excluded + s.unknown for s in flow.lines)
    assert left == flow.as_written == flow.lines[-1].remaining


def test_only_files_of_the_run_are_offered(finished_folder: Path) -> None:
    run = LastRun(read_study(finished_folder))
    names = [d.name for d in downloads_of(run)]
    assert {"report.html", "report.pdf", "ledger.parquet", "bundle.zip"} <= set(names)
    assert set(names) <= set(DOWNLOADS)
    for name in ("../../patients.csv", "bundle", "study.toml", "", "/etc/passwd"):
        assert download(run, name) is None


def test_the_plan_is_locked_or_not(study_folder: Path) -> None:
    study = read_study(study_folder)
    assert plan_of(study) == (None, "")
    lock_plan(study)
    plan, problem = plan_of(study)
    assert plan is not None and problem == ""
    (study_folder / "analysis-plan.json").write_text("{}")
    plan, problem = plan_of(study)
    assert plan is None and problem
