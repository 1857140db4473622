"""REDCap exports: what the study does not read is dropped at the door."""

from __future__ import annotations

import pytest

from metasight.cohort.redcap import read_redcap
from metasight.cohort.settings import TableSettings
from metasight.errors import StudyError, TableError

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
    def of(export, needed=None, *, id_="record_id", dictionary=DICTIONARY):
        (tmp_path / "d.csv").write_text(dictionary)
        (tmp_path / "e.csv").write_text(export)
        settings = TableSettings(path="e.csv", id=id_, format="redcap", dictionary="d.csv")
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
    with pytest.raises(TableError) as caught:
        read(VISITS, ["seen"])
    (problem,) = caught.value.problems
    assert (problem.row, problem.column, problem.value) == (2, "seen", "2016-01 / 2017-05")


def test_no_id_is_shown(read):
    with pytest.raises(TableError) as caught:
        read("record_id,er\nMRN-1,MRN-2\nMRN-2,1\n", ["er"])
    assert "MRN-" not in str(caught.value)


def test_records_without_id_are_not_merged(read):
    with pytest.raises(TableError, match=r"e.csv, row 3, column record_id: no patient id"):
        read("record_id,redcap_event_name,size\n1,a,22\n,a,23\n,a,23\n", ["size"])


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
