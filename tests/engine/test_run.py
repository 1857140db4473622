"""Plans on a real Dask cluster: local by default, or a scheduler somewhere else."""

from __future__ import annotations

import io

import pytest
from distributed import LocalCluster
from rich.console import Console

from metasight.engine.progress import Bars, Silent
from metasight.engine.run import execute
from metasight.engine.store import Step, Store
from metasight.errors import EvaluationError, MetasightError, StudyError
from metasight.steps.files import write_json


def refuse(inputs, out, argument):
    write_json(out / "half.json", 1)
    raise EvaluationError("no event", where="step", value="0", remedy="Wait")


def step(name: str, function=write_json, needs=()) -> Step:
    return Step(name=name, stage="s", function=function, ingredients={}, needs=needs)


def copy_json(inputs, out, argument):
    (out / "x").write_text("".join(sorted(inputs)) + str(argument))


@pytest.fixture(scope="module")
def address():
    with LocalCluster(
        n_workers=1,
        threads_per_worker=1,
        processes=False,
        protocol="tcp",
        host="127.0.0.1",
        dashboard_address=None,
    ) as cluster:
        yield cluster.scheduler_address


def test_a_scheduler_by_its_address(tmp_path, address):
    store = Store(tmp_path)
    first = step("first", copy_json)
    second = step("second", copy_json, (first,))
    execute([first, second], store, scheduler=address, progress=Silent())
    assert (store.path(second.key) / "x").read_text() == "firstNone"


def test_an_error_on_a_worker_arrives_as_itself(tmp_path, address):
    store = Store(tmp_path)
    bad = step("bad", refuse)
    with pytest.raises(EvaluationError, match=r"step: no event \(value: 0\). Wait."):
        execute([bad], store, scheduler=address, progress=Silent())
    assert not store.has(bad.key)


def test_no_scheduler_there(tmp_path):
    with pytest.raises(StudyError, match="no Dask scheduler answers"):
        execute(
            [step("x", copy_json)],
            Store(tmp_path),
            scheduler="tcp://127.0.0.1:9",
            progress=Silent(),
        )


def test_an_address_that_is_none(tmp_path):
    with pytest.raises(MetasightError, match="no Dask scheduler answers"):
        execute([step("x", copy_json)], Store(tmp_path), scheduler="nowhere", progress=Silent())


def test_progress_without_a_terminal_is_a_line_a_stage(tmp_path):
    said = io.StringIO()
    with Bars(Console(file=said)) as bars:
        execute([step("x", copy_json)], Store(tmp_path), scheduler="inline", progress=bars)
    assert "s: 1 of 1 done" in said.getvalue()


def test_progress_on_a_terminal_shows_time_left(tmp_path):
    said = io.StringIO()
    with Bars(Console(file=said, force_terminal=True, width=120)) as bars:
        execute([step("x", copy_json)], Store(tmp_path), scheduler="inline", progress=bars)
    assert "left" in said.getvalue()
    assert "1/1" in said.getvalue()
