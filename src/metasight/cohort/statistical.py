"""Files of SPSS, Stata and SAS, and Parquet, as text cells with their value labels.

A labelled value is read as its label, as in a REDCap export, and its code is kept beside it: codes
in ``study.toml`` may be either. A value that the file itself declares as missing is an empty cell.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from metasight.cohort.workbook import Cell, Sheet
from metasight.errors import StudyError

_READERS = {
    ".sav": "read_sav",
    ".zsav": "read_sav",
    ".por": "read_por",
    ".dta": "read_dta",
    ".sas7bdat": "read_sas7bdat",
    ".xpt": "read_xport",
}
SUFFIXES = (".parquet", *_READERS)


def statistical_rows(path: Path, decimal: str) -> tuple[Sheet, dict[int, dict[int, str]]]:
    """Rows of a file, and the codes behind labels by place of the column and row number.

    Numbers are written with ``decimal``. Rows count from 2, as if the names were a header in row 1.

    Raises
    ------
    StudyError
        The file cannot be read, or pyreadstat is not installed.
    """
    if path.suffix.lower() == ".parquet":
        names, columns, labels = _parquet(path)
    else:
        names, columns, labels = _statistical(path)
    header_row = 1
    texts: list[list[str]] = []
    dates: set[Cell] = set()
    codes: dict[int, dict[int, str]] = {}
    for place, (name, values) in enumerate(zip(names, columns, strict=True)):
        known = labels.get(name, {})
        texts.append([])
        for row, value in enumerate(values, start=header_row + 1):
            text = _text(value, decimal)
            label = known.get(value) if known and not _is_missing(value) else None
            if label is not None:
                codes.setdefault(place, {})[row] = text
            if isinstance(value, dt.date):
                dates.add((row, place))
            texts[place].append(text if label is None else label.strip())
    rows = [list(row) for row in zip(*texts, strict=True)]
    sheet = Sheet(header=names, rows=rows, first_row=header_row + 1, dates=frozenset(dates))
    return sheet, codes


# What the reader raises on wrong bytes besides errors of its own.
_DAMAGED = (
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    OSError,
    TypeError,
    ValueError,
)

_Columns = tuple[list[str], list[list[Any]], Mapping[str, Mapping[Any, str]]]


def _parquet(path: Path) -> _Columns:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _damaged(path, "Parquet") from error
    # What pandas keeps as the index of its rows is no column of the table unless it has a name.
    names = [n for n in table.column_names if not n.startswith("__index_level_")]
    return names, [table.column(n).to_pylist() for n in names], {}


def _statistical(path: Path) -> _Columns:
    try:
        import pyreadstat
    except ImportError as error:
        raise StudyError(
            f"{path.suffix} files are read by the package pyreadstat, which is not installed",
            where=path.name,
            remedy="Install it: pip install 'metasight[statistics]', or save the table as CSV",
        ) from error
    read = getattr(pyreadstat, _READERS[path.suffix.lower()])
    try:
        values, meta = read(str(path), output_format="dict")
    except (pyreadstat.ReadstatError, pyreadstat.PyreadstatError, *_DAMAGED) as error:
        raise _damaged(path, "SPSS, Stata or SAS") from error
    if not set(meta.column_names) <= set(values) or None in values:  # names that are no text
        raise _damaged(path, "SPSS, Stata or SAS")
    columns = [[None if _is_missing(v) else v for v in values[n]] for n in meta.column_names]
    return list(meta.column_names), columns, meta.variable_value_labels


def _damaged(path: Path, kind: str) -> StudyError:
    return StudyError(
        f"not a {kind} file, or a damaged one",
        where=path.name,
        remedy="Save it again, or save it as CSV UTF-8",
    )


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _text(value: Any, decimal: str) -> str:
    if _is_missing(value):
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
