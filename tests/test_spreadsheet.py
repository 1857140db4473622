"""No cell of a table that metasight writes is run as a formula, and none is lost by that."""

from __future__ import annotations

import csv
import io
import re

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metasight.cohort.settings import TableSettings
from metasight.cohort.tables import read_table
from metasight.spreadsheet import csv_line, csv_text, shielded, unshielded, write_csv
from source_texts import ROOT

FORMULAS = [
    '=HYPERLINK("http://evil.example")',
    "+1+cmd|' /C calc'!A0",
    "-2+3",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    "＝1+1",
    "+",
    "-",
    "+49 211",
]
SIGNS = "=+-@\t\r\n'＝＋－＠1.eE a"


@pytest.mark.parametrize("text", FORMULAS)
def test_what_would_be_run_is_not(text):
    assert shielded(text) == f"'{text}"
    assert unshielded(shielded(text)) == text


@pytest.mark.parametrize(
    "text", ["", "North", "-1.5", "+3", "-2e-05", "1", "-.5", "O'Hara", "'n", "a=b"]
)
def test_what_is_a_number_or_harmless_stays(text):
    assert shielded(text) == text
    assert unshielded(text) == text


@given(st.text(alphabet=SIGNS, max_size=6))
def test_every_text_comes_back_and_none_is_a_formula(text):
    written = shielded(text)
    assert unshielded(written) == text
    number = re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", written)
    assert number or written[:1] not in set("=+-@\t\r\n＝＋－＠")


def test_texts_headers_and_row_names_are_shielded_and_numbers_are_not(tmp_path):
    table = pd.DataFrame(
        {"=a": ["=1", "x"], "n": [-1.5, 2.0], "kind": pd.Categorical(["@b", "c"]), "k": [-1, 1]},
        index=pd.Index(["-set", "set"], name="+name"),
    )
    write_csv(table, tmp_path / "t.csv", index=True)
    assert (tmp_path / "t.csv").read_text() == (
        "'+name,'=a,n,kind,k\n'-set,'=1,-1.5,'@b,-1\nset,x,2.0,c,1\n"
    )
    assert list(table.columns) == ["=a", "n", "kind", "k"]


def test_clean_tables_are_written_as_pandas_writes_them(tmp_path):
    table = pd.DataFrame(
        {"a": ["x", None], "b": [0.1, float("nan")], "c": [True, False], "d": [3, -4]}
    )
    table["e"] = pd.to_datetime(["2020-01-01", None])
    table["f"] = pd.array([1, None], dtype="Int64")
    for index in (True, False):
        write_csv(table, tmp_path / "t.csv", index=index)
        expected = table.to_csv(index=index, lineterminator="\n")
        assert (tmp_path / "t.csv").read_text("utf-8") == expected


def test_a_figure_s_data_are_shielded():
    text = csv_text(["=a", "b"], [['=HYPERLINK("x")', -0.5], [None, "+1"]])
    assert list(csv.reader(io.StringIO(text))) == [
        ["'=a", "b"],
        ['\'=HYPERLINK("x")', "-0.5"],
        ["", "+1"],
    ]


@pytest.mark.parametrize("suffix", [".csv", ".xlsx"])
def test_metasight_reads_what_it_wrote_and_a_spreadsheet_saved(tmp_path, suffix):
    texts = [t for t in FORMULAS if t == t.strip() and t != "-"]
    table = pd.DataFrame({"id": range(len(texts)), "=HYPERLINK(1)": texts, "n": -1.5})
    write_csv(table, tmp_path / "t.csv")
    if suffix == ".xlsx":
        pd.read_csv(tmp_path / "t.csv").to_excel(tmp_path / "t.xlsx", index=False)
    raw = read_table(tmp_path, TableSettings(path=f"t{suffix}", id="id"))
    assert list(raw.cells["=HYPERLINK(1)"]) == texts
    assert set(map(float, raw.cells["n"])) == {-1.5}


def test_a_row_more_is_shielded_in_the_tables_own_separator():
    line = csv_line(["0017", None, "=1+1", "a;b", -3], separator=";", line_end="\n")
    assert line == '0017;;\'=1+1;"a;b";-3\n'


def test_every_table_for_people_is_written_here():
    writers = re.compile(r"\.to_csv\(|csv\.writer\(|csv\.DictWriter\(|\.to_excel\(|Workbook\(")
    source = ROOT / "src" / "metasight"
    found = {
        str(path.relative_to(source))
        for path in source.rglob("*.py")
        if writers.search(path.read_text("utf-8"))
    }
    assert found == {"spreadsheet.py"}
