"""Which of several pictures in a file is the slide."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from metasight.errors import SlideError
from metasight.slides.pictures_in_file import chosen_picture
from slide_files import halved, tissue_like, write_pyramid

SLIDE = tissue_like(384, 512)
OVERVIEW = halved(halved(SLIDE))


def chosen(path: Path, pictures: list[tuple[str, np.ndarray]], asked: int | None = None):
    with tifffile.TiffWriter(path, ome=True) as out:
        for name, image in pictures:
            out.write(image, tile=(128, 128), photometric="rgb", metadata={"Name": name})
    with tifffile.TiffFile(path) as file:
        return chosen_picture(file, "slide", asked)


@pytest.mark.parametrize(
    ("pictures", "index"),
    [
        ([("a", SLIDE)], 0),
        ([("a", SLIDE), ("b", OVERVIEW)], 0),
        ([("a", OVERVIEW), ("b", SLIDE)], 1),
        ([("label", tissue_like(200, 200, 3)), ("b", SLIDE), ("c", OVERVIEW)], 1),
    ],
)
def test_the_slide_among_its_overviews(tmp_path: Path, pictures, index) -> None:
    found, note = chosen(tmp_path / "a.ome.tif", pictures)
    assert found == index
    assert bool(note) == (len(pictures) > 1)
    if note:
        assert f"picture {index + 1} (512 × 384 pixels) is read" in note


@pytest.mark.parametrize(
    "pictures",
    [
        [("Meier", SLIDE), ("b", SLIDE[:, ::-1].copy())],  # two of one size
        [("Meier", SLIDE), ("b", halved(tissue_like(384, 512, 5)))],  # another of the same shape
        [("Meier", SLIDE), ("b", np.full((96, 128, 3), 255, np.uint8))],  # an empty one
        [("label", SLIDE), ("b", OVERVIEW)],  # the largest is no slide
    ],
)
def test_what_could_be_the_slide_too_is_listed_and_refused(tmp_path: Path, pictures) -> None:
    with pytest.raises(SlideError, match="more than one could be the slide") as error:
        chosen(tmp_path / "a.ome.tif", pictures)
    assert "1: 512 × 384 pixels; 2: " in error.value.value
    assert "--picture" in error.value.remedy
    assert "Meier" not in str(error.value)


def test_the_study_may_name_one(tmp_path: Path) -> None:
    pictures = [("a", SLIDE), ("b", tissue_like(384, 512, 5))]
    index, note = chosen(tmp_path / "a.ome.tif", pictures, 2)
    assert index == 1
    assert "as the study asks" in note
    with pytest.raises(SlideError, match="no picture of this number"):
        chosen(tmp_path / "b.ome.tif", pictures, 3)


def test_a_slide_with_label_and_thumbnail_needs_no_note(tmp_path: Path) -> None:
    with tifffile.TiffFile(write_pyramid(tmp_path / "a.svs", SLIDE)) as file:
        assert len(file.series) > 1
        assert chosen_picture(file, "slide", None) == (0, "")
