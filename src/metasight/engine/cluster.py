"""Steps on a Dask cluster: who may use it, who works for it, and what is said when it fails."""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

from metasight.engine.code import own_code
from metasight.engine.placement import Placement
from metasight.engine.private import close_to_others
from metasight.engine.run_log import Spent, measured
from metasight.engine.step import Step, Task
from metasight.engine.store import Store
from metasight.errors import StoreError, StudyError
from metasight.provenance import versions_of

ANSWERS_WITHIN_S = 10
"""Seconds in which a scheduler elsewhere must have answered."""
_LOOKS_EVERY_S = 0.02
_ASKS_EVERY_S = 5.0
_TRIES_OF_A_STEP = 3
"""Times that a step is tried whose worker ended; neighbours may have taken its memory."""


@dataclass(frozen=True)
class Expected:
    """What must be the same wherever a step runs, for its result bears this process's key.

    Attributes
    ----------
    code
        Digest of metasight's source.
    versions
        Package and version of all that the steps' code imports, Python among them.
    """

    code: str
    versions: tuple[tuple[str, str], ...]


def expected_of(steps: Sequence[Step]) -> Expected:
    """What this process has of what some steps rest on."""
    packages = sorted({name for s in steps for name in s.code.packages})
    return Expected(own_code().digest, tuple(versions_of(packages).items()))


@cache
def differences(expected: Expected) -> tuple[str, ...]:
    """What this process has otherwise than another one, in words; nothing where all is the same."""
    own = versions_of(name for name, _ in expected.versions if name != "python")
    found = [
        f"{package} {own[package]} instead of {version}"
        for package, version in expected.versions
        if own[package] != version
    ]
    if own_code().digest != expected.code:
        found.append("another source code of metasight")
    return tuple(found)


class Cluster:
    """A client of a Dask scheduler, for the steps of one run.

    Parameters
    ----------
    client
        Of Dask.
    store
        Where results go; every process sees it under the same path.
    placement
        How the cluster was asked for.
    """

    def __init__(self, client: Any, store: Store, placement: Placement) -> None:
        self._client = client
        self._root = str(store.root.resolve())
        self._placement = placement
        # Two studies on one scheduler may have equal steps; each store needs its own result.
        self._prefix = hashlib.sha256(self._root.encode()).hexdigest()[:16]

    def make(self, steps: Sequence[Step]) -> Generator[tuple[Step, Spent], None, None]:
        """Carry steps out; each as it is done, and what it took. Closed early, it lets others go.

        Parameters
        ----------
        steps
            Those that others need first.

        Raises
        ------
        MetasightError
            What a step raised.
        StudyError
            No worker comes, a worker differs from this process, or a step ended its workers.
        """
        expected = expected_of(steps)
        self._wait_for_workers()
        self._shake_hands(expected)
        futures: dict[str, Any] = {}
        by_name: dict[str, Step] = {}
        try:
            for step in steps:
                after = [futures[n.key] for n in step.needs if n.key in futures]
                name = f"{self._prefix}-{step.key}"
                by_name[name] = step
                futures[step.key] = self._client.submit(
                    _make, self._root, step.task, expected, after, key=name, pure=False, retries=0
                )
            for future in self._as_done(list(futures.values())):
                yield by_name[future.key], self._result(future, by_name)
        finally:
            self._client.cancel(list(futures.values()))

    def _as_done(self, futures: list[Any]) -> Iterator[Any]:
        """Futures as they are done; a scheduler that has lost all its workers is not waited for."""
        from distributed import as_completed

        done = as_completed(futures)
        left, asked, seen = len(futures), time.monotonic(), time.monotonic()
        while left:
            batch = done.next_batch(block=False)
            for future in batch:
                left -= 1
                yield future
            if batch:
                continue
            now = time.monotonic()
            if now - asked > min(_ASKS_EVERY_S, self._placement.wait_s):
                asked = now
                if self._n_workers():
                    seen = now
                elif now - seen > self._placement.wait_s:
                    self._no_workers("no worker is left on the Dask scheduler")
            time.sleep(_LOOKS_EVERY_S)

    def _n_workers(self) -> int:
        try:
            return len(self._client.nthreads())
        except (OSError, ValueError) as error:
            raise _lost() from error

    def _result(self, future: Any, by_name: dict[str, Step]) -> Spent:
        from distributed import KilledWorker
        from distributed.client import FutureCancelledError

        try:
            spent: Spent = future.result()
        except KilledWorker as error:
            raise self._killed(error, by_name) from error
        except FutureCancelledError as error:
            raise _lost() from error
        return spent

    def _killed(self, error: Any, by_name: dict[str, Step]) -> StudyError:
        """A step's workers were ended: by the limit of memory, the system, or somebody."""
        last = error.last_worker
        name = _noted(Path(self._root), last.address) or by_name[error.task].name
        gib = last.memory_limit / 2**30 if last.memory_limit else None
        limit = f"limit of memory {gib:.2g} GiB a worker" if gib else "no limit of memory is set"
        return StudyError(
            "the processes that carried this step out were ended from outside, as happens where "
            "they need more memory than they may use",
            where=f"step {name!r}",
            value=f"{error.allowed_failures + 1} tries, {limit}",
            remedy="Give each process more memory with --memory, or run fewer side by side with "
            "--workers (docs/operation.md)"
            if not self._placement.is_elsewhere
            else "Start the workers with more memory, or fewer of them on a machine "
            "(docs/operation.md)",
        )

    def _wait_for_workers(self) -> None:
        try:
            self._client.wait_for_workers(1, timeout=self._placement.wait_s)
        except TimeoutError:
            self._no_workers("the Dask scheduler has no worker")

    def _no_workers(self, problem: str) -> NoReturn:
        raise StudyError(
            problem,
            where=self._placement.scheduler,
            value=f"waited {self._placement.wait_s:g} s",
            remedy="Start workers for it (docs/operation.md), or wait longer with --wait SECONDS",
        )

    def _shake_hands(self, expected: Expected) -> None:
        """Refuse workers that would write other results under this process's keys."""
        try:
            told = self._client.run(differences, expected)
        except ImportError as error:
            raise StudyError(
                "a worker of the Dask scheduler cannot import metasight",
                where=self._placement.scheduler,
                remedy="Install the same version for the workers and start them again",
            ) from error
        for address, found in sorted(told.items()):
            if found:
                raise _differs(address, found)


def _differs(worker: str, found: Sequence[str]) -> StudyError:
    return StudyError(
        "a worker of the Dask scheduler differs from this process, so its results would too",
        where=worker,
        value="; ".join(found),
        remedy="Install the same version of metasight and of its packages everywhere and start the "
        "workers again",
    )


def _lost() -> StudyError:
    return StudyError(
        "the Dask scheduler has gone while steps were carried out",
        remedy="Start it again, then run the same command: results of finished steps are kept",
    )


# ------------------------------------------------------------------------------- on a worker


def _make(root: str, task: Task, expected: Expected, after: list[Spent]) -> Spent:
    """Run one step on a worker; ``after`` only makes it wait for the steps it needs."""
    from distributed import get_worker

    del after
    close_to_others()
    address = str(get_worker().address)
    found = differences(expected)  # a worker may have joined after the others were asked
    if found:
        raise _differs(address, found)
    with _note(Path(root), address, task.name):
        return measured(lambda: Store(Path(root)).make(task))


@contextmanager
def _note(root: Path, worker: str, name: str) -> Iterator[None]:
    """Note which step a worker is at, for the message if it is ended.

    Dask blames every step that waits on a worker for its end, too.
    """
    folder = root / "unfinished" / f"{socket.gethostname()}-{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / _note_name(worker)
        path.write_text(name, "utf-8")
    except OSError as error:
        raise StoreError(
            "a worker cannot write to the study's store",
            where=worker,
            value=error.strerror or "",
            remedy="Start workers as a user who may write to the study's folder, on machines that "
            "see it under the same path",
        ) from error
    yield
    path.unlink(missing_ok=True)


def _noted(root: Path, worker: str) -> str | None:
    """The step at which a worker was when it ended."""
    for path in (root / "unfinished").glob(f"*/{_note_name(worker)}"):
        try:
            return path.read_text("utf-8")
        except OSError:
            continue
    return None


def _note_name(worker: str) -> str:
    return f"at-{hashlib.sha256(worker.encode()).hexdigest()[:16]}"


# -------------------------------------------------------------------------------- the client


@contextmanager
def connected(store: Store, placement: Placement) -> Iterator[Cluster]:
    """A cluster as it was asked for, for as long as the context lasts.

    Raises
    ------
    StudyError
        No scheduler answers at the address, or certificates are missing.
    """
    import dask

    # No status pages, and no step tried for ever.
    settings = {
        "distributed.worker.daemon": True,
        "distributed.scheduler.allowed-failures": _TRIES_OF_A_STEP - 1,
    }
    with dask.config.set(settings), _client(placement) as client:
        yield Cluster(client, store, placement)


@contextmanager
def _client(placement: Placement) -> Iterator[Any]:
    from distributed import Client

    if placement.is_elsewhere:
        with _client_elsewhere(placement) as client:
            yield client
        return
    from metasight.engine.local_cluster import local_cluster

    # the name of a folder of tempfile's is random, and its mode 0700
    with tempfile.TemporaryDirectory(prefix="metasight-workers-") as folder:
        with _deaf_to_ctrl_c():
            cluster = local_cluster(
                workers=placement.n_workers, worker_bytes=placement.worker_bytes, folder=folder
            )
        with cluster, Client(cluster) as client:
            yield client


def _client_elsewhere(placement: Placement) -> Any:
    from distributed import Client

    try:
        return Client(
            placement.scheduler, timeout=ANSWERS_WITHIN_S, security=_certificates(placement)
        )
    except (OSError, ValueError, TypeError, TimeoutError) as error:
        raise StudyError(
            "no Dask scheduler answers",
            where=placement.scheduler,
            value=_of_certificates(error),
            remedy="Start one (docs/operation.md), or leave --scheduler out to use this machine",
        ) from error


def _of_certificates(error: BaseException | None) -> str:
    """What was wrong with certificates, if that was it; Dask wraps it in its own error."""
    import ssl

    while error is not None:
        if isinstance(error, ssl.SSLError):
            return f"TLS: {error.reason or 'refused'}".lower().replace("tls", "TLS")
        error = error.__cause__
    return ""


def _certificates(placement: Placement) -> Any:
    """Keys for ``tls://``: those of the options, else those that Dask's configuration names.

    Raises
    ------
    StudyError
        They are not given, or not there.
    """
    from distributed import Security

    if not placement.scheduler.startswith("tls://"):
        return Security(require_encryption=False)
    given = {
        "tls_ca_file": placement.tls_ca,
        "tls_client_cert": placement.tls_cert,
        "tls_client_key": placement.tls_key,
    }
    security = Security(
        require_encryption=True, **{n: str(p) for n, p in given.items() if p is not None}
    )
    options = dict(zip(given, ("--tls-ca", "--tls-cert", "--tls-key"), strict=True))
    for name, option in options.items():
        path = getattr(security, name)
        if path is None:
            raise StudyError(
                "a certificate for tls:// is missing",
                where=option,
                remedy="Give --tls-ca, --tls-cert and --tls-key, or name them in Dask's "
                "configuration, distributed.comm.tls (docs/operation.md)",
            )
        if "\n" not in path and not Path(path).is_file():
            raise StudyError(
                "there is no such file",
                where=option,
                value=str(path),
                remedy="Correct the path, or Dask's configuration if it is from there",
            )
    return security


@contextmanager
def _deaf_to_ctrl_c() -> Iterator[None]:
    """Processes started within do not hear Ctrl-C; the parent does and ends them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
