"""Files from outside, of which nobody asks for more than there is.

A header says how long the next value is. Python sets as much memory aside as is asked for before
it reads, so four bytes of damage would cost four gigabytes.
"""

from __future__ import annotations

import io
import os
from pathlib import Path

_CHECKED_FROM = 1 << 20
"""Bytes: less than that is given without a look at how much is left."""


class BoundedReader(io.BufferedReader):
    """An open file whose reads ask for what is left of it and no more."""

    def __init__(self, path: Path) -> None:
        super().__init__(io.FileIO(path))
        self._length = os.fstat(self.fileno()).st_size

    def read(self, size: int | None = -1, /) -> bytes:
        """At most ``size`` bytes; all that is left without it."""
        if size is not None and size > _CHECKED_FROM:
            size = min(size, max(self._length - self.tell(), 0))
        return super().read(size)


def open_bounded(path: Path) -> BoundedReader:
    """Open a file for reading from its start.

    Raises
    ------
    OSError
        It cannot be opened.
    """
    return BoundedReader(path)
