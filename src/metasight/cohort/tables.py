"""Read a user's table as text, cell by cell, with the row number a spreadsheet shows.

Nothing is interpreted here: types, units and codes belong to :mod:`metasight.cohort.canonical`.
What is refused here is what cannot be read for what it is: another encoding, an empty file, a
header that names a column twice, rows of uneven length.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from metasight.cohort.delimited import text_rows
from metasight.cohort.settings import TableSettings
from metasight.cohort.showing import printable
from metasight.cohort.workbook import excel_rows
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
        Column names repeat, a row is longer or shorter than the header, quotes do not close,
        cells are merged or not calculated, or Excel error codes stand in cells.
    """
    path = folder / settings.path
    name = path.name
    if not path.is_file():
        raise StudyError("there is no such file", where=name, remedy="Correct its path")
    if path.stat().st_size == 0:
        raise StudyError("the file is empty (0 bytes)", where=name, remedy="Export it again")
    if path.suffix.lower() == ".xlsx":
        header, rows, first_row = excel_rows(path, settings.sheet, settings.decimal)
    elif path.suffix.lower() in {".csv", ".tsv", ".txt"}:
        header, rows, first_row = text_rows(path, settings.encoding)
    else:
        raise StudyError(
            "unknown kind of table",
            where=name,
            value=path.suffix,
            remedy="Give a .csv, .tsv, .txt or .xlsx file",
        )
    return RawTable(name=name, cells=_frame(name, header, rows, first_row))


def _frame(name: str, header: list[str], rows: list[list[str]], first_row: int) -> pd.DataFrame:
    header = [h.strip() for h in header]
    while header and not header[-1]:  # Excel leaves empty columns behind the table
        header.pop()
    problems = _header_problems(name, header)
    width = len(header)
    kept: dict[int, list[str]] = {}
    for number, row in enumerate(rows, start=first_row):
        cells = [c.strip() for c in row]
        if not any(cells):
            continue
        if len(cells) < width or any(cells[width:]):
            problems.append(
                Problem(
                    table=name,
                    row=number,
                    column="",
                    value=f"{len(cells)} cells",
                    problem="the row is not as long as the header",
                    accepted=f"{width} cells; quote text that holds the separator",
                )
            )
            continue
        kept[number] = cells[:width]
        problems += _error_codes(name, number, header, kept[number])
    if problems:
        raise TableError(problems)
    if not kept:
        raise StudyError("the table has a header but no rows", where=name, remedy="Export it again")
    return pd.DataFrame.from_dict(kept, orient="index", columns=header, dtype="object")


def _header_problems(name: str, header: list[str]) -> list[Problem]:
    """Names that occur twice, and the first column without one."""
    problems = [
        Problem(
            table=name,
            row=1,
            column=printable(h),
            value="",
            problem="the column name occurs twice",
            accepted="each name once",
        )
        for h in sorted({h for h in header if header.count(h) > 1 and h})
    ]
    if "" in header:
        problems.append(
            Problem(
                table=name,
                row=1,
                column=f"number {header.index('') + 1}",
                value="",
                problem="a column without a name",
                accepted="a name for every column",
            )
        )
    return problems


def _error_codes(name: str, number: int, header: list[str], cells: list[str]) -> list[Problem]:
    """Cells of a row that hold a spreadsheet's error."""
    return [
        Problem(
            table=name,
            row=number,
            column=printable(header[i]),
            value=c,
            problem="a spreadsheet error instead of a value",
            accepted="the value, or an empty cell",
        )
        for i, c in enumerate(cells)
        if c in EXCEL_ERRORS or (len(c) > 2 and set(c) == {"#"})
    ]
