"""Everything in an argument counts, and counts as what it is."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field, replace
from enum import StrEnum

import numpy as np
import pytest
from pydantic import BaseModel, ConfigDict, Field

from metasight.engine.argument import tell
from metasight.engine.contents import Contents, Folder
from metasight.provenance import canonical_json, hash_json


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Settings(BaseModel):
    model_config = ConfigDict(frozen=True)
    limit: float = 1.0
    salt: str = Field(default="a secret of the study", repr=False)


@dataclass(frozen=True)
class Part:
    number: int = 1


@dataclass(frozen=True)
class Argument:
    text: str = "a"
    flag: bool = True
    colour: Colour = Colour.RED
    share: float = 0.5
    day: dt.date = dt.date(2020, 1, 1)
    part: Part = Part()
    settings: Settings = field(default_factory=Settings)
    many: tuple[int, ...] = (1, 2)
    some: frozenset[str] = frozenset({"a", "b"})
    named: dict[str, float] = field(default_factory=lambda: {"x": 1.0})
    grid: np.ndarray = field(default_factory=lambda: np.arange(3.0))
    nothing: int | None = None


CHANGES = {
    "text": "b",
    "flag": False,
    "colour": Colour.BLUE,
    "share": 0.6,
    "day": dt.date(2020, 1, 2),
    "part": Part(2),
    "settings": Settings(limit=2.0),
    "many": (2, 1),
    "some": frozenset({"a"}),
    "named": {"x": 2.0},
    "grid": np.arange(3),
    "nothing": 0,
}


def test_the_text_is_the_canonical_one():
    for argument in (Argument(), (Argument(text='ü"\\\n'), Argument()), {"z": 1, "a": Part()}):
        told = tell(argument, Contents())
        assert told.text == canonical_json(told.plain)


@pytest.mark.parametrize("name", CHANGES)
def test_every_field_counts(name):
    before = tell(Argument(), Contents()).plain
    assert tell(Argument(), Contents()).plain == before
    assert tell(replace(Argument(), **{name: CHANGES[name]}), Contents()).plain != before


def test_one_and_one_point_nought_are_told_apart():
    contents = Contents()
    assert tell((1,), contents).plain != tell((1.0,), contents).plain
    assert hash_json(tell((True,), contents).plain) != hash_json(tell((1,), contents).plain)
    assert tell(float("inf"), contents).plain != tell(float("-inf"), contents).plain


def test_a_secret_counts_and_is_not_shown():
    one, two = (tell(Settings(salt=f"secret {k}"), Contents()).plain for k in (1, 2))
    assert one != two
    assert "secret 1" not in str(one)


def test_a_path_stands_for_its_content_wherever_it_lies(tmp_path):
    (tmp_path / "a").write_text("same")
    (tmp_path / "b").write_text("same")
    (tmp_path / "c").write_text("other")
    a, b, c = (tell(tmp_path / n, Contents()).plain for n in "abc")
    assert a == b != c


def test_a_folder_of_named_files_counts_names_and_contents(tmp_path):
    for place in ("one", "two"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "x.csv").write_text("1")
        (tmp_path / place / "unread.csv").write_text(place)

    def told(place: str, *files: str):
        return tell(Folder(root=tmp_path / place, files=files), Contents()).plain

    assert told("one", "x.csv") == told("two", "x.csv")
    (tmp_path / "two" / "x.csv").write_text("2")
    assert told("one", "x.csv") != told("two", "x.csv")


def test_classes_of_everything_in_it_are_found():
    found = tell(Argument(), Contents()).classes
    assert found == {Argument, Part, Settings, Colour}


def test_what_has_no_plain_form_is_refused():
    with pytest.raises(TypeError, match="holds a function"):
        tell({"x": lambda: 1}, Contents())


def test_settings_that_many_share_are_told_once():
    contents = Contents()
    shared = Settings()
    assert tell(shared, contents) is tell(shared, contents)
