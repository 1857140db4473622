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

from metasight.engine.step import Step


class Progress(Protocol):
    """What the engine tells of a run."""

    def start(self, steps: Sequence[Step]) -> None:
        """Steps about to run."""

    def finished(self, step: Step) -> None:
        """One step has its result."""

    def say(self, text: str) -> None:
        """Something that the reader should know."""


class Silent:
    """Tells nothing; for tests and library use."""

    def start(self, steps: Sequence[Step]) -> None:
        """Do nothing."""

    def finished(self, step: Step) -> None:
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

    def start(self, steps: Sequence[Step]) -> None:
        """Open a bar for every stage."""
        self._total = Counter(s.label for s in steps)
        self._left = Counter(self._total)
        for stage, n in self._total.items():
            self._tasks[stage] = self._bars.add_task(stage, total=n)

    def finished(self, step: Step) -> None:
        """Advance the step's stage."""
        self._bars.advance(self._tasks[step.label])
        self._left[step.label] -= 1
        if self._left[step.label] == 0 and not self._console.is_terminal:
            n, seconds = self._total[step.label], time.monotonic() - self._begun
            self._console.print(f"{step.label}: {n} of {n} done, {seconds:.0f} s since the start")

    def say(self, text: str) -> None:
        """Print a line above the bars."""
        self._bars.console.print(text, soft_wrap=True, markup=False)
