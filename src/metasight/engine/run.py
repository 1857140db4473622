"""Run a plan: find what is missing, say why, and make it on a Dask cluster."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metasight.engine.progress import Progress
from metasight.engine.store import Step, Store
from metasight.errors import StudyError

INLINE = "inline"
LOCAL = "local"


@dataclass(frozen=True, kw_only=True)
class Pending:
    """A step that has to run, and why."""

    step: Step
    why: str


def pending(plan: Sequence[Step], store: Store, memory: Path) -> tuple[Pending, ...]:
    """Steps of ``plan`` without a result, each with the reason, in plan order.

    Parameters
    ----------
    plan
        Every step after the steps it needs.
    store
        Where results are looked for.
    memory
        File that :func:`remember` wrote after an earlier run.
    """
    before = _recalled(memory)
    missing = {s.key for s in plan if not store.has(s.key)}
    return tuple(
        Pending(step=s, why=_why(s, before.get(s.name), missing)) for s in plan if s.key in missing
    )


def remember(plan: Sequence[Step], memory: Path) -> None:
    """Note what every step was made from, for the next run's explanations."""
    record = _recalled(memory)
    record |= {
        s.name: {
            "key": s.key,
            "ingredients": dict(s.ingredients),
            "needs": {n.name: n.key for n in s.needs},
        }
        for s in plan
    }
    memory.parent.mkdir(parents=True, exist_ok=True)
    scratch = memory.with_suffix(".tmp")
    scratch.write_text(json.dumps(record, sort_keys=True), "utf-8")
    os.replace(scratch, memory)


def _recalled(memory: Path) -> dict[str, Any]:
    """What the last run noted; nothing if it cannot be read, for it only serves explanations."""
    try:
        record = json.loads(memory.read_text("utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def _why(step: Step, before: Mapping[str, Any] | None, missing: set[str]) -> str:
    if before is None:
        return "never finished before"
    old = before["ingredients"]
    # As remembered: tuples became lists.
    new = json.loads(json.dumps(dict(step.ingredients)))
    changed = [_change(n, old.get(n), value) for n, value in new.items() if old.get(n) != value]
    changed += [f"{n} is gone" for n in old if n not in new]
    if changed:
        return "; ".join(changed)
    upstream = [
        n.name for n in step.needs if n.key in missing or before["needs"].get(n.name) != n.key
    ]
    if upstream:
        more = f" and {len(upstream) - 1} more" if len(upstream) > 1 else ""
        return f"{upstream[0]!r}{more} changed"
    return "its result is not in the store"


def _change(name: str, old: object, new: object) -> str:
    texts = json.dumps(old, sort_keys=True), json.dumps(new, sort_keys=True)
    if isinstance(old, dict) and isinstance(new, dict):
        keys = [k for k in sorted({*old, *new}) if old.get(k) != new.get(k)]
        return f"{name} changed ({', '.join(map(str, keys))})"
    if max(map(len, texts)) > 24:
        return f"{name} changed"
    return f"{name} changed from {texts[0]} to {texts[1]}"


def execute(steps: Sequence[Step], store: Store, *, scheduler: str, progress: Progress) -> None:
    """Make the results of ``steps`` (each after those it needs).

    Parameters
    ----------
    steps
        Missing steps only, in plan order.
    scheduler
        ``inline`` (this process), ``local`` (one process a core), or the address of a Dask
        scheduler whose workers see the same file system.

    Raises
    ------
    MetasightError
        What a step raised; steps already finished stay finished.
    StudyError
        No scheduler answers at the address.
    """
    progress.start(steps)
    if scheduler == INLINE:
        for step in steps:
            store.make(step)
            progress.finished(step)
        return
    from distributed import as_completed

    by_key = {s.key: s for s in steps}
    with _client(scheduler) as client:
        futures: dict[str, Any] = {}
        for step in steps:
            after = [futures[n.key] for n in step.needs if n.key in futures]
            futures[step.key] = client.submit(
                _make, str(store.root.resolve()), step, after, key=step.key, pure=True, retries=0
            )
        for future in as_completed(list(futures.values())):
            future.result()
            progress.finished(by_key[future.key])


def _make(root: str, step: Step, after: list[str]) -> str:
    """Run one step on a worker; ``after`` only makes it wait for the steps it needs."""
    del after
    Store(Path(root)).make(step)
    return step.key


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


@contextmanager
def _client(scheduler: str) -> Iterator[Any]:
    import logging

    import dask
    from distributed import Client, LocalCluster

    # All traffic stays on loopback; the status pages that Dask serves are left empty.
    quiet = {
        "distributed.worker.daemon": True,
        "distributed.scheduler.http.routes": [],
        "distributed.worker.http.routes": [],
    }
    with dask.config.set(quiet):
        if scheduler == LOCAL:
            with _deaf_to_ctrl_c():
                cluster = LocalCluster(
                    n_workers=os.cpu_count() or 1,
                    threads_per_worker=1,
                    processes=True,
                    host="127.0.0.1",
                    dashboard_address="127.0.0.1:0",
                    silence_logs=logging.CRITICAL,
                )
            with cluster, Client(cluster) as client:
                yield client
            return
        try:
            client = Client(scheduler, timeout="10s")
        except (OSError, ValueError, TypeError, TimeoutError) as error:
            raise StudyError(
                "no Dask scheduler answers",
                value=scheduler,
                remedy="Start one (`dask scheduler`), or leave --scheduler out to use this machine",
            ) from error
        with client:
            yield client
