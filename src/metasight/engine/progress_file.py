"""Where a run is, as lines of JSON beside the study, for whoever watches it from outside.

A run holds a lock for as long as it lasts, so a run that was killed is told from one that goes on.
Two runs of one study at once are no fault, for results are addressed by what they are made from;
only the first of them is noted.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

from metasight.engine.private import private_folder
from metasight.engine.progress import Progress
from metasight.errors import MetasightError

NAME = "progress.jsonl"
"""Within the study's ``.metasight``; made anew by each run."""
LOCK = "running.lock"
_TRIES, _PAUSE_S = 20, 0.05
_LONGEST_SAID = 20

Ended = Literal["", "finished", "stopped", "failed", "fault"]


@dataclass(frozen=True, kw_only=True)
class StageSeen:
    """One stage of a run.

    Attributes
    ----------
    label
        As the terminal calls it.
    total, done
        Pieces of work.
    seconds
        Since its part of the plan began, or that it took.
    """

    label: str
    total: int
    done: int
    seconds: float

    @property
    def left_s(self) -> float | None:
        """Seconds that the rest takes at the pace so far; None before its first piece is done."""
        if not self.done:
            return None
        return self.seconds / self.done * (self.total - self.done)


@dataclass(frozen=True, kw_only=True)
class RunSeen:
    """A run of a study, as it is seen from outside.

    Attributes
    ----------
    running
        Whether it goes on.
    process
        Its id on the machine that it runs on.
    begun
        Seconds since 1970.
    lasted_s
        Seconds so far, or until it ended.
    stages
        Those that are planned so far; later ones are planned from their results.
    said
        What else it said, the last lines.
    ended
        How; empty where it goes on, or was killed and could not say.
    problem
        What stopped it, with its remedy.
    """

    running: bool
    process: int
    begun: float
    lasted_s: float = 0.0
    stages: tuple[StageSeen, ...] = ()
    said: tuple[str, ...] = ()
    ended: Ended = ""
    problem: str = ""


@contextmanager
def noted(folder: Path, progress: Progress) -> Iterator[Progress]:
    """Tell ``progress`` of a run, and note it beside the study too.

    Parameters
    ----------
    folder
        Of the study.
    progress
        Of the terminal.
    """
    place = private_folder(folder / ".metasight")
    with (place / LOCK).open("a") as lock:
        if not _locked(lock):  # another run is noted
            yield progress
            return
        with os.fdopen(
            os.open(place / NAME, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w"
        ) as file:
            note = _Noted(file, progress)
            note.line(begun=time.time(), process=os.getpid())
            try:
                yield note
            except KeyboardInterrupt:
                note.line(ended="stopped")
                raise
            except MetasightError as error:
                note.line(ended="failed", problem=str(error))
                raise
            except BaseException as error:
                note.line(ended="fault", problem=type(error).__name__)
                raise
            note.line(ended="finished")


def _locked(lock: IO[str]) -> bool:
    """Take the lock; who only looks holds it for a moment."""
    for _ in range(_TRIES):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_PAUSE_S)
        except OSError:  # a file system without locks
            return False
        else:
            return True
    return False


class _Noted:
    """Writes each event as a line, and passes it on."""

    def __init__(self, file: IO[str], progress: Progress) -> None:
        self._file = file
        self._progress = progress

    def line(self, **told: Any) -> None:
        """Write one line; it can be read at once."""
        self._file.write(json.dumps({"at": time.time(), **told}) + "\n")
        self._file.flush()

    def start(self, labels: Sequence[str]) -> None:
        """Note the stages of a part of the plan."""
        self.line(start=Counter(labels))
        self._progress.start(labels)

    def finished(self, label: str) -> None:
        """Note that a piece of work is done."""
        self.line(done=label)
        self._progress.finished(label)

    def say(self, text: str) -> None:
        """Note what the reader should know."""
        self.line(said=text)
        self._progress.say(text)

    def detail(self, text: str) -> None:
        """Pass it on: the log of runs holds each step."""
        self._progress.detail(text)


def is_running(folder: Path) -> bool:
    """Whether a run of a study goes on, on this machine or one that shares its locks."""
    try:
        with (folder / ".metasight" / LOCK).open("r") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def seen(folder: Path) -> RunSeen | None:
    """The run that goes on, or else the last one; None where none was noted.

    Parameters
    ----------
    folder
        Of the study.
    """
    running = is_running(folder)
    lines = _lines_of(folder / ".metasight" / NAME)
    if not lines or "begun" not in lines[0]:
        return None
    ends = [line for line in lines if "ended" in line]
    now = time.time() if running and not ends else float(lines[-1]["at"])
    return RunSeen(
        running=running and not ends,
        process=int(lines[0]["process"]),
        begun=float(lines[0]["begun"]),
        lasted_s=now - float(lines[0]["begun"]),
        stages=_stages_of(lines, now),
        said=tuple(line["said"] for line in lines if "said" in line)[-_LONGEST_SAID:],
        ended=ends[-1]["ended"] if ends else "",
        problem=ends[-1].get("problem", "") if ends else "",
    )


def _lines_of(path: Path) -> list[dict[str, Any]]:
    """Lines that are whole; the last one may be on its way."""
    try:
        text = path.read_text("utf-8")
    except OSError:
        return []
    found = []
    for line in text.split("\n")[:-1]:
        try:
            found.append(json.loads(line))
        except ValueError:
            return found
    return found


def _stages_of(lines: Sequence[dict[str, Any]], now: float) -> tuple[StageSeen, ...]:
    """Stages in the order in which they were planned, each part of the plan with its own."""
    total: dict[tuple[int, str], int] = {}
    done: Counter[tuple[int, str]] = Counter()
    begun: dict[tuple[int, str], float] = {}
    last: dict[tuple[int, str], float] = {}
    part, before = 0, now
    for line in lines:
        if "start" in line:
            part, before = part + 1, line["at"]
            total |= {(part, label): n for label, n in line["start"].items()}
        elif "done" in line:
            key = part, line["done"]
            begun.setdefault(key, before)
            done[key] += 1
            last[key] = before = line["at"]
    return tuple(
        StageSeen(
            label=key[1],
            total=n,
            done=min(done[key], n),
            seconds=(last[key] if done[key] >= n else now) - begun[key] if key in begun else 0.0,
        )
        for key, n in total.items()
    )
