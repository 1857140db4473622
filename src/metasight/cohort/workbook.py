"""Rows of one Excel sheet as text.

A workbook keeps formulas, cached results, merged cells and charts; a table has none of them. What
would silently read as missing (a formula that was never calculated, the cells under a merged one)
is a problem with its row and column. What a number's format says of it is kept: a date is a date,
0.45 shown as 45 % is the text "45%", and 17 shown as 0017 is the text "0017".
"""

from __future__ import annotations

import datetime as dt
import re
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from metasight.cohort.showing import visible
from metasight.errors import StudyError

_FORMULA = "the cell holds a formula without a stored result"
_FORMULA_REMEDY = "the value itself; open the file in Excel, let it calculate, and save it"
_MERGED = "merged cells: only the first of them holds the value"
_MERGED_REMEDY = "the value itself, in every cell it belongs to"
Cell = tuple[int, int]
"""Row number as the spreadsheet shows it, and number of the column from 0."""

_MOST_ROWS = 1_048_576  # of a sheet of Excel
_MOST_CELLS = 50_000_000  # 2,000 patients with 25,000 genes


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """Cells of a table as text.

    Attributes
    ----------
    header
        Names of the columns.
    rows
        Rows behind the header, each as long as the longest.
    first_row
        Number of the first of them as a spreadsheet shows it.
    strange
        Cells that cannot be read for what they are → problem, and what would be accepted.
    dates
        Cells that are dates by their own type; their text is YYYY-MM-DD.
    """

    header: list[str]
    rows: list[list[str]]
    first_row: int
    strange: dict[Cell, tuple[str, str]] = field(default_factory=dict)
    dates: frozenset[Cell] = frozenset()


def excel_rows(path: Path, sheet: str | None, decimal: str, *, header_row: int = 1) -> Sheet:
    """Rows of one sheet.

    Numbers are written with ``decimal``, so that text and number cells are read alike.

    Raises
    ------
    StudyError
        Not a workbook, a broken one, no telling which sheet, or no header.
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
        NotImplementedError,  # an unknown way of packing
        RuntimeError,  # a password
    )
    try:
        _require_whole(path)
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
        rows, dates = _texts(chosen, decimal, path.name)
        strange = _strange_cells(path, chosen, len(rows))
    except broken as error:
        raise StudyError(
            "the sheet cannot be read: the workbook is damaged",
            where=path.name,
            remedy="Open it in Excel, let it repair the file, and save it again as .xlsx",
        ) from error
    finally:
        book.close()
    header = rows[header_row - 1] if len(rows) >= header_row else []
    if not any(h.strip() for h in header):
        raise StudyError(
            "the sheet has no header",
            where=f"{path.name}, row {header_row}",
            remedy="Name its columns, or give the row that does: header_row = 2",
        )
    width = max(map(len, rows))
    return Sheet(
        header=header + [""] * (width - len(header)),
        rows=[r + [""] * (width - len(r)) for r in rows[header_row:]],
        first_row=header_row + 1,
        strange=strange,
        dates=dates,
    )


def _require_whole(path: Path) -> None:
    """Read every part of the workbook once, so that each checksum is asked for.

    openpyxl reads rows as they come and does without a part that it cannot find: a workbook whose
    formats are lost would be read, with other values.

    Raises
    ------
    zipfile.BadZipFile
        A part is not what was packed.
    """
    with zipfile.ZipFile(path) as archive:
        damaged = archive.testzip()
    if damaged is not None:
        raise zipfile.BadZipFile(f"checksum of {damaged}")


def _texts(sheet: Any, decimal: str, name: str) -> tuple[list[list[str]], frozenset[Cell]]:
    rows: list[list[str]] = []
    dates: set[Cell] = set()
    width = 0
    for number, cells in enumerate(sheet.iter_rows(), start=1):
        rows.append([_cell_text(cell, decimal) for cell in cells])
        dates |= {(number, i) for i, c in enumerate(cells) if isinstance(c.value, dt.date)}
        width = max(width, len(cells))
        if width * number > _MOST_CELLS or number > _MOST_ROWS:
            raise StudyError(
                "the sheet is larger than any table of patients",
                where=name,
                value=f"{number:,} rows and {width:,} columns or more",
                remedy="Delete what lies below and to the right of the table (a forgotten cell or "
                "a format is enough), and save it again",
            )
    return rows, frozenset(dates)


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
            value=_shown(names),
            remedy='Name one as the workbook shows it: sheet = "…" in study.toml, or --sheet of '
            "`metasight init`",
        )
    if sheet is not None and sheet not in names:
        raise StudyError(
            "there is no such sheet with cells",
            where=name,
            value=sheet,
            remedy="Sheets: " + _shown(names),
        )
    return book[sheet or names[0]]


_USUAL_NAMES = (
    *("Sheet", "Sheet1", "Tabelle1", "Blatt1", "Feuil1", "Data", "Daten", "Export"),
    *("Patients", "Patienten", "Follow-up", "Codebook", "Dictionary", "Slides", "Scans"),
)


def _shown(names: Sequence[str]) -> str:
    """Names of sheets that can be nobody's; some hospitals keep a sheet a patient."""
    return ", ".join(visible(name, expected=_USUAL_NAMES) for name in names)


def _strange_cells(path: Path, sheet: Any, last_row: int) -> dict[Cell, tuple[str, str]]:
    """Problem of merged cells and of formulas that were never calculated."""
    from openpyxl.utils import column_index_from_string
    from openpyxl.utils.cell import coordinate_from_string, range_boundaries
    from openpyxl.xml.functions import iterparse

    found: dict[Cell, tuple[str, str]] = {}
    with zipfile.ZipFile(path) as archive, archive.open(sheet._worksheet_path) as xml:
        for _, element in iterparse(xml):
            tag = element.tag.rpartition("}")[2]
            if tag == "c":
                if _uncalculated(element):
                    letters, row = coordinate_from_string(element.get("r"))
                    cell = row, column_index_from_string(letters) - 1
                    found[cell] = _FORMULA, _FORMULA_REMEDY
                element.clear()
            elif tag == "row":
                element.clear()
            elif tag == "mergeCell":
                left, top, right, bottom = range_boundaries(element.get("ref"))
                for row in range(top, min(bottom, last_row) + 1):
                    for column in range(left - 1, right):
                        found[row, column] = _MERGED, _MERGED_REMEDY
    return found


def _uncalculated(cell: Any) -> bool:
    parts = {part.tag.rpartition("}")[2]: part.text for part in cell}
    # t="str" with nothing in it is a formula whose result is the empty text
    return "f" in parts and not parts.get("v") and cell.get("t") != "str"


def _cell_text(cell: Any, decimal: str) -> str:
    value = cell.value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dt.datetime):
        return value.date().isoformat()
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, int | float) and _is_percentage(cell.number_format):
        return _percentage(value).replace(".", decimal)
    if isinstance(value, float) and not value.is_integer():
        return repr(value).replace(".", decimal)
    if isinstance(value, int | float) and re.fullmatch("0{2,}", cell.number_format or ""):
        return str(int(value)).zfill(len(cell.number_format))  # 17 that is shown as 0017
    return str(int(value)) if isinstance(value, float) else str(value)


def _is_percentage(number_format: str | None) -> bool:
    """Whether a number format shows a hundredfold with a per-cent sign (``0.0%``)."""
    # a sign that is quoted or escaped is text behind the number and changes nothing
    return "%" in re.sub(r'"[^"]*"|\\.|_.|\*.', "", number_format or "")


def _percentage(value: float) -> str:
    """0.07 as "7%"; exact, for 0.07 * 100 is not 7."""
    text = f"{Decimal(repr(value)) * 100:f}"
    return (text.rstrip("0").rstrip(".") if "." in text else text) + "%"
