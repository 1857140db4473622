"""Further tables meet the patient table, and rows that are nobody's are said."""

from __future__ import annotations

import pytest

from metasight.cohort.joined import (
    column_of,
    image_strangers,
    key_of,
    meet_patients,
    read_patients,
    table_of,
)
from metasight.cohort.scan_table import read_scan_table
from metasight.cohort.settings import CohortSettings
from metasight.cohort.slide_table import read_slide_table
from metasight.errors import TableError
from metasight.protocol.load import read_protocol

MARKERS = read_protocol("breast-dmfs").marker


@pytest.fixture
def settings(tmp_path):
    def of(ids, **more):
        (tmp_path / "patients.csv").write_text("mrn,grade\n" + "".join(f"{i},2\n" for i in ids))
        given = {
            "key": "a key for tests",
            "patients": {"path": "patients.csv", "id": "mrn"},
            "columns": {"grade": "grade"},
            "slides": {"path": "slides.csv", "id": "case"},
            "scans": {"path": "scans.csv", "id": "case"},
        }
        return tmp_path, CohortSettings.model_validate({**given, **more})

    return of


def slides(folder, *ids):
    rows = "".join(f"{i},{n}.svs,H&E,\n" for n, i in enumerate(ids))
    (folder / "slides.csv").write_text("case,file,stain,markers\n" + rows)


def scans(folder, *ids):
    rows = "".join(f"{i},CT,{n}\n" for n, i in enumerate(ids))
    (folder / "scans.csv").write_text("case,kind,path\n" + rows)


def test_keys_hold_table_and_column():
    assert (table_of(key_of("path", "g")), column_of(key_of("path", "g"))) == ("path", "g")
    assert (table_of(key_of(None, "g")), column_of(key_of(None, "g"))) == (None, "g")


@pytest.mark.parametrize("ids", [("17",), ("0017", "18"), ("0017.0",)])
def test_slides_and_scans_that_meet_patients_only_after_a_change_are_a_problem(settings, ids):
    folder, given = settings(["0017", "0018"])
    slides(folder, *ids)
    scans(folder, *ids)
    for file, read in (
        ("slides.csv", lambda: read_slide_table(folder, given, MARKERS)),
        ("scans.csv", lambda: read_scan_table(folder, given)),
    ):
        with pytest.raises(TableError) as error:
            read()
        (problem,) = error.value.problems
        assert (problem.table, problem.column, problem.row) == (file, "case", None)
        assert "ids meet a patient of patients.csv only when" in problem.problem


def test_images_of_nobody_are_not_measured_and_leave_a_row(settings):
    folder, given = settings(["A1", "A2"])
    slides(folder, "A1", "B9")
    scans(folder, "B9", "A2")
    assert len(read_slide_table(folder, given, MARKERS)) == 1
    assert len(read_scan_table(folder, given)) == 1
    rows = image_strangers(folder, given, read_patients(folder, given).raw)
    assert [r.item for r in rows] == ["slides.csv row 3", "scans.csv row 2"]
    assert {r.reason for r in rows} == {"no such patient in patients.csv"}
    assert {r.patient for r in rows} == {""}


def test_a_table_of_images_of_nobody_at_all_is_a_problem(settings):
    folder, given = settings(["A1"])
    slides(folder, "B1", "B2")
    with pytest.raises(TableError, match="no patient of the patient table is in this table"):
        read_slide_table(folder, given, MARKERS)


def test_an_id_with_an_invisible_character_is_the_same_patient(settings):
    folder, given = settings(["A1\u200b"])
    slides(folder, "A1", "\ufeffA1 ")
    assert len({r.patient for r in read_slide_table(folder, given, MARKERS)}) == 1


def test_where_there_is_no_patient_table_yet_that_is_said_elsewhere(settings):
    folder, given = settings(["A1"])
    (folder / "patients.csv").unlink()
    meeting = meet_patients(folder, given, {2: "x"}, table="s.csv", column="case")
    assert (meeting.strangers, meeting.problems) == ((), ())


def test_joined_tables_keep_their_flaws_dates_and_rows(settings):
    folder, given = settings(
        ["A1", "A2"],
        columns={"grade": {"column": "g", "table": "path"}},
        tables={"path": {"path": "path.csv", "id": "case"}},
    )
    (folder / "path.csv").write_text("case,g\nA2,#REF!\n,3\nC3,1\n")
    joined = read_patients(folder, given)
    key = key_of("path", "g")
    assert joined.raw.cells[key].to_dict() == {2: "", 3: "#REF!"}
    assert joined.raw.row_of[key] == {3: 2}
    assert joined.raw.names[key] == "path.csv"
    assert list(joined.raw.flaws) == [(3, key)]
    assert [(p.row, p.problem) for p in joined.problems] == [(3, "no patient id")]
    assert [e.item for e in joined.entries] == ["path.csv row 4"]


def test_a_joined_table_without_its_id_column(settings):
    folder, given = settings(
        ["A1"],
        columns={"grade": {"column": "g", "table": "path"}},
        tables={"path": {"path": "path.csv", "id": "case"}},
    )
    (folder / "path.csv").write_text("patient,g\nA1,1\n")
    (problem,) = read_patients(folder, given).problems
    assert problem.problem == "missing column (the patient id)"
