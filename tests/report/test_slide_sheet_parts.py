"""Parts of the slide sheet in words."""

import base64

import cv2
import numpy as np
import pytest
from shapely.geometry import MultiPolygon, box

from metasight.maps.density import DensityMap
from metasight.report.slide_sheet import (
    Part,
    Sheet,
    alignment_part,
    density_picture,
    markers_part,
    quality_part,
    shown,
    write_sheet,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0.12345, "0.123"),
        (12.0, "12"),
        (999.4, "999"),
        (999.6, "1,000"),
        (12345.6, "12,346"),
    ],
)
def test_three_figures_or_a_dash(value, text):
    assert shown(value) == text


def test_a_slide_that_could_not_be_read_says_why(tmp_path):
    part = quality_part({"slide": "P-HE-1", "failed": "cut off"}, tmp_path)
    assert (part.verdict, part.tone, part.reasons) == ("Could not be read", "bad", ("cut off",))
    assert markers_part("P-IHC-1", "no dye").title == "Markers of P-IHC-1"


@pytest.mark.parametrize(
    ("accepted", "tone", "begins"),
    [(True, "good", "Aligned; predicted error: median 12 µm"), (False, "bad", "Refused; median")],
)
def test_an_alignment_states_its_error_and_gate(tmp_path, accepted, tone, begins):
    for name in ("checkerboard", "alignment_error"):
        (tmp_path / f"{name}.png").write_bytes(b"png")
    part = alignment_part(
        {
            "accepted": accepted,
            "moving": "P-IHC-1",
            "fixed": "P-HE-1",
            "error_p50_um": 12.0,
            "error_p90_um": None,
            "gate_um": 100.0,
            "reasons": [],
            "models": [],
            "overlap": 0.81,
            "unmatched": None,
            "tiles": {"size_um": 300.0},
            "mirrored": False,
        },
        tmp_path,
    )
    assert part.tone == tone
    assert part.verdict.startswith(begins)
    assert "nine tenths within – µm (gate 100 µm)" in part.verdict
    assert part.pictures[0].data == base64.b64encode(b"png").decode()
    assert part.tables[0].rows == (("–", "0.81", "–", "no"),)


def density(per_mm2=100.0):
    plane = np.full((1, 30, 40), per_mm2, dtype=np.float32)
    return DensityMap(
        density=plane,
        error=np.zeros_like(plane),
        support=np.ones((30, 40), dtype=bool),
        markers=("T",),
        spacing_um=16.0,
    )


def test_outlines_are_drawn_and_said():
    plain = density_picture(density(), [], {})
    outlined = density_picture(density(), [MultiPolygon([box(50, 50, 200, 200)])], {})
    assert plain.caption.endswith("outside the tissue; scaled to this picture alone: T")
    assert "tertiary lymphoid structures outlined in red" in outlined.caption
    assert plain.data != outlined.data
    assert density_picture(density(), [], {}).data == plain.data  # the same bytes again


def colour_at(picture):
    image = cv2.imdecode(np.frombuffer(base64.b64decode(picture.data), np.uint8), 1)
    return image[image.shape[0] // 2, image.shape[1] // 3, ::-1].tolist()


def test_a_markers_colours_mean_the_same_densities_in_every_picture():
    scale = {"T": 250.0}
    pale, dense = (density_picture(density(p), [], scale) for p in (100.0, 7000.0))
    assert colour_at(pale)[2] > colour_at(pale)[1]  # the dark blue end
    assert colour_at(dense)[1] > colour_at(dense)[2]  # the yellow end
    assert colour_at(density_picture(density(8100.0), [], scale)) == [255, 0, 255]
    assert "up to (cells/mm²) T 8,000, and magenta above it" in pale.caption
    assert pale.caption == dense.caption


def test_what_a_file_says_is_text_on_the_page(tmp_path):
    part = Part(title="a <b>slide</b>", reasons=("<script>",))
    write_sheet(Sheet(title="P", about="x", sections=(part,)), tmp_path / "s.html")
    page = (tmp_path / "s.html").read_text("utf-8")
    assert "a &lt;b&gt;slide&lt;/b&gt;" in page
    assert "<script>" not in page
    assert "Values without a number could not be measured" in page
