"""One row a scan or lesion: a file, a click or a box, and refusals by row."""

from __future__ import annotations

import datetime as dt

import pytest

from metasight.cohort.canonical import pseudonym
from metasight.cohort.scan_table import SeriesRow, names_series, read_scan_table
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


@pytest.mark.parametrize(
    ("text", "said"),
    [("4", True), ("1.2.840.1.7", True), ("", False), ("1.2", False), ("Maier", False)],
)
def test_what_names_a_series(text, said):
    assert names_series(text) is said


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


ENDS = "id,kind,path,roi,x_mm,y_mm,z_mm,x_end_mm,y_end_mm,z_end_mm,x2_mm,y2_mm,z2_mm\n"


def test_both_ends_of_the_longest_diameter(read):
    (told,) = read("A,mask,,,1,2,3,4,5,6,,,\n", head=ENDS)
    assert (told.lesion.point_mm, told.lesion.end_mm) == ((1, 2, 3), (4, 5, 6))
    assert told.lesion.corner_mm is None


@pytest.mark.parametrize("row", ["A,mask,,,,,,4,5,6,,,", "A,mask,m.nii,,1,2,3,4,5,6,,,"])
def test_a_second_end_needs_the_first_and_nothing_else(read, row):
    found = problems(read, row + "\n", ENDS)
    assert (2, "x_end_mm") in [(r, c) for r, c, _ in found]
    beside_box = problems(read, "A,mask,,,1,2,3,4,5,6,7,8,9\n", ENDS)
    assert [c for _, c, _ in beside_box] == ["x_end_mm"]


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
        ("A,mask,,,,,,,,", "path", "a lesion has neither a file nor a point"),
        ("A,mask,m.dcm,,1,2,3,4,5,6", "x2_mm", "a row has both a box and a file"),
        ("A,mask,,,1,2,,,,", "x_mm", "part of a point"),
        ("A,mask,,,1,2,3,4,,6", "x2_mm", "part of a point"),
        ("A,mask,,,1,two,3,,,", "y_mm", "not a number"),
        ("A,mask,,,1,2,inf,,,", "z_mm", "not a number"),
        ("A,mask,m.dcm,,,,,4,5,6", "x2_mm", "a box has no first corner"),
    ],
)
def test_what_a_row_cannot_be(read, row, column, problem):
    assert problems(read, row + "\n") == [(2, column, problem)]


def test_a_second_scan_of_one_kind(read):
    rows = "A,CT,a,,,,,,,\nB,CT,b,,,,,,,\nA,CT,c,,,,,,,\nA,PET,p,,,,,,,\n"
    assert problems(read, rows) == [(4, "kind", "the patient has one already")]


LESIONS = "A,CT,a,,,,,,,\nA,mask,m1,,,,,,,\nA,mask,,,1,2,3,,,\nA,mask,m3,2,,,,,,\n"


def test_a_second_lesion_is_refused_unless_a_rule_says_which_counts(read):
    assert problems(read, LESIONS) == [
        (3 + n, "kind", "the patient has one already") for n in (1, 2)
    ]


@pytest.mark.parametrize("rule", ["first", "largest"])
def test_several_lesions_keep_the_order_of_the_table(read, tmp_path, rule):
    (told,) = read(LESIONS, several_lesions=rule)
    assert told.several_lesions == rule
    assert told.lesion.path == tmp_path / "m1"
    assert [row.path for row in told.further_lesions] == [None, tmp_path / "m3"]
    assert told.further_lesions[0].point_mm == (1, 2, 3)
    assert told.further_lesions[1].region == "2"
    assert set(told.files) == {tmp_path / n for n in ("a", "m1", "m3")}


def test_a_rule_for_lesions_is_none_for_scans(read):
    with pytest.raises(TableError) as error:
        read("A,CT,a,,,,,,,\nA,CT,b,,,,,,,\n", several_lesions="largest")
    assert [(p.row, p.accepted) for p in error.value.problems] == [(3, "one a patient")]


def test_columns_that_are_not_there(read):
    assert problems(read, "A\n", head="id\n") == [
        (None, "kind", "missing column"),
        (None, "path", "missing column"),
    ]


# ------------------------------------------------------------------ which series, which part

WHICH = "id,kind,path,series,date,accept\n"


@pytest.mark.parametrize(
    ("given", "told"),
    [("1.2.840.113619.2.5.1762", "1.2.840.113619.2.5.1762"), ("4", "4"), ("4.0", "4"), ("", "")],
)
def test_a_series_by_its_uid_or_number(read, given, told):
    (scans,) = read(f"A,CT,ct,{given},,\n", WHICH)
    assert scans.ct_series == SeriesRow(series=told)


def test_an_examination_by_its_date_and_a_reason_to_accept(read):
    (scans,) = read("A,CT,ct,,2020-03-01,\nA,PET,pet,5,,the only one there is\n", WHICH)
    assert scans.ct_series == SeriesRow(date=dt.date(2020, 3, 1))
    assert scans.pet_series == SeriesRow(series="5", accepted=True)
    assert "2020" not in repr(scans) and "only one" not in repr(scans)


@pytest.mark.parametrize(
    ("row", "column", "problem"),
    [
        ("A,CT,ct,Thorax 1.0,,", "series", "not a series"),
        ("A,CT,ct,1.2,,", "series", "not a series"),
        ("A,CT,ct,,01.03.2020,", "date", "not a date"),
        ("A,CT,ct,,2020-02-30,", "date", "not a date"),
        ("A,CT,ct,,,because", "accept", "a reason to accept a series that is not named"),
        ("A,mask,m.dcm,4,,", "series", "a mask has no series"),
        ("A,mask,m.dcm,,2020-03-01,", "date", "a mask has no series"),
    ],
)
def test_what_does_not_name_a_series(read, row, column, problem):
    assert problems(read, row + "\n", WHICH) == [(2, column, problem)]


def test_columns_of_other_meanings_are_not_looked_at_if_the_study_says_so(read):
    (scans,) = read("A,CT,ct,Thorax,1.3.2020,x\n", WHICH, series="", date="", accept="")
    assert scans.ct_series == SeriesRow()
    (scans,) = read("A,CT,ct,7\n", "id,kind,path,uid\n", series="uid")
    assert scans.ct_series.series == "7"


def test_a_point_beside_a_file_says_which_part(read):
    (scans,) = read("A,mask,m.dcm,GTV,1,2,3,,,\n")
    assert scans.lesion.point_mm == (1, 2, 3)
    assert scans.lesion.path is not None


def test_how_masks_and_doses_of_a_study_are_read(read):
    row = "A,mask,m.dcm,GTV,,,,,,\nA,PET,p,,,,,,,\n"
    (plain,) = read(row)
    assert (plain.lesion.parts, plain.lesion.max_missing_contours) == ("refuse", 0)
    assert plain.pet_dose_unit == "Bq"
    (told,) = read(row, lesion_parts="largest", max_missing_contours=2, pet_dose_unit="MBq")
    assert (told.lesion.parts, told.lesion.max_missing_contours) == ("largest", 2)
    assert told.pet_dose_unit == "MBq"


@pytest.mark.parametrize(
    "row",
    [
        "CT,SIM-0001,x,,,,,,,",
        "A,mask,,,SIM-0001,1,2,,,",
        "A,Meier^Anna,x,,,,,,,",
        "A,mask,,,1,2,19520317a,,,",
    ],
)
def test_cells_in_the_wrong_column_are_not_repeated(read, row):
    """Columns shifted by one cell put a patient's id where a kind or a number belongs."""
    with pytest.raises(TableError) as error:
        read(row + "\n")
    assert not any(word in str(error.value) for word in ("SIM-0001", "Meier", "1952"))


def test_a_kind_that_is_no_ones_name_is_repeated(read):
    with pytest.raises(TableError) as error:
        read("A,MRI,x,,,,,,,\n")
    assert "(value: MRI)" in str(error.value)
