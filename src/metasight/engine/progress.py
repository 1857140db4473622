"""Progress of a run: bars with time left; without a terminal lines, one a minute or more."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Sequence
from enum import Enum
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as RichProgress

HEARTBEAT_S = 60.0
"""Seconds between lines that say where a run is, where there is no terminal."""


class Progress(Protocol):
    """What the engine tells of a run."""

    def start(self, labels: Sequence[str]) -> None:
        """Work about to be done: the bar in which each piece of it is counted."""

    def finished(self, label: str) -> None:
        """One piece of work of a bar is done."""

    def say(self, text: str) -> None:
        """Something that the reader should know."""

    def detail(self, text: str) -> None:
        """Something for a reader who asked for every step."""


class Silent:
    """Tells nothing; for tests and library use."""

    def start(self, labels: Sequence[str]) -> None:
        """Do nothing."""

    def finished(self, label: str) -> None:
        """Do nothing."""

    def say(self, text: str) -> None:
        """Do nothing."""

    def detail(self, text: str) -> None:
        """Do nothing."""


class Talk(Enum):
    """How much of a run is told."""

    QUIET = "what the reader should know, no progress"
    USUAL = "progress by stage"
    EVERY_STEP = "also each step as it is done"


class Bars:
    """Bars on a terminal; elsewhere a line for each finished stage, and one a minute between them.

    Parameters
    ----------
    console
        Where to write.
    talk
        How much.
    """

    def __init__(self, console: Console, talk: Talk = Talk.USUAL) -> None:
        self._console = console
        self._talk = talk
        self._left: Counter[str] = Counter()
        self._total: Counter[str] = Counter()
        self._begun = time.monotonic()
        self._bars = RichProgress(
            TextColumn("{task.description:<24}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("elapsed"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal or talk is Talk.QUIET,
        )
        self._tasks: dict[str, TaskID] = {}
        self._ended = threading.Event()
        self._beating: threading.Thread | None = None

    def __enter__(self) -> Bars:
        self._bars.start()
        if self._tells_by_line:
            self._beating = threading.Thread(target=self._beat, daemon=True)
            self._beating.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        if self._beating is not None:
            self._beating.join()
        self._bars.stop()

    @property
    def _tells_by_line(self) -> bool:
        return not self._console.is_terminal and self._talk is not Talk.QUIET

    def _beat(self) -> None:
        """Say where the run is while no stage ends, so that a log shows that it is alive."""
        while not self._ended.wait(HEARTBEAT_S):
            total, left = dict(self._total), dict(self._left)
            going = next((label for label, n in left.items() if n > 0), None)
            if going is not None:
                n, seconds = total[going], time.monotonic() - self._begun
                self.say(f"{going}: {n - left[going]} of {n}, {seconds:.0f} s since the start")

    def start(self, labels: Sequence[str]) -> None:
        """Open a bar for every label."""
        self._total = Counter(labels)
        self._left = Counter(self._total)
        for stage, n in self._total.items():
            self._tasks[stage] = self._bars.add_task(stage, total=n)

    def finished(self, label: str) -> None:
        """Advance the label's bar."""
        self._bars.advance(self._tasks[label])
        self._left[label] -= 1
        if self._left[label] == 0 and self._tells_by_line:
            n, seconds = self._total[label], time.monotonic() - self._begun
            self._console.print(f"{label}: {n} of {n} done, {seconds:.0f} s since the start")

    def say(self, text: str) -> None:
        """Print a line above the bars."""
        self._bars.console.print(text, soft_wrap=True, markup=False, highlight=False)

    def detail(self, text: str) -> None:
        """Print a line, if every step was asked for."""
        if self._talk is Talk.EVERY_STEP:
            self.say(text)
