"""Numbered folders: in the order of the inputs, replaced only where metasight made them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from metasight.engine.progress import Silent
from metasight.engine.step import Inputs, Step
from metasight.errors import StudyError
from metasight.plan.numbered_results import NumberedResults
from metasight.plan.publishing import MARK


def write(inputs: Inputs, out: Path, argument: str) -> None:
    del inputs
    (out / "found.json").write_text(json.dumps({"told": argument}))


def draw(inputs: Inputs, out: Path, argument: str) -> None:
    del inputs
    (out / "sheet.html").write_text(argument)


def made(out: Path, *texts: str) -> list[dict[str, str]]:
    results = NumberedResults(out=out, noun="scan")
    results.make_room([])
    steps = [Step(name=f"s{t}", label="s", function=write, argument=t) for t in texts]
    drawn = [Step(name=f"d{t}", label="d", function=draw, argument=t) for t in texts]
    with results.work(results.contents(), "inline", Silent()) as work:
        return results.set_out(steps, work, result="found.json", beside=drawn)


def test_results_are_numbered_in_the_order_of_the_inputs(tmp_path: Path) -> None:
    assert made(tmp_path, "b", "a") == [{"told": "b"}, {"told": "a"}]
    assert (tmp_path / "scan-002" / "found.json").read_text() == '{"told": "a"}'
    assert (tmp_path / "scan-002" / "sheet.html").read_text() == "a"
    assert json.loads((tmp_path / "results.json").read_text())[0] == {"told": "b"}


def test_what_an_earlier_batch_left_is_replaced_or_removed(tmp_path: Path) -> None:
    made(tmp_path, "a", "b", "c")
    assert made(tmp_path, "c") == [{"told": "c"}]
    assert sorted(p.name for p in tmp_path.glob("scan-*")) == ["scan-001"]
    assert (tmp_path / "scan-001" / MARK).is_file()


def test_a_folder_of_the_user_s_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "scan-001").mkdir()
    with pytest.raises(StudyError, match="was not made by metasight"):
        made(tmp_path, "a")
    assert not (tmp_path / "results.json").exists()


def test_a_folder_that_holds_an_input_is_not_replaced(tmp_path: Path) -> None:
    made(tmp_path, "a")
    inside = tmp_path / "scan-001" / "found.json"
    with pytest.raises(StudyError, match="was not made by metasight"):
        NumberedResults(out=tmp_path, noun="scan").make_room([inside])
    NumberedResults(out=tmp_path, noun="slide").make_room([inside])
