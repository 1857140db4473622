"""The page of a slide, its tiles, and refusals of those that there are not."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from metasight.serve import slide_pages

from .conftest import Served

Serve = Callable[..., Served]


@pytest.fixture
def served(serve: Serve) -> Served:
    return serve().enter()


@pytest.fixture
def name(served: Served) -> str:
    (found,) = served.workbench.slide_rows
    return found


def test_the_page_says_what_is_to_be_loaded(served: Served, name: str) -> None:
    text = served.client.get(f"/slides/{name}").text
    told = json.loads(re.search(r'id="told">(.*?)</script>', text, re.S)[1])
    assert (told["width"], told["height"], told["mpp"]) == (1300, 900, 0.5)
    assert told["maxLevel"] == 11
    assert "he.svs" not in text and "MRN" not in text
    assert f"slide {name}" in [r.about for r in served.workbench.audit.rows()]


def test_tiles_are_pictures_that_a_browser_keeps_to_itself(served: Served, name: str) -> None:
    answer = served.client.get(f"/slides/{name}/tiles/11/5/3.jpg")
    assert answer.status_code == 200 and answer.content[:2] == b"\xff\xd8"
    assert answer.headers["cache-control"].startswith("private")


def test_what_there_is_not_is_refused(served: Served, name: str) -> None:
    other = name.replace("HE-1", "IHC-1")
    for address, statuses in (
        (f"/slides/{name}/tiles/11/6/0.jpg", {404}),
        (f"/slides/{name}/tiles/12/0/0.jpg", {404}),
        (f"/slides/{name}/tiles/41/0/0.jpg", {422}),
        (f"/slides/{name}/tiles/-1/0/0.jpg", {422}),
        (f"/slides/{name}/tiles/x/0/0.jpg", {422}),
        (f"/slides/{name}/tiles/11/0/0.jpg?channel=7", {404}),
        (f"/slides/{name}/tiles/11/0/0.jpg?channel=-7", {422}),
        (f"/slides/{name}/tiles/11/0/0.png", {404}),
        (f"/slides/{other}", {404}),
        (f"/slides/{other}/tiles/0/0/0.jpg", {404}),
        (f"/slides/{name}/aligned/{other}/0/0/0.jpg", {404}),
        (f"/slides/{name}/aligned/{name}/0/0/0.jpg", {404}),
        (f"/slides/{name}/error/{name}.png", {404}),
        (f"/slides/{name}/map/generated/0.png", {404}),
        (f"/slides/{name}/map/other/0.png", {422}),
    ):
        answer = served.client.get(address)
        assert answer.status_code in statuses, (address, answer.status_code)


def test_without_a_session_there_is_no_tile(served: Served, name: str) -> None:
    served.client.cookies.clear()
    assert served.client.get(f"/slides/{name}/tiles/0/0/0.jpg").status_code == 401


def test_a_slide_that_is_gone_is_said_in_words(
    served: Served, name: str, study_folder: Path
) -> None:
    (study_folder / "he.svs").unlink()
    answer = served.client.get(f"/slides/{name}")
    assert answer.status_code == 409 and "is not there" in answer.text
    assert served.client.get(f"/slides/{name}/tiles/0/0/0.jpg").status_code == 404


def test_a_slide_that_could_not_be_judged_says_why(
    served: Served, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its quality holds nothing else, as where the size of its pixels is not known."""
    failed = {"slide": name, "failed": "its pixels' size is not known"}
    monkeypatch.setattr(slide_pages, "quality_of", lambda run, slide: failed)
    answer = served.client.get(f"/slides/{name}")
    assert answer.status_code == 200
    assert "could not be judged: its pixels" in answer.text
