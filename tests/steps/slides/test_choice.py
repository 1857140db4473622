"""Which of several slides of a patient counts, by the rule of the study."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from metasight.cohort.slide_table import SlideRow
from metasight.steps.slides.choice import (
    chosen_he,
    first_of_each_marker,
    told_of_he,
    usable_he,
)
from metasight.steps.slides.one_slide import SlideArgument


def slide(name: str, stain: str, *markers: str) -> SlideArgument:
    row = SlideRow(patient="P", name=name, path=Path(name), stain=stain, markers=markers, mpp=None)
    return SlideArgument(slide=row, reader="tiff")


# name → sufficient, tissue pixels, µm a pixel: c has fewer pixels than b and more tissue
CHECKED = {
    "a": (False, 90, 8.0),
    "b": (None, 40, 8.0),
    "c": (True, 20, 16.0),
    "d": (True, 20, 16.0),
}
HE = [slide(name, "H&E") for name in CHECKED]


@pytest.fixture
def inputs(tmp_path: Path) -> dict[str, Path]:
    for name, (sufficient, pixels, mpp) in CHECKED.items():
        folder = tmp_path / name
        folder.mkdir()
        (folder / "quality.json").write_text(json.dumps({"sufficient": sufficient}))
        tissue = np.arange(100).reshape(10, 10) < pixels
        with (folder / "tissue.npz").open("wb") as file:
            np.savez_compressed(file, tissue=tissue, mpp=np.array(mpp))
    return {f"check {name}": tmp_path / name for name in CHECKED}


def test_the_first_usable_counts_or_the_one_with_most_tissue(inputs) -> None:
    assert [a.slide.name for a in usable_he(inputs, HE)] == ["b", "c", "d"]
    assert chosen_he(inputs, HE, "first").slide.name == "b"
    assert chosen_he(inputs, HE, "largest").slide.name == "c"  # of equal ones the first
    assert chosen_he(inputs, HE[:2], "largest").slide.name == "b"


def test_without_a_usable_one_none_counts(inputs) -> None:
    assert chosen_he(inputs, HE[:1], "first") is chosen_he(inputs, HE[:1], "largest") is None
    assert chosen_he(inputs, [slide("e", "IHC", "CD3")], "first") is None


def test_the_choice_is_told_where_there_is_one() -> None:
    assert told_of_he(HE[:1], "first") == told_of_he([], "largest") == ""
    assert told_of_he(HE[:2], "largest") == (
        "one of 2 usable: the usable H&E with the largest tissue area "
        "(several_he = largest) is measured"
    )


def test_a_section_counts_that_shows_a_marker_none_before_it_shows() -> None:
    sections = [
        slide("1", "IHC", "CD3"),
        slide("2", "IHC", "CD3"),
        slide("3", "fluorescence", "CD3", "CD20"),
        slide("4", "IHC", "CD20"),
    ]
    assert [a.slide.name for a in first_of_each_marker(sections)] == ["1", "3"]
