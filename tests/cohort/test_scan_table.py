"""One row a scan or lesion: a file, a click or a box, and refusals by row."""

from __future__ import annotations

import pytest

from metasight.cohort.canonical import pseudonym
from metasight.cohort.scan_table import read_scan_table
from metasight.cohort.settings import CohortSettings
from metasight.errors import TableError

HEAD = "id,kind,path,roi,x_mm,y_mm,z_mm,x2_mm,y2_mm,z2_mm\n"
KEY = "a key for tests"


@pytest.fixture
def read(tmp_path):
    def of(text, head=HEAD, **scans):
        (tmp_path / "scans.csv").write_text(head + text)
        settings = CohortSettings(
            key=KEY,
            patients={"path": "patients.csv", "id": "id"},
            columns={},
            scans={"path": "scans.csv", "id": "id", **scans},
        )
        return read_scan_table(tmp_path, settings)

    return of


def problems(read, text, head=HEAD):
    with pytest.raises(TableError) as error:
        read(text, head)
    return [(p.row, p.column, p.problem) for p in error.value.problems]


def test_the_rows_of_a_patient_come_together(read, tmp_path):
    told = read(
        "M2,CT,b,,,,,,,\nM1,CT,a,,,,,,,\nM1,PET,a/pet.zip,,,,,,,\nM1,mask,a/m.dcm,GTV-1,,,,,,\n"
    )
    assert [p.patient for p in told] == [pseudonym("M2", KEY), pseudonym("M1", KEY)]
    first, second = told
    assert (first.ct, first.pet, first.lesion) == (tmp_path / "b", None, None)
    assert second.pet == tmp_path / "a" / "pet.zip"
    assert second.lesion.path == tmp_path / "a" / "m.dcm"
    assert second.lesion.region == "GTV-1"
    assert (second.lesion.point_mm, second.lesion.corner_mm) == (None, None)
    assert second.files == (tmp_path / "a", tmp_path / "a/pet.zip", tmp_path / "a/m.dcm")


def test_a_click_and_a_box_are_x_y_z_in_millimetres(read):
    click, box = read("A,mask,,,-12.5,3,1e2,,,\nB,mask,,,1,2,3,4,5,6\n")
    assert click.lesion.point_mm == (-12.5, 3.0, 100.0)
    assert click.lesion.corner_mm is None
    assert box.lesion.point_mm == (1, 2, 3)
    assert box.lesion.corner_mm == (4, 5, 6)
    assert click.files == ()


def test_scans_lie_in_their_folder(read, tmp_path):
    (told,) = read("A,CT,ct,,,,,,,\n", folder="dicom")
    assert told.ct == tmp_path / "dicom" / "ct"


def test_a_table_without_columns_for_points(read):
    (told,) = read("A,mask,m.nii.gz\n", head="id,kind,path\n")
    assert told.lesion.region == ""
    assert told.lesion.point_mm is None


@pytest.mark.parametrize(
    ("row", "column", "problem"),
    [
        (",CT,a,,,,,,,", "id", "no patient id"),
        ("A,ct,a,,,,,,,", "kind", "unknown kind"),
        ("A,CT,,,,,,,,", "path", "a CT without a file"),
        ("A,PET,,,,,,,,", "path", "a PET without a file"),
        ("A,mask,,,,,,,,", "path", "a lesion is told by a file or by a point"),
        ("A,mask,m.dcm,,1,2,3,,,", "path", "a lesion is told by a file or by a point"),
        ("A,mask,,,1,2,,,,", "x_mm", "part of a point"),
        ("A,mask,,,1,2,3,4,,6", "x2_mm", "part of a point"),
        ("A,mask,,,1,two,3,,,", "y_mm", "not a number"),
        ("A,mask,,,1,2,inf,,,", "z_mm", "not a number"),
        ("A,mask,m.dcm,,,,,4,5,6", "x2_mm", "a box without its first corner"),
    ],
)
def test_what_a_row_cannot_be(read, row, column, problem):
    assert problems(read, row + "\n") == [(2, column, problem)]


def test_a_second_scan_of_one_kind(read):
    rows = "A,CT,a,,,,,,,\nB,CT,b,,,,,,,\nA,CT,c,,,,,,,\nA,PET,p,,,,,,,\n"
    assert problems(read, rows) == [(4, "kind", "the patient has one already")]


def test_columns_that_are_not_there(read):
    assert problems(read, "A\n", head="id\n") == [
        (None, "kind", "missing column"),
        (None, "path", "missing column"),
    ]
