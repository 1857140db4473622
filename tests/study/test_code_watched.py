"""Real steps are watched: every function of the package that they call is among those computed.

What :mod:`metasight.engine.code` finds by reading is checked against what runs, so that a way of
reaching code that reading cannot see (a registry, an attribute by name) does not go unnoticed.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from metasight import pipeline
from metasight.engine.code import own_code
from metasight.engine.progress import Silent
from metasight.engine.store import Store
from metasight.study.file import read_study

ROOT = str(own_code().root)
ENGINE = str(Path(ROOT) / "engine")


def called(code) -> tuple[str, str] | None:
    """Module and outermost name of a code object of the package, compiled wrappers left out."""
    if not code.co_filename.startswith(ROOT):
        return None
    path = Path(code.co_filename).relative_to(ROOT).with_suffix("")
    parts = ["metasight", *path.parts]
    if parts[-1] == "__init__":
        parts.pop()
    name = code.co_qualname.split(".")[0]
    return None if name.startswith("<") else (".".join(parts), name)


@pytest.fixture
def watched(monkeypatch):
    """Step name → functions called while its result was made, and those computed for it."""
    told: dict[str, tuple[set[str], set[str]]] = {}
    make = Store.make

    def watching(self, task):
        seen: set[str] = set()

        def look(frame, event, _):
            if event == "call":
                found = called(frame.f_code)
                if found is not None:
                    seen.add(":".join(found))

        def function(inputs, out, argument):
            sys.setprofile(look)
            try:
                task.function(inputs, out, argument)
            finally:
                sys.setprofile(None)

        import dataclasses

        result = make(self, dataclasses.replace(task, function=function))
        told.setdefault(task.name, (seen, set()))
        return result

    monkeypatch.setattr(Store, "make", watching)
    computed: dict[str, set[str]] = {}
    before = pipeline.Work._execute

    def execute(self, missing):
        for step in missing:
            computed[step.name] = set(step.code.symbols)
        return before(self, missing)

    monkeypatch.setattr(pipeline.Work, "_execute", execute)
    yield told, computed


def beyond(told, computed) -> dict[str, set[str]]:
    """Functions that ran and were not computed, by step; the engine's own callers apart."""
    found = {}
    for name, (seen, _) in told.items():
        own = {s for s in seen if not s.startswith("metasight.engine.") and s not in computed[name]}
        if own:
            found[name] = own
    return found


def test_a_study_of_tables(watched, breast_study):
    told, computed = watched
    pipeline.run(read_study(breast_study()), scheduler="inline", progress=Silent())
    assert len(told) > 20
    assert sum(len(seen) for seen, _ in told.values()) > 500
    assert beyond(told, computed) == {}
