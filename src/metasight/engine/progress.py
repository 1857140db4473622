"""Progress of a run: one bar a stage with time left; one line a stage without a terminal."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
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


class Progress(Protocol):
    """What the engine tells of a run."""

    def start(self, labels: Sequence[str]) -> None:
        """Work about to be done: the bar in which each piece of it is counted."""

    def finished(self, label: str) -> None:
        """One piece of work of a bar is done."""

    def idle(self) -> None:
        """Nothing has been done for a moment; called again and again while work goes on."""

    def say(self, text: str) -> None:
        """Something that the reader should know."""


class Silent:
    """Tells nothing; for tests and library use."""

    def start(self, labels: Sequence[str]) -> None:
        """Do nothing."""

    def finished(self, label: str) -> None:
        """Do nothing."""

    def idle(self) -> None:
        """Do nothing."""

    def say(self, text: str) -> None:
        """Do nothing."""


class Bars:
    """Bars on a terminal; one line a finished stage elsewhere.

    Parameters
    ----------
    console
        Where to write.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
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
            disable=not console.is_terminal,
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Bars:
        self._bars.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bars.stop()

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
        if self._left[label] == 0 and not self._console.is_terminal:
            n, seconds = self._total[label], time.monotonic() - self._begun
            self._console.print(f"{label}: {n} of {n} done, {seconds:.0f} s since the start")

    def idle(self) -> None:
        """Do nothing: bars move by themselves."""

    def say(self, text: str) -> None:
        """Print a line above the bars."""
        self._bars.console.print(text, soft_wrap=True, markup=False, highlight=False)
