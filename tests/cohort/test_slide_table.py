"""One row a slide: names without the patient's id, markers, resolutions, and refusals by row."""

from __future__ import annotations

from pathlib import Path

import pytest

from metasight.cohort.canonical import pseudonym
from metasight.cohort.settings import CohortSettings
from metasight.cohort.slide_table import read_slide_table
from metasight.errors import TableError
from metasight.protocol.load import read_protocol

HEAD = "case,file,stain,markers\n"


@pytest.fixture
def read(tmp_path):
    def of(text, **slides):
        (tmp_path / "slides.csv").write_text(HEAD + text if "case" not in text else text)
        settings = CohortSettings(
            key="a key for tests",
            patients={"path": "patients.csv", "id": "id"},
            columns={},
            slides={"path": "slides.csv", "id": "case", **slides},
        )
        return read_slide_table(tmp_path, settings, ())

    return of


def problems(read, text):
    with pytest.raises(TableError) as error:
        read(text)
    return [(p.row, p.column, p.problem) for p in error.value.problems]


def test_rows_become_slides_with_names_that_hold_no_id(read, tmp_path):
    told = read("MRN1,a/x.svs,H&E,\nMRN1,y.tif,IHC,CD3\nMRN1,z.svs,H&E,\nMRN2,w.svs,H&E,\n")
    one, two = pseudonym("MRN1", "a key for tests"), pseudonym("MRN2", "a key for tests")
    assert [s.name for s in told] == [f"{one}-HE-1", f"{one}-IHC-1", f"{one}-HE-2", f"{two}-HE-1"]
    assert told[0].path == tmp_path / "a" / "x.svs"
    assert [s.markers for s in told] == [(), ("CD3",), (), ()]


def test_markers_keep_their_order_and_lose_their_blanks(read):
    (slide,) = read("MRN1,x.tif,fluorescence, Pan-CK ;CD3;; CD20\n")
    assert slide.markers == ("Pan-CK", "CD3", "CD20")


def test_the_resolution_of_a_file_goes_before_that_of_all(read):
    rows = "MRN1,a/x.svs,H&E,\nMRN1,y.svs,H&E,\n"
    assert [s.mpp for s in read(rows, mpp=0.5, mpp_of={"x.svs": 0.25})] == [0.25, 0.5]
    assert [s.mpp for s in read(rows)] == [None, None]


def test_slides_lie_in_their_folder(read, tmp_path):
    (slide,) = read("MRN1,x.svs,H&E,\n", folder="scanned")
    assert slide.path == tmp_path / "scanned" / "x.svs"


def test_a_row_without_a_file_is_a_slide_that_was_not_made(read):
    told = read("MRN1,,H&E,\nMRN1,x.svs,H&E,\n")
    assert len(told) == 1
    assert told[0].name.endswith("-HE-1")


@pytest.mark.parametrize(
    ("row", "column", "problem"),
    [
        (",x.svs,H&E,", "case", "no patient id"),
        ("M,x.svs,HE,", "stain", "unknown stain"),
        ("M,x.svs,H&E,CD3", "markers", "an H&E section carries no marker"),
        ("M,x.svs,IHC,", "markers", "IHC without a marker"),
        ("M,x.svs,fluorescence, ; ", "markers", "fluorescence without a marker"),
        ("M,x.svs,IHC,CD3;CD20", "markers", "several markers on one DAB section"),
        ("M,x.svs,fluorescence,CD3;CD3", "markers", "a marker is named twice"),
    ],
)
def test_what_a_slide_cannot_be(read, row, column, problem):
    assert problems(read, row + "\n") == [(2, column, problem)]


def test_one_file_under_two_spellings_is_one_file(read):
    rows = "MRN1,a/x.svs,H&E,\nMRN2,a/../a/x.svs,H&E,\n"
    assert problems(read, rows) == [(3, "file", "the same file as in row 2")]


def test_all_problems_are_told_at_once(read):
    rows = ",x.svs,H&E,\nM,y.svs,pink,\nM,x.svs,H&E,\n"
    assert problems(read, rows) == [
        (2, "case", "no patient id"),
        (3, "stain", "unknown stain"),
        (4, "file", "the same file as in row 2"),
    ]


def test_columns_that_are_not_there(read):
    assert problems(read, "case,slide\nM,x\n") == [
        (None, "file", "missing column"),
        (None, "stain", "missing column"),
    ]


def test_no_slides_in_the_study(tmp_path):
    settings = CohortSettings(
        key="a key for tests", patients={"path": "p.csv", "id": "id"}, columns={}
    )
    assert read_slide_table(tmp_path, settings, ()) == ()


MARKERS = read_protocol("breast-dmfs").marker


def plain_settings() -> CohortSettings:
    return CohortSettings.model_validate(
        {
            "key": "a key for tests",
            "patients": {"path": "patients.csv", "id": "id"},
            "columns": {},
            "slides": {"path": "slides.csv", "id": "patient"},
        }
    )


def write(folder: Path, *rows: str) -> None:
    (folder / "slides.csv").write_text("\n".join(["patient,file,stain,markers", *rows]) + "\n")


def test_spellings_become_the_protocols_names_and_others_stay(tmp_path: Path) -> None:
    write(tmp_path, "A,a.tif,fluorescence,panCK; cd3 (Opal 520) ;L26;Ki-67", "A,b.svs,H&E,")
    first, second = read_slide_table(tmp_path, plain_settings(), MARKERS)
    assert first.markers == ("Pan-CK", "CD3", "CD20", "Ki-67")
    assert second.markers == ()
    # without a protocol's markers the table's own names stay
    assert read_slide_table(tmp_path, plain_settings(), ())[0].markers[0] == "panCK"


def test_one_marker_under_two_spellings_is_named_twice(tmp_path: Path) -> None:
    write(tmp_path, "A,a.tif,fluorescence,PanCK;AE1/AE3")
    with pytest.raises(TableError, match="a marker is named twice"):
        read_slide_table(tmp_path, plain_settings(), MARKERS)


def test_names_hold_no_file_and_count_within_a_patient_and_stain(tmp_path: Path) -> None:
    write(
        tmp_path,
        "Smith,smith.svs,H&E,",
        "Smith,s2.svs,IHC,CD3",
        "Smith,s3.svs,H&E,",
        "B,b.svs,H&E,",
    )
    rows = read_slide_table(tmp_path, plain_settings(), MARKERS)
    endings = [r.name.removeprefix(f"{r.patient}-") for r in rows]
    assert endings == ["HE-1", "IHC-1", "HE-2", "HE-1"]
    assert not any("mith" in r.name for r in rows)


def test_a_row_without_a_file_is_no_slide_and_no_table_of_slides_has_none(tmp_path: Path) -> None:
    write(tmp_path, "A,,H&E,")
    assert read_slide_table(tmp_path, plain_settings(), MARKERS) == ()
    none = plain_settings().model_copy(update={"slides": None})
    assert read_slide_table(tmp_path, none, MARKERS) == ()


def test_what_is_said_of_single_files(read, tmp_path: Path) -> None:
    rows = read(
        "A,x/a.svs,H&E,\nA,b.svs,H&E,\n",
        mpp=0.5,
        mpp_of={"a.svs": 0.25},
        picture_of={"b.svs": 2},
    )
    assert [(r.mpp, r.replaces_mpp, r.picture) for r in rows] == [
        (0.25, True, None),
        (0.5, False, 2),
    ]


@pytest.mark.parametrize("key", ["mpp_of", "picture_of"])
def test_a_file_that_the_table_does_not_list_is_a_problem(read, key: str) -> None:
    with pytest.raises(TableError, match=f"{key}. names files that are not in the table") as error:
        read("A,a.svs,H&E,\n", **{key: {"a.svs": 1, "Smith.svs": 1}})
    assert "Smith" not in str(error.value)


def test_cells_of_another_program_lie_beside_the_slides(read, tmp_path: Path) -> None:
    rows = read(
        "case,file,stain,markers,cells\nA,a.svs,H&E,,\nA,b.svs,IHC,CD3,b.csv\n", folder="slides"
    )
    assert [r.cells for r in rows] == [None, tmp_path / "slides" / "b.csv"]
    assert problems(read, "case,file,stain,markers,cells\nA,a.svs,H&E,,a.csv\n") == [
        (2, "cells", "cells are given for an H&E section")
    ]
