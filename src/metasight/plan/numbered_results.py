"""Results without a study: numbered folders under one that the user named, and a store beside them.

They are numbered in the order of the inputs, for a file's name may hold a patient's.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metasight.engine.contents import Contents
from metasight.engine.placement import Where
from metasight.engine.private import private_folder
from metasight.engine.progress import Progress
from metasight.engine.run import Work
from metasight.engine.step import Step
from metasight.engine.store import Store
from metasight.errors import StudyError
from metasight.plan.publishing import MARK, mark
from metasight.steps.files import read_json, write_json


@dataclass(frozen=True, kw_only=True)
class NumberedResults:
    """Where the results of a batch go.

    Attributes
    ----------
    out
        The user's folder.
    noun
        What is numbered: ``slide`` gives ``slide-001`` and so on.
    """

    out: Path
    noun: str

    def contents(self) -> Contents:
        """Hashes of the inputs, as they are remembered beside the results."""
        return Contents(self.out / ".metasight" / "contents.json")

    def name(self, number: int) -> str:
        """Folder of the result of one input, counted from 1."""
        return f"{self.noun}-{number:03d}"

    def work(self, contents: Contents, scheduler: Where, progress: Progress) -> Work:
        """One run on the store that lies beside the results."""
        if not self.out.exists():
            private_folder(self.out)
        private_folder(self.out / ".metasight")
        return Work(
            Store(self.out / ".metasight" / "store", contents),
            contents,
            self.out / ".metasight" / "last_run.json",
            scheduler=scheduler,
            progress=progress,
        )

    def make_room(self, files: Iterable[Path]) -> None:
        """Refuse to replace a folder that metasight did not make, or one that holds an input.

        Raises
        ------
        StudyError
            There is such a folder.
        """
        given = [f.resolve() for f in files]
        for folder in self._made():
            inside = any(folder.resolve() in f.parents for f in given)
            if inside or not (folder / MARK).is_file():
                raise StudyError(
                    "a folder of a result's name exists and was not made by metasight",
                    where=folder.name,
                    remedy="Give another output folder",
                )

    def set_out(
        self, steps: Sequence[Step], work: Work, *, result: str, beside: Sequence[Step] = ()
    ) -> list[dict[str, Any]]:
        """Make what is missing, put the results into numbered folders, and return them.

        Parameters
        ----------
        steps
            One an input, in their order.
        work
            That carries them out.
        result
            File of a step's result that is returned, and gathered in ``results.json``.
        beside
            Steps whose files lie in the same folders: none, or as many as ``steps``.
        """
        work.make([*steps, *beside])
        found = []
        for number, step in enumerate(steps, start=1):
            name = self.name(number)
            scratch = self.out / f".{name}-{os.getpid()}"
            work.copy(step, scratch)
            if beside:
                work.copy(beside[number - 1], scratch)
            mark(scratch)
            found.append(read_json(scratch / result))
            shutil.rmtree(self.out / name, ignore_errors=True)
            scratch.rename(self.out / name)
        for stale in self._made()[len(steps) :]:
            shutil.rmtree(stale)
        write_json(self.out / "results.json", found)
        return found

    def _made(self) -> list[Path]:
        named = self.out.glob(f"{self.noun}-[0-9][0-9][0-9]*")
        return sorted(p for p in named if p.is_dir())
