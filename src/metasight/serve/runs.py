"""Runs of a study that the workbench starts and stops: the command line's own, in its own session.

A run outlives the workbench, and one that was stopped goes on where it was. Where it is, is read
from what every run notes beside the study, so a run from a terminal is seen as well.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from metasight.engine.progress_file import RunSeen, is_running, seen
from metasight.errors import StudyError

_PATIENCE_S = 20.0
"""A run that was asked to stop and goes on for longer is ended."""


@dataclass(frozen=True, kw_only=True)
class State:
    """What a page says of a run.

    Attributes
    ----------
    running
        Whether one goes on, or is about to begin.
    stopping
        Whether it was asked to stop from here.
    seen
        What it noted; None where nothing is noted yet.
    problem
        Why it stopped by itself, with the remedy; empty where it did not.
    """

    running: bool
    stopping: bool
    seen: RunSeen | None
    problem: str


class Runs:
    """Starts and stops runs of one study.

    Parameters
    ----------
    folder
        Of the study.
    command
        That runs it; of tests.
    """

    def __init__(self, folder: Path, command: Sequence[str] | None = None) -> None:
        self._folder = folder
        self._command = command or (sys.executable, "-m", "metasight", "run", str(folder))
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._started = 0.0
        self._asked_at: float | None = None

    def start(self) -> None:
        """Start a run; it goes on without the workbench.

        Raises
        ------
        StudyError
            The study is being run already.
        """
        with self._lock:
            if self._is_running():
                raise StudyError(
                    "the study is being run already",
                    remedy="Wait until that run ends, or stop it; the study's page shows where "
                    "it is",
                )
            self._started, self._asked_at = time.time(), None
            self._child = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )

    def stop(self) -> None:
        """Ask the run to stop; results of its finished steps stay.

        A run that goes on for 20 seconds after it was asked is ended when it is asked again.

        Raises
        ------
        StudyError
            No run goes on here, or it belongs to another user of this machine.
        """
        with self._lock:
            process = self._process()
            if process is None:
                raise StudyError(
                    "no run of this study goes on", remedy="Open the study's page again"
                )
            now = time.monotonic()
            late = self._asked_at is not None and now - self._asked_at > _PATIENCE_S
            self._asked_at = self._asked_at or now
            try:
                os.kill(process, signal.SIGTERM if late else signal.SIGINT)
            except ProcessLookupError:
                pass  # it has just ended
            except PermissionError as error:
                raise StudyError(
                    "the run belongs to another user of this machine",
                    remedy="Ask who started it to stop it",
                ) from error

    @property
    def state(self) -> State:
        """What of the study's runs is to be said now."""
        with self._lock:
            running = self._is_running()
            if not running:
                self._asked_at = None
            found = seen(self._folder)
            stale = found is not None and running and not found.running
            if found is not None and found.begun < self._started and not running:
                stale = True
            shown = None if stale else found
            return State(
                running=running,
                stopping=running and self._asked_at is not None,
                seen=shown,
                problem="" if running else self._problem(shown),
            )

    def wait(self, timeout_s: float) -> None:
        """Until the run that was started here has ended."""
        child = self._child
        if child is not None:
            child.wait(timeout_s)

    def _is_running(self) -> bool:
        child = self._child
        return (child is not None and child.poll() is None) or is_running(self._folder)

    def _process(self) -> int | None:
        child = self._child
        if child is not None and child.poll() is None:
            return child.pid
        found = seen(self._folder)
        return found.process if found is not None and found.running else None

    def _problem(self, found: RunSeen | None) -> str:
        child = self._child
        if found is None:
            if child is not None and child.returncode:
                return (
                    "The run ended before it began. `metasight run FOLDER` in a terminal shows why."
                )
            return ""
        if found.ended == "failed":
            return found.problem
        if found.ended == "fault":
            return (
                f"A fault in metasight ({found.problem}), not in your study. Results of finished "
                "steps are kept. `metasight run FOLDER --debug` in a terminal shows the details."
            )
        if not found.ended:
            return (
                "The run was ended from outside, or the machine had too little memory. Results of "
                "finished steps are kept. Start it again: it goes on where it was."
            )
        return ""
