"""What may be deleted of a study, and patients who withdraw."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from metasight import pipeline, upkeep
from metasight.cli import main
from metasight.cohort.canonical import pseudonym
from metasight.engine.progress import Silent
from metasight.errors import StoreError, StudyError
from metasight.study.file import Study, read_study
from metasight.study.withdrawals import mark_of, record_path, withdrawals


@pytest.fixture(scope="module")
def finished(made_up, tmp_path_factory) -> Path:
    table, text = made_up
    folder = tmp_path_factory.mktemp("upkeep") / "study"
    folder.mkdir()
    table.to_csv(folder / "patients.csv", index=False)
    (folder / "study.toml").write_text(text, "utf-8")
    pipeline.run(read_study(folder), scheduler="inline", progress=Silent())
    return folder


@pytest.fixture
def study(finished, tmp_path) -> Study:
    """A copy, to be deleted from."""
    shutil.copytree(finished, tmp_path / "study", symlinks=True)
    return read_study(tmp_path / "study")


def stored(study: Study) -> set[str]:
    return {p.name for p in study.store.glob("??/*")}


def names(folder: Path, text: str) -> list[str]:
    """Files below a folder that hold a text or are named by it."""
    return [
        p.relative_to(folder).as_posix()
        for p in sorted(folder.rglob("*"))
        if text in p.name or (p.is_file() and text.encode() in p.read_bytes())
    ]


def command(*arguments: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(list(arguments))
    return int(end.value.code or 0)


def changed(study: Study, before: str, after: str) -> Study:
    path = study.folder / "study.toml"
    text = path.read_text("utf-8")
    assert before in text
    path.write_text(text.replace(before, after), "utf-8")
    return read_study(study.folder)


def test_only_what_the_last_run_does_not_rest_on_is_left_over(study, capsys) -> None:
    assert upkeep.leftovers(study, runs=True) == ()
    first = stored(study)
    other = changed(study, "bootstrap = 100", "bootstrap = 120")
    with pytest.raises(StudyError, match="not up to date"):
        upkeep.leftovers(other, runs=False)
    pipeline.run(other, scheduler="inline", progress=Silent())
    openings = study.folder / ".metasight" / "openings.json"
    openings.write_text('["a model"]', "utf-8")
    found = upkeep.leftovers(other, runs=False)
    old = {leftover.path.name for leftover in found}
    assert old
    assert old < first
    assert all(leftover.size > 0 for leftover in found)
    assert command("clean", str(study.folder)) == 0
    assert "Nothing was deleted" in capsys.readouterr().out
    assert old < stored(other)
    assert command("clean", str(study.folder), "--runs", "--yes") == 0
    assert not old & stored(other)
    latest = study.results / "latest"
    assert {p.name for p in study.results.iterdir()} == {"latest", latest.resolve().name}
    assert openings.read_text("utf-8") == '["a model"]'
    assert pipeline.look(other, progress=Silent()) == ()


def test_a_patient_who_withdraws_is_nowhere_and_does_not_come_back(study, capsys) -> None:
    table = pd.read_csv(study.folder / "patients.csv", dtype=str)
    gone = str(table["id"].iloc[3])
    own = pseudonym(gone, study.settings.key)
    assert names(study.folder / "results", own)
    bundle = study.results / "latest" / "bundle"
    assert bundle.is_dir()
    path = study.folder / "study.toml"
    asked = '\n[reader_lesions]\npath = "reader_lesions.csv"\nid = "id"\n'
    path.write_text(path.read_text("utf-8") + asked, "utf-8")
    other = pseudonym(str(table["id"].iloc[4]), study.settings.key)
    masks = study.folder / "reader_masks"
    masks.mkdir()
    for patient in (own, other):
        (masks / f"{patient}-0123456789ab.nrrd").write_bytes(b"a mask")

    assert command("withdraw", str(study.folder), gone) == 0
    said = capsys.readouterr().out
    assert "Nothing was deleted" in said
    assert (study.results / "latest").is_dir()

    assert command("withdraw", str(study.folder), gone, "--yes") == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "patients.csv" in said
    assert own not in said
    assert "1 accepted masks" in said
    assert [p.name for p in masks.iterdir()] == [f"{other}-0123456789ab.nrrd"]
    assert names(study.folder / ".metasight", own) == []
    assert not list(study.results.iterdir())
    (record,) = withdrawals(study)
    assert record.marks == (mark_of(own),)
    assert len(record.bundles) == 1
    assert record.bundles[0] in said

    # the row is still there: nothing runs until it is gone
    with pytest.raises(StudyError, match=r"patients.csv row 5: a patient who withdrew"):
        pipeline.run(study, scheduler="inline", progress=Silent())
    table[table["id"] != gone].to_csv(study.folder / "patients.csv", index=False)
    pipeline.run(study, scheduler="inline", progress=Silent())
    assert names(study.folder, own) == []


def test_killed_after_the_record_the_same_command_goes_on(study, monkeypatch) -> None:
    gone = str(pd.read_csv(study.folder / "patients.csv", dtype=str)["id"].iloc[0])
    found = upkeep.erasure(study, [gone])

    def killed(path: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(upkeep, "_remove", killed)
        upkeep.erase(study, found)
    assert len(withdrawals(study)) == 1
    with pytest.raises(StudyError, match="withdrew"):
        pipeline.run(study, scheduler="inline", progress=Silent())
    upkeep.erase(study, upkeep.erasure(study, [gone]))
    assert names(study.folder, pseudonym(gone, study.settings.key)) == []


def test_an_id_that_nobody_has_deletes_nothing_and_is_not_repeated(study, tmp_path, capsys) -> None:
    ids = tmp_path / "ids.txt"
    ids.write_text("KANARI-17\n", "utf-8")
    assert command("withdraw", str(study.folder), "--from", str(ids), "--yes") == 2
    said = capsys.readouterr()
    assert "no table of the study names this patient" in said.err
    assert "KANARI" not in said.out + said.err
    assert (study.results / "latest").is_dir()
    assert command("withdraw", str(study.folder)) == 2


def test_a_damaged_record_stops_the_run(study) -> None:
    record_path(study).write_text(json.dumps({"format": 1, "withdrawals": [{}]}), "utf-8")
    with pytest.raises(StoreError, match="withdrew is damaged"):
        pipeline.run(study, scheduler="inline", progress=Silent())


def test_what_was_measured_of_others_alone_is_kept(study) -> None:
    steps = list(pipeline.planned(study).values())
    cohort = next(s for s in steps if not s.needs)
    one = replace(cohort, name="slides of A", subject="A", needs=())
    two = replace(cohort, name="slides of B", subject="B", needs=(one,))
    three = replace(cohort, name="sheet of A", subject="A", needs=(one,))
    kept = upkeep._of_others([cohort, one, two, three], {"A", "B"})
    assert kept == {one.key, two.key, three.key}
    assert upkeep._of_others([cohort, one, two, three], {"B"}) == frozenset()
    assert upkeep._of_others([cohort, one, two, three], {"A"}) == {one.key, three.key}
