"""Plans carried out part by part, in this process."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from metasight.engine.contents import Contents
from metasight.engine.progress import Bars, Silent
from metasight.engine.run import NotMadeError, Work
from metasight.engine.step import Step
from metasight.engine.store import Store

CALLS: list[str] = []


def copy_json(inputs, out, argument):
    CALLS.append(str(argument))
    (out / "x").write_text("".join(sorted(inputs)) + str(argument))


def step(name: str, function=copy_json, needs=(), argument=None) -> Step:
    return Step(name=name, label="s", function=function, needs=needs, argument=argument)


class Told(Silent):
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


def work(folder, scheduler="inline", progress=None, *, only_look=False) -> Work:
    contents = Contents(folder / "contents.json")
    return Work(
        Store(folder / "store", contents),
        contents,
        folder / "last_run.json",
        scheduler=scheduler,
        progress=progress or Silent(),
        only_look=only_look,
    )


def test_progress_without_a_terminal_is_a_line_a_stage(tmp_path):
    said = io.StringIO()
    with Bars(Console(file=said)) as bars, work(tmp_path, progress=bars) as own:
        own.make([step("x")])
    assert "s: 1 of 1 done" in said.getvalue()


def test_progress_on_a_terminal_shows_time_left(tmp_path):
    said = io.StringIO()
    console = Console(file=said, force_terminal=True, width=120)
    with Bars(console) as bars, work(tmp_path, progress=bars) as own:
        own.make([step("x")])
    assert "left" in said.getvalue()
    assert "1/1" in said.getvalue()


def plan(argument=1):
    first = step("first", argument=argument)
    return [first, step("second", needs=(first,))]


def test_what_is_needed_is_made_first_and_nothing_twice(tmp_path):
    CALLS.clear()
    with work(tmp_path) as own:
        own.make([plan()[1]])
        own.make(plan())
    with work(tmp_path) as own:
        own.make(plan())
        assert own.pending == []
    assert CALLS == ["1", "None"]


def test_why_a_step_runs_again(tmp_path):
    with work(tmp_path) as own:
        own.make(plan())
        assert [p.why for p in own.pending] == ["not finished before"] * 2
        own.remember()
    with work(tmp_path) as own:
        own.make(plan(2))
        why = [p.why for p in own.pending]
    assert why == ["argument changed from 1 to 2", "'first' changed"]


def test_looking_makes_nothing_and_says_what_is_missing(tmp_path):
    with work(tmp_path, only_look=True) as own:
        with pytest.raises(NotMadeError):
            own.make(plan())
        assert [p.step.name for p in own.pending] == ["first", "second"]
    assert not (tmp_path / "store").exists()
    assert not (tmp_path / "contents.json").exists()


def test_a_damaged_result_is_made_again_and_that_is_said(tmp_path):
    first, second = plan()
    told = Told()
    with work(tmp_path) as own:
        own.make([first, second])
    path = Store(tmp_path / "store").path(first.key) / "x"
    before = path.read_text()
    path.write_text(before.replace("1", "7"))
    other = step("third", needs=(first,))
    with work(tmp_path, progress=told) as own:
        own.make([other])
        assert own.folder(first).joinpath("x").read_text() == before
    assert path.read_text() == before


def test_damage_found_while_reading_is_mended_in_the_same_run(tmp_path, monkeypatch):
    """The quick look sees nothing; the worker that reads every byte does."""
    first, second = plan()
    told = Told()
    with work(tmp_path) as own:
        own.make([first])
    path = Store(tmp_path / "store").path(first.key) / "x"
    path.write_text(path.read_text().replace("1", "7"))
    blind = Store._differs
    monkeypatch.setattr(Store, "_differs", lambda self, folder, listing: None)
    with work(tmp_path, progress=told) as own:
        own.make([second])
        assert any(
            "'first' was changed after it was made; it is recomputed" in t for t in told.said
        )
    monkeypatch.setattr(Store, "_differs", blind)
    assert "1" in path.read_text()


def test_work_that_is_no_step_s_has_its_bar(tmp_path):
    out = io.StringIO()
    with Bars(Console(file=out)) as bars, work(tmp_path, progress=bars) as own:
        assert list(own.watched("records", ["a", "b"])) == ["a", "b"]
        assert list(own.watched("nothing", [])) == []
    assert "records: 2 of 2 done" in out.getvalue()
    assert "nothing" not in out.getvalue()
