"""Cells of another program in place of metasight's own."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from metasight.cohort.slide_table import SlideRow
from metasight.errors import MarkerError
from metasight.maps.window import TissueWindow
from metasight.protocol.load import read_protocol
from metasight.steps.slides.given_cells import map_given_cells
from metasight.steps.slides.sections import read_cells

MARKERS = tuple(m.names for m in read_protocol("breast-dmfs").marker)
QUALITY = {"mpp": 0.5, "width": 2000, "height": 2000, "notes": ["said of the file"]}
HEAD = "Image,Object type,Classification,Centroid X µm,Centroid Y µm\n"


def mapped(tmp_path: Path, text: str, markers=("CD3", "CD20"), classes=None):
    path = tmp_path / "Meier.csv"
    path.write_text(text, encoding="utf-8")
    row = SlideRow(
        patient="P",
        name="P-IHC-1",
        path=tmp_path / "a.svs",
        stain="IHC",
        markers=markers,
        mpp=None,
        cells=path,
    )
    window = TissueWindow(mask=np.ones((125, 125), dtype=bool), spacing_um=8.0)
    return map_given_cells(row, QUALITY, window, tmp_path, markers=MARKERS, classes=classes or {})


def test_cells_are_counted_written_and_said_to_be_anothers(tmp_path: Path) -> None:
    rows = "a.svs,Cell,CD3,100,100\na.svs,Cell,CD3e: L26,200,100\nb.svs,Cell,CD3,1,1\n"
    found = mapped(tmp_path, HEAD + rows)
    counted = {m["marker"]: (m["positive"], m["per_mm2"], m["rule"]) for m in found["markers"]}
    assert counted == {
        "CD3": (2, pytest.approx(2.0), "classes of QuPath"),
        "CD20": (1, pytest.approx(1.0), "classes of QuPath"),
    }
    assert found["notes"] == [
        "said of the file",
        "cells are those of QuPath",
        "1 row of other images left out",
    ]
    assert json.loads((tmp_path / "markers.json").read_text("utf-8")) == found
    assert len(read_cells(tmp_path / "cells.parquet", ("CD3", "CD20"))) == 2
    assert (tmp_path / "density.ome.tif").is_file()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (HEAD + "b.svs,Cell,CD3,1,1\n", "no cells of this slide"),
        (HEAD + "a.svs,Cell,CD3,1,1\na.svs,Cell,CD20,5000,1\n", "outside the slide"),
        (HEAD + "a.svs,Cell,T cell,1,1\n", "no class of the cells"),
        ("", "cannot be read"),
    ],
)
def test_what_cannot_be_used_names_the_slide_and_not_the_file(tmp_path, text, problem) -> None:
    with pytest.raises(MarkerError, match=problem) as error:
        mapped(tmp_path, text)
    assert error.value.where.startswith("cells of P-IHC-1")
    assert "Meier" not in str(error.value)
    assert error.value.remedy
