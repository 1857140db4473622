"""Every kind of bad input ends with one clear message and exit status 2, never a traceback."""

from __future__ import annotations

import pandas as pd
import pytest

from metasight.cli import main
from metasight.ledger import Fate, Ledger
from metasight.study.file import read_study
from worked import screened


@pytest.fixture
def refused(capsys):
    """Runs a command that must be refused; returns what it said."""

    def run(*arguments: object) -> str:
        with pytest.raises(SystemExit) as stop:
            main([str(a) for a in arguments])
        said = capsys.readouterr()
        assert stop.value.code == 2
        assert "Traceback" not in said.err + said.out
        assert "MRN-" not in said.err + said.out, "a patient id was printed"
        return " ".join(said.err.split())

    return run


def test_clean_study_is_accepted(breast_study, capsys):
    main_status = 0
    try:
        main(["check", str(breast_study())])
    except SystemExit as stop:
        main_status = stop.code or 0
    assert main_status == 0
    assert "150 patients in the table, 0 excluded" in capsys.readouterr().out


def test_missing_column(breast_study, breast_table, refused):
    said = refused("check", breast_study(breast_table().rename(columns={"size": "siez"})))
    assert "patients.csv, column size: missing column (for tumour_size_mm)" in said
    assert "perhaps 'siez'" in said


def test_wrong_unit(breast_study, breast_table, refused):
    table = breast_table()
    table["size"] /= 10
    said = refused("check", breast_study(table))
    assert "column size: wrong unit (value: median" in said
    assert 'the values look like cm: set unit = "cm"' in said


def test_dates_out_of_order(breast_study, breast_table, refused):
    table = breast_table()
    row = table.index[table["dead"] == "yes"][0]
    table.loc[row, "death_date"] = "2001-01-01"
    said = refused("check", breast_study(table))
    assert f"patients.csv, row {row + 2}, column death_date: dates out of order" in said


def test_negative_followup(breast_study, breast_table, refused):
    table = breast_table()
    table["days"] = 1000
    table.loc[3, "days"] = -5
    folder = breast_study(table, [('followup_date = "last_seen"', 'followup_days = "days"')])
    said = refused("check", folder)
    assert "row 5, column days: negative follow-up (value: -5)" in said


def test_event_after_death(breast_study, breast_table, refused):
    table = breast_table()
    row = table.index[(table["dead"] == "yes") & (table["metastasis"] == "yes")][0]
    later = pd.Timestamp(table.loc[row, "death_date"]) + pd.Timedelta(days=40)
    table.loc[row, "metastasis_date"] = later.date().isoformat()
    said = refused("check", breast_study(table))
    assert (
        f"row {row + 2}, column distant_metastasis_days: the values contradict each other (rule R2)"
        in said
    )
    assert "distant_metastasis_days must not be later than death_days" in said


def test_unknown_centre(breast_study, breast_table, refused):
    table = breast_table()
    table.loc[7, "hospital"] = "Nrth"
    said = refused("check", breast_study(table))
    assert "row 9, column hospital: unknown centre (value: Nrth); accepted: one of North" in said


def test_duplicate_patient(breast_study, breast_table, refused):
    table = breast_table()
    table.loc[9, "id"] = table.loc[2, "id"]
    said = refused("check", breast_study(table))
    assert (
        "row 11, column id: duplicate patient (value: first in row 4); accepted: one row a patient"
        in said
    )


def test_measured_outside_its_window(breast_study, breast_table, refused):
    table = breast_table()
    table.loc[0, "reported"] = "2019-12-31"
    said = refused("check", breast_study(table))
    assert "row 2, column size: measured outside its window" in said
    assert "day -31 to 90" in said


def test_all_problems_at_once(breast_study, breast_table, refused):
    table = breast_table()
    table = table.astype(object)
    table.loc[0, "grade"] = 7
    table.loc[1, "er"] = "perhaps"
    table.loc[2, "hospital"] = "East"
    said = refused("check", breast_study(table))
    assert "3 problems in the patient tables" in said
    assert "row 2, column grade: above the accepted range (value: 7)" in said
    assert "row 3, column er: not yes or no (value: (a text, not shown))" in said
    assert "row 4, column hospital" in said


def test_one_centre_only(breast_study, breast_table, refused):
    table = breast_table()
    table["hospital"] = "North"
    said = refused("check", breast_study(table))
    assert "there is only one centre" in said
    assert "single_centre_reason" in said


def test_fewer_events_than_predictors(breast_study, breast_table, refused):
    table = breast_table()
    keep = table["metastasis"].ne("yes") & table["dead"].ne("yes")
    few = pd.concat([table[~keep].head(6), table[keep]])
    said = refused("run", breast_study(few), "--scheduler", "inline")
    assert "events" in said
    assert "parameters" in said or "predictors" in said


def test_all_censored(breast_study, breast_table, refused):
    table = breast_table()
    table[["metastasis", "dead"]] = "no"
    table[["metastasis_date", "death_date"]] = ""
    said = refused("check", breast_study(table))
    assert "every patient is censored" in said


def test_horizon_past_followup(breast_study, refused):
    folder = breast_study(replace=[("horizons_years = [3]", "horizons_years = [3, 25]")])
    said = refused("check", folder)
    assert "25-year risk is not reported: the longest follow-up is" in said


def test_non_utf8(breast_study, breast_table, refused):
    table = breast_table()
    table["hospital"] = table["hospital"].replace("North", "Köln")
    folder = breast_study(table, [('"North"', '"Köln"')])
    path = folder / "patients.csv"
    path.write_bytes(path.read_text("utf-8").encode("cp1252"))
    said = refused("check", folder)
    assert "patients.csv, row" in said
    assert "the file is not utf-8 (value: byte 0xf6)" in said
    assert "cp1252" in said


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("size", "23,5", "a decimal comma"),
        ("size", "3-Feb", "a spreadsheet may have turned it into a date"),
        ("size", "#REF!", "a spreadsheet error instead of a value"),
        ("operated", "42430", "an Excel serial number instead of a date"),
        ("operated", "01/03/2016", "not a date of the form %Y-%m-%d"),
    ],
)
def test_excel_mangled(breast_study, breast_table, refused, column, value, message):
    table = breast_table().astype(object)
    table.loc[4, column] = value
    said = refused("check", breast_study(table))
    assert f"row 6, column {column}" in said
    assert message in said


def test_workbook_named_csv(breast_study, breast_table, refused, tmp_path):
    folder = breast_study()
    breast_table().to_excel(tmp_path / "book.xlsx", index=False)
    (folder / "patients.csv").write_bytes((tmp_path / "book.xlsx").read_bytes())
    assert "Excel workbook with a text file's name" in refused("check", folder)


def test_zero_byte_file(breast_study, refused):
    folder = breast_study()
    (folder / "patients.csv").write_bytes(b"")
    assert "patients.csv: the file is empty (0 bytes)" in refused("check", folder)


def test_header_only(breast_study, breast_table, refused):
    said = refused("check", breast_study(breast_table().head(0)))
    assert "a header but no rows" in said


def test_redcap_without_dictionary(breast_study, refused):
    folder = breast_study(replace=[('id = "id"', 'id = "id"\nformat = "redcap"')])
    said = refused("check", folder)
    assert "a REDCap export needs its data dictionary" in said


def test_missing_study_file(tmp_path, refused):
    assert "there is no study.toml" in refused("check", tmp_path)


def test_broken_study_file(breast_study, refused):
    folder = breast_study(replace=[("folds = 3", "foldz = 3")])
    said = refused("check", folder)
    assert "analysis.foldz" in said


def test_unknown_waiver(breast_study, refused):
    folder = breast_study(replace=[("E7 =", "E9 =")])
    assert "[waive] names no criterion" in refused("check", folder)


def test_competing_death_is_never_censored(breast_study, refused):
    folder = breast_study(
        replace=[
            ('death = "dead"\ndeath_date = "death_date"\n', ""),
            ("[waive]", '[not_recorded]\ndeath = "not in this registry"\n\n[waive]'),
        ]
    )
    said = refused("check", folder)
    assert "needs the competing event death; censoring it would overstate the risk" in said


def test_rows_with_problems_can_be_left_out_with_a_ledger_row(breast_study, breast_table):
    table = breast_table().astype(object)
    table.loc[0, "grade"] = 7
    table.loc[1, "er"] = "perhaps"
    table.loc[9, "id"] = table.loc[2, "id"]
    study = read_study(breast_study(table, [('on_problem = "stop"', 'on_problem = "exclude"')]))
    ledger = Ledger.from_parquet(screened(study) / "ledger.parquet")
    failed = [e for e in ledger.entries if e.verdict is Fate.FAILED]
    assert {e.item for e in failed} == {
        "patients.csv row 2",
        "patients.csv row 3",
        "patients.csv row 11",
    }
    read = {e.item for e in ledger.entries if e.stage == "reading"}
    assert len(read) == len(table), "every row of the table has a ledger row"


def test_unclosed_quote(breast_study, refused):
    folder = breast_study()
    path = folder / "patients.csv"
    lines = path.read_text().splitlines()
    lines[41] = lines[41].replace("North", '"North').replace("South", '"South')
    path.write_text("\n".join(lines) + "\n")
    assert "patients.csv, row 42: a quoted cell of this row" in refused("check", folder)


def test_ids_where_values_belong(breast_study, breast_table, refused):
    table = breast_table().astype(object)
    table["hospital"] = table["id"]
    table.loc[3, "grade"] = table.loc[5, "id"]
    said = refused("check", breast_study(table))
    assert "unknown centre (value: (equals a patient id, not shown))" in said
    refused("check", breast_study(replace=[('centre = "hospital"', 'centre = "id"')], name="ids"))


def test_absurd_date(breast_study, breast_table, refused):
    table = breast_table()
    row = table.index[table["dead"] == "no"][0]
    table.loc[row, "last_seen"] = "2916-01-31"
    said = refused("check", breast_study(table))
    assert f"row {row + 2}, column last_seen: above the accepted range" in said
    assert "2916-01-31" not in said


def test_wrong_id_column_of_a_redcap_export(breast_study, refused):
    redcap = 'id = "idd"\nformat = "redcap"\ndictionary = "d.csv"'
    folder = breast_study(replace=[('id = "id"', redcap)])
    names = (folder / "patients.csv").read_text().splitlines()[0].split(",")
    head = (
        '"Variable / Field Name","Form Name","Field Type",'
        '"Choices, Calculations, OR Slider Labels","Identifier?"'
    )
    (folder / "d.csv").write_text("\n".join([head, *(f"{n},a,text,," for n in names)]) + "\n")
    assert "missing column (the patient id) (value: idd)" in refused("check", folder)
