"""Read a user's table as text, cell by cell, with the row number a spreadsheet shows.

Nothing is interpreted here: types, units and codes belong to :mod:`metasight.cohort.canonical`.
What is refused here is what cannot be read for what it is: another encoding, an empty file, a
header that names a column twice, rows of uneven length.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from metasight.cohort.settings import TableSettings
from metasight.errors import Problem, StudyError, TableError

EXCEL_ERRORS = ("#REF!", "#NAME?", "#VALUE!", "#DIV/0!", "#N/A", "#NULL!", "#NUM!")


@dataclass(frozen=True, kw_only=True)
class RawTable:
    """Cells as text.

    Attributes
    ----------
    name
        File name without folder.
    cells
        Text, one column a header cell; an empty cell is "". Index: the spreadsheet's row number
        (the header is row 1).
    """

    name: str
    cells: pd.DataFrame


def read_table(folder: Path, settings: TableSettings) -> RawTable:
    """Read one CSV, TSV or Excel file.

    Raises
    ------
    StudyError
        The file is missing, empty, not in the stated encoding or of an unknown type.
    TableError
        Column names repeat, a row is longer or shorter than the header, or Excel error codes
        stand in cells.
    """
    path = folder / settings.path
    name = path.name
    if not path.is_file():
        raise StudyError("there is no such file", where=name, remedy="Correct its path")
    if path.stat().st_size == 0:
        raise StudyError("the file is empty (0 bytes)", where=name, remedy="Export it again")
    if path.suffix.lower() == ".xlsx":
        header, rows, first_row = _excel_rows(path, settings.sheet)
    elif path.suffix.lower() in {".csv", ".tsv", ".txt"}:
        header, rows, first_row = _text_rows(path, settings.encoding)
    else:
        raise StudyError(
            "unknown kind of table",
            where=name,
            value=path.suffix,
            remedy="Give a .csv, .tsv, .txt or .xlsx file",
        )
    return RawTable(name=name, cells=_frame(name, header, rows, first_row))


def _text_rows(path: Path, encoding: str) -> tuple[list[str], list[list[str]], int]:
    data = path.read_bytes()
    if data.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        raise StudyError(
            "this is an Excel workbook with a text file's name",
            where=path.name,
            remedy="Rename it to .xlsx, or save it as CSV UTF-8",
        )
    try:
        text = data.decode("utf-8-sig" if encoding.lower() in {"utf-8", "utf8"} else encoding)
    except LookupError as error:
        raise StudyError("unknown encoding", where=path.name, value=encoding) from error
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise StudyError(
            f"the file is not {encoding}",
            where=f"{path.name}, row {line}",
            value=f"byte 0x{data[error.start]:02x}",
            remedy='Save it as "CSV UTF-8", or give its encoding in study.toml '
            '(Excel on Windows often writes encoding = "cp1252")',
        ) from error
    if "\x00" in text:
        raise StudyError(
            "the file holds NUL characters",
            where=path.name,
            remedy='Save it as "CSV UTF-8", or give its encoding (perhaps "utf-16")',
        )
    skipped = 0
    delimiter = None
    if text[:4].lower() == "sep=":  # Excel's own hint, which is not part of the table
        first, _, text = text.partition("\n")
        delimiter, skipped = first.strip()[4:] or None, 1
    delimiter = delimiter or _delimiter(text, path.name)
    lines = list(csv.reader(io.StringIO(text), delimiter=delimiter))
    if not lines or not any(c.strip() for c in lines[0]):
        raise StudyError("the file has no header", where=path.name, remedy="Name its columns")
    return lines[0], lines[1:], 2 + skipped


def _delimiter(text: str, name: str) -> str:
    header = text.split("\n", 1)[0]
    found = [d for d in (",", ";", "\t") if d in header]
    if len(found) > 1:
        raise StudyError(
            "the header holds more than one kind of separator",
            where=f"{name}, row 1",
            value=" ".join(repr(d) for d in found),
            remedy="Rename the columns so that only the separator stands between names",
        )
    return found[0] if found else ","


def _excel_rows(path: Path, sheet: str | None) -> tuple[list[str], list[list[str]], int]:
    from openpyxl import load_workbook
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        book = load_workbook(path, read_only=True, data_only=True)
    except (InvalidFileException, zipfile.BadZipFile, KeyError, OSError) as error:
        raise StudyError(
            "not an Excel workbook", where=path.name, remedy="Save it again as .xlsx"
        ) from error
    try:
        if sheet is None and len(book.sheetnames) > 1:
            raise StudyError(
                "the workbook has several sheets",
                where=path.name,
                value=", ".join(book.sheetnames),
                remedy='Name one: sheet = "…"',
            )
        if sheet is not None and sheet not in book.sheetnames:
            raise StudyError(
                "there is no such sheet",
                where=path.name,
                value=sheet,
                remedy="Sheets: " + ", ".join(book.sheetnames),
            )
        rows = [
            [_cell_text(v) for v in row]
            for row in book[sheet or book.sheetnames[0]].iter_rows(values_only=True)
        ]
    finally:
        book.close()
    if not rows or not any(rows[0]):
        raise StudyError("the sheet has no header", where=path.name, remedy="Name its columns")
    return rows[0], rows[1:], 2


def _cell_text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dt.datetime):
        return value.date().isoformat()
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _frame(name: str, header: list[str], rows: list[list[str]], first_row: int) -> pd.DataFrame:
    header = [h.strip() for h in header]
    while header and not header[-1]:  # Excel leaves empty columns behind the table
        header.pop()
    problems = [
        Problem(table=name, row=1, column=h, value="", problem="the column name occurs twice",
                accepted="each name once")
        for h in sorted({h for h in header if header.count(h) > 1 and h})
    ]  # fmt: skip
    if "" in header:
        problems.append(
            Problem(table=name, row=1, column=f"number {header.index('') + 1}", value="",
                    problem="a column without a name", accepted="a name for every column")
        )  # fmt: skip
    width = len(header)
    kept: dict[int, list[str]] = {}
    for offset, row in enumerate(rows):
        number = first_row + offset
        cells = [c.strip() for c in row]
        if not any(cells):
            continue
        if len(cells) < width or any(cells[width:]):
            problems.append(
                Problem(table=name, row=number, column="", value=f"{len(cells)} cells",
                        problem="the row is not as long as the header",
                        accepted=f"{width} cells; quote text that holds the separator")
            )  # fmt: skip
            continue
        kept[number] = cells[:width]
        problems += [
            Problem(table=name, row=number, column=header[i], value=c,
                    problem="a spreadsheet error instead of a value",
                    accepted="the value, or an empty cell")
            for i, c in enumerate(cells[:width])
            if c in EXCEL_ERRORS or (len(c) > 2 and set(c) == {"#"})
        ]  # fmt: skip
    if problems:
        raise TableError(problems)
    if not kept:
        raise StudyError("the table has a header but no rows", where=name, remedy="Export it again")
    return pd.DataFrame.from_dict(kept, orient="index", columns=header, dtype="object")
