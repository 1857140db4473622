"""Departures planted in a new slide, each told."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

import slide_files
from metasight.deidentify.slide_conformance import slide_departures
from metasight.deidentify.slide_file import new_slide

TISSUE = slide_files.tissue_like(300, 400)
LABEL = np.full((60, 50, 3), 250, np.uint8)


def with_label(path):
    with tifffile.TiffWriter(path, append=True) as out:
        out.write(LABEL, description="Aperio label", metadata=None, photometric="rgb")


def with_date(path):
    with tifffile.TiffWriter(path, bigtiff=True) as out:
        out.write(TISSUE, tile=(64, 64), photometric="rgb", datetime="2020:01:01 00:00:00")


LEAKS = {
    "made of numbers": lambda p: tifffile.tiffcomment(p, b"Aperio Image Library v1.0.0|Title = X"),
    "pictures": with_label,
    "belong to no picture": lambda p: p.write_bytes(p.read_bytes() + b"text"),
    "not written: 305, 306": with_date,
    "cannot be read back": lambda p: p.write_bytes(p.read_bytes()[:300]),
}


@pytest.mark.parametrize("said", LEAKS)
def test_a_planted_departure_is_found(said, tmp_path):
    path = slide_files.write_pyramid(tmp_path / "a.svs", TISSUE)
    new_slide(path, tmp_path / "new.svs")
    assert list(slide_departures(tmp_path / "new.svs")) == []
    LEAKS[said](tmp_path / "new.svs")
    told = list(slide_departures(tmp_path / "new.svs"))
    assert any(said in what for _, what in told), told
