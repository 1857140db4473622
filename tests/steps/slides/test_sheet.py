"""The sheet is drawn from what was saved, whatever of it there is."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from metasight.cohort.slide_table import SlideRow
from metasight.maps.density import DensityMap
from metasight.maps.ome import write_density_map
from metasight.protocol.load import read_protocol
from metasight.steps.files import write_json
from metasight.steps.slides.one_slide import SlideArgument
from metasight.steps.slides.sheet import SheetArgument, draw_sheet

BREAST = read_protocol("breast-dmfs")


def slide(name: str, stain: str) -> SlideArgument:
    row = SlideRow(
        patient="P",
        name=name,
        path=Path("x"),
        stain=stain,  # type: ignore[arg-type]
        markers=() if stain == "H&E" else ("CD3",),
        mpp=None,
    )
    return SlideArgument(slide=row, reader="tiff")


def checked(folder: Path, name: str, *, sufficient: bool) -> Path:
    folder.mkdir()
    for picture in ("overview.png", "defects.png"):
        cv2.imwrite(str(folder / picture), np.full((4, 4, 3), 200, np.uint8))
    about = {"stain": "H&E", "reasons": [], "measurements": [], "width": 10, "height": 10}
    about |= {"mpp": 0.5, "mpp_source": "file", "reader": "tiff"}
    write_json(folder / "quality.json", {"slide": name, "sufficient": sufficient, **about})
    return folder


@pytest.fixture
def inputs(tmp_path: Path) -> dict[str, Path]:
    measured, marked = tmp_path / "measured", tmp_path / "marked"
    measured.mkdir()
    marked.mkdir()
    write_json(marked / "markers.json", {"slide": "P-IHC-1", "failed": "no brown <dye>"})
    return {
        "slides of P": measured,
        "check P-HE-1": checked(tmp_path / "1", "P-HE-1", sufficient=True),
        "check P-IHC-1": checked(tmp_path / "2", "P-IHC-1", sufficient=True),
        "check P-IHC-2": checked(tmp_path / "3", "P-IHC-2", sufficient=False),
        "markers of P-IHC-1": marked,
    }


def drawn(inputs: dict[str, Path], tmp_path: Path) -> str:
    slides = (slide("P-HE-1", "H&E"), slide("P-IHC-1", "IHC"), slide("P-IHC-2", "IHC"))
    argument = SheetArgument(
        patient="P",
        slides=slides,
        protocol_id=BREAST.id,
        protocol_version=BREAST.version,
        positive_per_mm2={"CD3": 500.0},
    )
    draw_sheet(inputs, tmp_path, argument)
    return (tmp_path / "sheet.html").read_text("utf-8")


def test_slides_that_could_not_be_used_say_why(inputs, tmp_path):
    page = drawn(inputs, tmp_path)
    assert page.count("Sufficient quality") == 2
    assert page.count("Refused") == 1
    # a refused slide was never asked for its markers; one that failed says why, as text
    assert page.count("Markers of") == 1
    assert "no brown &lt;dye&gt;" in page
    assert "Maps and biomarkers" not in page
    assert f"Protocol {BREAST.id}, version {BREAST.version}." in page


def test_biomarkers_are_drawn_where_they_were_measured(inputs, tmp_path):
    folder = inputs["slides of P"]
    density = DensityMap(
        density=np.full((1, 20, 20), 500.0, dtype=np.float32),
        error=np.zeros((1, 20, 20), dtype=np.float32),
        support=np.ones((20, 20), dtype=bool),
        markers=("CD3",),
        spacing_um=16.0,
    )
    write_density_map(density, folder / "density.ome.tif")
    write_json(folder / "structures.geojson", {"type": "FeatureCollection", "features": []})
    measure = {"name": "t_cells_per_mm2", "unit": "1/mm²", "value": 500.0, "lower": None}
    measure |= {"upper": None, "se": None, "null_z": None, "reason": ""}
    area = {"value": 31.0, "lower": 25.0, "upper": 40.0, "se": None}
    write_json(
        folder / "biomarkers.json",
        {
            "from": "cells of one section",
            "tumour_area_percent": area,
            "window_mm2": 0.1,
            "mpp": 0.5,
            "labels": {"mixing_class": "undecided", "infiltration_class": "desert"},
            "probabilities": {"mixing_class": {"cold": 0.0, "mixed": 0.64, "other": 0.36}},
            "measures": [measure],
        },
    )
    page = drawn(inputs, tmp_path)
    assert "tumour area 31.0 % of the scanned field (25.0 to 40.0)" in page
    assert "mixing class: undecided (probabilities: cold 0.00, mixed 0.64, other 0.36)" in page
    assert "infiltration class: desert" in page
    assert "T cells per mm²" in page
    assert "up to (cells/mm²) CD3 16,000, and magenta above it" in page
