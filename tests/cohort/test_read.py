"""Tables of every format become the same canonical values; identifiers stay outside."""

from __future__ import annotations

import pandas as pd
import pytest

from metasight.cohort.canonical import pseudonym
from metasight.cohort.read import read_cohort
from metasight.engine.store import Store
from metasight.errors import StudyError, TableError
from metasight.ledger import Fate
from metasight.study.file import read_study
from worked import screened


def cohort_of(folder):
    study = read_study(folder)
    return read_cohort(study.folder, study.settings, study.protocol)


def test_excel_semicolons_and_csv_give_the_same_table(breast_study, breast_table):
    plain = cohort_of(breast_study())
    excel = breast_study(replace=[("patients.csv", "patients.xlsx")], name="excel")
    breast_table().to_excel(excel / "patients.xlsx", index=False)
    semicolons = breast_study(replace=[('id = "id"', 'id = "id"\ndecimal = ","')], name="semi")
    text = breast_table().to_csv(index=False, sep=";", decimal=",")
    (semicolons / "patients.csv").write_text("\ufeffsep=;\n" + text, "utf-8")
    pd.testing.assert_frame_equal(cohort_of(excel).table, plain.table)
    pd.testing.assert_frame_equal(cohort_of(semicolons).table, plain.table)


def test_units_and_codes(breast_study, breast_table):
    table = breast_table()
    plain = cohort_of(breast_study())
    table["size"] = table["size"] / 10
    table["er"] = table["er"].map({"yes": "pos", "no": "neg"})
    mapped = breast_study(
        table,
        [
            ('tumour_size_mm = "size"', 'tumour_size_mm = { column = "size", unit = "cm" }'),
            ('"er"\n', '{ column = "er", values = { pos = true, neg = false } }\n'),
        ],
        name="mapped",
    )
    pd.testing.assert_frame_equal(cohort_of(mapped).table, plain.table)


def test_nothing_that_identifies_enters_the_store(breast_study, breast_table):
    study = read_study(breast_study())
    folder = screened(study)
    for path in Store(study.store).root.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert b"MRN-" not in data
            for date in breast_table()["operated"].head(20):
                assert date.encode() not in data
    table = pd.read_parquet(folder / "table.parquet")
    assert not [c for c in table if c.endswith("_date")]
    assert "year" in table


def test_pseudonyms_depend_on_the_key_and_not_on_other_patients(breast_study, breast_table):
    one = cohort_of(breast_study())
    two = cohort_of(breast_study(breast_table().head(60), name="fewer"))
    assert set(two.table.index) < set(one.table.index)
    assert pseudonym("x", "key one") != pseudonym("x", "key two")


def test_a_pseudonym_is_a_keyed_hash():
    # RFC 4231, test case 2
    assert pseudonym("what do ya want for nothing?", "Jefe") == "P5bdcc146bf60754e"


def test_every_patient_and_criterion_has_a_ledger_row(breast_study):
    read = cohort_of(breast_study())
    rows = [e for e in read.ledger.entries if e.stage == "eligibility"]
    assert len(rows) == 150 * 16
    waived = [e for e in rows if e.verdict is Fate.WAIVED and e.criterion == "E7"]
    assert len(waived) == 150
    assert waived[0].reason == "no slides in a test"


def test_unwaived_image_criteria_hold_everybody_back(breast_study):
    read = cohort_of(breast_study(replace=[('E7 = "no slides in a test"\n', "")]))
    assert read.eligibility.all_eligible == ()
    step = next(s for s in read.eligibility.steps if s.criterion == "E7")
    assert (step.excluded, step.unknown) == (0, read.eligibility.steps[-3].remaining)


def test_evidence_from_a_stage_decides_an_image_criterion(breast_study):
    study = read_study(breast_study(replace=[('E7 = "no slides in a test"\n', "")]))
    patients = list(read_cohort(study.folder, study.settings, study.protocol).table.index)
    evidence = {p: {"sections_alignable": i != 0} for i, p in enumerate(patients)}
    read = read_cohort(study.folder, study.settings, study.protocol, evidence)
    assert patients[0] not in read.eligibility.all_eligible
    assert len(read.eligibility.all_eligible) == len(patients) - 1


def test_i8_selects_on_the_future_and_is_reported_both_ways(breast_study):
    eligibility = cohort_of(breast_study()).eligibility
    assert set(eligibility.as_written) < set(eligibility.all_eligible)


REDCAP_DICTIONARY = (
    '"Variable / Field Name","Form Name","Section Header","Field Type","Field Label",'
    '"Choices, Calculations, OR Slider Labels","Identifier?"\n'
    "record_id,base,,text,Record,,\n"
    "surname,base,,text,Surname,,y\n"
    'er,path,,radio,ER,"1, yes | 2, no",\n'
    "size,path,,text,Size,,\n"
)


@pytest.fixture
def redcap(tmp_path):
    from metasight.cohort.settings import TableSettings

    def build(export: str):
        (tmp_path / "dictionary.csv").write_text(REDCAP_DICTIONARY)
        (tmp_path / "export.csv").write_text(export)
        settings = TableSettings(
            path="export.csv", id="record_id", format="redcap", dictionary="dictionary.csv"
        )
        return tmp_path, settings

    return build


def test_redcap(redcap):
    from metasight.cohort.redcap import read_redcap

    raw = read_redcap(
        *redcap(
            "record_id,redcap_event_name,redcap_data_access_group,surname,er,size,path_complete\n"
            "1,baseline,north,Smith,,,2\n1,surgery,,,1,22,2\n2,baseline,south,Jones,2,14,2\n"
        )
    )
    assert "surname" not in raw.cells, "identifiers are dropped at the door"
    assert raw.cells["er"].tolist() == ["yes", "no"]
    assert raw.cells["size"].tolist() == ["22", "14"]
    assert raw.cells["redcap_data_access_group"].tolist() == ["north", "south"]


def test_redcap_refusals(redcap):
    from metasight.cohort.redcap import read_redcap

    with pytest.raises(StudyError, match="columns that are not in the dictionary"):
        read_redcap(*redcap("record_id,Oestrogen receptor\n1,yes\n"))


def test_modality_tables(breast_study, breast_table):
    folder = breast_study(
        replace=[
            ("[columns]", '[modalities.genes]\npath = "genes.csv"\nid = "sample"\n\n[columns]')
        ]
    )
    genes = pd.DataFrame({"sample": breast_table()["id"].head(100), "g1": 1.5, "g2": -2.0})
    genes.to_csv(folder / "genes.csv", index=False)
    read = cohort_of(folder)
    assert list(read.modalities["genes"].columns) == ["g1", "g2"]
    assert read.modalities["genes"]["g1"].notna().sum() == 100
    genes["g1"] = genes["g1"].astype(object)
    genes.loc[3, "g1"] = "high"
    genes.to_csv(folder / "genes.csv", index=False)
    with pytest.raises(TableError, match=r"genes.csv, row 5, column g1: not a finite number"):
        cohort_of(folder)
