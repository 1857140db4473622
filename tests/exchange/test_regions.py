"""What QuPath is given follows its conventions and reads back as it was measured."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from shapely import from_wkt
from shapely.geometry import box

from json_schema import problems
from metasight.biomarkers.geojson import TLS_COLOUR, annotation, write_geojson
from metasight.cohort.region_table import _outline
from metasight.errors import SlideError, StudyError
from metasight.exchange.regions import copy_structures, patients_of_slides, write_region_table

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


def drawn(*outlines, **measured: float):
    return [
        annotation(
            outline,
            name=f"field {n}",
            classification="TIL",
            colour=TLS_COLOUR,
            mpp=1.0,
            measurements=measured,
        )
        for n, outline in enumerate(outlines, start=1)
    ]


def test_annotations_become_the_table_of_regions_that_a_study_reads(
    tmp_path,
) -> None:
    write_geojson(drawn(box(0, 0, 10, 20), CD3=12.0), tmp_path / "he-1.svs.geojson")
    write_geojson(drawn(box(5, 5, 9, 9), CD3=3.0), tmp_path / "he-2.svs.geojson")
    (tmp_path / "slides.csv").write_text("patient,file\n0017,sub/he-1.svs\n0018,sub/he-2.svs\n")
    patients = patients_of_slides(tmp_path / "slides.csv", id_column="patient", file_column="file")
    assert patients == {"he-1.svs": "0017", "he-2.svs": "0018"}
    files = [tmp_path / f"{name}.geojson" for name in patients]
    rows = write_region_table(files, patients, tmp_path / "regions.csv")
    assert len(rows) == 2
    read = pd.read_csv(tmp_path / "regions.csv", dtype=str)
    assert read["patient"].tolist() == ["0017", "0018"] and read["CD3"].tolist() == ["12.0", "3.0"]
    assert from_wkt(read["polygon"][0]).equals(box(0, 0, 10, 20))
    # and the study's own reader takes each outline
    assert _outline(read["polygon"][1]) == ((9, 5), (9, 9), (5, 9), (5, 5))


def test_what_no_table_of_regions_holds_is_refused(tmp_path) -> None:
    write_geojson(drawn(box(0, 0, 9, 9) - box(1, 1, 2, 2)), tmp_path / "a.svs.geojson")
    (tmp_path / "Kanari.svs.geojson").write_text("[]")
    patients, table = {"a.svs": "1", "Kanari.svs": "2"}, tmp_path / "t.csv"
    with pytest.raises(SlideError, match="has a hole"):
        write_region_table([tmp_path / "a.svs.geojson"], patients, table)
    with pytest.raises(StudyError, match="no slide of the table") as refusal:
        write_region_table([tmp_path / "Kanari.svs.geojson"], {}, table)
    assert "Kanari" not in str(refusal.value)
    with pytest.raises(StudyError, match="no annotation"):
        write_region_table([tmp_path / "Kanari.svs.geojson"], patients, table)
    table.write_text("")
    with pytest.raises(StudyError, match="there already"):
        write_region_table([], patients, table)
    (tmp_path / "slides.csv").write_text("id,file\n1,a\n")
    with pytest.raises(StudyError, match=r"no such column .value: patient"):
        patients_of_slides(tmp_path / "slides.csv", id_column="patient", file_column="file")
