import json

import cv2
import numpy as np
import pytest
import tifffile
from shapely.geometry import box, mapping

from metasight.errors import MarkerError
from metasight.maps.adapters import (
    cells_of_deepliif,
    read_cell_file,
    read_label_image,
    read_label_types,
    read_qupath_geojson,
    read_qupath_table,
)


def test_qupath_table_in_um(tmp_path):
    (tmp_path / "d.tsv").write_text(
        "Image\tClass\tCentroid X µm\tCentroid Y µm\tNucleus: Area\n"
        "a.svs\tTumor\t10.5\t20\t50\na.svs\t\t30\t40.25\t60\n"
    )
    cells = read_qupath_table(tmp_path / "d.tsv")
    assert cells.x_um.tolist() == [10.5, 30]
    assert [cells.type_names[c] for c in cells.type_code] == ["Tumor", "unclassified"]


def test_qupath_table_in_pixels_needs_mpp(tmp_path):
    (tmp_path / "d.csv").write_text("Centroid X px,Centroid Y px,Classification\n100,40,CD3\n")
    assert read_qupath_table(tmp_path / "d.csv", mpp=0.25).x_um.tolist() == [25]
    with pytest.raises(MarkerError, match="per pixel"):
        read_qupath_table(tmp_path / "d.csv")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "cannot be read"),
        ("a,b\n1,2\n", "not a QuPath table"),
        ("Centroid X µm,Class\n1,a\n", "not a QuPath table"),
        ("Centroid X µm,Centroid Y µm,Class\n", "empty"),
        ("Centroid X µm,Centroid Y µm,Class\n1,2,a\n1,x,a\n", r"row 3.*not a number|not a number"),
    ],
)
def test_bad_tables(tmp_path, text, problem):
    (tmp_path / "d.csv").write_text(text)
    with pytest.raises(MarkerError, match=problem):
        read_qupath_table(tmp_path / "d.csv")


def feature(geometry, kind="detection", name=None, nucleus=None):
    found = {"type": "Feature", "geometry": mapping(geometry), "properties": {"objectType": kind}}
    if name:
        found["properties"]["classification"] = {"name": name, "color": [1, 2, 3]}
    if nucleus is not None:
        found["nucleusGeometry"] = mapping(nucleus)
    return found


def test_qupath_geojson(tmp_path):
    features = [
        feature(box(0, 0, 10, 10), name="CD3"),
        feature(box(0, 0, 40, 40), kind="cell", nucleus=box(30, 30, 34, 34)),
        feature(box(0, 0, 500, 500), kind="annotation", name="Tumor"),
    ]
    path = tmp_path / "c.geojson"
    for content in (features, {"type": "FeatureCollection", "features": features}):
        path.write_text(json.dumps(content))
        cells = read_qupath_geojson(path, mpp=0.5)
        assert cells.x_um.tolist() == [2.5, 16]
        assert cells.type_names == ("CD3", "unclassified")
    broken = feature(box(0, 0, 1, 1))
    broken["geometry"] = {"type": "Polygon", "coordinates": "no"}
    for content, problem in [
        ("{", "cannot be read"),
        ("3", "features"),
        ("[1]", "features"),
        (json.dumps(features[2:]), "no cells"),
        (json.dumps([broken]), "outline"),
    ]:
        path.write_text(content)
        with pytest.raises(MarkerError, match=problem):
            read_qupath_geojson(path, mpp=0.5)


def test_label_images(tmp_path):
    labels = np.zeros((40, 60), dtype=np.uint16)
    labels[10:20, 10:20] = 3
    labels[30:40, 50:60] = 7
    tifffile.imwrite(tmp_path / "s.tif", labels)
    np.save(tmp_path / "c.npy", labels)
    (tmp_path / "t.csv").write_text("label,type\n3,CD3\n7,CD20\n")
    types = read_label_types(tmp_path / "t.csv")
    for name in ("s.tif", "c.npy"):
        cells, read = read_label_image(tmp_path / name, mpp=0.5, types=types)
        assert (read == labels).all()
        assert cells.x_um.tolist() == [7.5, 27.5]
        assert cells.y_um.tolist() == [7.5, 17.5]
        assert [cells.type_names[c] for c in cells.type_code] == ["CD3", "CD20"]
    with pytest.raises(MarkerError, match="does not hold"):
        read_label_image(tmp_path / "s.tif", mpp=0.5, types={9: "CD3"})


def test_bad_label_images(tmp_path):
    np.save(tmp_path / "pickle.npy", np.array([{"masks": 1}]), allow_pickle=True)
    np.save(tmp_path / "float.npy", np.zeros((3, 3)))
    np.save(tmp_path / "none.npy", np.zeros((3, 3), dtype=int))
    (tmp_path / "text.tif").write_text("no")
    for name, problem in [
        ("pickle.npy", "cannot be read"),
        ("float.npy", "not an image of labels"),
        ("none.npy", "no label"),
        ("text.tif", "cannot be read"),
        ("absent.tif", "cannot be read"),
    ]:
        with pytest.raises(MarkerError, match=problem):
            read_label_image(tmp_path / name, mpp=0.5)
    (tmp_path / "t.csv").write_text("label,type\n3,a\n3,b\n")
    with pytest.raises(MarkerError, match="each once"):
        read_label_types(tmp_path / "t.csv")


def test_deepliif(shared):
    strip = cv2.imread(str(shared / "data/slides/deepliif/train/Bladder1.png"))
    panels = [cv2.cvtColor(p, cv2.COLOR_BGR2RGB) for p in np.split(strip, 6, axis=1)]
    cells, labels = cells_of_deepliif(panels[5], mpp=0.25, marker="Ki67")
    assert labels.max() == len(cells)
    assert 150 < len(cells) < 220
    assert 12 <= cells.positive["Ki67"].sum() <= 20
    with pytest.raises(MarkerError, match="no DeepLIIF"):
        cells_of_deepliif(panels[0], mpp=0.25, marker="Ki67")
    with pytest.raises(MarkerError, match="RGB"):
        cells_of_deepliif(panels[5][..., 0], mpp=0.25, marker="Ki67")


def test_labels_as_png(tmp_path):
    labels = np.zeros((8, 8), np.uint16)
    labels[1:3, 1:3], labels[5:7, 5:7] = 1, 300
    cv2.imwrite(str(tmp_path / "m.png"), labels)
    cells, read = read_label_image(tmp_path / "m.png", mpp=0.5)
    assert cells.x_um.tolist() == [1.0, 3.0]
    assert np.array_equal(read, labels)
    for data in (b"", b"\x89PNG nothing"):
        (tmp_path / "m.png").write_bytes(data)
        with pytest.raises(MarkerError, match="cannot be read"):
            read_label_image(tmp_path / "m.png", mpp=0.5)


@pytest.mark.parametrize(
    ("classification", "name"),
    [
        ({"name": "CD3"}, "CD3"),
        ({"names": ["CD3", "CD20"]}, "CD3: CD20"),
        ("CD3", "CD3"),
        (None, "unclassified"),
        ({}, "unclassified"),
        ("", "unclassified"),
    ],
)
def test_classes_in_every_form_of_qupath(tmp_path, classification, name):
    made = feature(box(0, 0, 2, 2))
    made["properties"]["classification"] = classification
    (tmp_path / "c.geojson").write_text(json.dumps([made]))
    cells = read_cell_file(tmp_path / "c.geojson", mpp=1.0).cells
    assert cells.type_names == (name,)


@pytest.mark.parametrize("classification", [3, {"name": 3}, {"names": ["CD3", 3]}, ["CD3", None]])
def test_a_class_of_another_form_is_refused(tmp_path, classification):
    made = feature(box(0, 0, 2, 2))
    made["properties"]["classification"] = classification
    (tmp_path / "c.geojson").write_text(json.dumps([made]))
    with pytest.raises(MarkerError, match="neither a name nor a list"):
        read_cell_file(tmp_path / "c.geojson", mpp=1.0)


def test_kinds_of_old_versions_and_other_files(tmp_path):
    made = feature(box(0, 0, 2, 2))
    made["id"], made["properties"] = "PathCellObject", {"classification": {"name": "CD3"}}
    (tmp_path / "c.json").write_text(json.dumps([made]))
    assert len(read_cell_file(tmp_path / "c.json", mpp=1.0).cells) == 1
    made["properties"] = "Meier"
    (tmp_path / "c.json").write_text(json.dumps([made]))
    with pytest.raises(MarkerError, match="not a GeoJSON"):
        read_cell_file(tmp_path / "c.json", mpp=1.0)
    with pytest.raises(MarkerError, match="table or a GeoJSON"):
        read_cell_file(tmp_path / "c.qpdata", mpp=1.0)
    with pytest.raises(MarkerError, match="cannot be read"):
        read_cell_file(tmp_path / "none.json", mpp=1.0)
