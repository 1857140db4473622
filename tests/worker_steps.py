"""Steps that processes of a Dask cluster carry out: they import this module by its name."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path


def write(inputs, out, argument):
    (out / "x").write_text("".join(sorted(inputs)) + str(argument))


def process(inputs, out, argument):
    """The process that carried the step out, and the modes of what it wrote."""
    (out / "x").write_text(str(os.getpid()))


def wait_for(inputs, out, argument):
    """Say that the step has begun, and wait until it may end: two paths."""
    begun, end = (Path(p) for p in argument)
    begun.write_text("begun")
    for _ in range(600):
        if end.exists():
            break
        time.sleep(0.05)
    (out / "x").write_text("")


def be_killed(inputs, out, argument):
    """What the system does to a process that needs more memory than there is."""
    os.kill(os.getpid(), signal.SIGKILL)


def sleep(inputs, out, argument):
    time.sleep(argument)
    (out / "x").write_text("")
