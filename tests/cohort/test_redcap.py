"""REDCap exports: what the study does not read is dropped at the door."""

from __future__ import annotations

import pytest

from metasight.cohort.redcap import field_labels, looks_exported, read_redcap
from metasight.cohort.settings import TableSettings
from metasight.errors import StudyError

DICTIONARY = (
    '"Variable / Field Name","Form Name","Field Type",'
    '"Choices, Calculations, OR Slider Labels","Identifier?"\n'
    "record_id,base,text,,\n"
    "surname,base,text,,y\n"
    'er,path,radio,"1, yes | 2, no",\n'
    "size,path,text,,\n"
    "seen,visit,text,,\n"
)


@pytest.fixture
def read(tmp_path):
    def of(export, needed=None, *, id_="record_id", dictionary=DICTIONARY, **more):
        (tmp_path / "d.csv").write_text(dictionary)
        (tmp_path / "e.csv").write_text(export)
        settings = TableSettings(path="e.csv", id=id_, format="redcap", dictionary="d.csv", **more)
        return read_redcap(tmp_path, settings, needed)

    return of


VISITS = (
    "record_id,redcap_event_name,redcap_survey_identifier,visit_timestamp,er,size,seen\n"
    "1,a,me@x.org,2016-01-01 10:00,1,22,2016-01-01\n1,b,,2017-01-01 10:00,9,,2017-05-01\n"
)


def test_fields_the_study_does_not_read_neither_refuse_nor_stay(read):
    cells = read(VISITS, ["size"]).cells
    assert list(cells) == ["record_id", "size"]
    assert cells["size"].tolist() == ["22"]


def test_redcaps_own_columns_never_stay(read):
    cells = read("record_id,base_timestamp,base_complete,size\n1,2016-01-01 10:00,2,22\n").cells
    assert list(cells) == ["record_id", "size"]


def test_contradicting_events_show_no_day(read):
    (problem,) = read(VISITS, ["seen"]).flaws.values()
    assert (problem.row, problem.column, problem.value) == (2, "seen", "2016-01 / 2017-05")
    assert 'events = { visit = "…" }' in problem.accepted
    assert "(a, b)" in problem.accepted


def test_the_event_that_counts_can_be_named(read):
    for event, seen in (("a", "2016-01-01"), ("b", "2017-05-01")):
        for key in ("visit", "seen"):
            raw = read(VISITS, ["seen"], events={key: event})
            assert raw.cells["seen"].tolist() == [seen]
            assert not raw.flaws


def test_events_and_repeats_name_what_is_there(read):
    with pytest.raises(StudyError, match=r"events .*does not hold.*value: visits.*Perhaps visit"):
        read(VISITS, ["seen"], events={"visits": "a"})
    with pytest.raises(StudyError, match=r"events .*does not hold.*value: c"):
        read(VISITS, ["seen"], events={"visit": "c"})
    with pytest.raises(StudyError, match=r"repeats .*does not hold.*value: lab"):
        read(VISITS, ["seen"], repeats={"lab": "first"})


REPEATED = (
    "record_id,redcap_repeat_instrument,redcap_repeat_instance,er,size,seen\n"
    "1,,,1,22,\n1,visit,1,,,2016-01-01\n1,visit,10,,,2018-01-01\n1,visit,9,,,2017-01-01\n"
    "2,,,2,9,\n"
)


def test_repeating_forms_that_the_study_does_not_read_do_not_matter(read):
    raw = read(REPEATED, ["er", "size"])
    assert raw.cells["size"].tolist() == ["22", "9"]
    assert not raw.flaws


@pytest.mark.parametrize(("which", "seen"), [("first", "2016-01-01"), ("last", "2018-01-01")])
def test_the_instance_that_counts_can_be_named(read, which, seen):
    raw = read(REPEATED, ["seen"], repeats={"visit": which})
    assert raw.cells["seen"].tolist() == [seen, ""]
    assert not raw.flaws


def test_instances_that_differ_are_a_problem_of_the_record(read):
    (flaw,) = read(REPEATED, ["seen", "size"]).flaws.values()
    assert (flaw.row, flaw.column) == (2, "seen")
    assert "instances of the repeating form visit differ" in flaw.problem
    assert 'repeats = { visit = "first" }' in flaw.accepted


def test_no_id_is_shown(read):
    (flaw,) = read("record_id,er\nMRN-1,MRN-2\nMRN-2,1\n", ["er"]).flaws.values()
    assert "MRN-" not in str(flaw)


def test_records_without_id_are_not_merged(read):
    raw = read("record_id,redcap_event_name,size\n1,a,22\n,a,23\n,a,23\n", ["size"])
    assert raw.cells["record_id"].to_dict() == {2: "1", 3: "", 4: ""}


BOXES = DICTIONARY + 'prior,history,checkbox,"1, Cancer | 2, Other",\nwhen,history,text,,\n'


@pytest.mark.parametrize(
    ("status", "when", "other", "box"),
    [
        ("", "", "0", ""),  # nobody opened the form
        ("0", "", "0", ""),
        ("2", "", "0", "0"),  # complete: no box applies
        ("1", "", "0", "0"),
        ("0", "2001", "0", "0"),  # begun
        ("", "", "1", "0"),  # another box is ticked
    ],
)
def test_a_box_of_a_form_that_holds_nothing_is_missing(read, status, when, other, box):
    export = (
        "record_id,size,prior___1,prior___2,when,history_complete\n"
        f"1,22,0,{other},{when},{status}\n2,9,1,0,,2\n"
    )
    cells = read(export, ["prior___1"], dictionary=BOXES).cells
    assert cells["prior___1"].tolist() == [box, "1"]


@pytest.mark.parametrize("code", ["prior___unk", "prior____99"])
def test_a_box_beside_a_ticked_missing_data_code_is_missing(read, code):
    """With missing-data codes REDCap exports a box for each, which no choice lists."""
    export = (
        f"record_id,size,prior___1,prior___2,{code},history_complete\n"
        "1,22,0,0,1,2\n2,9,0,1,0,2\n3,9,1,0,,2\n"
    )
    cells = read(export, ["prior___1"], dictionary=BOXES).cells
    assert cells["prior___1"].tolist() == ["", "0", "1"]


def test_a_choice_with_a_minus_sign_is_a_choice(read):
    boxes = DICTIONARY + 'prior,history,checkbox,"-1, None | 2, Cancer",\n'
    export = "record_id,prior____1,prior___2,history_complete\n1,1,0,2\n"
    assert read(export, ["prior___2"], dictionary=boxes).cells["prior___2"].tolist() == ["0"]


def test_a_box_of_an_export_without_form_status(read):
    export = "record_id,size,prior___1,when\n1,22,0,\n2,9,0,2001\n"
    cells = read(export, ["prior___1"], dictionary=BOXES).cells
    assert cells["prior___1"].tolist() == ["", "0"]


def test_a_box_of_the_records_own_form_is_not_filled_in_by_the_record_id(read):
    boxes = DICTIONARY + 'prior,base,checkbox,"1, Cancer",\n'
    cells = read("record_id,prior___1,base_complete\n1,0,0\n", dictionary=boxes).cells
    assert cells["prior___1"].tolist() == [""]


def test_an_unopened_form_of_another_event_contradicts_nothing(read):
    export = (
        "record_id,redcap_event_name,size,prior___1,when,history_complete\n"
        "1,base,22,1,2001,2\n1,visit,,0,,\n"
    )
    raw = read(export, ["prior___1"], dictionary=BOXES)
    assert raw.cells["prior___1"].tolist() == ["1"]
    assert not raw.flaws


def test_missing_data_codes_stay_and_others_are_problems_of_their_cells(read):
    raw = read("record_id,er\n1,UNK\n2,7\n3,1.0\n", ["er"], missing=("UNK",))
    assert raw.cells["er"].tolist() == ["UNK", "7", "yes"]
    assert list(raw.flaws) == [(3, "er")]
    assert "missing in study.toml" in raw.flaws[3, "er"].accepted
    assert raw.codes["er"] == {4: "1"}


def test_a_wrong_id_column(read):
    with pytest.raises(StudyError, match=r"missing column.*value: record.*perhaps record_id"):
        read(VISITS, ["size"], id_="record")


def test_a_dictionary_that_lists_a_field_twice(read):
    twice = DICTIONARY + "size,path,text,,y\n"
    with pytest.raises(StudyError, match=r"d.csv, row 7, .*lists a field twice \(value: size\)"):
        read(VISITS, ["size"], dictionary=twice)


def test_an_identifier_is_never_read(read):
    with pytest.raises(StudyError, match=r"flags as identifiers \(value: surname\)"):
        read("record_id,surname\n1,Smith\n", ["surname"])


def test_labels_of_fields_and_of_boxes(tmp_path):
    (tmp_path / "d.csv").write_text(
        '"Variable / Field Name","Form Name","Field Type","Field Label",'
        '"Choices, Calculations, OR Slider Labels","Identifier?"\n'
        "record_id,base,text,Record ID,,\n"
        'adj,path,checkbox,Adjuvant therapy,"1, <b>Chemotherapy</b> | -99, unknown",\n'
        "size,path,text,<i>Size</i> (mm),,\n"
    )
    settings = TableSettings(path="e.csv", id="record_id", format="redcap", dictionary="d.csv")
    columns = ["record_id", "adj___1", "adj____99", "size", "path_complete"]
    assert field_labels(tmp_path, settings, columns) == {
        "record_id": "Record ID",
        "adj___1": "Chemotherapy",
        "adj____99": "unknown",
        "size": "Size (mm)",
    }


@pytest.mark.parametrize(
    ("header", "exported"),
    [
        (["record_id", "redcap_event_name", "er"], True),
        (["record_id", "adj___1", "adj___2"], True),
        (["id", "age_years", "ER status"], False),
    ],
)
def test_a_raw_export_is_known_by_its_header(header, exported):
    assert looks_exported(header) == exported
