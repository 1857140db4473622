"""CSV for people: no cell is run as a formula by the spreadsheet that opens it.

A spreadsheet takes a cell that begins with ``=``, ``+``, ``-`` or ``@`` for a formula, whoever
wrote it: a centre's name in a patient table or a gene set's in a file from elsewhere. A text that
begins so, or with a tab or line break before which a spreadsheet looks past, gets an apostrophe in
front, in headers as well. Numbers, written as text or not, stay as they are. Reading such a table
takes the apostrophe away again; a text that has one of its own before such a sign gets another, so
that nothing is lost.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

_SIGNS = "=+\\-@\t\r\n＝＋－＠"
_FORMULA = re.compile(f"'*[{_SIGNS}]")
_SHIELDED = re.compile(f"''*[{_SIGNS}]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def shielded(text: str) -> str:
    """A cell's text as it is written: with an apostrophe where it would be run as a formula."""
    if _FORMULA.match(text) and not _NUMBER.fullmatch(text):
        return f"'{text}"
    return text


def unshielded(text: str) -> str:
    """The text that :func:`shielded` was given."""
    return text[1:] if _SHIELDED.match(text) else text


def csv_text(
    header: Sequence[str], rows: Iterable[Sequence[object]], *, line_end: str = "\r\n"
) -> str:
    """CSV (RFC 4180) of some rows; numbers in full, missing values empty.

    Parameters
    ----------
    header
        Names of the columns.
    rows
        Cells; texts are shielded.
    line_end
        Between rows.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator=line_end)
    writer.writerow([shielded(name) for name in header])
    for row in rows:
        writer.writerow(["" if v is None else _cell(v) for v in row])
    return stream.getvalue()


def csv_line(cells: Sequence[object], *, separator: str = ",", line_end: str = "\r\n") -> str:
    """One row more for a table that is there, its texts shielded.

    Parameters
    ----------
    cells
        In the table's columns.
    separator, line_end
        The table's own.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, delimiter=separator, lineterminator=line_end)
    writer.writerow(["" if v is None else _cell(v) for v in cells])
    return stream.getvalue()


def write_csv(table: pd.DataFrame, path: Path, *, index: bool = False) -> None:
    """Write a table as CSV in UTF-8, its texts shielded.

    Parameters
    ----------
    table
        Any; numbers are written in full.
    path
        Replaced if it is there.
    index
        Whether the names of the rows are the first column.
    """
    safe = table.rename(columns=_cell)
    if index:
        safe = safe.rename(index=_cell).rename_axis(index=_cell)
    texts = [i for i, kind in enumerate(safe.dtypes) if not pd.api.types.is_numeric_dtype(kind)]
    for i in texts:
        if not pd.api.types.is_datetime64_any_dtype(safe.dtypes.iloc[i]):
            safe.isetitem(i, safe.iloc[:, i].map(_cell).array)
    safe.to_csv(path, index=index, lineterminator="\n")


def _cell(value: Any) -> Any:
    return shielded(value) if isinstance(value, str) else value
