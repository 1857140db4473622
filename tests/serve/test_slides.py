"""What lies over a slide is what the run's results hold."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from metasight.alignment.transform import Transform
from metasight.alignment.transform_file import save_transform
from metasight.errors import MarkerError
from metasight.maps.density import DensityMap
from metasight.maps.ome import write_density_map
from metasight.serve.last_run import LastRun
from metasight.serve.slides import (
    Aligned,
    _rings,
    _svg_path,
    alignments_on,
    error_picture,
    map_picture,
    maps_on,
    outlines_on,
    png,
    quality_of,
    slides_of_patient,
)
from metasight.steps import artefacts
from metasight.study.file import read_study

ALIGNED = Aligned(
    moving="m",
    accepted=True,
    p50_um=20.0,
    p90_um=60.0,
    gate_um=100.0,
    folder=Path(),
    tiles={"size_um": 80.0, "origin_um": [10.0, 20.0], "p90_um": [[None, 0.0], [50.0, 400.0]]},
)


def test_the_slide_of_a_patient(finished_folder: Path) -> None:
    run = LastRun(read_study(finished_folder))
    found = [(p, s) for p in run.table.index for s in slides_of_patient(run, str(p))]
    ((patient, slide),) = found
    assert slide.name == f"{patient}-HE-1" and slide.stain == "H&E"
    assert slide.verdict in {"kept", "excluded", "unknown"}
    quality = quality_of(run, slide.name)
    assert quality is not None and quality["slide"] == slide.name
    assert quality_of(run, "none") is None
    assert alignments_on(run, str(patient), slide.name) == ()
    assert (
        maps_on(run, str(patient)) == () and outlines_on(run, str(patient), slide.name, 0.5) == ()
    )


def test_errors_are_drawn_from_pale_to_red_and_clear_where_unknown() -> None:
    rgba, origin, size = error_picture(ALIGNED)
    assert (origin, size) == ((10.0, 20.0), 80.0)
    assert rgba[0, 0, 3] == 0 and (rgba[0, 1] == (255, 240, 240, 255)).all()
    assert (rgba[1, 1] == (155, 0, 0, 255)).all()
    assert 155 < rgba[1, 0, 0] < 255
    assert error_picture(replace(ALIGNED, gate_um=1000.0))[0][1, 1, 1] > 100


def test_a_map_is_drawn_on_its_own_scale_and_clear_off_the_tissue(tmp_path: Path) -> None:
    support = np.ones((4, 5), bool)
    support[0] = False
    density = np.full((1, 4, 5), np.nan, np.float32)
    density[0, 1:] = np.arange(15).reshape(3, 5)
    error = np.where(np.isnan(density), np.nan, 1).astype(np.float32)
    made = DensityMap(
        markers=("CD3",),
        density=density,
        error=error,
        support=support,
        spacing_um=16.0,
        origin_um=(8.0, 4.0),
    )
    write_density_map(made, tmp_path / "map.ome.tif")
    rgba, spacing, origin, end = map_picture(tmp_path / "map.ome.tif", "CD3")
    assert (spacing, tuple(origin)) == (16.0, (8.0, 4.0))
    assert end == pytest.approx(np.percentile(np.arange(15), 99))
    assert (rgba[..., 3] == np.where(support, 255, 0)).all()
    assert rgba[3, 4, 0] > 200 > rgba[1, 0, 0]  # yellow, dark blue
    with pytest.raises(MarkerError, match="no such marker"):
        map_picture(tmp_path / "map.ome.tif", "CD99")


def test_pictures_are_png_with_their_colours(tmp_path: Path) -> None:
    rgba = np.zeros((2, 3, 4), np.uint8)
    rgba[0, 0] = (10, 20, 30, 255)
    path = tmp_path / "a.png"
    path.write_bytes(png(rgba))
    assert (np.asarray(Image.open(path).convert("RGBA")) == rgba).all()


def test_outlines_are_paths() -> None:
    ring = [[0.0, 0.0], [1.5, 0.0], [0.0, 2.0]]
    polygon = {"type": "Polygon", "coordinates": [ring]}
    assert _svg_path(_rings(polygon)) == "M0.0 0.0 L1.5 0.0 L0.0 2.0 Z"
    several = {"type": "MultiPolygon", "coordinates": [[ring], [ring]]}
    assert _svg_path(_rings(several)).count("M") == 2


def measured_section(folder: Path, slide: str | None, *, accepted: bool = True) -> SimpleNamespace:
    """A run whose one patient's structures were measured on a slide of 0.5 µm a pixel."""
    square = [[10.0, 20.0], [30.0, 20.0], [30.0, 40.0], [10.0, 20.0]]
    feature = {
        "type": "Feature",
        "properties": {"name": "TLS 1"},
        "geometry": {"type": "Polygon", "coordinates": [square]},
    }
    features = json.dumps({"type": "FeatureCollection", "features": [feature]})
    artefacts.STRUCTURES.path(folder).write_text(features, "utf-8")
    measured = {"mpp": 0.5} | ({"slide": slide} if slide is not None else {})
    artefacts.BIOMARKERS.write(folder, measured)
    pair = folder / "alignment-P-fluorescence-1"
    pair.mkdir()
    # from the H&E to the section: 100 µm to the right
    shift = np.array([[1.0, 0.0, 100.0], [0.0, 1.0, 0.0]])
    save_transform(Transform.affine(shift, (2000.0, 2000.0)), artefacts.TRANSFORM.path(pair))
    artefacts.ALIGNMENT.write(
        pair,
        {
            "fixed": "P-HE-1",
            "moving": "P-fluorescence-1",
            "accepted": accepted,
            "error_p50_um": 20.0,
            "error_p90_um": 60.0,
            "gate_um": 100.0,
            "tiles": {},
        },
    )
    return SimpleNamespace(of_patient=lambda kind, patient: folder)


@pytest.mark.parametrize("slide", ["P-HE-1", "P-fluorescence-1"])
def test_structures_are_drawn_as_they_are_on_the_slide_they_were_measured_on(
    tmp_path: Path, slide: str
) -> None:
    run = measured_section(tmp_path, slide)
    ((name, path),) = outlines_on(run, "P", slide, 0.5)
    assert (name, path) == ("TLS 1", "M10.0 20.0 L30.0 20.0 L30.0 40.0 L10.0 20.0 Z")


def test_structures_of_a_section_are_brought_onto_the_h_and_e(tmp_path: Path) -> None:
    run = measured_section(tmp_path, "P-fluorescence-1")
    ((_, path),) = outlines_on(run, "P", "P-HE-1", 0.25)
    # (5, 10) µm on the section is (-95, 10) on the H&E, of 0.25 µm a pixel
    assert path.startswith("M-380.0 40.0 L-340.0 40.0")


@pytest.mark.parametrize(("slide", "accepted"), [("P-fluorescence-1", False), (None, True)])
def test_structures_of_no_known_place_are_not_drawn(
    tmp_path: Path, slide: str | None, accepted: bool
) -> None:
    run = measured_section(tmp_path, slide, accepted=accepted)
    assert outlines_on(run, "P", "P-HE-1", 0.5) == ()
