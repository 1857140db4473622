"""Results appear whole or not at all, under a key of everything they were made from."""

from __future__ import annotations

import pytest

from metasight.engine.progress import Silent
from metasight.engine.run import execute, pending, remember
from metasight.engine.store import Step, Store
from metasight.errors import StoreError

CALLS: list[str] = []


def write(inputs, out, argument):
    CALLS.append(str(argument))
    text = "".join((folder / "x").read_text() for folder in inputs.values())
    (out / "x").write_text(text + str(argument))


def fail(inputs, out, argument):
    (out / "half").write_text("half a result")
    raise RuntimeError("killed")


def steps(a: int = 1, function=write):
    first = Step(name="first", stage="s", function=write, argument=a, ingredients={"a": a})
    second = Step(
        name="second",
        stage="s",
        function=function,
        argument="b",
        ingredients={"b": 2},
        needs=(first,),
    )
    return [first, second]


@pytest.fixture
def store(tmp_path):
    CALLS.clear()
    return Store(tmp_path / "store")


def test_a_result_is_made_once(store):
    plan = steps()
    for step in plan + plan:
        store.make(step)
    assert CALLS == ["1", "b"]
    assert (store.path(plan[1].key) / "x").read_text() == "1b"


def test_a_step_that_dies_leaves_nothing_that_looks_finished(store):
    plan = steps(function=fail)
    store.make(plan[0])
    with pytest.raises(RuntimeError):
        store.make(plan[1])
    assert not store.has(plan[1].key)
    assert not list(store.root.rglob("half"))


def test_a_step_whose_input_is_gone_says_so(store):
    with pytest.raises(StoreError, match="needs 'first', which is not in the store"):
        store.make(steps()[1])


def test_keys_change_with_every_ingredient_and_every_input():
    one, two = steps(1), steps(2)
    assert one[0].key == steps(1)[0].key
    assert one[0].key != two[0].key
    assert one[1].key != two[1].key, "a step's key holds the keys of the steps it reads"


def test_why_a_step_runs_again(store, tmp_path):
    memory = tmp_path / "memory.json"
    plan = steps(1)
    assert [p.why for p in pending(plan, store, memory)] == ["never finished before"] * 2
    execute(plan, store, scheduler="inline", progress=Silent())
    remember(plan, memory)
    assert pending(plan, store, memory) == ()
    again = pending(steps(2), store, memory)
    assert [p.why for p in again] == ["a changed from 1 to 2", "'first' changed"]


def test_a_shortened_result_is_made_again(store):
    plan = steps()
    for step in plan:
        store.make(step)
    (store.path(plan[0].key) / "x").write_text("")
    assert not store.has(plan[0].key)
    store.make(plan[0])
    assert (store.path(plan[0].key) / "x").read_text() == "1"


def test_what_dead_processes_left_is_swept(store, tmp_path):
    import socket
    import subprocess
    import sys

    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    host = socket.gethostname()
    left = store.root / "unfinished" / f"{host}-{dead.pid}" / "x"
    mine = store._scratch()
    elsewhere = store.root / "unfinished" / f"another-host-{dead.pid}" / "x"
    left.mkdir(parents=True)
    elsewhere.mkdir(parents=True)
    store.sweep()
    assert not left.exists()
    assert mine.is_dir()
    assert elsewhere.is_dir()


def go_on(inputs, out, argument):
    """Leaves half and dies; the next call finds it."""
    CALLS.append(str(argument))
    half = out / "half"
    if not half.is_file():
        half.write_text("half")
        raise RuntimeError("killed")
    (out / "x").write_text(half.read_text() + " and whole")
    half.unlink()


def test_a_step_that_resumes_finds_what_it_left(store):
    step = Step(name="long", stage="s", function=go_on, argument=1, ingredients={}, resumes=True)
    with pytest.raises(RuntimeError):
        store.make(step)
    assert not store.has(step.key)
    folder = store.make(step)
    assert (folder / "x").read_text() == "half and whole"
    assert sorted(p.name for p in folder.iterdir()) == ["files.json", "x"]
    assert store.has(step.key)


def test_a_step_that_resumes_is_not_shared_with_a_living_process(store):
    import os
    import socket

    step = Step(name="long", stage="s", function=write, argument=1, ingredients={}, resumes=True)
    going = store.root / "going" / step.key
    going.mkdir(parents=True)
    (going / "owner").write_text(f"{socket.gethostname()}-{os.getppid()}")
    (going / "half").write_text("another's")
    assert (store.make(step) / "x").read_text() == "1"
    assert (going / "half").is_file()
