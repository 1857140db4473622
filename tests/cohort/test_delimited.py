"""Text tables: separators, line ends and encodings are found or refused, and no row moves."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metasight.cohort.delimited import text_rows
from metasight.errors import StudyError, TableError


def parts(path, encoding):
    sheet = text_rows(path, encoding)
    return sheet.header, sheet.rows, sheet.first_row


@pytest.fixture
def read(tmp_path):
    def of(content: str | bytes, encoding: str = "utf-8"):
        data = content.encode() if isinstance(content, str) else content
        (tmp_path / "t.csv").write_bytes(data)
        return parts(tmp_path / "t.csv", encoding)

    return of


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_the_separator_of_the_header_is_that_of_the_rows(read, separator, end):
    text = end.join([separator.join(r) for r in (["id", "x"], ["a", "1"], ["b", "2"])])
    assert read(text) == (["id", "x"], [["a", "1"], ["b", "2"]], 2)


def test_other_separators_in_the_rows_are_text(read):
    assert read("id;x\na;1,5\n")[1] == [["a", "1,5"]]


def test_two_kinds_of_separator_in_the_header(read):
    with pytest.raises(StudyError, match="more than one kind of separator") as error:
        read("id;size,mm;x\n1;2;3\n")
    assert error.value.value == "';' ','"
    assert read('id;"size,mm";x\n1;2;3\n')[0] == ["id", "size,mm", "x"]


def test_a_table_of_one_column_has_no_separator(read):
    assert read("id\na\nb\n") == (["id"], [["a"], ["b"]], 2)


def test_a_bar_separates_only_where_the_first_line_says_so(read):
    assert read("sep=|\nid|x\na|1\n") == (["id", "x"], [["a", "1"]], 3)
    assert read("id|x\na|1\n")[0] == ["id|x"]


def test_a_quote_within_quotes_is_written_twice(read):
    assert read('id,note\na,"he said ""no"""\n')[1] == [["a", 'he said "no"']]


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16", "utf-8-sig", "latin-1"])
def test_a_stated_encoding_is_used(read, encoding):
    assert read("id,ö\nä,µ\n".encode(encoding), encoding)[1] == [["ä", "µ"]]


def test_another_encoding_names_the_row_and_the_byte(read):
    with pytest.raises(StudyError, match="the file is not utf-8") as error:
        read(b"id,x\na,1\nb,\xb5\n")
    assert error.value.where == "t.csv, row 3"
    assert error.value.value == "byte 0xb5"
    assert "cp1252" in error.value.remedy


@pytest.mark.parametrize("start", [b"PK\x03\x04", b"\xd0\xcf\x11\xe0"])
def test_a_workbook_under_a_text_files_name(read, start):
    with pytest.raises(StudyError, match="Excel workbook") as error:
        read(start + b"....")
    assert "xlsx" in error.value.remedy


def test_utf16_without_a_mark_holds_nul(read):
    with pytest.raises(StudyError, match="NUL characters"):
        read("id,x\na,1\n".encode("utf-16-le"))


@pytest.mark.parametrize("text", ["\n", "  ,  \na,b\n", "sep=;\n"])
def test_no_header(read, text):
    with pytest.raises(StudyError, match="no header"):
        read(text)


def test_a_cell_that_swallowed_rows_names_its_first_row_and_column(read):
    with pytest.raises(TableError) as error:
        read('id,note,x\na,"one,1\nb,two,2\nc,three",3\n')
    (problem,) = error.value.problems
    assert (problem.row, problem.column) == (2, "note")
    assert problem.value == "text of 21 characters"  # what it holds may name a patient


def test_rows_behind_the_hint_are_counted_as_a_spreadsheet_counts_them(read):
    with pytest.raises(TableError) as error:
        read('sep=,\nid,note\na,1\nb,"2\n')
    assert error.value.problems[0].row == 4


cells = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\x00\r\n"))


@given(st.lists(st.lists(cells, min_size=3, max_size=3), max_size=6), st.sampled_from(",;\t"))
def test_what_a_writer_quotes_is_read_back(tmp_path_factory, rows, separator):
    """Any text without line breaks survives, whatever separators and quotes it holds."""
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=separator).writerows([["id", "a", "b"], *rows])
    path = tmp_path_factory.mktemp("t") / "t.csv"
    path.write_bytes(text.getvalue().encode())
    assert parts(path, "utf-8") == (["id", "a", "b"], rows, 2)


def test_a_title_above_the_header_is_not_read(tmp_path):
    (tmp_path / "t.csv").write_text("Export, of: today\nid;x\na;1\n")
    sheet = text_rows(tmp_path / "t.csv", "utf-8", header_row=2)
    assert (sheet.header, sheet.rows, sheet.first_row) == (["id", "x"], [["a", "1"]], 3)
    with pytest.raises(StudyError, match="no header"):
        text_rows(tmp_path / "t.csv", "utf-8", header_row=9)
