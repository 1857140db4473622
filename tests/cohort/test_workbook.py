"""Excel sheets as text: numbers, dates and flags as they are meant, and no silent gap."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest
from openpyxl import Workbook

from metasight.cohort.settings import TableSettings
from metasight.cohort.tables import read_table
from metasight.cohort.workbook import excel_rows
from metasight.errors import StudyError


@pytest.fixture
def read(tmp_path):
    def of(rows, *, sheet=None, decimal=".", change=None):
        book = Workbook()
        for row in rows:
            book.active.append(row)
        if change:
            change(book)
        book.save(tmp_path / "t.xlsx")
        found = excel_rows(tmp_path / "t.xlsx", sheet, decimal)
        return found.header, found.rows, found.first_row

    return of


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (12, "12"),
        (12.0, "12"),
        (1.5, "1.5"),
        (0.1, "0.1"),
        (-1e-7, "-1e-07"),
        (True, "true"),
        (False, "false"),
        (None, ""),
        ("  MRN 1", "  MRN 1"),
        ("007", "007"),
        (dt.date(2020, 2, 29), "2020-02-29"),
        (dt.datetime(2020, 2, 29, 23, 59), "2020-02-29"),
    ],
)
def test_a_cell_as_text(read, value, text):
    header, rows, first = read([["id", "x"], ["a", value]])
    assert (header, rows, first) == (["id", "x"], [["a", text]], 2)


def test_the_decimal_sign_of_the_study_is_that_of_its_number_cells(read):
    assert read([["id", "x"], ["a", 1.5], ["b", 2]], decimal=",")[1] == [["a", "1,5"], ["b", "2"]]


def test_short_rows_are_filled_up(read):
    assert read([["id", "x", "y"], ["a"], ["b", 1, 2]])[1] == [["a", "", ""], ["b", "1", "2"]]


def test_an_empty_sheet_has_no_header(read):
    with pytest.raises(StudyError, match="no header"):
        read([])


def test_several_sheets_need_a_name(read):
    def more(book):
        book.create_sheet("second").append(["id"])
        book["second"].append(["z"])

    with pytest.raises(StudyError, match="several sheets") as error:
        read([["id"], ["a"]], change=more)
    assert error.value.value == "Sheet, (a text, not shown)"  # some keep a sheet a patient
    assert read([["id"], ["a"]], change=more, sheet="second")[1] == [["z"]]
    with pytest.raises(StudyError, match="no such sheet") as error:
        read([["id"], ["a"]], change=more, sheet="third")
    assert error.value.remedy == "Sheets: Sheet, (a text, not shown)"


def strange(path):
    return {cell: what for cell, (what, _) in excel_rows(path, None, ".").strange.items()}


def test_merged_cells_are_strange_each(read, tmp_path):
    def merge(book):
        book.active.merge_cells("B2:B3")

    read([["id", "x"], ["a", 1], ["b", 2]], change=merge)
    found = strange(tmp_path / "t.xlsx")
    assert sorted(found) == [(2, 1), (3, 1)]
    assert "only the first of them" in found[3, 1]


def test_a_merged_title_above_nothing_but_the_header_is_none(read):
    rows = read([["id", "x"], ["a", 1]], change=lambda b: b.active.merge_cells("B1:C1"))[1]
    assert [r[:2] for r in rows] == [["a", "1"]]


def test_merged_cells_and_formulas_beside_the_table_do_not_matter(read):
    def beside(book):
        book.active["F2"] = "=1+1"
        book.active.merge_cells("F3:G4")

    assert read([["id", "x"], ["a", 1]], change=beside)[1][0][:2] == ["a", "1"]


def test_a_formula_that_was_never_calculated(read, tmp_path):
    read([["id", "x"], ["a", "=1+1"], ["b", 2]])
    found = strange(tmp_path / "t.xlsx")
    assert list(found) == [(2, 1)]
    assert "a formula without a stored result" in found[2, 1]


@pytest.mark.parametrize(
    ("value", "number_format", "text"),
    [
        (0.45, "0%", "45%"),
        (0.07, "0.0%", "7%"),
        (0.123, "0%", "12.3%"),
        (1, "0%", "100%"),
        (0, "0%", "0%"),
        (45, '0"%"', "45"),
        (45, "0\\%", "45"),
        (0.45, "General", "0.45"),
        (17, "0000", "0017"),
        (17.0, "0000", "0017"),
        (12345, "0000", "12345"),
        (17, "0", "17"),
    ],
)
def test_a_number_is_what_the_sheet_shows(read, value, number_format, text):
    def change(book):
        book.active["B2"].number_format = number_format

    assert read([["id", "x"], ["a", value]], change=change)[1] == [["a", text]]


def test_real_dates_are_known_from_texts(read, tmp_path):
    read([["id", "x"], ["a", dt.date(2020, 2, 29)], ["b", "2020-02-29"]])
    assert excel_rows(tmp_path / "t.xlsx", None, ".").dates == {(2, 1)}


def test_a_title_above_the_header(read, tmp_path):
    read([["Export of today"], ["id", "x"], ["a", 1]])
    sheet = excel_rows(tmp_path / "t.xlsx", None, ".", header_row=2)
    assert (sheet.header, sheet.rows, sheet.first_row) == (["id", "x"], [["a", "1"]], 3)


def test_what_is_no_workbook(tmp_path):
    (tmp_path / "t.xlsx").write_text("id,x\na,1\n")
    with pytest.raises(StudyError, match="not an Excel workbook") as error:
        excel_rows(tmp_path / "t.xlsx", None, ".")
    assert "xlsx" in error.value.remedy


def flipped_workbook(path):
    """A patient table as openpyxl writes it: ids, real dates, numbers, codes, percentages."""
    book = Workbook()
    book.active.append(["id", "op", "size", "er", "share"])
    random = np.random.default_rng(3)
    for i in range(60):
        day = dt.date(2016, 3, 1) + dt.timedelta(days=11 * i)
        size, share = (
            round(float(random.uniform(low, high)), 2) for low, high in ((5, 50), (0, 1))
        )
        book.active.append([f"A{i:04d}", day, size, "pos" if i % 3 else "neg", share])
        book.active.cell(i + 2, 5).number_format = "0%"
    book.save(path)


def test_no_flipped_bit_of_a_workbook_gives_other_values(tmp_path):
    """300 flips: every part's checksum is asked for, so each is refused or changes nothing."""
    file = tmp_path / "patients.xlsx"
    flipped_workbook(file)
    whole, settings = file.read_bytes(), TableSettings(path=file.name, id="id")
    expected = read_table(tmp_path, settings)
    random = np.random.default_rng(7)
    refused = 0
    for _ in range(300):
        damaged = bytearray(whole)
        damaged[random.integers(len(whole))] ^= 1 << int(random.integers(8))
        file.write_bytes(bytes(damaged))
        try:
            found = read_table(tmp_path, settings)
        except StudyError as error:
            assert file.name in str(error)
            refused += 1
            continue
        assert found.cells.equals(expected.cells)
        assert (found.dates, found.flaws) == (expected.dates, expected.flaws)
    assert refused > 250


@pytest.mark.parametrize(("byte", "bit"), [(8, 0), (10, 4)], ids=["a password", "unknown packing"])
def test_parts_that_cannot_be_unpacked_are_refused_by_the_files_name(tmp_path, byte, bit):
    file = tmp_path / "patients.xlsx"
    flipped_workbook(file)
    damaged = bytearray(file.read_bytes())
    damaged[damaged.index(b"PK\x01\x02") + byte] ^= 1 << bit
    file.write_bytes(bytes(damaged))
    with pytest.raises(StudyError, match=r"patients\.xlsx: not an Excel workbook, or a damaged"):
        read_table(tmp_path, TableSettings(path=file.name, id="id"))


def test_a_forgotten_cell_far_away_is_told(tmp_path):
    book = Workbook()
    book.active["A1"], book.active["A2"], book.active["XFD9000"] = "id", "a", 1
    book.save(tmp_path / "far.xlsx")
    with pytest.raises(StudyError, match=r"9,000 rows and 16,384 columns.*Delete what lies below"):
        excel_rows(tmp_path / "far.xlsx", None, ".")
