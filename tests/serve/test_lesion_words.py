"""A lesion's measurements are shown with units, and what is not known is left out."""

from __future__ import annotations

from metasight.serve.lesion_words import lesion_lines

ROW = {
    "tumour_size_mm": 18.44,
    "tumour_perpendicular_mm": 14.6,
    "tumour_size_plane": "sagittal",
    "tumour_volume_mm3": 2460.0,
    "solid_size_mm": 0.0,
    "ctr": 0.5,
    "ctr_lower": 0.25,
    "ctr_upper": 0.75,
    "attenuation": "part-solid",
    "central": None,
    "lobe": "left_upper",
    "lobe_unsure": True,
    "suvmax": None,
}


def test_lines_have_units() -> None:
    lines = dict(lesion_lines(ROW))
    assert lines["Size"] == "18.4 × 14.6 mm (sagittal)"
    assert lines["Volume"] == "2.46 ml"
    assert lines["Consolidation-to-tumour ratio"] == "0.50 (0.25 to 0.75)"
    assert lines["Central"] == "not known" and lines["Lobe"] == "left upper (unsure)"
    assert "SUVmax" not in lines and "Outline" not in lines


def test_a_flagged_outline_says_so() -> None:
    row = ROW | {"outline_wrong_probability": 0.61, "outline_flagged": True}
    assert dict(lesion_lines(row))["Outline"].endswith("0.61: look at it")


def test_nothing_measured() -> None:
    assert lesion_lines({}) == []
