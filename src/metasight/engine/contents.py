"""What files hold: a sha256 of each, made once and remembered by size, time of change and inode.

A plan names inputs by what they hold, never by where they lie. A cohort has tens of thousands of
slices and slides of gigabytes, so a file that has not changed is not read again, in this run or the
next.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metasight.engine.cache import write_whole
from metasight.errors import StudyError
from metasight.provenance import hash_file, hash_json

_FORMAT = 1
_SETTLED_NS = 2_000_000_000
"""A file changed so lately may change again within the same tick of its file system's clock."""

_BESIDE = ".mrxs"
"""A slide of which the file is the smaller part: the folder of its name holds the pixels."""


@dataclass(frozen=True, kw_only=True)
class Folder:
    """A folder of which a step reads certain files only, by name.

    Attributes
    ----------
    root
        Where they lie; does not count for what the step is made from.
    files
        Paths relative to ``root``; names and contents count.
    """

    root: Path
    files: tuple[str, ...]


class Contents:
    """sha256 of files, remembered.

    Parameters
    ----------
    memory
        File that keeps them from run to run; None keeps them for this object's life. It holds no
        path: a path may hold a patient's name.
    read_only
        Whether that file is another user's: what is learnt is not kept.

    Attributes
    ----------
    read_files
        How many were read, rather than remembered.
    told
        What :mod:`metasight.engine.argument` found of settings that many steps share, by identity.
    """

    def __init__(self, memory: Path | None = None, *, read_only: bool = False) -> None:
        self._memory = None if read_only else memory
        self._known: dict[str, tuple[int, int, int, str]] = _recalled(memory)
        self._grown = False
        self.read_files = 0
        self.told: dict[int, tuple[object, Any]] = {}

    def file(self, path: Path) -> str:
        """sha256 of a file's bytes, as hex, or the kind of error that reading it raises.

        A file that cannot be read is told by the step that reads it, in its turn.
        """
        try:
            about = path.stat()
            place = hashlib.sha256(os.fsencode(path.absolute())).hexdigest()[:32]
            size, changed, inode = about.st_size, about.st_mtime_ns, about.st_ino
            known = self._known.get(place)
            if known is not None and known[:3] == (size, changed, inode):
                return known[3]
            digest = hash_file(path)
        except OSError as error:
            return type(error).__name__
        self.read_files += 1
        if time.time_ns() - changed > _SETTLED_NS:
            self._known[place] = (size, changed, inode, digest)
            self._grown = True
        return digest

    def of(self, path: Path) -> str:
        """What a path stands for: a file, with what belongs to it, or a folder with all in it.

        Files of a folder count in the order of their names, by content: a copy under other names
        in the same order is the same scan.
        """
        parts = [path]
        if os.path.isdir(path):  # no error for a path that no system can hold
            parts = _files_of(path)
        elif path.suffix.lower() == _BESIDE:
            parts = [path, *_files_of(path.with_suffix(""))]
        return hash_json([self.file(part) for part in parts])

    def of_folder(self, folder: Folder) -> dict[str, str]:
        """Name → sha256 of the files that a step reads by name.

        Raises
        ------
        StudyError
            One of them is not there.
        """
        for name in folder.files:
            if not os.path.isfile(folder.root / name):
                raise StudyError(
                    "there is no such file",
                    where=f"study.toml: {name}",
                    remedy=f"Paths are relative to the study folder ({folder.root.name})",
                )
        return {name: self.file(folder.root / name) for name in folder.files}

    def save(self) -> None:
        """Keep what was learnt for the next run; what another run learnt meanwhile is kept too."""
        if self._memory is None or not self._grown:
            return
        known = {**_recalled(self._memory), **self._known}
        write_whole(self._memory, json.dumps({"format": _FORMAT, "files": known}))
        self._grown = False


def _files_of(folder: Path) -> list[Path]:
    """Every file below a folder in the order of names; links to folders are followed once."""
    found: list[Path] = []
    seen: set[tuple[int, int]] = set()
    for place, below, names in os.walk(folder, followlinks=True):
        about = os.stat(place)
        if (about.st_dev, about.st_ino) in seen:
            below.clear()
            continue
        seen.add((about.st_dev, about.st_ino))
        found += [Path(place) / name for name in names]
    return sorted(found)


def _recalled(memory: Path | None) -> dict[str, tuple[int, int, int, str]]:
    """What an earlier run remembered; nothing where it cannot be read: files are read again."""
    if memory is None:
        return {}
    try:
        table = json.loads(memory.read_text("utf-8"))
        if table["format"] != _FORMAT:
            return {}
        return {place: (s, m, i, d) for place, (s, m, i, d) in table["files"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
