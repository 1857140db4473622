"""Rows of one Excel sheet as text.

A workbook keeps formulas, cached results, merged cells and charts; a table has none of them. What
would silently read as missing (a formula that was never calculated, the cells under a merged one)
is a problem with its row and column.
"""

from __future__ import annotations

import datetime as dt
import zipfile
import zlib
from pathlib import Path
from typing import Any

from metasight.errors import Problem, StudyError, TableError

_FORMULA = "the formula has no calculated value"
_MERGED = "merged cells: only the first of them holds the value"


def excel_rows(
    path: Path, sheet: str | None, decimal: str
) -> tuple[list[str], list[list[str]], int]:
    """Header, rows, and the number of the first row behind the header.

    Numbers are written with ``decimal``, so that text and number cells are read alike.

    Raises
    ------
    StudyError
        Not a workbook, a broken one, or no telling which sheet.
    TableError
        Merged cells, or formulas without a value, among the rows.
    """
    from openpyxl import load_workbook
    from openpyxl.utils.exceptions import InvalidFileException

    broken = (
        InvalidFileException,
        zipfile.BadZipFile,
        zlib.error,
        SyntaxError,  # SyntaxError: bad XML
        KeyError,
        ValueError,
        TypeError,
        AttributeError,
        OSError,
        EOFError,
    )
    try:
        book = load_workbook(path, read_only=True, data_only=True)
    except broken as error:
        raise StudyError(
            "not an Excel workbook, or a damaged one",
            where=path.name,
            remedy="Save it again as .xlsx",
        ) from error
    try:
        chosen = _sheet(book, path.name, sheet)
        chosen.reset_dimensions()  # a wrong note of the sheet's size would cut columns off
        rows = [[_cell_text(v, decimal) for v in r] for r in chosen.iter_rows(values_only=True)]
        strange = _strange_cells(path, chosen)
    except broken as error:
        raise StudyError(
            "the sheet cannot be read: the workbook is damaged",
            where=path.name,
            remedy="Open it in Excel, let it repair the file, and save it again as .xlsx",
        ) from error
    finally:
        book.close()
    if not rows or not any(rows[0]):
        raise StudyError("the sheet has no header", where=path.name, remedy="Name its columns")
    width = max(map(len, rows))
    rows = [r + [""] * (width - len(r)) for r in rows]
    _refuse(path.name, rows[0], strange)
    return rows[0], rows[1:], 2


def _sheet(book: Any, name: str, sheet: str | None) -> Any:
    names = [s.title for s in book.worksheets]  # sheets that are only a chart are not among them
    if not names:
        raise StudyError(
            "the workbook has no sheet with cells", where=name, remedy="Save the table as .xlsx"
        )
    if sheet is None and len(names) > 1:
        raise StudyError(
            "the workbook has several sheets",
            where=name,
            value=", ".join(names),
            remedy='Name one: sheet = "…"',
        )
    if sheet is not None and sheet not in names:
        raise StudyError(
            "there is no such sheet with cells",
            where=name,
            value=sheet,
            remedy="Sheets: " + ", ".join(names),
        )
    return book[sheet or names[0]]


def _strange_cells(path: Path, sheet: Any) -> list[tuple[int, int, str]]:
    """Row, column and problem of merged cells and of formulas that were never calculated."""
    from openpyxl.utils import column_index_from_string
    from openpyxl.utils.cell import coordinate_from_string, range_boundaries
    from openpyxl.xml.functions import iterparse

    found: list[tuple[int, int, str]] = []
    with zipfile.ZipFile(path) as archive, archive.open(sheet._worksheet_path) as xml:
        for _, element in iterparse(xml):
            tag = element.tag.rpartition("}")[2]
            if tag == "c":
                if _uncalculated(element):
                    letters, row = coordinate_from_string(element.get("r"))
                    found.append((row, column_index_from_string(letters), _FORMULA))
                element.clear()
            elif tag == "row":
                element.clear()
            elif tag == "mergeCell":
                left, top, _, bottom = range_boundaries(element.get("ref"))
                if bottom > 1:
                    found.append((max(top, 2), left, _MERGED))
    return found


def _uncalculated(cell: Any) -> bool:
    parts = {part.tag.rpartition("}")[2]: part.text for part in cell}
    # t="str" with nothing in it is a formula whose result is the empty text
    return "f" in parts and not parts.get("v") and cell.get("t") != "str"


def _refuse(name: str, header: list[str], strange: list[tuple[int, int, str]]) -> None:
    width = max((i + 1 for i, h in enumerate(header) if h.strip()), default=0)
    problems = [
        Problem(
            table=name,
            row=row,
            column=header[column - 1].strip(),
            value="",
            problem=what,
            accepted="the value itself, in every cell it belongs to",
        )
        for row, column, what in sorted(strange)
        if column <= width
    ]
    if problems:
        raise TableError(problems)


def _cell_text(value: object, decimal: str) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dt.datetime):
        return value.date().isoformat()
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(value).replace(".", decimal)
    return str(value)
