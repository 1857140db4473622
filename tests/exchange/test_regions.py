"""What QuPath is given follows its conventions and reads back as it was measured."""

from __future__ import annotations

import json

import pytest
from shapely.geometry import box

from json_schema import problems
from metasight.biomarkers.geojson import TLS_COLOUR, annotation, write_geojson
from metasight.errors import SlideError
from metasight.exchange.regions import copy_structures

# QuPath's manual, "Exporting annotations": GeoJSON features with these properties
RING = {"type": "array", "minItems": 4, "items": {"type": "array", "items": {"type": "number"}}}
FEATURE = {
    "type": "object",
    "required": ["type", "geometry", "properties"],
    "properties": {
        "type": {"const": "Feature"},
        "geometry": {
            "type": "object",
            "required": ["type", "coordinates"],
            "properties": {
                "type": {"enum": ["Polygon", "MultiPolygon"]},
                "coordinates": {"type": "array", "minItems": 1},
            },
        },
        "properties": {
            "type": "object",
            "required": ["objectType", "classification"],
            "properties": {
                "objectType": {"const": "annotation"},
                "name": {"type": "string"},
                "classification": {
                    "type": "object",
                    "required": ["name", "color"],
                    "properties": {
                        "name": {"type": "string", "minLength": 1},
                        "color": {
                            "type": "array",
                            "minItems": 3,
                            "maxItems": 3,
                            "items": {"type": "integer", "minimum": 0, "maximum": 255},
                        },
                    },
                },
                "measurements": {"type": "object"},
            },
        },
    },
}
SCHEMA = {
    "type": "object",
    "required": ["type", "features"],
    "properties": {
        "type": {"const": "FeatureCollection"},
        "features": {"type": "array", "items": FEATURE},
    },
}


def test_the_copy_is_in_pixels_by_qupath_s_conventions(tmp_path) -> None:
    outline = box(100, 100, 200, 300) - box(120, 120, 140, 140)
    made = annotation(
        outline,
        name="TLS 1",
        classification="TLS",
        colour=TLS_COLOUR,
        mpp=0.25,
        measurements={"Lymphocytes": 60.0},
    )
    write_geojson([made], tmp_path / "a.geojson")
    (found,) = copy_structures(tmp_path / "a.geojson", tmp_path / "x" / "b.geojson")
    assert found.outline.bounds == (400, 400, 800, 1200)
    assert (found.name, found.classification) == ("TLS 1", "TLS")
    assert found.measurements == {"Lymphocytes": 60.0}
    written = json.loads((tmp_path / "x" / "b.geojson").read_text("utf-8"))
    assert problems(written, SCHEMA, SCHEMA) == []


def test_what_is_no_area_is_not_copied(tmp_path) -> None:
    (tmp_path / "a.geojson").write_text('{"type": "FeatureCollection", "features": 3}')
    with pytest.raises(SlideError, match="not a GeoJSON"):
        copy_structures(tmp_path / "a.geojson", tmp_path / "b.geojson")
    assert not (tmp_path / "b.geojson").exists()
