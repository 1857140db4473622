"""The log of a study's runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import worker_steps
from metasight.engine import run_log
from metasight.engine.contents import Contents
from metasight.engine.progress import Silent
from metasight.engine.run import NotMadeError, Work
from metasight.engine.step import Step
from metasight.engine.store import Store


def fails(inputs, out, argument):
    raise ValueError("patient 4711 is wrong")


def step(name, function=worker_steps.sleep, argument=0.02):
    return Step(name=name, label="fits", function=function, argument=argument)


def work(folder: Path, *, scheduler="inline", only_look=False) -> Work:
    contents = Contents(folder / "contents.json")
    store = Store(folder / "store", contents)
    return Work(
        store,
        contents,
        folder / "last_run.json",
        scheduler=scheduler,
        progress=Silent(),
        only_look=only_look,
    )


def lines(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / run_log.FILE).read_text("utf-8").splitlines()]


@pytest.mark.parametrize("scheduler", ["inline", "local"])
def test_each_step_is_logged_with_reason_machine_time_and_memory(tmp_path, scheduler):
    with work(tmp_path, scheduler=scheduler) as own:
        own.make([step("fit one"), step("fit two")])
        own.remember()
    events = [line["event"] for line in lines(tmp_path)]
    assert events == ["begin", "part", "step", "step", "end"]
    one = next(line for line in lines(tmp_path) if line.get("step") == "fit one")
    assert one["why"] == "not finished before"
    assert one["host"]
    assert 0.02 <= one["seconds"] < 60
    assert 20 < one["process_peak_mib"] < 20_000
    with work(tmp_path) as own:
        own.make([step("fit one", argument=0.03)])
    assert lines(tmp_path)[-2]["why"] == "argument changed"


def test_a_run_with_nothing_to_do_leaves_no_line(tmp_path):
    for _ in range(2):
        with work(tmp_path) as own:
            own.make([step("x")])
    assert len(lines(tmp_path)) == 4


def test_looking_writes_nothing(tmp_path):
    with pytest.raises(NotMadeError), work(tmp_path, only_look=True) as own:
        own.make([step("x")])
    assert not (tmp_path / run_log.FILE).exists()


def test_an_error_is_logged_by_class_and_place_without_its_message(tmp_path):
    with pytest.raises(ValueError, match="4711"), work(tmp_path) as own:
        own.make([step("x", fails)])
    last = lines(tmp_path)[-1]
    assert last["error"] == "ValueError"
    assert str(last["place"]).startswith("test_run_log.py, line ")
    assert "4711" not in (tmp_path / run_log.FILE).read_text("utf-8")


def test_a_long_log_is_put_aside(tmp_path, monkeypatch):
    monkeypatch.setattr(run_log, "LARGEST_BYTES", 10)
    for k in range(3):
        with work(tmp_path) as own:
            own.make([step("x", argument=k / 100)])
    assert len(lines(tmp_path)) == 4
    assert (tmp_path / "run.log.1").is_file()
