"""Where metasight keeps what can be made again and belongs to no study: kernels, code tables.

The user's cache folder; where that cannot be written (a service account without a home, a
read-only installation) a private folder under the system's temporary one.
"""

from __future__ import annotations

import os
import tempfile
from functools import cache
from pathlib import Path

from metasight.errors import StoreError

NAME = "metasight"


@cache
def cache_folder() -> Path:
    """A folder that this process may write to, and that belongs to this user alone.

    Raises
    ------
    StoreError
        Neither the user's cache folder nor the temporary folder can be written.
    """
    for candidate in _candidates():
        if _usable(candidate):
            return candidate
    raise StoreError(
        "no folder for caches can be written",
        where=" or ".join(str(c) for c in _candidates()),
        remedy="Set XDG_CACHE_HOME or TMPDIR to a folder that can be",
    )


def write_whole(path: Path, text: str) -> None:
    """Write a file that processes share: another one reads what was there or all of this."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}-{os.getpid()}")
    beside.write_text(text, "utf-8")
    os.replace(beside, path)


def write_durably(path: Path, content: bytes, *, mode: int) -> None:
    """Put a file in place whole, and on the disk when this returns, whatever happens then.

    Parameters
    ----------
    path
        In a folder that is there.
    content
        All of it.
    mode
        Of the file.
    """
    beside = path.with_name(f".{path.name}-{os.getpid()}")
    with os.fdopen(os.open(beside, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, mode), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _candidates() -> list[Path]:
    asked = os.environ.get("XDG_CACHE_HOME", "")
    found = [Path(asked) / NAME] if asked else []
    home = Path(os.path.expanduser("~"))
    if home.is_dir():  # a service account may have none, and root could make it
        found.append(home / ".cache" / NAME)
    return [*found, Path(tempfile.gettempdir()) / f"{NAME}-{os.getuid()}"]


def _usable(folder: Path) -> bool:
    """Whether the folder is there or can be made, is this user's own, and takes a file."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if folder.stat().st_uid != os.getuid():  # somebody else's under /tmp
            return False
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False
