"""What readers decided: which verdict it replaces, and refusals row by row."""

from __future__ import annotations

import pytest

from metasight.cohort.canonical import pseudonym
from metasight.cohort.reader_decisions import (
    ReaderDecision,
    decided,
    read_reader_decisions,
)
from metasight.cohort.settings import CohortSettings
from metasight.errors import TableError
from metasight.ledger import Entry, Fate
from metasight.protocol.load import read_protocol

KEY = "a key for tests"
HEAD = "case,file,about,verdict,replaces,reader,day,reason\n"
WHY = "the fold lies beside the tumour"
PROTOCOL = read_protocol("breast-dmfs")
SLIDES = "case,file,stain,markers\nMRN1,a/x.svs,H&E,\nMRN1,y.tif,IHC,CD3\nMRN2,z.svs,H&E,\n"
SCANS = "case,kind,path\nMRN1,CT,ct1\nMRN1,PET,pet1\nMRN1,mask,m.nrrd\n"


@pytest.fixture
def read(tmp_path):
    def of(*rows):
        (tmp_path / "d.csv").write_text(HEAD + "".join(f"{r}\n" for r in rows))
        (tmp_path / "patients.csv").write_text("id\nMRN1\nMRN2\n")
        (tmp_path / "slides.csv").write_text(SLIDES)
        (tmp_path / "scans.csv").write_text(SCANS)
        settings = CohortSettings(
            key=KEY,
            patients={"path": "patients.csv", "id": "id"},
            columns={},
            slides={"path": "slides.csv", "id": "case", "folder": "s"},
            scans={"path": "scans.csv", "id": "case"},
            reader_decisions={"path": "d.csv", "id": "case"},
        )
        return read_reader_decisions(tmp_path, settings, PROTOCOL)

    return of


def problems(read, *rows):
    with pytest.raises(TableError) as error:
        read(*rows)
    return [(p.row, p.column, p.problem) for p in error.value.problems]


def test_decisions_are_found_by_patient_and_criterion_or_by_file(read, tmp_path):
    told = read(
        f"MRN1,,E6,kept,excluded,AB,2026-03-01,{WHY}.",
        f"MRN2,z.svs,quality,kept,excluded,AB,2026-03-02,{WHY}",
        f"MRN1,./a/x.svs,quality,excluded,unknown,CD,2026-03-02,{WHY}",
        f"MRN1,y.tif,alignment,excluded,kept,AB,2026-03-03,{WHY}",
        f"MRN1,ct1,quality,kept,unknown,EF,2026-03-04,{WHY}",
    )
    one = ReaderDecision(
        verdict=Fate.KEPT, replaces=Fate.EXCLUDED, reader="AB", day="2026-03-01", reason=WHY
    )
    assert told.criteria == {pseudonym("MRN1", KEY): {"E6": one}}
    assert set(told.quality) == {
        tmp_path / "s" / "z.svs",
        tmp_path / "s" / "a" / "x.svs",
        tmp_path / "ct1",
    }
    assert told.quality[tmp_path / "s" / "a" / "x.svs"].verdict is Fate.EXCLUDED
    assert told.alignment[tmp_path / "s" / "y.tif"].reader == "AB"


@pytest.mark.parametrize(
    ("row", "column", "problem"),
    [
        (",,E6,kept,excluded,AB,2026-03-01,{}", "case", "no patient id"),
        ("MRN9,,E6,kept,excluded,AB,2026-03-01,{}", "case", "no such patient"),
        ("MRN1,,E99,kept,excluded,AB,2026-03-01,{}", "about", "not a criterion"),
        ("MRN1,,quality,kept,excluded,AB,2026-03-01,{}", "about", "not a criterion"),
        ("MRN1,z.svs,quality,kept,excluded,AB,2026-03-01,{}", "file", "no slide and no CT"),
        ("MRN1,pet1,quality,kept,excluded,AB,2026-03-01,{}", "file", "no slide and no CT"),
        ("MRN1,a/x.svs,alignment,kept,excluded,AB,2026-03-01,{}", "about", "not decided about"),
        ("MRN1,ct1,alignment,kept,excluded,AB,2026-03-01,{}", "about", "not decided about"),
        ("MRN1,ct1,E6,kept,excluded,AB,2026-03-01,{}", "about", "not decided about"),
        ("MRN1,,E6,yes,excluded,AB,2026-03-01,{}", "verdict", "not a verdict"),
        ("MRN1,,E6,unknown,excluded,AB,2026-03-01,{}", "verdict", "not a verdict"),
        ("MRN1,,E6,kept,waived,AB,2026-03-01,{}", "replaces", "not a verdict"),
        ("MRN1,,E6,kept,failed,AB,2026-03-01,{}", "replaces", "not a verdict"),
        ("MRN1,,E6,kept,kept,AB,2026-03-01,{}", "replaces", "the same verdict"),
        ("MRN1,,E6,kept,excluded,,2026-03-01,{}", "reader", "nobody is named"),
        ("MRN1,,E6,kept,excluded,AB,01.03.2026,{}", "day", "not a day"),
        ("MRN1,,E6,kept,excluded,AB,2026-02-30,{}", "day", "not a day"),
        ("MRN1,,E6,kept,excluded,AB,20260301,{}", "day", "not a day"),
        ("MRN1,,E6,kept,excluded,AB,2026-03-01,ok", "reason", "no reason"),
        ("MRN1,,E6,kept,excluded,AB,2026-03-01,MRN1 looks well", "reason", "the patient's id"),
        ("MRN1,,E6,kept,excluded,AB,2026-03-01,as on 2020-05-06", "reason", "or a date"),
    ],
)
def test_a_row_with_a_problem_is_named(read, row, column, problem):
    sound = f"MRN2,,E6,kept,excluded,AB,2026-03-01,{WHY}"
    found = problems(read, sound, row.format(WHY))
    assert [(n, c) for n, c, _ in found] == [(3, column)]
    assert problem in found[0][2]


def test_what_is_shown_of_a_bad_row_holds_no_id_and_no_date(read):
    with pytest.raises(TableError) as error:
        read(
            f"MRN1,,MRN1,kept,2020-01-02,AB,2026-03-01,{WHY}",
            f"MRN2,MRN2/z.svs,quality,kept,excluded,AB,x,{WHY}",
        )
    assert "MRN" not in str(error.value)
    assert "2020-01-02" not in str(error.value)


def test_two_decisions_about_the_same_are_refused(read):
    row = f"MRN1,a/x.svs,quality,kept,excluded,AB,2026-03-01,{WHY}"
    again = f"MRN1,./a/x.svs,quality,excluded,kept,CD,2026-03-02,{WHY}"
    assert problems(read, row, again) == [
        (3, "about", "a decision about the same stands in row 2"),
    ]


def test_every_problem_is_told_at_once(read):
    found = problems(
        read,
        f"MRN1,,E99,kept,excluded,AB,2026-03-01,{WHY}",
        "MRN1,,E6,kept,excluded,,x,no",
    )
    assert [(n, c) for n, c, _ in found] == [
        (2, "about"),
        (3, "reader"),
        (3, "day"),
        (3, "reason"),
    ]


def test_a_missing_column_is_named(read, tmp_path):
    read(f"MRN1,,E6,kept,excluded,AB,2026-03-01,{WHY}")
    head = HEAD.replace("replaces,", "")
    (tmp_path / "d.csv").write_text(f"{head}MRN1,,E6,kept,AB,2026-03-01,{WHY}\n")
    settings = CohortSettings(
        key=KEY,
        patients={"path": "patients.csv", "id": "id"},
        columns={},
        reader_decisions={"path": "d.csv", "id": "case"},
    )
    with pytest.raises(TableError, match="replaces"):
        read_reader_decisions(tmp_path, settings, PROTOCOL)


# ------------------------------------------------------------------ on a row

ROW = Entry(
    patient="P", item="patient", stage="s", verdict=Fate.EXCLUDED, value="9 %", reason="rule"
)
DECISION = ReaderDecision(
    verdict=Fate.KEPT, replaces=Fate.EXCLUDED, reader="AB", day="2026-03-01", reason=WHY
)


def test_a_decision_stands_in_the_row_with_who_when_why_and_what_it_replaced():
    row = decided(ROW, DECISION)
    assert (row.verdict, row.who, row.when) == (Fate.KEPT, "AB", "2026-03-01")
    assert (row.reason, row.replaced, row.value) == (WHY, "excluded", "9 %")


def test_a_decision_about_another_verdict_is_not_applied_and_the_row_says_so():
    unknown = Entry(patient="P", item="patient", stage="s", verdict=Fate.UNKNOWN, reason="rule")
    row = decided(unknown, DECISION)
    assert (row.verdict, row.who, row.replaced) == (Fate.UNKNOWN, "", "")
    assert row.reason == ("rule; the decision of 2026-03-01 is not applied: it replaces “excluded”")


def test_without_a_decision_a_row_is_as_it_was():
    assert decided(ROW, None) is ROW


def test_a_table_with_its_header_alone_holds_no_decision(read):
    told = read()
    assert (told.criteria, told.quality, told.alignment) == ({}, {}, {})
