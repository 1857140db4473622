"""Where the files of a folder that a table names lie in the output."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from pathlib import PurePosixPath, PureWindowsPath


class Places:
    """Old names of files and folders → new ones.

    Parameters
    ----------
    kept
        Old name of each file that was kept, relative to the source → new name, relative to the
        output.
    """

    def __init__(self, kept: Mapping[str, str]) -> None:
        self._kept = {f"/{old}": new for old, new in kept.items()}

    def of(self, name: str) -> str | None:
        """New name of a file or of the folder that holds a folder's files; None if there is none.

        A table's paths may begin at the source, at the table's folder or at one beside it: the old
        name is looked for at the end of every path. Two folders that end alike are one too many.
        """
        plain = PurePosixPath(PureWindowsPath(name.strip()).as_posix())
        parts = [p for p in plain.parts if p not in {".", "/"}]
        if not parts or ".." in parts:
            return None
        wanted = "/" + "/".join(parts)
        files = [new for old, new in self._kept.items() if old.endswith(wanted)]
        if len(files) == 1:
            return files[0]
        inside = {old[: old.index(f"{wanted}/")]: None for old in self._kept if f"{wanted}/" in old}
        if files or len(inside) != 1:
            return None
        found = [new for old, new in self._kept.items() if f"{wanted}/" in old]
        return posixpath.commonpath([posixpath.dirname(new) for new in found])
