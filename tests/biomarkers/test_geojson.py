import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry import Polygon, box, shape

from metasight.biomarkers.geojson import (
    annotation,
    read_annotations,
    read_outlines,
    tls_annotations,
    write_geojson,
)
from metasight.biomarkers.tls import Aggregate
from metasight.errors import SlideError

RING = box(100, 100, 200, 300) - box(120, 120, 140, 140)


def aggregate():
    return Aggregate(
        outline=RING,
        centroid_um=(150, 200),
        area_um2=RING.area,
        lymphocytes=60.0,
        b_percent=40.0,
        density_ratio=5.0,
        distance_to_tumour_um=float("nan"),
    )


def test_what_qupath_reads(tmp_path):
    write_geojson(tls_annotations([aggregate()], mpp=0.25), tmp_path / "tls.geojson")
    read = json.loads((tmp_path / "tls.geojson").read_text())
    assert read["type"] == "FeatureCollection"
    (feature,) = read["features"]
    assert feature["properties"]["objectType"] == "annotation"
    assert feature["properties"]["classification"] == {"name": "TLS", "color": [128, 0, 200]}
    outline = shape(feature["geometry"])
    assert outline.area == pytest.approx(RING.area / 0.25**2)
    assert outline.bounds == (400, 400, 800, 1200)
    assert len(outline.interiors) == 1
    assert feature["properties"]["measurements"]["Lymphocytes"] == 60


def test_outlines_come_back_in_micrometres(tmp_path):
    write_geojson(tls_annotations([aggregate(), aggregate()], mpp=0.25), tmp_path / "tls.geojson")
    first, second = read_outlines(tmp_path / "tls.geojson", 0.25)
    assert first.equals_exact(RING, 1e-9)
    assert second.bounds == pytest.approx((100, 100, 200, 300))
    write_geojson([], tmp_path / "none.geojson")
    assert read_outlines(tmp_path / "none.geojson", 0.25) == []


def test_no_guessed_scale():
    with pytest.raises(SlideError, match="per pixel"):
        annotation(Polygon(RING), name="a", classification="b", colour=(0, 0, 0), mpp=0)


def feature(geometry, **properties):
    return {"type": "Feature", "geometry": geometry, "properties": properties}


SQUARE = {"type": "Polygon", "coordinates": [[[0, 0], [4, 0], [4, 4], [0, 4], [0, 0]]]}


def test_annotations_of_every_version_of_qupath(tmp_path):
    path = tmp_path / "a.geojson"
    old = feature(SQUARE, classification="Tumor", measurements=[{"name": "Area", "value": 2}])
    new = feature(SQUARE, objectType="annotation", name="n", measurements={"Area": 3, "t": "x"})
    cell = feature(SQUARE, objectType="detection")
    for written in ([old, new, cell], {"type": "FeatureCollection", "features": [old, new, cell]}):
        path.write_text(json.dumps(written), "utf-8")
        first, second = read_annotations(path, 0.5)
        assert (first.classification, first.measurements) == ("Tumor", {"Area": 2.0})
        assert (second.name, second.measurements) == ("n", {"Area": 3.0})
        assert first.outline.area == pytest.approx(4)
    path.write_text(json.dumps(old), "utf-8")
    assert len(read_annotations(path, 0.5)) == 1


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "not a GeoJSON"),
        ("[" * 100_000, "not a GeoJSON"),
        ('{"features": [1]}', "not a GeoJSON"),
        ('[{"properties": {}}]', "object 1: an annotation is not an area"),
        (json.dumps([feature({"type": "Point", "coordinates": [0, 0]})]), "not an area .value: P"),
        (json.dumps([feature({"type": "Polygon", "coordinates": [[[0, 0]]]})]), "not an area"),
        (json.dumps([feature({"type": "Polygon", "coordinates": "x"})]), "not an area"),
        (
            json.dumps(
                [feature({"type": "Polygon", "coordinates": [[[0, 0], [4, 4], [4, 0], [0, 4]]]})]
            ),
            "crosses itself",
        ),
        (
            json.dumps(
                [
                    feature(
                        {
                            "type": "Polygon",
                            "coordinates": [[[0, 0], [float("nan"), 4], [4, 0], [0, 0]]],
                        }
                    )
                ]
            ),
            "not a GeoJSON",
        ),
    ],
)
def test_what_is_no_area_is_refused_with_its_number(tmp_path, text, problem):
    (tmp_path / "a.geojson").write_text(text, "utf-8")
    with pytest.raises(SlideError, match=problem):
        read_annotations(tmp_path / "a.geojson", 0.5)


KEYS = st.sampled_from(
    ("features", "type", "geometry", "properties", "coordinates", "classification", "measurements")
) | st.text(max_size=4)
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=8) | st.integers(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=20,
)


@given(JSON)
def test_any_json_is_annotations_or_a_named_error(data):
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "a.geojson"
        path.write_text(json.dumps(data), "utf-8")
        try:
            found = read_annotations(path, 0.5)
        except SlideError as error:
            assert error.remedy
        else:
            assert all(a.outline.is_valid for a in found)
