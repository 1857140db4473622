"""The sheet of a patient's slides: numbers as people read them, verdicts in words, text escaped."""

from __future__ import annotations

import base64

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metasight.report.slide_sheet import (
    Part,
    Sheet,
    alignment_part,
    png_picture,
    quality_part,
    shown,
    write_sheet,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0.0, "0"),
        (0.12345, "0.123"),
        (12.345, "12.3"),
        (999.4, "999"),
        (999.6, "1,000"),
        (1234.5, "1,234"),
        (-25000.0, "-25,000"),
    ],
)
def test_three_figures(value, text):
    assert shown(value) == text


@given(st.floats(1e-3, 1e7))
def test_no_exponent_and_at_most_half_a_percent_off(value):
    text = shown(value)
    assert "e" not in text
    assert float(text.replace(",", "")) == pytest.approx(value, rel=0.00501)


@pytest.fixture
def folder(tmp_path):
    for name in ("overview", "defects", "checkerboard", "alignment_error"):
        cv2.imwrite(str(tmp_path / f"{name}.png"), np.full((4, 5, 3), 90, np.uint8))
    return tmp_path


def quality(**changes):
    told = {
        "slide": "P1-HE.svs",
        "stain": "H&E",
        "sufficient": True,
        "reasons": [],
        "width": 4000,
        "height": 3000,
        "mpp": 0.5021,
        "mpp_source": "file",
        "reader": "tifffile 1",
        "measurements": [
            {
                "text": "tissue",
                "value": 12.34,
                "unit": "mm²",
                "limit": "≥ 4",
                "holds": True,
                "why_not": "",
            },
            {
                "text": "focus",
                "value": None,
                "unit": "",
                "limit": "≥ 0.6",
                "holds": None,
                "why_not": "no tissue",
            },
            {
                "text": "folds",
                "value": None,
                "unit": "",
                "limit": "≤ 0.05",
                "holds": True,
                "why_not": "less than 2 mm² of tissue",
            },
            {
                "text": "pen",
                "value": 0.2,
                "unit": "",
                "limit": "≤ 0.1",
                "holds": False,
                "why_not": "",
            },
        ],
    }
    return {**told, **changes}


def test_a_measurement_is_within_outside_or_unknown(folder):
    (table,) = quality_part(quality(), folder).tables
    assert table.rows == (
        ("tissue", "12.3 mm²", "≥ 4", "within"),
        ("focus", "no tissue", "≥ 0.6", "unknown"),
        ("folds", "less than 2 mm² of tissue", "≤ 0.05", "not judged"),
        ("pen", "0.2", "≤ 0.1", "outside"),
    )
    assert table.caption.startswith("4000 × 3000 pixels of 0.5021 µm (from the file)")


@pytest.mark.parametrize(
    ("sufficient", "tone", "verdict"),
    [
        (True, "good", "Sufficient quality"),
        (False, "bad", "Refused"),
        (None, "open", "Quality unknown"),
    ],
)
def test_a_quality_that_is_not_known_is_neither_good_nor_bad(folder, sufficient, tone, verdict):
    part = quality_part(quality(sufficient=sufficient), folder)
    assert (part.tone, part.verdict) == (tone, verdict)


def test_a_slide_that_could_not_be_read_has_no_pictures(tmp_path):
    part = quality_part({"failed": "a tile is damaged", "slide": "x.svs"}, tmp_path)
    assert (part.tone, part.reasons, part.pictures) == ("bad", ("a tile is damaged",), ())


@pytest.mark.parametrize("accepted", [True, False])
def test_an_alignment_is_told_with_its_error_and_gate(folder, accepted):
    found = {
        "moving": "IHC",
        "fixed": "H&E",
        "accepted": accepted,
        "error_p50_um": 12.04,
        "error_p90_um": 31.6,
        "gate_um": 50.0,
        "reasons": [] if accepted else ["too far off"],
        "models": ["rigid", "affine"],
        "overlap": 0.87654,
        "unmatched": 0.0412,
        "tiles": {"size_um": 312.4},
        "mirrored": True,
    }
    part = alignment_part(found, folder)
    assert part.tone == ("good" if accepted else "bad")
    assert "median 12 µm, nine tenths within 31.6 µm (gate 50 µm)" in part.verdict
    assert part.tables[0].rows == (("rigid, affine", "0.877", "0.0412", "yes"),)
    captions = " ".join(picture.caption for picture in part.pictures)
    assert "borders of the pieces" in captions  # there are two
    assert "tile by tile of 312 µm" in captions


def test_a_picture_is_the_file_byte_for_byte(folder):
    picture = png_picture(folder / "overview.png", "Overview")
    assert base64.b64decode(picture.data) == (folder / "overview.png").read_bytes()


def test_the_page_escapes_what_files_are_called(tmp_path, folder):
    name = '<script>alert("1")</script>&.svs'
    part = quality_part(quality(slide=name, reasons=['5 < 6 & "so"']), folder)
    write_sheet(Sheet(title=name, about="<b>", sections=(part, Part(title="x"))), tmp_path / "s")
    page = (tmp_path / "s").read_text("utf-8")
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "5 &lt; 6 &amp;" in page
    # one file: nothing is fetched when it is opened
    assert "http://" not in page
    assert 'src="data:image/png;base64,' in page
    # what axe-core finds in a browser, see bench/accessibility.py
    assert page.count("<main>") == page.count("</main>") == 1
    assert '<th scope="col"></th>' not in page
