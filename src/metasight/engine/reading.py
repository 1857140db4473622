"""Which files a plan rests on: those that its steps' arguments name."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from metasight.engine.argument import tell
from metasight.engine.contents import Contents


class NotedContents(Contents):
    """Reads and hashes nothing: notes what a plan that is made with it would read.

    Attributes
    ----------
    paths
        Every file so far.
    """

    def __init__(self) -> None:
        super().__init__()
        self.paths: set[Path] = set()

    def file(self, path: Path) -> str:
        """Note the file."""
        self.paths.add(path)
        return ""


def files_read(arguments: Iterable[Any]) -> tuple[Path, ...]:
    """Every file that some steps' arguments name, those in folders too, sorted.

    Parameters
    ----------
    arguments
        Of steps, as :class:`metasight.engine.step.Step` takes them.
    """
    noted = NotedContents()
    for argument in arguments:
        tell(argument, noted)
    return tuple(sorted(noted.paths))
