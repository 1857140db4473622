"""Tables made anew, and what stops one."""

from __future__ import annotations

import io

import pandas as pd
import pytest
from openpyxl import Workbook

from metasight.deidentify.batch import deidentify_folder
from metasight.deidentify.check import check_output
from metasight.deidentify.flags import TableFlags
from metasight.deidentify.table_file import new_table, slide_name
from metasight.errors import StudyError
from metasight.ledger import Fate

ROWS = {
    "mrn": ["A-1", "A-2", "A-3", "A-4", "A-5", "A-6"],
    "surname": ["Kanarius", "Zeisiger", "Meisenbart", "Finkl", "Amselig", "Li"],
    "operated": ["2020-03-01", "1.4.2020", "", "2020-05-01", "2020-06-01", "2020-07-01"],
    "died": ["2021-03-01", "", "", "", "", ""],
    "remark": ["kam mit Tochter Friederike", "", "", "", "", ""],
    "slide": ["Kanarius_1.svs", "b.svs", "c.svs", "d.svs", "e.svs", ""],
    "block": ["H20/1", "H20/2", "H20/3", "H20/4", "H20/5", "H20/6"],
    "age": ["61", "72", "55", "48", "80", "66"],
    "centre": ["North", "South", "North", "South", "North", "South"],
}
COLUMNS = {
    "surname": "drop",
    "operated": "date",
    "died": "date",
    "remark": "free text",
    "slide": "slide",
    "block": "identifier",
}


def flags(file: str = "Kanarius.csv", **changes: object) -> TableFlags:
    told = {"file": file, "name": "patients", "patient": "mrn", "columns": COLUMNS, **changes}
    return TableFlags.model_validate(told)


def written(folder, **columns):
    pd.DataFrame(ROWS | columns).to_csv(folder / "Kanarius.csv", index=False)
    return folder


def test_what_becomes_of_each_column(tmp_path, key):
    made = new_table(written(tmp_path), flags(), key)
    table = pd.read_csv(io.BytesIO(made.content), dtype=str, keep_default_na=False)
    columns = ["patient", "operated", "died", "slide", "block", "age", "centre"]
    assert (made.name, list(table)) == ("patients.csv", columns)
    row = table.set_index("patient").loc[key.patient("A-1")]
    days = (pd.Timestamp(row.died) - pd.Timestamp(row.operated)).days
    assert days == 365
    assert (pd.Timestamp("2020-03-01") - pd.Timestamp(row.operated)).days == -key.shift_days("A-1")
    assert row.slide == slide_name("Kanarius_1.svs", key)
    assert (row.age, row.centre) == ("61", "North")
    assert list(table.patient) == sorted(key.patient(p) for p in ROWS["mrn"])
    assert "free text left out in 1 column" in made.note


def test_a_workbook_gives_the_same(tmp_path, key):
    written(tmp_path)
    book = Workbook()
    book.active.title = "Kanarius_Blatt"
    book.active.append(list(ROWS))
    for row in zip(*ROWS.values(), strict=True):
        book.active.append(list(row))
    book.active["B2"].comment = None
    book.properties.creator = "Zeisiger"
    book.save(tmp_path / "Kanarius.xlsx")
    one = new_table(tmp_path, flags(), key)
    two = new_table(tmp_path, flags("Kanarius.xlsx", sheet="Kanarius_Blatt"), key)
    assert one.content == two.content


@pytest.mark.parametrize(
    ("changes", "columns", "problem"),
    [
        ({}, {"nickname": ["Kanari"] * 6}, "its name says"),
        ({}, {"seen": ["2020-01-01"] * 6}, r"10 \(dates\)"),
        ({}, {"centre": ["North", "Kanarius"] * 3}, "row 3: a cell"),
        (
            {"columns": COLUMNS | {"age": "keep", "note": "keep"}},
            {"note": ["for A-2"] * 6},
            "row 3",
        ),
        ({}, {"Kanarius": ["1"] * 6}, "name of a column"),
        ({}, {"operated": ["soon"] * 6}, "row 2, column 3: a date"),
        ({}, {"mrn": ["A-1", "", "A-3", "A-4", "A-5", "A-6"]}, "row 3 has no patient"),
        ({"patient": "who"}, {}, "1 of the columns"),
        ({"columns": COLUMNS | {"block": "uid"}}, {}, "not a UID"),
        ({"encoding": "utf-16"}, {}, "cannot be read as its flags say"),
    ],
)
def test_what_stops_a_table(changes, columns, problem, tmp_path, key):
    with pytest.raises(StudyError, match=problem) as told:
        new_table(written(tmp_path, **columns), flags(**changes), key)
    quoted = str(told.value)
    assert not any(text in quoted for row in ROWS.values() for text in row if len(text) > 4)


def test_a_formula_is_text(tmp_path, key):
    cells = ['=HYPERLINK("http://x")', "-3", "+1.5", "@a", "-3", "+1.5"]
    changed = COLUMNS | {"sum": "keep"}
    made = new_table(written(tmp_path, sum=cells), flags(columns=changed), key)
    text = made.content.decode()
    assert "'=HYPER" in text
    assert "'@a" in text
    assert ",-3\n" in text


@pytest.mark.parametrize(
    ("name", "suffix"),
    [("a.svs", ".svs"), ("C:\\x\\a.SVS", ".svs"), ("y/a.ome.tif", ".ome.tif"), ("a.b", "")],
)
def test_a_slide_is_named_alike_wherever_it_is_named(name, suffix, key):
    told = slide_name(name, key)
    assert told.endswith(suffix)
    if name != "a.b":
        assert told.removesuffix(suffix) == key.text("slide", "a")


def test_the_second_look_at_tables(tmp_path, key):
    (tmp_path / "source").mkdir()
    written(tmp_path / "source")
    told = flags()
    (row,) = deidentify_folder(tmp_path / "source", tmp_path / "out", key, tables=[told])
    assert row.verdict is Fate.KEPT
    out = tmp_path / "out" / "patients.csv"
    clean = out.read_text()

    def found() -> set[str]:
        told_of = check_output(tmp_path / "out", tmp_path / "source", key, tables=[told])
        return {f.what for f in told_of}

    assert found() == set()
    for leak in ("Kanarius", "Meisenbart", "kam mit Tochter Friederike", "Kanarius_1.svs"):
        out.write_text(clean + f"x,{leak}\n")
        assert "cell of the source" in found(), leak
    pseudonym = key.patient("A-1")
    out.write_text(clean + f"{pseudonym},2020-03-01\n")
    assert found() == {"date of the source"}
    out.write_text(clean + f"{key.patient('A-2')},2020-03-01\n")  # another patient's date
    assert found() == set()


def test_what_is_kept_on_purpose_is_not_looked_for(tmp_path, key):
    import scan_files

    source = tmp_path / "source"
    scan_files.write_ct(
        source / "ct", [0.0, 1.0], InstitutionName="North", StationName="Southern 1"
    )
    written(source, centre=["North", "Southern 1"] * 3)
    for columns, found in ((COLUMNS, 2), (COLUMNS | {"centre": "keep"}, 0)):
        told = [flags(columns=columns)]
        out = tmp_path / str(found)
        deidentify_folder(source, out, key, tables=told)
        what = {f.what for f in check_output(out, source, key, tables=told)}
        assert what == ({"identifier of the source"} if found else set())


def test_without_flags_a_table_is_not_passed_on(tmp_path, key):
    (tmp_path / "source").mkdir()
    written(tmp_path / "source")
    (row,) = deidentify_folder(tmp_path / "source", tmp_path / "out", key)
    assert row.verdict is Fate.FAILED
    assert "--tables" in row.reason
    with pytest.raises(StudyError, match="not in the source"):
        deidentify_folder(tmp_path / "source", tmp_path / "o", key, tables=[flags("other.csv")])
