"""Step results on disk, addressed by what they were made from.

A step's key is the hash of its name, its ingredients (settings, hashes of input files, hash of
the code it rests on) and the keys of the steps it reads. A result is a folder that appears
under its key whole or not at all: it is written beside and renamed, so a process killed at any
moment leaves nothing that looks finished.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from metasight.errors import StoreError
from metasight.provenance import hash_json

StepFunction = Callable[[Mapping[str, Path], Path, Any], None]
"""Called as ``function(inputs, out, argument)``: folders of the steps it needs by name, an empty
folder to fill, and the step's argument. Must be importable (workers get it by name)."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """One unit of work and of storage.

    Attributes
    ----------
    name
        Unique in a plan, for people: ``fit dmfs · clinical · repeat 1 fold 2``.
    stage
        Group shown as one progress bar.
    function
        What makes the result.
    argument
        Passed to ``function``; must pickle. Anything in it that changes the result must also be
        an ingredient.
    ingredients
        Named JSON values that determine the result, besides ``needs``.
    needs
        Steps whose results are read.
    resumes
        Whether the function goes on from what a killed call of it left in its folder.
    """

    name: str
    stage: str
    function: StepFunction
    argument: Any = None
    ingredients: Mapping[str, Any]
    needs: tuple[Step, ...] = ()
    resumes: bool = False
    key: str = field(init=False)

    def __post_init__(self) -> None:
        content = {
            "name": self.name,
            "ingredients": dict(self.ingredients),
            "needs": {s.name: s.key for s in self.needs},
        }
        object.__setattr__(self, "key", hash_json(content))


LISTING = "files.json"
"""Names and sizes of a result's files, written last: how a damaged result is told."""

_OWNER = "owner"
"""Names the process that works in the folder of a step that resumes."""


class Store:
    """Folder of finished results.

    Parameters
    ----------
    root
        Created when first written to.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, key: str) -> Path:
        """Where the result with ``key`` stands or would stand."""
        return self.root / key[:2] / key

    def has(self, key: str) -> bool:
        """Whether the result is finished and its files are there, none shortened."""
        folder = self.path(key)
        listing = folder / LISTING
        if not listing.is_file():
            return False
        try:
            sizes = json.loads(listing.read_text("utf-8"))
        except ValueError:
            return False
        return is_whole(folder, sizes)

    def make(self, step: Step) -> Path:
        """Make a step's result unless it is there, and return its folder.

        Raises
        ------
        StoreError
            A step that it needs has no result.
        """
        final = self.path(step.key)
        if self.has(step.key):
            return final
        inputs = {}
        for needed in step.needs:
            if not self.has(needed.key):
                raise StoreError(
                    f"step {step.name!r} needs {needed.name!r}, which is not in the store",
                    remedy="Run the study again; what is missing is made anew",
                )
            inputs[needed.name] = self.path(needed.key)
        final.parent.mkdir(parents=True, exist_ok=True)
        scratch = self._going(step.key) if step.resumes else self._scratch()
        done = False
        try:
            step.function(inputs, scratch, step.argument)
            (scratch / _OWNER).unlink(missing_ok=True)
            _list_files(scratch)
            if final.is_dir() and not self.has(step.key):  # damaged: out of the way with it
                os.rename(final, self._scratch() / "damaged")
            _put(scratch, final)
            done = True
        finally:
            if done or not step.resumes:
                shutil.rmtree(scratch, ignore_errors=True)
        return final

    def _going(self, key: str) -> Path:
        """The folder in which a step that resumes goes on; its own, for one process at a time.

        Where another living process of this machine works on the step, a fresh one.
        """
        folder = self.root / "going" / key
        folder.mkdir(parents=True, exist_ok=True)
        owner = folder / _OWNER
        me = f"{socket.gethostname()}-{os.getpid()}"
        for _ in range(2):
            try:
                with owner.open("x", encoding="utf-8") as file:
                    file.write(me)
            except FileExistsError:
                host, _, process = owner.read_text("utf-8").rpartition("-")
                ours = host == socket.gethostname() and process.isdigit()
                if not ours or (_alive(int(process)) and int(process) != os.getpid()):
                    break
                owner.unlink(missing_ok=True)
            else:
                return folder
        return self._scratch()

    def _scratch(self) -> Path:
        owner = f"{socket.gethostname()}-{os.getpid()}"
        folder = self.root / "unfinished" / owner / uuid.uuid4().hex
        folder.mkdir(parents=True)
        return folder

    def sweep(self) -> None:
        """Remove what dead processes of this machine left unfinished."""
        host = socket.gethostname()
        for folder in (self.root / "unfinished").glob(f"{host}-*"):
            process = folder.name.removeprefix(f"{host}-")
            if process.isdigit() and not _alive(int(process)):
                shutil.rmtree(folder, ignore_errors=True)


def is_whole(folder: Path, sizes: Mapping[str, int]) -> bool:
    """Whether every file of ``sizes`` is in ``folder`` with its size in bytes."""
    return all(
        (folder / name).is_file() and (folder / name).stat().st_size == size
        for name, size in sizes.items()
    )


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's, and alive
        return True
    return True


def _list_files(folder: Path) -> None:
    sizes = {
        str(p.relative_to(folder)): p.stat().st_size
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }
    (folder / LISTING).write_text(json.dumps(sizes), "utf-8")


def _put(scratch: Path, final: Path) -> None:
    """Rename into place; where another process was first, its bytes are the same."""
    try:
        os.rename(scratch, final)
    except OSError:
        if not final.is_dir():
            raise
