"""What a run writes is for its user, and for those whom he lets in; never for all of a machine.

Folders that metasight makes at the top of a study are of mode 0700. Beneath them files follow the
user's umask without anything for others, so that one command (``chmod g+rx``) lets a group in.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_OTHERS = 0o007


def private_folder(path: Path) -> Path:
    """Make a folder of this user's alone; of one that is there, take away the rights of others.

    What its group may do stays: somebody has let it in. The folder of another user stays as it is.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        about = path.stat()
        if stat.S_IMODE(about.st_mode) & _OTHERS and about.st_uid == os.getuid():
            _chmod(path, stat.S_IMODE(about.st_mode) & ~_OTHERS)
    else:
        _chmod(path, 0o700)  # a folder with inherited rights may have got others
    return path


def _chmod(path: Path, mode: int) -> None:
    """Set a mode where the file system has modes; on FAT and SMB how it is mounted decides."""
    with suppress(OSError):
        path.chmod(mode)


def close_to_others() -> None:
    """From now on this process makes no file or folder that others may read, write or enter."""
    os.umask(os.umask(0o077) | _OTHERS)


@contextmanager
def closed_to_others() -> Iterator[None]:
    """The same for as long as the context lasts."""
    before = os.umask(0o077)
    os.umask(before | _OTHERS)
    try:
        yield
    finally:
        os.umask(before)
