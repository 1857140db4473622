"""Tables of cells of other programs: one slide's cells, whatever else stands in the table."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metasight.errors import MarkerError
from metasight.maps.cell_tables import read_cell_table, read_plain_table

HEAD = "Image,Object type,Classification,Centroid X µm,Centroid Y µm"


def read(tmp_path: Path, text: str | bytes, **more):
    path = tmp_path / "cells.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_cell_table(path, **more)


def classes(found) -> list[str]:
    return [found.cells.type_names[c] for c in found.cells.type_code]


def test_cells_of_one_of_several_images(tmp_path: Path) -> None:
    text = f"{HEAD}\na.svs,Cell,CD3,1,2\nb.svs,Cell,CD20,3,4\na.svs,Detection,,5,6\n"
    found = read(tmp_path, text, image="a.svs")
    assert found.cells.x_um.tolist() == [1, 5]
    assert classes(found) == ["CD3", "unclassified"]
    assert found.program == "QuPath"
    assert found.notes == ("1 row of other images left out",)


@pytest.mark.parametrize(
    "named", ["a.svs", "A.SVS", "a", "a.svs - Series 1", "/scans/a.svs", "C:\\scans\\a.svs"]
)
def test_an_image_is_told_by_its_file(tmp_path: Path, named: str) -> None:
    text = f"{HEAD}\n{named},Cell,CD3,1,2\nab.svs,Cell,CD3,3,4\n"
    assert read(tmp_path, text, image="a.svs").cells.x_um.tolist() == [1]


@pytest.mark.parametrize(
    ("rows", "image", "problem"),
    [
        ("Meier.svs,Cell,CD3,1,2\nb.svs,Cell,CD3,1,2", None, "cells of several images"),
        ("Meier.svs,Cell,CD3,1,2", "a.svs", "no cells of this slide"),
        ("a.svs - 1,Cell,CD3,1,2\na.svs - 2,Cell,CD3,1,2", "a.svs", "several pictures"),
        ("a.svs,Annotation,Meier,1,2", "a.svs", "only annotations"),
        ("a.svs,Meier,CD3,1,2", "a.svs", "a kind that is not known"),
        ("a.svs,Cell,CD3,Meier,2", "a.svs", "not a number"),
        ("a.svs,Cell,CD3,,2", "a.svs", "not a number"),
        ('a.svs,Cell,CD3,"1.234,5",2', "a.svs", "not a number"),
    ],
)
def test_what_is_left_open_is_refused(tmp_path: Path, rows, image, problem) -> None:
    with pytest.raises(MarkerError, match=problem) as error:
        read(tmp_path, f"{HEAD}\n{rows}\n", image=image)
    assert error.value.remedy
    assert "Meier" not in str(error.value)


def test_annotations_and_the_image_itself_are_left_out(tmp_path: Path) -> None:
    text = f"{HEAD}\na.svs,Image,,9,9\na.svs,Annotation,Tumor,8,8\na.svs,Cell,CD3,1,2\n"
    found = read(tmp_path, text, image="a.svs")
    assert found.cells.x_um.tolist() == [1]
    assert found.notes == ("2 rows of annotations left out",)
    old = (
        "Name,Class,Centroid X µm,Centroid Y µm\nPathAnnotationObject,,9,9\nPathCellObject,A,1,2\n"
    )
    assert read(tmp_path, old).cells.x_um.tolist() == [1]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(
    x=st.floats(0, 1e5).map(lambda v: round(v, 4)),
    separator=st.sampled_from("\t;"),
    decimal=st.sampled_from(".,"),
    mu=st.sampled_from(["µ", "μ", "u"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
def test_a_position_is_one_in_every_spelling(tmp_path, x, separator, decimal, mu, encoding) -> None:
    said = f"{x:.4f}".replace(".", decimal)
    rows = [["Class", f"Centroid X {mu}m", f"Centroid Y {mu}m"], ["CD3", said, said]]
    text = "\n".join(separator.join(row) for row in rows) + "\n"
    found = read(tmp_path, text.encode(encoding))
    assert found.cells.x_um.tolist() == [x]


def test_a_micro_sign_of_windows(tmp_path: Path) -> None:
    text = "Class,Centroid X µm,Centroid Y µm\nCD3,1,2\n".encode("cp1252")
    assert read(tmp_path, text).cells.x_um.tolist() == [1]


def test_halo(tmp_path: Path) -> None:
    text = (
        "Image File Name,XMin,XMax,YMin,YMax,CD3 Positive Classification,CD20 Positive\n"
        "a.svs,10,30,20,40,1,0\n"
    )
    found = read(tmp_path, text, mpp=0.5, image="a.svs")
    assert (found.cells.x_um.tolist(), found.cells.y_um.tolist()) == ([10], [15])
    assert {m: f.tolist() for m, f in found.cells.positive.items()} == {
        "CD3": [True],
        "CD20": [False],
    }
    with pytest.raises(MarkerError, match="µm per pixel"):
        read(tmp_path, text, image="a.svs")


def test_mcmicro_and_cellprofiler(tmp_path: Path) -> None:
    text = "CellID,X_centroid,Y_centroid,phenotype\n1,10,20,T cell\n"
    found = read(tmp_path, text, mpp=0.5)
    assert (found.program, classes(found)) == ("MCMICRO", ["T cell"])
    text = "ImageNumber,Location_Center_X,Location_Center_Y,Classify_CD3_Positive\n1,10,20,1\n"
    found = read(tmp_path, text, mpp=0.5)
    assert found.program == "CellProfiler"
    assert found.cells.positive["CD3"].tolist() == [True]


@pytest.mark.parametrize(("unit", "x"), [("pixels", 5.0), ("square microns", 10.0)])
def test_inform_says_its_unit_with_the_areas(tmp_path: Path, unit: str, x: float) -> None:
    text = (
        f"Sample Name\tCell X Position\tCell Y Position\tPhenotype\tNucleus Area ({unit})\n"
        "A_1.im3\t10\t20\tCD3+\t50\n"
    )
    found = read(tmp_path, text, mpp=0.5, image="A_1_component_data.tif")
    assert (found.program, found.cells.x_um.tolist(), classes(found)) == ("inForm", [x], ["CD3+"])
    with pytest.raises(MarkerError, match="no cells of this slide"):
        read(tmp_path, text, mpp=0.5, image="B.tif")
    for area in ("Nucleus Area", "Nucleus Area (pixels)\tCell Area (square microns)"):
        more = "\t1" * area.count("\t")
        unclear = text.replace(f"Nucleus Area ({unit})", area).replace("\t50", f"\t50{more}")
        with pytest.raises(MarkerError, match="pixels or µm") as error:
            read(tmp_path, unclear, mpp=0.5)
        assert error.value.remedy


def test_intensities_alone_are_no_classes(tmp_path: Path) -> None:
    with pytest.raises(MarkerError, match="not a table of cells"):
        read(tmp_path, "X_centroid,Y_centroid,CD3\n1,2,300\n", mpp=0.5)


def test_a_table_as_text(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b μm\n1,\n", encoding="utf-8")
    table = read_plain_table(tmp_path / "t.csv")
    assert list(table.columns) == ["a", "b µm"]
    assert table.iloc[0].tolist() == ["1", ""]
