"""A batch of slides without a study: what is refused, and how each file is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from metasight.errors import StudyError
from metasight.plan.loose_slides import Batch, map_markers
from metasight.protocol.load import read_protocol

FILES = (Path("a.svs"), Path("b.svs"))
BREAST = read_protocol("breast-dmfs")


def batch(**changes) -> Batch:
    return Batch(**{"files": FILES, "stain": "fluorescence", **changes})


@pytest.mark.parametrize(
    ("changes", "problem", "value"),
    [
        ({"mpp": (0.5, 0.5, 0.5)}, "`--mpp` once for all files, or once per file", "3 given"),
        ({"picture": (1,)}, "--picture once for each file", "1 given"),
        ({"picture": (1, -1)}, "pictures are numbered from 1", "1, -1"),
        ({"mpp": (0.0,)}, "must be above 0", "0.0"),
        ({"mpp": (float("nan"),)}, "must be above 0", "nan"),
        ({"mpp": (0.5, float("inf"))}, "must be above 0", "0.5, inf"),
        ({"cells": (Path("c.csv"),)}, "--cells once for each file", "1 given"),
        (
            {"stain": "H&E", "cells": (Path("c.csv"), Path("d.csv"))},
            "cells of another program are read for marker sections only",
            "",
        ),
        ({"files": (Path("a.svs"), Path("x/../a.svs"))}, "a slide is given twice", ""),
        ({"markers": ("CD3", "CD20", "CD3")}, "a marker is named twice", "CD3; CD20; CD3"),
        ({"stain": "H&E", "markers": ("CD3",)}, "an H&E section carries no marker", "CD3"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_a_file_is_opened(changes, problem, value):
    with pytest.raises(StudyError, match=problem) as error:
        batch(**changes)
    assert error.value.value == value


def test_one_pixel_size_fills_in_and_one_a_file_replaces():
    for mpp, sizes, replaces in (
        ((), [None, None], False),
        ((0.5,), [0.5, 0.5], False),
        ((0.5, 0.25), [0.5, 0.25], True),
    ):
        slides = [a.slide for a in batch(mpp=mpp).arguments(BREAST)]
        assert [s.mpp for s in slides] == sizes
        assert {s.replaces_mpp for s in slides} == {replaces}


def test_of_one_file_one_pixel_size_is_its_own():
    (slide,) = (a.slide for a in batch(files=FILES[:1], mpp=(0.5,)).arguments(BREAST))
    assert (slide.mpp, slide.replaces_mpp) == (0.5, True)


def test_slides_are_numbered_for_a_file_name_may_hold_a_patient_s():
    slides = [a.slide for a in batch().arguments(BREAST)]
    assert [s.name for s in slides] == ["slide-001", "slide-002"]
    assert {s.patient for s in slides} == {""}
    assert [s.path for s in slides] == [f.resolve() for f in FILES]


def test_picture_0_leaves_the_choice_to_the_file():
    slides = [a.slide for a in batch(picture=(0, 2)).arguments(BREAST)]
    assert [s.picture for s in slides] == [None, 2]
    assert [a.slide.picture for a in batch().arguments(BREAST)] == [None, None]


def test_fluorescence_is_read_by_tifffile_whatever_the_batch_is():
    assert {a.reader for a in batch(reader="openslide").arguments(BREAST)} == {"tiff"}
    chosen = batch(stain="H&E", reader="openslide").arguments(BREAST)
    assert {a.reader for a in chosen} == {"openslide"}


def test_cells_go_with_the_file_of_their_place():
    given = batch(cells=(Path("c.csv"), Path("d.csv"))).arguments(BREAST)
    assert [a.slide.cells.name for a in given] == ["c.csv", "d.csv"]


def test_markers_are_asked_for_before_a_section_is_mapped(tmp_path):
    with pytest.raises(StudyError, match="no marker was named") as error:
        map_markers(batch(), tmp_path / "out", scheduler="inline", progress=None)
    assert "--markers" in error.value.remedy
    assert not (tmp_path / "out").exists()
