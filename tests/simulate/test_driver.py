"""A folder is one cohort's; an interrupted run makes only what is missing."""

from __future__ import annotations

import json

import pytest

from metasight.engine.progress import Silent
from metasight.errors import StudyError
from metasight.simulate.driver import claim, fill, write_truth

SAID = {"key": "of these settings", "seed": 1}


class Counted(Silent):
    def __init__(self) -> None:
        self.started, self.done = 0, 0

    def start(self, labels):
        self.started = len(labels)

    def finished(self, label):
        self.done += 1


def test_a_new_folder_is_claimed_and_known_again(tmp_path):
    claim(tmp_path / "new", SAID)
    claim(tmp_path / "new", SAID)
    with pytest.raises(StudyError, match="other settings or another seed"):
        claim(tmp_path / "new", {"key": "of others"})


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "letters.txt").write_text("mine")
    with pytest.raises(StudyError, match="not empty"):
        claim(tmp_path, SAID)
    assert [p.name for p in tmp_path.iterdir()] == ["letters.txt"]


def test_only_what_is_missing_is_made_and_all_is_counted():
    made, progress = {0, 2}, Counted()

    def make(number: int) -> int:
        made.add(number)
        calls.append(number)
        return number

    calls: list[int] = []
    fill(lambda i: i in made, make, 5, jobs=1, progress=progress)
    assert calls == [1, 3, 4]
    assert made == {0, 1, 2, 3, 4}
    assert (progress.started, progress.done) == (5, 5)


def test_the_truth_is_written_whole_and_sorted(tmp_path):
    write_truth(tmp_path / "t.json", {"b": 1, "a": "µ"})
    text = (tmp_path / "t.json").read_text("utf-8")
    assert text.index('"a"') < text.index('"b"')
    assert json.loads(text) == {"a": "µ", "b": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["t.json"]
