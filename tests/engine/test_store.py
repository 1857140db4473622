"""Results appear whole or not at all, and are what was made."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

from metasight.engine.contents import Contents
from metasight.engine.step import Step, StepKind
from metasight.engine.store import LISTING, DamagedResultError, Listing, Store
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
    first = Step(name="first", label="s", function=write, argument=a)
    second = Step(name="second", label="s", function=function, argument="b", needs=(first,))
    return [first, second]


@pytest.fixture
def store(tmp_path):
    CALLS.clear()
    return Store(tmp_path / "store")


def test_a_result_is_made_once(store):
    plan = steps()
    for step in plan + plan:
        store.make(step.task)
    assert CALLS == ["1", "b"]
    assert (store.path(plan[1].key) / "x").read_text() == "1b"


def test_a_step_that_dies_leaves_nothing_that_looks_finished(store):
    plan = steps(function=fail)
    store.make(plan[0].task)
    with pytest.raises(RuntimeError):
        store.make(plan[1].task)
    assert not store.has(plan[1].key)
    assert not list(store.root.rglob("half"))


def test_a_step_whose_input_is_gone_says_so(store):
    with pytest.raises(StoreError, match="the result of 'first' is not in the store"):
        store.make(steps()[1].task)


def test_keys_change_with_the_argument_and_every_input():
    one, two = steps(1), steps(2)
    assert one[0].key == steps(1)[0].key
    assert one[0].key != two[0].key
    assert one[1].key != two[1].key, "a step's key holds the keys of the steps it reads"


def made(store):
    plan = steps()
    for step in plan:
        store.make(step.task)
    return plan


def test_a_shortened_result_is_made_again(store):
    plan = made(store)
    (store.path(plan[0].key) / "x").write_text("")
    assert not store.has(plan[0].key)
    store.make(plan[0].task)
    assert (store.path(plan[0].key) / "x").read_text() == "1"


def test_changed_digits_of_the_same_length_are_noticed(store):
    plan = made(store)
    (store.path(plan[0].key) / "x").write_text("9")
    assert not store.has(plan[0].key)


def test_a_byte_that_flips_without_a_trace_is_noticed_when_it_is_read(store, tmp_path):
    """Size, time and inode are as they were: only reading can tell."""
    contents = Contents(tmp_path / "memory.json")
    first = Store(store.root, contents)
    plan = steps()
    first.make(plan[0].task)
    path = first.path(plan[0].key) / "x"
    long_ago = path.stat().st_mtime_ns - 10_000_000_000
    os.utime(path, ns=(long_ago, long_ago))
    assert first.has(plan[0].key)
    path.write_text("9")
    os.utime(path, ns=(long_ago, long_ago))
    assert first.has(plan[0].key), "remembered by size, time and inode"
    with pytest.raises(DamagedResultError, match="'first' was changed after it was made"):
        first.make(plan[1].task)
    first.discard(plan[0].key)
    first.make(plan[0].task)
    first.make(plan[1].task)
    assert (first.path(plan[1].key) / "x").read_text() == "1b"


def test_a_copied_result_is_checked_as_it_is_copied(store, tmp_path):
    plan = made(store)
    hashes = store.copy(plan[0], tmp_path / "there")
    assert set(hashes) == {"x"}
    (store.path(plan[0].key) / "x").write_text("9")
    with pytest.raises(DamagedResultError):
        store.copy(plan[0], tmp_path / "elsewhere")


def test_versions_are_those_of_the_results(store):
    plan = made(store)
    folder = store.path(plan[0].key)
    listing = store.listing(plan[0].key)
    older = Listing(files=listing.files, versions={"numpy": "1.0"}, code=listing.code)
    older.write(folder)
    newer = store.listing(plan[1].key)
    Listing(files=newer.files, versions={"numpy": "2.0"}, code=newer.code).write(
        store.path(plan[1].key)
    )
    assert store.versions(plan) == {"numpy": ("1.0", "2.0")}


def test_a_listing_of_another_format_is_no_result(store):
    plan = made(store)
    (store.path(plan[0].key) / LISTING).write_text('{"x": 1}')
    assert not store.has(plan[0].key)


def test_what_dead_processes_left_is_swept(store):
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
    step = Step(name="long", label="s", function=go_on, argument=1, resumes=True)
    with pytest.raises(RuntimeError):
        store.make(step.task)
    assert not store.has(step.key)
    folder = store.make(step.task)
    assert (folder / "x").read_text() == "half and whole"
    assert sorted(p.name for p in folder.iterdir()) == ["files.json", "x"]
    assert store.has(step.key)


def test_a_step_that_resumes_is_not_shared_with_a_living_process(store):
    step = Step(name="long", label="s", function=write, argument=1, resumes=True)
    going = store.root / "going" / step.key
    going.mkdir(parents=True)
    (going / "owner").write_text(f"{socket.gethostname()}-{os.getppid()}")
    (going / "half").write_text("another's")
    assert (store.make(step.task) / "x").read_text() == "1"
    assert (going / "half").is_file()


def by_kind(inputs, out, argument):
    found = [(i.subject, i.folder.name) for i in inputs.of(StepKind.FIT)]
    (out / "x").write_text(str([s for s, _ in found]) + str(inputs.one(StepKind.SCREEN) is None))


def test_inputs_are_found_by_kind_and_not_by_name(store):
    fits = [
        Step(name=f"anything {k}", kind=StepKind.FIT, subject=f"m{k}", label="s", function=write)
        for k in range(2)
    ]
    other = Step(name="fit in name only", label="s", function=write)
    last = Step(name="last", label="s", function=by_kind, needs=(*fits, other))
    for step in (*fits, other, last):
        store.make(step.task)
    assert (store.path(last.key) / "x").read_text() == "['m0', 'm1']True"
