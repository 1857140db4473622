"""Progress as people see it: bars on a terminal, a line a stage elsewhere."""

from __future__ import annotations

import io
import time

import pytest
from rich.console import Console

from metasight.engine import progress
from metasight.engine.progress import Bars, Talk


def lines(*, terminal: bool) -> str:
    said = io.StringIO()
    console = Console(file=said, force_terminal=terminal, width=100)
    with Bars(console) as bars:
        bars.start(["fits", "fits", "report"])
        bars.finished("fits")
        bars.say("A stored result [of step x] was changed; it is recomputed.")
        bars.finished("fits")
        bars.finished("report")
    return said.getvalue()


def test_elsewhere_a_stage_is_told_once_when_it_is_done():
    told = lines(terminal=False)
    assert told.count("fits: 2 of 2 done") == 1
    assert told.count("report: 1 of 1 done") == 1


def test_what_is_said_is_printed_as_it_stands():
    for terminal in (False, True):
        assert "[of step x] was changed" in lines(terminal=terminal)


def test_a_second_part_of_a_run_opens_its_own_bars():
    said = io.StringIO()
    with Bars(Console(file=said)) as bars:
        for _ in range(2):
            bars.start(["fits"])
            bars.finished("fits")
    assert said.getvalue().count("fits: 1 of 1 done") == 2


def test_elsewhere_a_line_tells_that_the_run_is_alive(monkeypatch):
    monkeypatch.setattr(progress, "HEARTBEAT_S", 0.02)
    said = io.StringIO()
    with Bars(Console(file=said)) as bars:
        time.sleep(0.1)  # nothing is going on
        assert said.getvalue() == ""
        bars.start(["slides"] * 500)
        bars.finished("slides")
        for _ in range(200):
            time.sleep(0.02)
            if said.getvalue():
                break
    assert said.getvalue().startswith("slides: 1 of 500, 0 s since the start\n")
    length = len(said.getvalue())
    time.sleep(0.1)
    assert len(said.getvalue()) == length


def test_on_a_terminal_the_bars_tell_it(monkeypatch):
    monkeypatch.setattr(progress, "HEARTBEAT_S", 0.02)
    said = io.StringIO()
    with Bars(Console(file=said, force_terminal=True)) as bars:
        bars.start(["slides"] * 500)
        time.sleep(0.1)
    assert "since the start" not in said.getvalue()


@pytest.mark.parametrize("terminal", [False, True])
def test_quiet_tells_what_matters_and_verbose_each_step(terminal):
    told = {}
    for talk in Talk:
        said = io.StringIO()
        with Bars(Console(file=said, force_terminal=terminal, width=100), talk) as bars:
            bars.start(["fits"])
            bars.detail("fit of all: 1.2 s")
            bars.say("a result was changed")
            bars.finished("fits")
        told[talk] = said.getvalue()
    assert all("a result was changed" in t for t in told.values())
    assert told[Talk.QUIET].strip() == "a result was changed"
    assert "fits" in told[Talk.USUAL]
    assert "1.2 s" not in told[Talk.USUAL]
    assert "fit of all: 1.2 s" in told[Talk.EVERY_STEP]
