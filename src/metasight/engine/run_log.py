"""The log of a study's runs: every step with its reason, machine, seconds and memory.

A file of JSON lines in the study's private folder, for whoever has to find out why a run took so
long or how large its workers must be. Steps are named by pseudonyms; no message of an error is
written, for it may quote a patient's value.
"""

from __future__ import annotations

import json
import os
import resource
import socket
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from metasight.engine.step import Step

FILE, OLDER_FILE = "run.log", "run.log.1"
LARGEST_BYTES = 16 * 2**20
"""A log that has grown beyond it is put aside when the next run begins; one such is kept."""


@dataclass(frozen=True, kw_only=True)
class Spent:
    """What a step took where it ran.

    Attributes
    ----------
    host
        Name of the machine.
    seconds
        From its beginning to its end.
    cpu_seconds
        Of its process and threads.
    process_peak_bytes
        Largest resident memory of its process so far; earlier steps of the process count.
    """

    host: str
    seconds: float
    cpu_seconds: float
    process_peak_bytes: int


def measured(call: Callable[[], object]) -> Spent:
    """Call a function, and say what that took."""
    begun, cpu = time.monotonic(), time.process_time()
    call()
    return Spent(
        host=socket.gethostname(),
        seconds=time.monotonic() - begun,
        cpu_seconds=time.process_time() - cpu,
        process_peak_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    )


class RunLog:
    """Lines appended to a file, each on the disk's side of a crash of this process.

    Parameters
    ----------
    path
        Of the file; None: nothing is written, as where nothing may be made.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._begun = False

    def plan(self, steps: int) -> None:
        """A part of a run has so many steps to do."""
        self._write("part", steps=steps)

    def made(self, step: Step, why: str, spent: Spent) -> None:
        """A step has its result.

        Parameters
        ----------
        why
            It had to run.
        """
        self._write(
            "step",
            step=step.name,
            stage=step.label,
            why=why,
            host=spent.host,
            seconds=round(spent.seconds, 2),
            cpu_seconds=round(spent.cpu_seconds, 2),
            process_peak_mib=round(spent.process_peak_bytes / 2**20),
        )

    def note(self, text: str) -> None:
        """Something that was said of the run."""
        self._write("note", text=text)

    def ended(self, error: BaseException | None) -> None:
        """The run is over; of an error its class and place."""
        if not self._begun:
            return
        if error is None:
            self._write("end")
            return
        where = traceback.extract_tb(error.__traceback__)
        place = f"{Path(where[-1].filename).name}, line {where[-1].lineno}" if where else ""
        self._write("end", error=type(error).__name__, place=place)

    def _write(self, event: str, **told: object) -> None:
        if self._path is None:
            return
        if not self._begun:
            self._begun = True
            self._path.parent.mkdir(parents=True, exist_ok=True)
            _put_aside(self._path)
            self._write("begin", host=socket.gethostname(), process=os.getpid())
        now = datetime.now(UTC).isoformat(timespec="seconds")
        line = json.dumps({"time": now, "event": event, **told}, ensure_ascii=False)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")


def _put_aside(path: Path) -> None:
    """Begin a new log where the old one has grown large."""
    if path.is_file() and path.stat().st_size > LARGEST_BYTES:
        path.replace(path.with_name(OLDER_FILE))
