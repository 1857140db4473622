"""What is noted of a run tells where it is, how it ended, and whether it goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from metasight.engine.progress import Silent
from metasight.engine.progress_file import NAME, is_running, noted, seen
from metasight.errors import StudyError


def test_nothing_was_noted(tmp_path: Path) -> None:
    assert seen(tmp_path) is None and not is_running(tmp_path)


def test_stages_and_time_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at = iter(range(1000, 2000, 10))
    monkeypatch.setattr("time.time", lambda: float(next(at)))
    with noted(tmp_path, Silent()) as progress:
        progress.start(["slides"] * 4 + ["cohort"])
        progress.finished("slides")
        progress.say("something")
        found = seen(tmp_path)
        assert found is not None and found.running and found.process == os.getpid()
        slides, cohort = found.stages
        assert (slides.label, slides.total, slides.done) == ("slides", 4, 1)
        assert slides.left_s == 3 * slides.seconds > 0
        assert cohort.left_s is None and cohort.seconds == 0
        assert found.said == ("something",)
        progress.finished("cohort")
        progress.start(["fits"])
    found = seen(tmp_path)
    assert found is not None and not found.running and found.ended == "finished"
    assert [s.label for s in found.stages] == ["slides", "cohort", "fits"]
    assert (tmp_path / ".metasight" / NAME).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("error", "ended", "problem"),
    [
        (StudyError("a table is missing", remedy="Put it there"), "failed", "Put it there"),
        (KeyboardInterrupt(), "stopped", ""),
        (KeyError("MRN-1"), "fault", "KeyError"),
    ],
)
def test_how_it_ended(tmp_path: Path, error: BaseException, ended: str, problem: str) -> None:
    with pytest.raises(type(error)), noted(tmp_path, Silent()):
        raise error
    found = seen(tmp_path)
    assert found is not None and not found.running and found.ended == ended
    assert problem in found.problem and "MRN" not in found.problem


def test_a_second_run_is_not_noted_and_goes_on(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("metasight.engine.progress_file._TRIES", 1)
    with noted(tmp_path, Silent()) as first:
        first.start(["slides"])
        with noted(tmp_path, Silent()) as second:
            second.start(["others"])
    found = seen(tmp_path)
    assert found is not None and [s.label for s in found.stages] == ["slides"]


def test_one_that_was_killed_goes_on_no_more(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from metasight.engine.progress import Silent;"
        "from metasight.engine.progress_file import noted\n"
        "with noted(Path(sys.argv[1]), Silent()): print('on', flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None and run.stdout.readline()
        assert is_running(tmp_path)
        found = seen(tmp_path)
        assert found is not None and found.running and found.process == run.pid
        os.kill(run.pid, signal.SIGKILL)
    found = seen(tmp_path)
    assert found is not None and not found.running and found.ended == ""


def test_a_line_on_its_way_is_not_read(tmp_path: Path) -> None:
    with noted(tmp_path, Silent()) as progress:
        progress.start(["slides"])
    path = tmp_path / ".metasight" / NAME
    path.write_text(path.read_text().rstrip("\n")[:-4])
    found = seen(tmp_path)
    assert found is not None and found.ended == ""
