"""The files of a folder or a zip archive, in a fixed order, opened one at a time.

Files are told apart by their number in the sorted list: a name on disk may be a patient's, so no
message quotes one.
"""

from __future__ import annotations

import io
import lzma
import os
import struct
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO

from metasight.bounded import open_bounded
from metasight.errors import VolumeError

MAX_FILES = 50_000
MAX_FILE_BYTES = 2_500_000_000
"""Of one file, unpacked: above what a chest CT in one multi-frame object takes."""
_SMALL_BYTES, _MOST_UNPACKED = 100_000_000, 500
"""Above the first, no file of a scan packs to less than a five-hundredth."""
_DAMAGED = (
    zipfile.BadZipFile,
    NotImplementedError,  # a damaged byte asks for a version or a method that there is not
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,
    struct.error,
    ValueError,
    OverflowError,
)


@dataclass(frozen=True, kw_only=True)
class Item:
    """One file.

    Attributes
    ----------
    number
        Its place in the sorted list, from 1.
    path
        Of the file, or of the archive that it is in.
    member
        Its name in the archive; None for a file on disk.
    n_bytes
        Its length, unpacked.
    """

    number: int
    path: Path
    member: str | None
    n_bytes: int

    def __str__(self) -> str:
        return f"file {self.number}"

    def open(self) -> IO[bytes]:
        """Open for reading from the start; only what is read is unpacked."""
        if self.member is None:
            return open_bounded(self.path)
        try:
            return _archive(self.path, self.path.stat().st_mtime_ns).open(self.member)
        except (*_DAMAGED, RuntimeError, KeyError) as error:
            raise VolumeError(
                "an archive's member cannot be opened",
                where=str(self),
                value=type(error).__name__,
                remedy="Give a zip archive without a password",
            ) from error

    def read(self) -> io.BytesIO:
        """The whole file in memory.

        Raises
        ------
        VolumeError
            Too long, or the archive is damaged at this file.
        """
        if self.n_bytes > MAX_FILE_BYTES:
            raise VolumeError(
                "a file is longer than any scan",
                where=str(self),
                value=f"{self.n_bytes:,} bytes",
                remedy="Check the path of the scan",
            )
        try:
            with self.open() as file:
                return io.BytesIO(file.read(MAX_FILE_BYTES + 1))
        except _DAMAGED as error:
            raise VolumeError(
                "the archive is damaged", where=str(self), remedy="Copy or export it again"
            ) from error


@lru_cache(maxsize=2)
def _archive(path: Path, changed_ns: int) -> zipfile.ZipFile:
    """An open archive: its directory is read once, not again for each of its files."""
    del changed_ns  # another version of the file is another archive
    return zipfile.ZipFile(path)


def items_of(path: Path) -> tuple[Item, ...]:
    """Files in a folder (nested folders too) or a zip archive, or the one file given.

    Hidden files are left out: file systems and archivers write them, scanners do not.

    Raises
    ------
    VolumeError
        Nothing there, no file in it, more than 50,000, a damaged archive.
    """
    if not os.path.exists(path):  # a name too long for the disk is not there either
        raise VolumeError("there is no such scan", remedy="Check the path of the scan")
    if not path.is_dir() and not path.is_file():  # a pipe or a device: reading it may never end
        raise VolumeError(
            "the path is neither a file nor a folder",
            remedy="Check the path of the scan",
        )
    if path.is_dir():
        files = sorted(f for f in path.rglob("*") if f.is_file() and not _hidden(f, path))
        found = [(f, None, f.stat().st_size) for f in files[: MAX_FILES + 1]]
        items = _numbered(found)
    elif zipfile.is_zipfile(path):
        items = _numbered([(path, name, n) for name, n in _members(path)])
    else:
        items = _numbered([(path, None, path.stat().st_size)])
    if not items:
        raise VolumeError(
            "the folder or archive holds no file", remedy="Check the path of the scan"
        )
    if len(items) > MAX_FILES:
        raise VolumeError(
            f"more than {MAX_FILES:,} files in one place",
            remedy="Give each patient's scan a folder of its own",
        )
    return items


def _members(path: Path) -> list[tuple[str, int]]:
    try:
        with zipfile.ZipFile(path) as archive:
            infos = [i for i in archive.infolist() if not i.is_dir()]
    except _DAMAGED as error:
        raise VolumeError("the archive is damaged", remedy="Copy or export it again") from error
    swollen = [
        i for i in infos if i.file_size > max(_SMALL_BYTES, _MOST_UNPACKED * i.compress_size)
    ]
    if swollen:
        raise VolumeError(
            "an archive's file unpacks to more than images do",
            value=f"{swollen[0].compress_size:,} to {swollen[0].file_size:,} bytes",
            remedy="Check where the archive comes from",
        )
    return sorted(
        (i.filename, i.file_size)
        for i in infos
        if not any(part.startswith((".", "__MACOSX")) for part in i.filename.split("/"))
    )


def _hidden(file: Path, root: Path) -> bool:
    return any(part.startswith(".") for part in file.relative_to(root).parts)


def _numbered(
    found: Sequence[tuple[Path, str | None, int]],
) -> tuple[Item, ...]:
    return tuple(
        Item(number=i, path=path, member=member, n_bytes=n)
        for i, (path, member, n) in enumerate(found, start=1)
    )
