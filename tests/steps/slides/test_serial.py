"""A patient's marker sections brought onto the H&E together, from files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from alignment.corruptions import Picture, next_section, restained, turned
from alignment.made_up import tissue
from metasight.cohort.slide_table import SlideRow
from metasight.protocol.load import read_protocol
from metasight.steps import artefacts
from metasight.steps.slides.one_slide import SlideArgument
from metasight.steps.slides.serial import bring_together, why_by_way

PROTOCOL = read_protocol("breast-dmfs").for_slides
MPP = 4.0


def slide(folder: Path, name: str, stain, picture: Picture | None) -> SlideArgument:
    path = folder / f"{name}.tif"
    if picture is None:
        path.write_bytes(b"no slide")
    else:
        per_cm = 1e4 / MPP
        tifffile.imwrite(
            path,
            picture.rgb,
            photometric="rgb",
            tile=(128, 128),
            resolution=(per_cm, per_cm),
            resolutionunit="CENTIMETER",
        )
    row = SlideRow(patient="P", name=name, path=path, stain=stain, markers=("CD3",), mpp=MPP)
    return SlideArgument(slide=row, reader="tiff")


@pytest.fixture(scope="module")
def pictures() -> tuple[Picture, ...]:
    x, y = np.meshgrid(np.linspace(90, 330, 7), np.linspace(110, 310, 6))
    first = Picture.of(tissue(4), np.stack([x.ravel(), y.ravel()], axis=1))
    second = next_section(first, 10)
    return first, turned(restained(second, 1), 40.0), turned(next_section(second, 20), 200.0)


def test_sections_are_brought_and_a_damaged_one_alone_fails(pictures, tmp_path) -> None:
    he = slide(tmp_path, "HE", "H&E", pictures[0])
    marked = [
        slide(tmp_path, "IHC-1", "IHC", pictures[1]),
        slide(tmp_path, "IHC-2", "IHC", None),
        slide(tmp_path, "IHC-3", "IHC", pictures[2]),
    ]
    folders = {a.slide.name: tmp_path / f"alignment-{a.slide.name}" for a in marked}
    for folder in folders.values():
        folder.mkdir()
    found = bring_together(he, marked, PROTOCOL, folders)
    assert isinstance(found["IHC-2"], Exception)
    for name, picture in (("IHC-1", pictures[1]), ("IHC-3", pictures[2])):
        brought = found[name]
        assert not isinstance(brought, Exception)
        put = brought.alignment.transform.points(pictures[0].points * MPP)
        assert np.median(np.linalg.norm(put - picture.points * MPP, axis=1)) < 25
        assert artefacts.TRANSFORM.path(folders[name]).is_file()
        assert brought.found["moving"] == name
        assert brought.found["by_way_of"] in ([], ["IHC-1"])


def test_an_h_and_e_that_cannot_be_read_fails_every_section(pictures, tmp_path) -> None:
    he = slide(tmp_path, "HE", "H&E", None)
    marked = [slide(tmp_path, "IHC-1", "IHC", pictures[1])]
    found = bring_together(he, marked, PROTOCOL, {"IHC-1": tmp_path})
    assert isinstance(found["IHC-1"], Exception)


def test_the_way_is_told_in_words() -> None:
    told = {"by_way_of": ["P-IHC-1"], "own_reasons": ["no overlap"], "own_p90_um": 151.2}
    assert why_by_way(told) == (
        "aligned by way of P-IHC-1; its own pair with the H&E was refused: no overlap"
    )
    told["own_reasons"] = []
    assert why_by_way(told).endswith("has a predicted p90 of 151 µm")
    assert why_by_way({"by_way_of": []}) == ""
