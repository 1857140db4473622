"""A table is read for what it is or refused with its row; no row vanishes."""

from __future__ import annotations

import csv
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl import Workbook
from openpyxl.chart import BarChart, Reference

from metasight.cohort.ids import meet
from metasight.cohort.settings import TableSettings
from metasight.cohort.tables import read_table
from metasight.errors import StudyError, TableError


@pytest.fixture
def read(tmp_path):
    def of(content: str | bytes, **settings):
        data = content.encode() if isinstance(content, str) else content
        (tmp_path / "t.csv").write_bytes(data)
        return read_table(tmp_path, TableSettings(path="t.csv", id="id", **settings)).cells

    return of


@pytest.fixture
def read_book(tmp_path):
    def of(fill, needed=None, **settings):
        book = Workbook()
        fill(book)
        book.save(tmp_path / "t.xlsx")
        return read_table(tmp_path, TableSettings(path="t.xlsx", id="id", **settings), needed)

    return of


@pytest.fixture
def read_excel(read_book):
    def of(fill, **settings):
        return read_book(fill, **settings).cells

    return of


def test_an_unclosed_quote_names_the_row_where_it_opens(read):
    with pytest.raises(TableError, match=r"t.csv, row 3: a quoted cell of this row is never"):
        read('id,note\na,1\nb,"2\nc,3\nd,4\n')


def test_a_quote_that_closes_in_a_later_row_names_the_row_where_it_opens(read):
    with pytest.raises(TableError, match=r"t.csv, row 3: .*ends in the middle"):
        read('id,note\na,1\nb,"2\nc,"3\nd,4\n')


def test_two_stray_quotes_do_not_swallow_the_rows_between(read):
    with pytest.raises(TableError, match=r"row 3, column note: a quoted cell that runs over"):
        read('id,note\na,1\nb,"2\nc,3\nd,4"\n')


def test_line_breaks_inside_a_quoted_cell_are_text(read):
    cells = read('id,note,x\na,"one\ntwo",1\nb,three,2\n')
    assert cells["x"].tolist() == ["1", "2"]
    assert list(cells.index) == [2, 3]


def test_line_ends_of_old_macs(read):
    assert read("id,x\ra,1\rb,2\r")["x"].tolist() == ["1", "2"]


def test_a_cell_above_the_limit_of_the_csv_module(read):
    text = "id,x\na," + "1" * 200_000 + "\n"
    with pytest.raises(TableError, match=r"row 2: a cell of more than 131072 characters"):
        read(text)
    before = csv.field_size_limit(10**9)  # another library may have raised it
    try:
        with pytest.raises(TableError, match=r"row 2: a cell of more than 131072 characters"):
            read(text)
    finally:
        csv.field_size_limit(before)


@pytest.mark.parametrize("line", ["sep=,,,,,\n", "sep=,\r\n", "sep=,\r"])
def test_excels_hint_is_its_first_character(read, line):
    cells = read(line + "id,x\na,1\n")
    assert cells["x"].tolist() == ["1"]
    assert list(cells.index) == [3]


@pytest.mark.parametrize("line", ["sep=\n", 'sep="\n', "sep=ab\n", "sep="])
def test_a_hint_that_names_no_separator(read, line):
    with pytest.raises(StudyError, match=r"t.csv, row 1: the line sep= names no separator"):
        read(line + "id,x\na,1\n")


def test_a_separator_inside_a_quoted_name(read):
    assert list(read('id,"size; cm","a,b"\na,1,2\n')) == ["id", "size; cm", "a,b"]
    with pytest.raises(StudyError, match="more than one kind of separator"):
        read("id,size; cm\na,1\n")


@pytest.mark.parametrize("encoding", ["utf-8", "utf_8", "UTF8", "U8", "utf-8-sig"])
def test_byte_order_mark_under_every_name_of_utf8(read, encoding):
    assert list(read(b"\xef\xbb\xbfid,x\na,1\n", encoding=encoding)) == ["id", "x"]


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252"])
@pytest.mark.parametrize("mark", ["utf-16", "utf-16-be"])
def test_utf16_is_told(read, encoding, mark):
    data = "\ufeffid,x\na,1\n".encode("utf-16-le" if mark == "utf-16" else mark)
    with pytest.raises(StudyError, match=r'the file is UTF-16.*encoding = "utf-16"'):
        read(data, encoding=encoding)
    assert list(read(data, encoding="utf-16")) == ["id", "x"]


@pytest.mark.parametrize("encoding", ["utf-88", "hex", "undefined"])
def test_unknown_encoding(read, encoding):
    with pytest.raises(StudyError, match=rf"unknown encoding \(value: {encoding}\)"):
        read("id,x\na,1\n", encoding=encoding)


def rows(book, *lines):
    for line in lines:
        book.active.append(line)


def test_merged_cells_are_a_problem_of_each_of_them(read_book):
    def fill(book):
        rows(book, ["id", "centre", "x"], ["a", "North", 1], ["b", None, 2])
        book.active.merge_cells("B2:B3")

    table = read_book(fill)
    assert sorted(table.flaws) == [(2, "centre"), (3, "centre")]
    assert str(table.flaws[2, "centre"]).startswith("t.xlsx, row 2, column centre: merged cells")


def test_formulas_that_were_never_calculated_are_a_problem(read_book):
    table = read_book(lambda b: rows(b, ["id", "x"], ["a", 1], ["b", "=1+1"]))
    (flaw,) = table.flaws_of(["x"])
    assert (flaw.row, flaw.column) == (3, "x")
    assert "a formula without a stored result" in flaw.problem
    assert table.flaws_of(["id"]) == ()


def test_excel_numbers_follow_the_decimal_sign(read_excel):
    def fill(book):
        rows(book, ["id", "x"], [1.0, 2.5])

    assert read_excel(fill, decimal=",").iloc[0].tolist() == ["1", "2,5"]
    assert read_excel(fill).iloc[0].tolist() == ["1", "2.5"]


def test_a_chart_alone_is_no_table(read_excel):
    def fill(book):
        rows(book, ["id", "x"], ["a", 1])
        chart = BarChart()
        chart.add_data(Reference(book.active, min_col=2, min_row=1, max_row=2))
        book.create_chartsheet("Chart").add_chart(chart)

    assert len(read_excel(fill)) == 1
    with pytest.raises(StudyError, match=r"no such sheet with cells \(value: Chart\)"):
        read_excel(fill, sheet="Chart")


def test_a_damaged_sheet_is_told(read_excel, tmp_path):
    read_excel(lambda b: rows(b, ["id", "x"], ["a", 1]))
    with zipfile.ZipFile(tmp_path / "t.xlsx") as old:
        parts = {n: old.read(n) for n in old.namelist()}
    parts["xl/worksheets/sheet1.xml"] = parts["xl/worksheets/sheet1.xml"][:-60]
    with zipfile.ZipFile(tmp_path / "t.xlsx", "w") as new:
        for name, data in parts.items():
            new.writestr(name, data)
    with pytest.raises(StudyError, match="the workbook is damaged"):
        read_table(tmp_path, TableSettings(path="t.xlsx", id="id"))


# ------------------------------------------------ what the study does not read cannot stop it


NOTES = ["id", "x", "notes", "notes", ""]


def test_errors_and_names_of_columns_that_nobody_reads_do_not_matter(read_book):
    def fill(book):
        rows(book, NOTES, ["a", 1, "#REF!", "", "y"], ["b", 2, "=1+1", "#N/A", "", "beyond"])
        book.active.merge_cells("C2:C3")

    table = read_book(fill, ["x"])
    assert list(table.cells) == ["id", "x"]
    assert table.flaws_of(["id", "x"]) == ()


NOISE = st.lists(
    st.tuples(
        st.sampled_from(["notes", "x", "", " ", "#REF!", "id_old"]),
        st.lists(
            st.sampled_from(["", "#REF!", "a;b", "1,5", "####", "x\ny", '"', "45%"]),
            min_size=3,
            max_size=3,
        ),
        st.integers(0, 3),
    ),
    max_size=4,
)


@given(noise=NOISE)
def test_no_column_beside_changes_what_is_read(noise, tmp_path_factory):
    """Property: whatever stands in other columns, the columns that are read are the same."""
    folder = tmp_path_factory.mktemp("noise")
    header, body = ["id", "size"], [["a", "1"], ["b", "2"], ["c", ""]]
    for name, cells, place in noise:
        header.insert(place, name)
        for row, cell in zip(body, cells, strict=True):
            row.insert(place, cell)
    with (folder / "t.csv").open("w", newline="") as file:
        csv.writer(file).writerows([header, *body])
    book = Workbook()
    rows(book, header, *body)
    book.save(folder / "t.xlsx")
    for name in ("t.csv", "t.xlsx"):
        table = read_table(folder, TableSettings(path=name, id="id"), ["size"])
        assert table.cells[["id", "size"]].to_numpy().tolist() == [
            ["a", "1"],
            ["b", "2"],
            ["c", ""],
        ]
        assert table.flaws_of(["id", "size"]) == ()


def test_a_needed_column_must_be_told_from_others(read_book):
    with pytest.raises(TableError, match=r"column notes: the column name occurs 2 times") as error:
        read_book(lambda b: rows(b, NOTES, ["a", 1, "", "", ""]), ["notes"])
    assert len(error.value.problems) == 1
    with pytest.raises(TableError, match="occurs 2 times"):
        read_book(lambda b: rows(b, NOTES, ["a", 1, "", "", ""]))


def test_a_spreadsheet_error_is_a_problem_of_its_cell(read_book):
    table = read_book(lambda b: rows(b, ["id", "x"], ["a", "#REF!"], ["b", "####"], ["c", "#1"]))
    assert sorted(table.flaws) == [(2, "x"), (3, "x")]
    assert table.flaws[2, "x"].value == "#REF!"


@pytest.mark.parametrize("first", ["1", "0"])
def test_row_numbers_of_r_and_pandas_are_ignored(read, first):
    n = int(first)
    text = f'"","id","x"\n"{n}","a",1\n"{n + 1}","b",2\n'
    assert list(read(text)) == ["id", "x"]


def test_a_column_without_a_name_that_may_be_a_feature_is_a_problem(read, tmp_path):
    with pytest.raises(TableError, match=r"column number 1: a column has no name"):
        read(",id\n0.7,a\n1.5,b\n")
    cells = read_table(tmp_path, TableSettings(path="t.csv", id="id"), ()).cells
    assert list(cells) == ["id"]


def test_a_cell_too_many_is_a_problem_of_its_row_in_a_text_file(tmp_path):
    (tmp_path / "t.csv").write_text("id,x\na,1\nb,2,3\nc,3\n")
    table = read_table(tmp_path, TableSettings(path="t.csv", id="id"), ["x"])
    assert table.cells["id"].tolist() == ["a", "c"]
    (problem,) = table.bad_rows
    assert (problem.row, problem.problem) == (3, "the row has 3 cells, row 1 has 2")


def test_a_title_above_the_header_is_told(read, read_book, tmp_path):
    with pytest.raises(StudyError, match="row 1 does not name the column 'id', row 3 does") as told:
        read_book(lambda b: rows(b, ["Registry"], [], ["id", "x"], ["a", 1]))
    assert told.value.remedy.startswith("Set header_row = 3")
    table = read_book(lambda b: rows(b, ["Registry"], [], ["id", "x"], ["a", 1]), header_row=3)
    assert table.cells["x"].to_dict() == {4: "1"}
    with pytest.raises(StudyError, match="Set header_row = 2"):
        read("Registry\nid,x\na,1\n")


def test_a_row_that_names_nothing_is_one_problem(tmp_path):
    (tmp_path / "t.csv").write_text("id,x,y\na,1,2\nb,3,4\n")
    settings = TableSettings(path="t.csv", id="id", header_row=2)
    with pytest.raises(StudyError, match="row 2 names none of the 3 columns") as error:
        read_table(tmp_path, settings, ["x", "y"])
    assert "header_row" in error.value.remedy


def test_one_problem_for_all_rows_of_another_length(read):
    with pytest.raises(TableError) as error:
        read("id\na,1\nb,2\n")
    assert str(error.value).startswith("1 problem in the patient tables\n")
    assert "t.csv, row 2: the row has 2 cells, row 1 has 1" in str(error.value)
    assert "set header_row = 2" in str(error.value)


def test_rows_of_units_are_left_out_where_the_study_says_so(read_book):
    def fill(book):
        rows(book, ["id", "x"], ["", "mm"], ["a", 1])

    assert read_book(fill, skip_rows=(2,)).cells["x"].to_dict() == {3: "1"}


def test_ids_and_names_are_compared_as_they_are_seen(read):
    cells = read("\u200bid,Gro\u0308\u00dfe\nA\u200b1,1\n")
    assert list(cells) == ["id", "Gr\u00f6\u00dfe"]
    assert cells["id"].tolist() == ["A1"]


def test_ids_may_be_said_to_be_numbers(tmp_path):
    (tmp_path / "t.csv").write_text("id,x\n0017,1\n18.0,2\nA1,3\n")
    table = read_table(tmp_path, TableSettings(path="t.csv", id="id", ids="number"))
    assert table.cells["id"].tolist() == ["17", "18", "A1"]
    (flaw,) = table.flaws.values()
    assert (flaw.row, flaw.value) == (4, "")
    assert 'ids = "number"' in flaw.problem


def test_a_table_without_ids_may_count_its_rows(tmp_path):
    (tmp_path / "t.csv").write_text("x,y\n1,2\n3,4\n")
    table = read_table(tmp_path, TableSettings(path="t.csv", id="id", ids="row"))
    assert table.cells["id"].to_dict() == {2: "2", 3: "3"}
    with pytest.raises(StudyError, match=r'ids = "row" is for a table without ids.*value: x'):
        read_table(tmp_path, TableSettings(path="t.csv", id="x", ids="row"))


def test_other_kinds_of_table_are_listed(tmp_path):
    (tmp_path / "t.rds").write_text("x")
    with pytest.raises(StudyError, match=r"unknown kind of table.*\.csv.*\.xlsx.*\.sav.*\.dta"):
        read_table(tmp_path, TableSettings(path="t.rds", id="id"))


FORMATS = {
    "text": lambda n, width: (str(n), None),
    "number": lambda n, width: (n, None),
    "float": lambda n, width: (float(n), None),
    "zeros as text": lambda n, width: (str(n).zfill(width), None),
    "zeros by format": lambda n, width: (n, "0" * width),
    "two decimals": lambda n, width: (n, "0.00"),
    "with .0": lambda n, width: (f"{n}.0", None),
}


@settings(max_examples=60)
@given(
    numbers=st.lists(st.integers(1, 99_999), min_size=1, max_size=6, unique=True),
    width=st.integers(2, 8),
    ways=st.tuples(st.sampled_from(sorted(FORMATS)), st.sampled_from(sorted(FORMATS))),
    ids=st.sampled_from(["text", "number"]),
)
def test_ids_however_a_workbook_formats_them_find_the_same_patients_or_are_a_problem(
    tmp_path_factory, numbers, width, ways, ids
):
    folder = tmp_path_factory.getbasetemp()
    found = []
    for name, way in zip(("one.xlsx", "other.xlsx"), ways, strict=True):
        book = Workbook()
        book.active.append(["id", "x"])
        for row, number in enumerate(numbers, start=2):
            value, shape = FORMATS[way](number, width)
            book.active.append([value, "v"])
            book.active.cell(row, 1).number_format = shape or "General"
        book.save(folder / name)
        found.append(read_table(folder, TableSettings(path=name, id="id", ids=ids)).cells["id"])
    rows = {int(str(row)): str(i) for row, i in found[1].items()}
    met = meet(rows, set(found[0]), table="other", column="id", patient_table="one")
    assert met.problems or not met.strangers
    if not met.problems:
        assert list(found[1]) == list(found[0]), "each row is the patient of the other table's row"
    if ids == "number":
        assert not met.problems
