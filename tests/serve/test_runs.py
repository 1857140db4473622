"""A run is the command line's own: started once, stopped, told from one that was killed."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from metasight.errors import StudyError
from metasight.serve.runs import Runs

CODE = """
import sys, time
from pathlib import Path
from metasight.engine.progress import Silent
from metasight.engine.progress_file import noted
from metasight.errors import StudyError
with noted(Path(sys.argv[1]), Silent()) as progress:
    progress.start(["slides", "slides"])
    progress.finished("slides")
    if sys.argv[2] == "fails":
        raise StudyError("a table is missing", remedy="Put it there")
    time.sleep(0 if sys.argv[2] == "ends" else 60)
"""


def runs_of(folder: Path, how: str) -> Runs:
    return Runs(folder, [sys.executable, "-c", CODE, str(folder), how])


def until(holds: Callable[[], bool]) -> None:
    for _ in range(400):
        if holds():
            return
        time.sleep(0.05)
    raise AssertionError("it did not come to it")


def test_it_is_started_once_and_stopped(tmp_path: Path) -> None:
    runs = runs_of(tmp_path, "waits")
    runs.start()
    with pytest.raises(StudyError, match="already"):
        runs.start()
    until(lambda: runs.state.seen is not None)
    elsewhere = runs_of(tmp_path, "waits")
    with pytest.raises(StudyError, match="already"):
        elsewhere.start()
    assert elsewhere.state.running and elsewhere.state.seen is not None
    elsewhere.stop()  # a run that another workbench, or a terminal, has started
    until(lambda: not runs.state.running)
    state = runs.state
    assert state.seen is not None and state.seen.ended == "stopped" and not state.problem
    with pytest.raises(StudyError, match="no run"):
        runs.stop()


def test_why_it_failed_is_said(tmp_path: Path) -> None:
    runs = runs_of(tmp_path, "fails")
    runs.start()
    runs.wait(30)
    assert "Put it there" in runs.state.problem
    assert [(s.done, s.total) for s in runs.state.seen.stages] == [(1, 2)]  # type: ignore[union-attr]


def test_one_that_was_killed_says_that_it_goes_on(tmp_path: Path) -> None:
    runs = runs_of(tmp_path, "waits")
    runs.start()
    until(lambda: runs.state.seen is not None)
    os.kill(runs.state.seen.process, signal.SIGKILL)  # type: ignore[union-attr]
    runs.wait(30)
    assert "goes on where it was" in runs.state.problem


def test_one_that_never_began(tmp_path: Path) -> None:
    runs = Runs(tmp_path, [sys.executable, "-c", "import sys; sys.exit(3)"])
    runs.start()
    runs.wait(30)
    assert "before it began" in runs.state.problem and not runs.state.running


def test_nothing_was_run(tmp_path: Path) -> None:
    state = Runs(tmp_path).state
    assert (state.running, state.seen, state.problem) == (False, None, "")
