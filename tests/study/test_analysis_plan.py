"""The analysis plan: made without a table, locked once, amended with a reason."""

from __future__ import annotations

import json
import re

import pytest

from metasight import pipeline
from metasight.cli import main
from metasight.engine.progress import Silent
from metasight.errors import StudyError
from metasight.study.analysis_plan import (
    PAGE_FILE,
    PLAN_FILE,
    compare_with_plan,
    lock_plan,
    plan_entries,
    read_plan,
)
from metasight.study.file import read_study

HORIZONS = "horizons_years = [3]"
NO_SECONDARY = (
    '[[model]]\nkind = "cause_specific_cox"\nname = "cause-specific"\n'
    'endpoints = ["distant_metastasis"]\n',
    "",
)


def changed(folder, old: str, new: str):
    path = folder / "study.toml"
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")
    return read_study(folder)


def run(*words: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(w) for w in words])
    return int(ended.value.code or 0)


def test_a_plan_needs_no_table(breast_study) -> None:
    folder = breast_study()
    (folder / "patients.csv").unlink()
    study = read_study(folder)
    entries = plan_entries(study.settings, study.protocol)
    assert entries["headline measure"].startswith("difference in C, truncated at")
    assert "forest" in entries["headline model"]
    locked = lock_plan(study)
    assert not locked.outcomes_read_before
    assert read_plan(folder) == locked
    page = (folder / PAGE_FILE).read_text("utf-8")
    assert locked.sha256 in page
    assert "had read none of the study's tables" in page


def test_a_plan_locked_after_the_tables_were_read_says_so(breast_study) -> None:
    folder = breast_study()
    pipeline.screen(read_study(folder), progress=Silent())
    assert lock_plan(read_study(folder)).outcomes_read_before


def test_a_plan_is_locked_once_and_amended_with_a_reason(breast_study) -> None:
    folder = breast_study()
    first = lock_plan(read_study(folder))
    with pytest.raises(StudyError, match="locked already"):
        lock_plan(read_study(folder))
    with pytest.raises(StudyError, match="nothing to amend"):
        lock_plan(read_study(folder), reason="a change of mind")
    study = changed(folder, HORIZONS, "horizons_years = [4]")
    with pytest.raises(StudyError, match="10 characters"):
        lock_plan(study, reason="because")
    second = lock_plan(study, reason="follow-up is shorter than was thought")
    assert second.day == first.day
    assert second.sha256 != first.sha256
    (amendment,) = second.amendments
    assert set(amendment.changed) == {"horizons", "headline measure"}
    assert compare_with_plan(study).deviations == ()


def test_nothing_to_amend_without_a_plan(breast_study) -> None:
    with pytest.raises(StudyError, match="no locked analysis plan"):
        lock_plan(read_study(breast_study()), reason="a change of mind")


@pytest.mark.parametrize(
    "edit",
    [
        lambda t: t.replace("5 folds", "9 folds").replace('"entries"', '"entries"'),
        lambda t: t.replace('"sha256": "', '"sha256": "0'),
        lambda t: t.replace('"format": 1', '"format": 2'),
        lambda t: t[:-30],
        lambda t: "[]",
    ],
)
def test_a_plan_that_was_changed_by_hand_is_refused(breast_study, edit) -> None:
    folder = breast_study()
    study = read_study(folder)
    lock_plan(study)
    path = folder / PLAN_FILE
    text = edit(path.read_text("utf-8"))
    if text == path.read_text("utf-8"):
        text = re.sub(r"\d+ folds", "19 folds", text)
    path.write_text(text, "utf-8")
    with pytest.raises(StudyError, match="was changed"):
        read_plan(folder)
    with pytest.raises(StudyError, match="was changed"):
        compare_with_plan(study)


def test_what_differs_from_the_plan_is_named_with_both_sides(breast_study) -> None:
    folder = breast_study()
    lock_plan(read_study(folder))
    study = changed(folder, HORIZONS, "horizons_years = [4]")
    found = {name: (a, b) for name, a, b in compare_with_plan(study).deviations}
    assert found["horizons"] == ("3 years", "4 years")
    assert set(found) == {"horizons", "headline measure"}


def test_a_run_says_what_was_planned_and_what_differs(breast_study) -> None:
    folder = breast_study(replace=[NO_SECONDARY])
    results, _ = pipeline.run(read_study(folder), scheduler="inline", progress=Silent())
    assert "No analysis plan was locked" in (results / "report.html").read_text("utf-8")
    lock_plan(read_study(folder))
    study = changed(folder, HORIZONS, "horizons_years = [4]")
    results, _ = pipeline.run(study, scheduler="inline", progress=Silent())
    page = (results / "report.html").read_text("utf-8")
    assert "Where the analysis differs from the locked plan" in page
    assert "3 years" in page
    assert "not known to be blind to outcomes" in re.sub(r"\s+", " ", page)


@pytest.mark.parametrize("protocol", ["breast-dmfs", "nsclc-occult-node"])
def test_the_command(tmp_path, capsys, protocol) -> None:
    folder = tmp_path / "s"
    assert run("init", folder, "--protocol", protocol) == 0
    assert run("plan", folder) == 0
    assert "Not locked" in capsys.readouterr().out
    assert run("plan", folder, "--lock") == 0
    told = json.loads((folder / PLAN_FILE).read_text("utf-8"))
    assert told["sha256"] in capsys.readouterr().out
    assert run("plan", folder) == 0
    assert "As locked on" in capsys.readouterr().out
    assert run("plan", folder, "--lock") == 2
