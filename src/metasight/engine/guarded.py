"""Files from outside are opened in a child process that may take so much memory and time.

A damaged or hostile file can make a library loop, eat memory or die. What opens such a file for the
first time is therefore called here: in a child that is kept for the next call, with a limit on its
address space and a clock that the parent watches. Whatever ends it is a named error of this one
file, and the next file gets a new child.

The child is no prison: it has its user's rights, and what it returns is believed as its parent's
own work is. Arrays come back through a pipe; one that is decoded here is decoded once.
"""

from __future__ import annotations

import atexit
import os
import pickle
import select
import signal
import struct
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from metasight.errors import MetasightError, StudyError

P = ParamSpec("P")
R = TypeVar("R")

_LENGTH = struct.Struct("<q")
_PIECE = 1 << 20
_START = "from metasight.engine.guarded import answer; answer()"
_STARTS_WITHIN_S = 60.0
_SPARE_S = 10


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What the opening of one file may take.

    Attributes
    ----------
    memory_bytes
        Of address space, above what the child has before it begins.
    seconds
        By the clock.
    """

    memory_bytes: int
    seconds: float


def limits_for(*paths: Path) -> Limits:
    """Limits by what files claim: 4 GiB and 16 bytes a byte, two minutes and a second for 500 kB.

    The size is that on disk, of a zip archive the one that its directory claims for what is
    unpacked. The slowest decoders take a tenth of the time, and an image of voxels compressed to a
    third, kept as numbers of four bytes beside a copy, a half of the memory.
    """
    claimed = sum(_claimed_bytes(p) for p in paths)
    return Limits(memory_bytes=(4 << 30) + 16 * claimed, seconds=120 + claimed / 500_000)


def _claimed_bytes(path: Path) -> int:
    with suppress(OSError):
        if path.is_dir():
            return sum(p.stat().st_size for p in path.rglob("*") if p.is_file())
        size = path.stat().st_size if path.is_file() else 0
        with suppress(zipfile.BadZipFile, ValueError, NotImplementedError):
            if size and zipfile.is_zipfile(path):
                with zipfile.ZipFile(path) as archive:
                    return max(size, sum(i.file_size for i in archive.infolist()))
        return size
    return 0


def guarded(
    function: Callable[P, R],
    limits: Limits,
    error: Callable[..., MetasightError],
    /,
    *arguments: P.args,
    **named: P.kwargs,
) -> R:
    """Call a function in the child.

    Parameters
    ----------
    function
        Of a module; it, its arguments and its result can be pickled.
    limits
        Of this call.
    error
        Kind that is raised where the call does not end by itself, or what makes one of problem,
        value and remedy.
    arguments, named
        Of the function.

    Raises
    ------
    MetasightError
        Of the kind ``error``: the child took longer, needed more memory or died.
    Exception
        Whatever the function raises.
    """
    if os.name != "posix" or _Child.is_here:
        return function(*arguments, **named)
    with _LOCK:
        kind, value = _asked(pickle.dumps((function, arguments, named, limits)), limits, error)
    if kind == "raised":
        raise value
    if kind == "memory":
        raise _beyond_memory(limits, error)
    result: R = value
    return result


def _asked(request: bytes, limits: Limits, error: Callable[..., MetasightError]) -> tuple[str, Any]:
    """The child's answer; the child is ended where it does not give one."""
    child = _child()
    try:
        answer = child.ask(request, limits.seconds)
    except TimeoutError:
        child.end()
        raise error(
            "reading it took longer than a file of its size may",
            value=f"{limits.seconds:.0f} s",
            remedy="Copy the file again, or export it again; leave it out if it stays so",
        ) from None
    except (EOFError, BrokenPipeError):
        status = child.end()
        if status == -signal.SIGKILL:
            raise _beyond_memory(limits, error) from None
        raise error(
            "reading it ended the process that read it",
            value=f"signal {-status}" if status < 0 else f"status {status}",
            remedy="The file is damaged: copy it again, or export it again",
        ) from None
    except BaseException:  # an interrupt: its answer must not be taken for the next one's
        child.end()
        raise
    if answer[0] != "done":
        child.end()
    return answer


def renew() -> None:
    """End the child: a call that failed may have left a library half loaded, or memory in use.

    What raises ends it by itself; this is for a failure that a call returned.
    """
    with _LOCK:
        _end_child()


def _beyond_memory(limits: Limits, error: Callable[..., MetasightError]) -> MetasightError:
    return error(
        "reading it needs more memory than a file of its size may, or than there is",
        value=f"{limits.memory_bytes / 2**30:.1f} GiB",
        remedy="Copy the file again, or export it again; where it is right, give the machine more "
        "memory or run fewer processes",
    )


# ------------------------------------------------------------------ the parent's side


class _Child:
    """A process that answers requests, one after another."""

    is_here = False
    """Whether this process is one itself: it opens files without a child of its own."""

    def __init__(self) -> None:
        paths = [p for p in sys.path if p]
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _START],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            )
        except OSError as error:
            raise StudyError(
                "the process that opens files cannot be started",
                value=error.strerror or "",
                remedy="Free memory or processes of this machine and run again",
            ) from error
        self._in, self._out = self._process.stdin, self._process.stdout
        self._parent, self._has_answered = os.getpid(), False

    @property
    def is_usable(self) -> bool:
        """Whether it lives and is this process's own, not one that was there before a fork."""
        return self._parent == os.getpid() and self._process.poll() is None

    def ask(self, request: bytes, seconds: float) -> tuple[str, Any]:
        """Send a request and wait for the answer.

        Raises
        ------
        TimeoutError, EOFError, BrokenPipeError
            None came.
        """
        if self._in is None or self._out is None:
            raise BrokenPipeError
        until = time.monotonic() + seconds + _STARTS_WITHIN_S * (not self._has_answered)
        self._in.write(_LENGTH.pack(len(request)))
        self._in.write(request)
        self._in.flush()
        (length,) = _LENGTH.unpack(_received(self._out.fileno(), _LENGTH.size, until))
        answer = pickle.loads(_received(self._out.fileno(), length, until))  # noqa: S301 (own child)
        self._has_answered = True
        found: tuple[str, Any] = answer
        return found

    def end(self) -> int:
        """End it, and say with what status it did."""
        # one that died closed its pipes a moment before it can be waited for
        with suppress(subprocess.TimeoutExpired):
            has_ended = self._out is not None and select.select([self._out], [], [], 0)[0]
            self._process.wait(5.0 if has_ended else 0.0)
        self._process.kill()
        status = self._process.wait()
        self.leave()
        return status

    def leave(self) -> None:
        """Close what leads to it; it ends when it has nothing left to answer."""
        for pipe in (self._in, self._out):
            with suppress(OSError):
                if pipe is not None:
                    pipe.close()


def _received(handle: int, length: int, until: float) -> bytearray:
    """So many bytes of a pipe.

    Raises
    ------
    TimeoutError
        They did not come in time.
    EOFError
        The other side is gone.
    """
    found = bytearray()
    while len(found) < length:
        ready, _, _ = select.select([handle], [], [], max(until - time.monotonic(), 0))
        if not ready:
            raise TimeoutError
        piece = os.read(handle, min(_PIECE, length - len(found)))
        if not piece:
            raise EOFError
        found += piece
    return found


_LOCK = threading.Lock()
_CHILDREN: list[_Child] = []


def _child() -> _Child:
    """The child of this process, or a new one."""
    if _CHILDREN and not _CHILDREN[0].is_usable:
        _CHILDREN.pop().leave()
    if not _CHILDREN:
        _CHILDREN.append(_Child())
    return _CHILDREN[0]


def _end_child() -> None:
    for child in _CHILDREN:
        if child.is_usable:
            child.end()


atexit.register(_end_child)


# ------------------------------------------------------------------ the child's side


def answer() -> None:
    """Answer requests until there are no more; the whole life of the child."""
    _Child.is_here = True
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent says when to stop
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # ends it even within a library's loop
    out = os.dup(1)
    os.dup2(2, 1)  # what a library prints is not an answer
    source = sys.stdin.buffer
    while head := source.read(_LENGTH.size):
        function, arguments, named, limits = pickle.loads(  # noqa: S301 (the parent's)
            source.read(*_LENGTH.unpack(head))
        )
        signal.alarm(int(limits.seconds) + _SPARE_S)  # should the parent be gone
        told = _carried_out(function, arguments, named, limits)
        signal.alarm(0)
        _send(out, told)
    os._exit(0)  # without the libraries' own farewells


def _carried_out(function: Callable[..., Any], arguments: Any, named: Any, limits: Limits) -> bytes:
    """The answer, pickled; within the limit too, since a copy is made."""
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    before = int(Path("/proc/self/statm").read_text("ascii").split()[0]) * resource.getpagesize()
    most = before + limits.memory_bytes
    if hard != resource.RLIM_INFINITY:  # as clusters set it
        most = min(most, hard)
    try:
        resource.setrlimit(resource.RLIMIT_AS, (most, hard))
        return pickle.dumps(("done", function(*arguments, **named)), protocol=5)
    except MemoryError:
        return pickle.dumps(("memory", None))
    except Exception as error:  # noqa: BLE001 (the parent raises it)
        return _of_error(error)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (hard, hard))


def _of_error(error: Exception) -> bytes:
    """An error as the parent can raise it; where it is no data, one of its class's name."""
    with suppress(Exception):
        told = pickle.dumps(("raised", error))
        pickle.loads(told)  # noqa: S301 (our own, a line above)
        return told
    kind = next((k for k in type(error).__mro__ if k.__module__ == "builtins"), RuntimeError)
    return pickle.dumps(("raised", kind(type(error).__name__)))


def _send(handle: int, told: bytes) -> None:
    left = memoryview(_LENGTH.pack(len(told)) + told)
    while left:
        left = left[os.write(handle, left) :]
