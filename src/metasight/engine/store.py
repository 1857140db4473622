"""Step results on disk, addressed by what they were made from, each file with its sha256.

A result is a folder that appears under its step's key whole or not at all: it is written beside and
renamed, so a process killed at any moment leaves nothing that looks finished. What is stored is
what was made: a file that was altered since is noticed when the result is read, and the step is
made again.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from metasight.engine.contents import Contents
from metasight.engine.step import Input, Inputs, Reference, Step, Task
from metasight.errors import StoreError
from metasight.provenance import hash_file, versions_of

LISTING = "files.json"
"""A result's files with size and sha256, and the versions that made it; written last."""

_FORMAT = 2
_OWNER = "owner"
"""Names the process that works in the folder of a step that resumes."""


class DamagedResultError(StoreError):
    """A stored result is not what was made.

    Parameters
    ----------
    name, key
        Of the step.
    file
        The first file that differs.
    """

    def __init__(self, name: str, key: str, file: str) -> None:
        self.name, self.key, self.file = name, key, file
        super().__init__(
            f"the stored result of {name!r} was changed after it was made",
            where=file,
            remedy="Run the study again; it is recomputed",
        )

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.name, self.key, self.file)


@dataclass(frozen=True, kw_only=True)
class Listing:
    """What a result consists of.

    Attributes
    ----------
    files
        Path relative to the result → size in bytes and sha256.
    versions
        Package → version, of what made it.
    code
        Digest of the code that made it.
    """

    files: Mapping[str, tuple[int, str]]
    versions: Mapping[str, str]
    code: str

    def write(self, folder: Path) -> None:
        """Write beside the files, as the last of them."""
        (folder / LISTING).write_text(json.dumps({"format": _FORMAT, **asdict(self)}), "utf-8")

    @classmethod
    def read(cls, folder: Path) -> Listing | None:
        """Read; None where there is none, or one of another format."""
        try:
            table = json.loads((folder / LISTING).read_text("utf-8"))
            if table["format"] != _FORMAT:
                return None
            return cls(
                files={name: (size, digest) for name, (size, digest) in table["files"].items()},
                versions=table["versions"],
                code=table["code"],
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None


class Store:
    """Folder of finished results.

    Parameters
    ----------
    root
        Created when first written to.
    contents
        Remembers hashes of files that have not changed.
    beneath
        Folder of finished results that are read and never written, as another user's are.
    """

    def __init__(
        self, root: Path, contents: Contents | None = None, *, beneath: Path | None = None
    ) -> None:
        self.root = root
        self._beneath = beneath
        self._contents = contents or Contents()
        self._verified: dict[str, Listing] = {}

    def path(self, key: str) -> Path:
        """Where the result with ``key`` is or would be."""
        if self._beneath is not None and (self._beneath / key[:2] / key / LISTING).is_file():
            return self._beneath / key[:2] / key
        return self.root / key[:2] / key

    def listing(self, key: str) -> Listing | None:
        """What a finished result consists of; None where it is not finished."""
        return Listing.read(self.path(key))

    def has(self, key: str) -> bool:
        """Whether the result is finished, and its files are those that were made.

        A file that has not changed by size, time and inode since it was last hashed is not read.
        """
        folder = self.path(key)
        listing = self.listing(key)
        return listing is not None and self._differs(folder, listing) is None

    def _differs(self, folder: Path, listing: Listing) -> str | None:
        for name, (size, digest) in listing.files.items():
            path = folder / name
            try:
                if path.stat().st_size != size:
                    return name
            except OSError:
                return name
            if self._contents.file(path) != digest:
                return name
        return None

    def verify(self, step: Step | Reference) -> Path:
        """A result's folder, every byte of it read and found as it was made, once a process.

        Raises
        ------
        StoreError
            It has no result.
        DamagedResultError
            A file is missing or was altered.
        """
        folder = self.path(step.key)
        if step.key in self._verified:
            return folder
        listing = self.listing(step.key)
        if listing is None:
            raise StoreError(
                f"the result of {step.name!r} is not in the store",
                remedy="Run the study again; what is missing is recomputed",
            )
        for name, (_, digest) in listing.files.items():
            path = folder / name
            if not path.is_file() or hash_file(path) != digest:
                raise DamagedResultError(step.name, step.key, name)
        self._verified[step.key] = listing
        return folder

    def discard(self, key: str) -> None:
        """Put a damaged result out of the way, so that it is made again."""
        self._verified.pop(key, None)
        if self.path(key).is_dir():
            aside = self._scratch() / "damaged"
            os.rename(self.path(key), aside)
            shutil.rmtree(aside, ignore_errors=True)

    def make(self, task: Task) -> Path:
        """Make a result unless it is there, and return its folder.

        Raises
        ------
        StoreError
            A step that it needs has no result.
        DamagedResultError
            The result of a step that it needs was altered.
        """
        final = self.path(task.key)
        if self.has(task.key):
            return final
        inputs = Inputs(
            tuple(
                Input(name=n.name, kind=n.kind, subject=n.subject, folder=self.verify(n))
                for n in task.needs
            )
        )
        final.parent.mkdir(parents=True, exist_ok=True)
        scratch = self._going(task.key) if task.resumes else self._scratch()
        done = False
        try:
            task.function(inputs, scratch, task.argument)
            (scratch / _OWNER).unlink(missing_ok=True)
            Listing(
                files=_listed(scratch), versions=versions_of(task.packages), code=task.code
            ).write(scratch)
            if final.is_dir() and not self.has(task.key):
                self.discard(task.key)
            _put(scratch, final)
            done = True
        finally:
            if done or not task.resumes:
                shutil.rmtree(scratch, ignore_errors=True)
        return final

    def copy(self, step: Step, target: Path) -> dict[str, str]:
        """Copy a result's files into a folder, checked as they are copied; name → sha256.

        Raises
        ------
        DamagedResultError
            A file is not what was made.
        """
        listing = self.listing(step.key)
        if listing is None:
            raise DamagedResultError(step.name, step.key, LISTING)
        for name, (_, digest) in listing.files.items():
            place = target / name
            place.parent.mkdir(parents=True, exist_ok=True)
            try:
                shutil.copyfile(self.path(step.key) / name, place)
            except FileNotFoundError:
                raise DamagedResultError(step.name, step.key, name) from None
            if hash_file(place) != digest:
                raise DamagedResultError(step.name, step.key, name)
        return {name: digest for name, (_, digest) in listing.files.items()}

    def versions(self, steps: Iterable[Step]) -> dict[str, tuple[str, ...]]:
        """Versions of every package that made the results of some steps; all that occur."""
        found: dict[str, set[str]] = {}
        for step in steps:
            listing = self.listing(step.key)
            for name, version in listing.versions.items() if listing else ():
                found.setdefault(name, set()).add(version)
        return {name: tuple(sorted(all_of)) for name, all_of in sorted(found.items())}

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


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's, and alive
        return True
    return True


def _listed(folder: Path) -> dict[str, tuple[int, str]]:
    return {
        str(p.relative_to(folder)): (p.stat().st_size, hash_file(p))
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


def _put(scratch: Path, final: Path) -> None:
    """Rename into place; where another process was first, its bytes are the same."""
    try:
        os.rename(scratch, final)
    except OSError:
        if not final.is_dir():
            raise
