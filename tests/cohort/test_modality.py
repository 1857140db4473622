"""Feature tables: what is wrong leaves a patient out with a ledger row, never NaN silently."""

from __future__ import annotations

import pandas as pd
import pytest

from metasight.cohort.read import read_cohort
from metasight.errors import StudyError, TableError
from metasight.ledger import Fate
from metasight.study.file import read_study

GENES = '[modalities.genes]\npath = "genes.csv"\nid = "sample"\n'
EXCLUDE = ('on_problem = "stop"', 'on_problem = "exclude"')


@pytest.fixture
def read(breast_study, breast_table):
    def of(spoil=None, *, genes=GENES, replace=(), text=None, sep=","):
        folder = breast_study(replace=[("[columns]", genes + "\n[columns]"), *replace])
        table = pd.DataFrame({"sample": breast_table()["id"], "g1": 1.5, "g2": -2.0})
        table = table.astype(object)
        table = spoil(table) if spoil else table
        table.to_csv(folder / "genes.csv", index=False, sep=sep)
        if text is not None:
            (folder / "genes.csv").write_text(text)
        study = read_study(folder)
        return read_cohort(study.folder, study.settings, study.protocol)

    return of


def put(row, column, value):
    def spoil(table):
        table.loc[row, column] = value
        return table

    return spoil


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("high", "not a finite number"),
        ("inf", "not a finite number"),
        ("True", "not a finite number"),
        ("1_000", "not a finite number"),
        ("1,5", "a decimal comma"),
        ("1e150", "a measurement cannot be larger than 1e+100"),
    ],
)
def test_what_is_no_measurement(read, value, problem):
    with pytest.raises(TableError) as caught:
        read(put(3, "g1", value))
    (found,) = caught.value.problems
    assert (found.table, found.row, found.column) == ("genes.csv", 5, "g1")
    assert problem in found.problem
    assert found.value == f"text of {len(value)} characters"


def test_a_point_under_a_decimal_comma(read):
    comma = GENES + 'decimal = ","\n'

    def spoil(table):
        table["g1"], table["g2"] = "1,5", "-2"
        table.loc[3, "g1"] = "1.234"
        return table

    with pytest.raises(TableError, match="a point, which may be decimal or group thousands"):
        read(spoil, genes=comma, sep=";")


def test_a_problem_leaves_the_patient_out_with_a_row(read):
    cohort = read(put(3, "g1", "high"), replace=[EXCLUDE])
    failed = [e for e in cohort.ledger.entries if e.verdict is Fate.FAILED]
    assert {e.item for e in failed} == {"genes.csv row 5", "patients.csv row 5"}
    (patient,) = {e.patient for e in failed}
    assert patient not in cohort.table.index
    assert cohort.failed == 1
    assert cohort.modalities["genes"].notna().all(axis=None)


def test_one_file_as_both_tables(breast_study, breast_table):
    table = breast_table().astype(object)
    table["g1"] = "1.0"
    table.loc[3, "g1"] = "high"
    both = '[modalities.genes]\npath = "patients.csv"\nid = "id"\ncolumns = ["g1"]\n'
    folder = breast_study(table, [("[columns]", both + "\n[columns]"), EXCLUDE])
    study = read_study(folder)
    cohort = read_cohort(study.folder, study.settings, study.protocol)
    assert cohort.failed == 1
    assert cohort.modalities["genes"].notna().all(axis=None)
    failed = [e for e in cohort.ledger.entries if e.verdict is Fate.FAILED]
    assert {e.criterion for e in failed} == {"g1", ""}


def test_duplicate_patients(read):
    def again(table):
        return pd.concat([table, table.head(1)])

    with pytest.raises(
        TableError,
        match=r"row 152, column sample: duplicate patient \(value: first in "
        r"row 2",
    ):
        read(again)


def test_duplicate_patients_are_left_out(read):
    cohort = read(lambda t: pd.concat([t, t.head(1)]), replace=[EXCLUDE])
    assert cohort.failed == 1
    assert len(cohort.modalities["genes"]) == 149


def test_rows_without_a_patient(read):
    def strangers(table):
        more = pd.DataFrame({"sample": ["MRN-X", "MRN-X"], "g1": "high", "g2": 1.0})
        return pd.concat([table, more])

    cohort = read(strangers)
    out = [e for e in cohort.ledger.entries if e.verdict is Fate.EXCLUDED and not e.patient]
    assert [(e.item, e.reason) for e in out] == [
        ("genes.csv row 152", "no such patient in patients.csv"),
        ("genes.csv row 153", "no such patient in patients.csv"),
    ]


@pytest.mark.parametrize(
    ("columns", "problem"),
    [
        (("g1", "g1"), r"\[modalities.genes\]: columns are named twice \(value: g1\)"),
        ((), "the modality has no columns"),
        (("sample",), "the patient id is among the features"),
    ],
)
def test_columns_that_make_no_sense(breast_study, columns, problem):
    study = read_study(breast_study(replace=[("[columns]", GENES + "\n[columns]")]))
    genes = study.settings.modalities["genes"].model_copy(update={"columns": columns})
    settings = study.settings.model_copy(update={"modalities": {"genes": genes}})
    with pytest.raises(StudyError, match=problem):
        read_cohort(study.folder, settings, study.protocol)


def test_nothing_in_the_table(read):
    with pytest.raises(StudyError, match="the modality has no value for any patient"):
        read(lambda t: t.assign(g1="NA", g2=""))


def test_only_ids_in_the_table(read):
    with pytest.raises(StudyError, match="the modality has no columns"):
        read(lambda t: t[["sample"]])


def test_a_table_on_its_side_shows_no_id(read, breast_table):
    ids = breast_table()["id"]
    text = ",".join(["sample", *ids]) + "\n" + f"{ids[0]},high" + ",1" * 149 + "\n"
    with pytest.raises(TableError) as caught:
        read(text=text)
    assert "MRN-" not in str(caught.value)
    assert caught.value.problems[0].column == "number 2"


def test_a_redcap_modality_honours_identifier_flags(read, breast_study, breast_table, tmp_path):
    redcap = GENES.replace("genes.csv", "export.csv") + 'format = "redcap"\ndictionary = "d.csv"\n'
    folder = breast_study(replace=[("[columns]", redcap + "\n[columns]")])
    (folder / "d.csv").write_text(
        "Variable / Field Name,Form Name,Field Type,"
        '"Choices, Calculations, OR Slider Labels",Identifier?\n'
        "sample,a,text,,\nphone,a,text,,y\ng1,a,text,,\n"
    )
    lines = [f"{i},555{n},1.5,2" for n, i in enumerate(breast_table()["id"])]
    (folder / "export.csv").write_text("\n".join(["sample,phone,g1,a_complete", *lines]) + "\n")
    study = read_study(folder)
    cohort = read_cohort(study.folder, study.settings, study.protocol)
    assert list(cohort.modalities["genes"]) == ["g1"]
