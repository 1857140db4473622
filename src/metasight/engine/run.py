"""Carry a plan out, part by part: find what is missing, say why, and make it on a Dask cluster."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeVar

from metasight.engine.cache import write_whole
from metasight.engine.cluster import Cluster, connected
from metasight.engine.contents import Contents
from metasight.engine.placement import Where, placement_of
from metasight.engine.private import closed_to_others
from metasight.engine.progress import Progress
from metasight.engine.run_log import FILE, RunLog, Spent, measured
from metasight.engine.scheduling import AUTO, INLINE, hand_over, worth_processes
from metasight.engine.step import Reference, Step
from metasight.engine.store import DamagedResultError, Store
from metasight.errors import StoreError

_TRIES = 20
"""Times that damaged results are set aside and made again before the disk is to blame."""

Read = TypeVar("Read")


@dataclass(frozen=True, kw_only=True)
class Pending:
    """A step that has to run, and why."""

    step: Step
    why: str


class NotMadeError(StoreError):
    """A plan that may only be looked at has come to steps without results."""


class Work:
    """One run: the store it fills, how, and what it has come to so far.

    A run asks for the results of each part of its plan and plans the next part from them.

    Parameters
    ----------
    store
        Of the study.
    contents
        Hashes of input files.
    memory
        File in which what every step was made from is noted, for the next run's explanations; the
        log of runs lies beside it.
    scheduler
        Where steps run: ``auto``, ``inline``, ``local``, an address, or a placement with more than
        that (:mod:`metasight.engine.placement`).
    progress
        Told of every step.
    only_look
        Whether nothing may be made: :meth:`make` raises where something is missing.
    """

    def __init__(
        self,
        store: Store,
        contents: Contents,
        memory: Path,
        *,
        scheduler: Where,
        progress: Progress,
        only_look: bool = False,
    ) -> None:
        self.store = store
        self.contents = contents
        self.steps: dict[str, Step] = {}
        self.pending: list[Pending] = []
        self._why: dict[str, str] = {}
        self._memory = memory
        self._before = _recalled(memory)
        self._placement = placement_of(scheduler)
        self._progress = progress
        self.only_look = only_look
        self._there: set[str] = set()
        self._open = ExitStack()
        self._cluster: Cluster | None = None
        self._log = RunLog(None if only_look else memory.with_name(FILE))

    def __enter__(self) -> Self:
        if not self.only_look:
            self._open.enter_context(closed_to_others())
            self.store.sweep()
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        with self._open:
            if not self.only_look:
                self.contents.save()
                self._log.ended(error)

    def make(self, steps: Sequence[Step]) -> None:
        """See that every step has its result, those that it needs first.

        A result that was altered since it was made is made again, and that is said.

        Raises
        ------
        MetasightError
            What a step raised; steps already finished stay finished.
        NotMadeError
            Something is missing and nothing may be made.
        StudyError
            No scheduler answers at the address.
        """
        for step in steps:
            self.steps.setdefault(step.key, step)
        for _ in range(_TRIES):
            missing = self._missing(steps)
            self._explain(missing)
            if not missing:
                return
            if self.only_look:
                raise NotMadeError(f"{len(missing)} steps have no result yet")
            try:
                self._execute(missing)
            except DamagedResultError as damaged:
                self._set_aside(damaged)
            else:
                return
        raise StoreError(
            "results are damaged as soon as they are written",
            remedy="Check the disk that holds the study's .metasight folder",
        )

    def folder(self, step: Step) -> Path:
        """Folder of a step's result, checked and made again if it was altered."""
        return self._intact(step, self.store.verify)

    def copy(self, step: Step, target: Path) -> dict[str, str]:
        """Copy a result's files, checked, into a folder; name → sha256."""
        return self._intact(step, lambda made: self.store.copy(made, target))

    def watched(self, label: str, items: Sequence[Read]) -> Iterator[Read]:
        """Each of some items in turn, with a progress bar: work that is no step's."""
        if items:
            self._progress.start([label] * len(items))
        for item in items:
            yield item
            self._progress.finished(label)

    def _intact(self, step: Step, read: Callable[[Step], Read]) -> Read:
        """What is read of a result by a reader that checks it; of one altered, made again."""
        self.make([step])
        try:
            return read(step)
        except DamagedResultError as damaged:
            self._set_aside(damaged)
            self.make([step])
            return read(step)

    def _set_aside(self, damaged: DamagedResultError) -> None:
        text = f"{damaged.problem}; it is recomputed."
        self._progress.say(text)
        self._log.note(text)
        self.store.discard(damaged.key)
        self._there.discard(damaged.key)

    def _missing(self, steps: Sequence[Step]) -> list[Step]:
        """Steps without a result, those that they need first."""
        found: dict[str, Step] = {}

        def look(step: Step | Reference) -> None:
            if step.key in self._there or step.key in found:
                return
            if self.store.has(step.key):
                self._there.add(step.key)
                return
            known = self.steps.get(step.key, step)
            if isinstance(known, Reference):
                raise StoreError(f"step {step.name!r} is not in the plan")
            for needed in known.needs:
                look(needed)
            found[step.key] = known

        for step in steps:
            look(step)
        return list(found.values())

    def _explain(self, missing: Sequence[Step]) -> None:
        keys = {s.key for s in missing}
        new = [s for s in missing if s.key not in self._why]
        self._why |= {s.key: why(s, self._before, keys) for s in new}
        self.pending += [Pending(step=s, why=self._why[s.key]) for s in new]

    def _execute(self, missing: Sequence[Step]) -> None:
        self._progress.start([s.label for s in missing])
        self._log.plan(len(missing))
        left = self._here(missing) if self._starts_here(missing) else missing
        if left:
            self._in_processes(left)

    def _starts_here(self, missing: Sequence[Step]) -> bool:
        if self._placement.scheduler == AUTO:
            # processes that an earlier part has started cost nothing more
            kinds = [s.kind for s in missing]
            return self._cluster is None and not worth_processes(
                kinds, cores=self._placement.n_workers
            )
        return self._placement.scheduler == INLINE

    def _here(self, missing: Sequence[Step]) -> Sequence[Step]:
        """Carry steps out in this process; those that are left for other processes."""
        begun = time.monotonic()
        for done, step in enumerate(missing):
            seconds, left = time.monotonic() - begun, len(missing) - done
            if self._placement.scheduler == AUTO and hand_over(
                seconds=seconds, left=left, cores=self._placement.n_workers
            ):
                return missing[done:]
            self._finished(step, measured(partial(self.store.make, step.task)))
        return ()

    def _in_processes(self, missing: Sequence[Step]) -> None:
        if self._cluster is None:
            self._cluster = self._open.enter_context(connected(self.store, self._placement))
        with closing(self._cluster.make(missing)) as made:
            for step, spent in made:
                self._finished(step, spent)

    def _finished(self, step: Step, spent: Spent) -> None:
        self._there.add(step.key)
        why = self._why.get(step.key, "")
        self._log.made(step, why, spent)
        self._progress.detail(
            f"{step.name}: {spent.seconds:.1f} s on {spent.host}, process at most "
            f"{spent.process_peak_bytes / 2**20:.0f} MiB; {why}"
        )
        self._progress.finished(step.label)

    def remember(self) -> None:
        """Note what every step was made from, for the next run's explanations."""
        if not self.pending and self._memory.is_file():
            return
        record = {
            **self._before,
            **{s.name: _record(s) for s in self.steps.values()},
        }
        code = {f"{s.function.__module__}:{s.function.__name__}": s for s in self.steps.values()}
        symbols = {name: dict(s.code.symbols) for name, s in code.items()}
        text = json.dumps({"steps": record, "code": symbols}, sort_keys=True)
        write_whole(self._memory, text)


# --------------------------------------------------------------------------------- why it runs


def _record(step: Step) -> dict[str, Any]:
    return {
        "key": step.key,
        "argument": _digested(step.told),
        "code": step.code.digest,
        "function": f"{step.function.__module__}:{step.function.__name__}",
        "needs": {n.name: n.key for n in step.needs},
    }


def _digested(told: Any) -> Any:
    """An argument by field, long texts as hashes: enough to say what changed."""
    if isinstance(told, dict) and set(told) == {"type", "fields"}:
        return {name: _short(value) for name, value in told["fields"].items()}
    return {"argument": _short(told)}


def _short(value: Any) -> str:
    text = json.dumps(value, sort_keys=True)
    return text if len(text) <= 24 else hashlib.sha256(text.encode()).hexdigest()[:16]


def _recalled(memory: Path) -> dict[str, Any]:
    """What the last run noted; nothing if it cannot be read, for it only serves explanations."""
    try:
        record = json.loads(memory.read_text("utf-8"))["steps"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return record if isinstance(record, dict) else {}


def why(step: Step, before: Mapping[str, Any], missing: Iterable[str]) -> str:
    """Why a step has no result, in words.

    Parameters
    ----------
    step
        Without a result.
    before
        What the last run's steps were made from, by name.
    missing
        Keys of all steps without a result.
    """
    old = before.get(step.name)
    if not isinstance(old, dict):
        return "not finished before"
    now = _record(step)
    said = []
    for name, value in now["argument"].items():
        if name not in old["argument"]:
            said.append(f"{name} is new")
        elif old["argument"][name] != value:
            texts = old["argument"][name], value
            hashed = any(not t.startswith(('"', "{", "[")) and len(t) == 16 for t in texts)
            said.append(
                f"{name} changed"
                if hashed or any("{" in t for t in texts)
                else f"{name} changed from {texts[0]} to {texts[1]}"
            )
    said += [f"{n} is gone" for n in old["argument"] if n not in now["argument"]]
    if old["code"] != now["code"]:
        said.append("its code changed")
    if said:
        return "; ".join(said)
    gone = set(missing)
    upstream = [n.name for n in step.needs if n.key in gone or old["needs"].get(n.name) != n.key]
    if upstream:
        more = f" and {len(upstream) - 1} more" if len(upstream) > 1 else ""
        return f"{upstream[0]!r}{more} changed"
    return "its result is not in the store"
