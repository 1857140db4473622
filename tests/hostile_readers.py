"""What opens a file and does not come back, for `test_guarded`."""

from __future__ import annotations

import ctypes
import os
import time
from pathlib import Path

import numpy as np

from metasight.errors import SlideError, VolumeError


class Odd(Exception):
    """Of a library: it cannot be pickled."""

    def __init__(self, a: int, b: int) -> None:
        super().__init__(f"{a} {b}")


def read(path: Path) -> tuple[int, np.ndarray]:
    """As its name says."""
    words = path.read_text("utf-8").split()
    match words[0]:
        case "loops":
            while True:
                pass
        case "sleeps":
            time.sleep(3600)
        case "eats":
            return os.getpid(), np.ones(int(words[1]), np.uint8)
        case "dies":
            ctypes.string_at(0)
        case "leaves":
            os._exit(3)
        case "is refused":
            raise AssertionError
        case "refuses":
            raise VolumeError("it is no scan", value="7", remedy="Give one")
        case "raises":
            raise Odd(1, 2)
        case "prints":
            os.write(1, b"x" * 10_000)
    return os.getpid(), np.arange(int(words[-1]))


def measured(path: Path) -> str:
    """A batch's own row of a file: what was read, or why not."""
    from metasight.engine.guarded import Limits, guarded

    limits = Limits(memory_bytes=1 << 29, seconds=1.0)
    try:
        return str(len(guarded(read, limits, SlideError, path)[1]))
    except SlideError as error:
        return error.problem
