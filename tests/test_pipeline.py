"""The Methods section: planned once, carried out once, and nothing done twice."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pandas as pd
import pytest

from metasight import pipeline
from metasight.cohort.canonical import pseudonym
from metasight.engine.progress import Silent
from metasight.errors import StudyError
from metasight.ledger import Ledger
from metasight.study.file import read_study


class Told(Silent):
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


@pytest.fixture
def finished(breast_study):
    folder = breast_study()
    pipeline.run(read_study(folder), scheduler="inline", progress=Silent())
    return folder


def tree(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file below a folder with its size and time of change."""
    found = {str(p): p.stat() for p in folder.rglob("*") if p.is_file()}
    return {name: (about.st_size, about.st_mtime_ns) for name, about in found.items()}


def test_a_colleague_who_may_only_read_checks_and_reads(finished, monkeypatch):
    """As on a read-only mount; the tests' user may write everywhere, so the look is replaced."""
    monkeypatch.setattr(pipeline, "_writable", lambda study: False)
    before = tree(finished)
    results, ran = pipeline.run(read_study(finished), scheduler="inline", progress=Silent())
    assert (results / "report.html").is_file()
    assert ran == ()
    screening = pipeline.screen(read_study(finished), progress=Silent())
    assert screening.cohort["screened"] == 150
    table = finished / "patients.csv"
    table.write_text("".join(table.read_text("utf-8").splitlines(keepends=True)[:-1]), "utf-8")
    before[str(table)] = tree(finished)[str(table)]
    assert pipeline.screen(read_study(finished), progress=Silent()).cohort["screened"] == 149
    with pytest.raises(StudyError, match=r"the study's folder cannot be written"):
        pipeline.run(read_study(finished), scheduler="inline", progress=Silent())
    assert tree(finished) == before


def test_each_part_is_planned_once_a_run(breast_study, monkeypatch):
    counts: dict[str, int] = {}

    def counted(name: str):
        before = getattr(pipeline, name)

        def call(*arguments, **named):
            counts[name] = counts.get(name, 0) + 1
            return before(*arguments, **named)

        monkeypatch.setattr(pipeline, name, call)

    names = ("slide_steps", "scan_steps", "cohort_step", "plan_analyses", "report_steps")
    for name in names:
        counted(name)
    folder = breast_study()
    for _ in range(2):
        counts.clear()
        pipeline.run(read_study(folder), scheduler="inline", progress=Silent())
        assert counts == dict.fromkeys(names, 1)


def test_with_nothing_changed_a_run_takes_less_than_a_second(finished):
    study = read_study(finished)
    took = []
    for _ in range(3):  # the machine may be busy once
        begun = time.process_time()
        _, ran = pipeline.run(study, scheduler="inline", progress=Silent())
        took.append(time.process_time() - begun)
        assert ran == ()
    assert min(took) < 1.0


def test_changed_digits_of_a_stored_evaluation_are_not_printed(finished):
    """Version 0.1 printed them: C 0.999 (0.511 to 0.663)."""
    study = read_study(finished)
    steps = pipeline.planned(study)
    evaluation = next(s for name, s in steps.items() if name.startswith("evaluate dmfs"))
    with pipeline.work_on(study, scheduler="inline", progress=Silent()) as work:
        path = work.store.path(evaluation.key) / "evaluation.json"
    before = path.read_text()
    at = before.index('"value": 0.') + len('"value": 0.')
    path.write_text(before[:at] + "999" + before[at + 3 :])
    (finished / "study.toml").write_text(
        (finished / "study.toml").read_text().replace('salt = "a', 'title = "Another"\nsalt = "a')
    )
    results, _ = pipeline.run(read_study(finished), scheduler="inline", progress=Silent())
    assert path.read_text() == before
    page = (results / "report.html").read_text("utf-8")
    assert "0.999" not in re.sub(r"<svg.*?</svg>", "", page, flags=re.DOTALL)  # but coordinates


def test_an_altered_published_file_is_put_back(finished):
    study = read_study(finished)
    path = finished / "results" / "latest" / "report.html"
    before = path.read_bytes()
    path.write_bytes(before.replace(b"Harrell", b"harrell", 1))
    pipeline.run(study, scheduler="inline", progress=Silent())
    assert (finished / "results" / "latest" / "report.html").read_bytes() == before


def test_a_planned_study_names_every_step_and_makes_none(breast_study):
    folder = breast_study()
    assert list(pipeline.planned(read_study(folder))) == ["cohort"]
    assert not (folder / ".metasight" / "store").exists()


def test_dry_runs_say_what_is_next(breast_study):
    waiting = pipeline.look(read_study(breast_study()), progress=Silent())
    assert [(p.step.name, p.why) for p in waiting] == [("cohort", "not finished before")]


def test_who_leaves_before_the_landmark_has_a_row_and_no_prediction(breast_study, breast_table):
    table = breast_table()
    kept = table.index[table["metastasis"] == table["metastasis"].iloc[0]][:3]
    operated = pd.to_datetime(table.loc[kept, "operated"])
    table.loc[kept, "last_seen"] = (operated + pd.Timedelta(days=120)).dt.strftime("%Y-%m-%d")
    for event in ("metastasis", "dead"):
        table.loc[kept, event] = sorted(set(table[event]))[0]  # no
    table.loc[kept, ["metastasis_date", "death_date"]] = ""
    folder = breast_study(table)
    results, _ = pipeline.run(read_study(folder), scheduler="inline", progress=Silent())
    key = read_study(folder).settings.key
    rows = Ledger.from_parquet(results / "ledger.parquet").to_frame()
    ended = rows[rows.reason == "follow-up ended by day 120, on which patients enter"]
    assert {pseudonym(str(i), key) for i in table.loc[kept, "id"]} <= set(ended.patient)
    left = set(rows[rows.reason.str.contains("by day 120, on which patients enter")].patient)
    predicted = pd.read_parquet(results / "predictions.parquet")
    assert not set(predicted.patient) & left
    page = (results / "report.html").read_text("utf-8")
    assert "Patients enter on day 120 after the day of curative surgery" in page
    assert f"{len(left)} patients had left by then" in page


def test_a_reader_s_decision_moves_the_cohort_and_the_report_says_so(finished):
    """From the row in the table to the flow, the ledger, the predictions and the page."""
    ledger = Ledger.from_parquet(finished / "results" / "latest" / "ledger.parquet").to_frame()
    own = ledger[(ledger.stage == "eligibility") & (ledger.verdict == "kept")]
    criterion = own.criterion.iloc[0]
    ids = pd.read_csv(finished / "patients.csv", dtype=str)["id"]
    by_name = {pseudonym(i, read_study(finished).settings.key): i for i in ids}
    before = pd.read_parquet(finished / "results" / "latest" / "predictions.parquet")
    out = str(before.patient.iloc[0])
    (finished / "decisions.csv").write_text(
        "patient,file,about,verdict,replaces,reader,day,reason\n"
        f"{by_name[out]},,{criterion},excluded,kept,AB,2026-03-01,an earlier tumour is named\n"
    )
    with (finished / "study.toml").open("a", encoding="utf-8") as file:
        file.write('\n[reader_decisions]\npath = "decisions.csv"\nid = "patient"\n')
    results, ran = pipeline.run(read_study(finished), scheduler="inline", progress=Silent())
    assert "cohort" in {p.step.name for p in ran}
    after = pd.read_parquet(results / "predictions.parquet")
    assert set(before.patient) - set(after.patient) == {out}
    rows = Ledger.from_parquet(results / "ledger.parquet").to_frame()
    (row,) = [e for e in rows.to_dict("records") if e["who"]]
    assert (row["patient"], row["criterion"], row["replaced"]) == (out, criterion, "kept")
    page = (results / "report.html").read_text("utf-8")
    assert "1 verdict of the rules was replaced by a reader" in page
    assert by_name[out] not in page
