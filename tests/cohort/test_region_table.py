"""One row a region: discs and outlines, whose slide, what was counted, and refusals by row."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from pydantic import ValidationError

from metasight.cohort.region_table import RegionValue, read_region_table
from metasight.cohort.settings import CohortSettings
from metasight.cohort.slide_table import read_slide_table
from metasight.errors import StudyError, TableError
from metasight.protocol.load import read_protocol

MARKERS = read_protocol("breast-dmfs").marker
HEAD = "case,file,x,y,diameter,polygon,T cells\n"
SLIDES = "case,file,stain,markers\nMRN1,a.svs,H&E,\nMRN1,i.tif,IHC,CD3\nMRN2,b.svs,H&E,\n"


def settings_of(**regions) -> CohortSettings:
    told = {"path": "regions.csv", "id": "case", "unit": "um", "counts": {"CD3": "T cells"}}
    return CohortSettings.model_validate(
        {
            "key": "a key for tests",
            "patients": {"path": "patients.csv", "id": "id"},
            "columns": {},
            "slides": {
                "path": "slides.csv",
                "id": "case",
                "maps": {},
                "regions": {k: v for k, v in {**told, **regions}.items() if v is not None},
            },
        }
    )


@pytest.fixture
def read(tmp_path: Path):
    def of(text: str, *, head: str = HEAD, **regions):
        (tmp_path / "slides.csv").write_text(SLIDES)
        (tmp_path / "regions.csv").write_text(head + text)
        settings = settings_of(**regions)
        slides = read_slide_table(tmp_path, settings, MARKERS)
        return read_region_table(tmp_path, settings, MARKERS, slides)

    return of


def problems(read, text, **regions):
    with pytest.raises(TableError) as error:
        read(text, **regions)
    return [(p.row, p.column, p.problem) for p in error.value.problems]


def test_a_disc_lies_on_its_slide_and_has_its_area(read):
    (region,) = read("MRN2,b.svs,100,200.5,55,,7\n")
    assert region.slide.endswith("-HE-1")
    assert "MRN2" not in repr(region)
    assert region.values == (RegionValue(marker="CD3", told="count", value=7.0),)
    outline = region.polygon_um(0.5)
    assert outline.area == pytest.approx(math.pi * 27.5**2, rel=1e-9)
    assert (outline.centroid.x, outline.centroid.y) == pytest.approx((100, 200.5))


def test_pixels_are_of_the_slide(read):
    (region,) = read("MRN2,b.svs,100,200,50,,7\n", unit="px")
    outline = region.polygon_um(0.25)
    assert (outline.centroid.x, outline.centroid.y) == pytest.approx((25, 50))
    assert outline.area == pytest.approx(math.pi * 6.25**2, rel=1e-9)


@pytest.mark.parametrize(
    "drawn",
    [
        '"POLYGON ((0 0, 40 0, 40 10, 0 10, 0 0))"',
        '"{""type"": ""Polygon"", ""coordinates"": [[[0,0],[40,0],[40,10],[0,10],[0,0]]]}"',
        '"{""type"": ""Feature"", ""geometry"": {""type"": ""Polygon"", ""coordinates"": '
        '[[[0,0],[40,0],[40,10],[0,10],[0,0]]]}}"',
    ],
)
def test_outlines_as_wkt_and_geojson(read, drawn):
    (region,) = read(f"MRN1,a.svs,,,,{drawn},3\n")
    assert region.diameter is None
    assert region.polygon_um(1.0).area == 400
    assert len(region.outline) == 4


def test_what_is_not_told_is_missing_and_other_kinds_are_kept(read):
    head = "case,file,x,y,diameter,T cells,B,TIL\n"
    text = "MRN1,a.svs,1,1,50,,80,10\nMRN1,a.svs,1,1,50,NA,,\n"
    one, two = read(text, head=head, per_mm2={"CD20": "B"}, scores={"CD3": "TIL"})
    assert [(v.marker, v.told, v.value) for v in one.values] == [
        ("CD20", "per_mm2", 80.0),
        ("CD3", "score", 10.0),
    ]
    assert two.values == ()
    assert [r.row for r in (one, two)] == [2, 3]


@pytest.mark.parametrize(
    ("row", "column", "problem"),
    [
        (",a.svs,1,1,5,,2", "case", "no patient id"),
        ("MRN1,,1,1,5,,2", "file", "no slide"),
        ("MRN1,b.svs,1,1,5,,2", "file", "no H&E of this patient"),
        ("MRN1,i.tif,1,1,5,,2", "file", "no H&E of this patient"),
        ("MRN1,a.svs,,,,,2", "x", "no place"),
        ("MRN1,a.svs,one,1,5,,2", "x", "not a number"),
        ("MRN1,a.svs,1,,5,,2", "y", "not a number"),
        ("MRN1,a.svs,1,1,0,,2", "diameter", "not above 0"),
        ("MRN1,a.svs,1,1,5,,-2", "T cells", "not a number of 0 or more"),
        ("MRN1,a.svs,1,1,5,,many", "T cells", "not a number of 0 or more"),
        ('MRN1,a.svs,1,1,5,"POLYGON ((0 0, 1 0, 1 1, 0 0))",2', "polygon", "a polygon and a disc"),
        ("MRN1,a.svs,,,,a circle,2", "polygon", "an outline that cannot be read"),
        ('MRN1,a.svs,,,,"{""type"": ""x""}",2', "polygon", "an outline that cannot be read"),
        ("MRN1,a.svs,,,,POINT (1 1),2", "polygon", "not one polygon without holes"),
        (
            'MRN1,a.svs,,,,"POLYGON ((0 0, 1 1, 1 0, 0 1, 0 0))",2',
            "polygon",
            "an outline that crosses itself or encloses nothing",
        ),
    ],
)
def test_what_a_region_cannot_be(read, row, column, problem):
    found = problems(read, row + "\n")
    assert (2, column, problem) in found
    assert {p[0] for p in found} == {2}


def test_all_rows_are_told_at_once_and_no_id_is_shown(read):
    with pytest.raises(TableError) as error:
        read("MRN1,a.svs,1,1,5,,MRN1\nMRN9,a.svs,1,1,5,,1\n")
    assert [p.row for p in error.value.problems] == [2, 3]
    assert "MRN" not in str(error.value)


def test_a_comma_is_a_decimal_where_the_study_says_so(read):
    head = "case;file;x;y;diameter;T cells\n"
    (region,) = read("MRN1;a.svs;1,5;2,5;55;3,5\n", head=head, decimal=",")
    assert (region.x, region.y, region.values[0].value) == (1.5, 2.5, 3.5)


def test_missing_columns_are_named(read):
    with pytest.raises(TableError) as error:
        read("MRN1,a.svs,2\n", head="case,file,T cells\n")
    assert {p.column for p in error.value.problems} == {"x", "y", "diameter"}
    assert "[slides.regions]" in str(error.value)


def test_markers_are_the_protocols(read):
    (region,) = read("MRN1,a.svs,1,1,5,,2\n", counts={"cd3": "T cells"})
    assert region.values[0].marker == "CD3"
    with pytest.raises(StudyError, match="marker that the protocol does not know"):
        read("MRN1,a.svs,1,1,5,,2\n", counts={"CD999": "T cells"})
    with pytest.raises(StudyError, match="named twice"):
        read("MRN1,a.svs,1,1,5,,2\n", per_mm2={"CD3": "x"})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"unit": None}, "unit"),
        ({"counts": {}}, "counts, per_mm2 or scores"),
        ({"counts": {}, "scores": {"CD3": "TIL"}, "use": "train"}, "scores are compared only"),
    ],
)
def test_what_settings_must_say(change, message):
    with pytest.raises(ValidationError, match=message):
        settings_of(**change)


def test_regions_need_maps():
    told = settings_of().model_dump()
    told["key"] = "a key for tests"
    told["slides"]["maps"] = None
    with pytest.raises(ValidationError, match=r"need \[slides.maps\]"):
        CohortSettings.model_validate(told)


def test_no_table_no_regions(tmp_path):
    settings = CohortSettings.model_validate(
        {
            "key": "a key for tests",
            "patients": {"path": "patients.csv", "id": "id"},
            "columns": {},
        }
    )
    assert read_region_table(tmp_path, settings, MARKERS, ()) == ()
