"""Rows of a CSV or TSV file, with the row numbers a spreadsheet shows.

Python's reader is forgiving where it must not be: without ``strict`` an unclosed quote swallows
every row behind it. Here such a file is refused, with the row in which the quote opens.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from pathlib import Path

from metasight.cohort.workbook import Sheet
from metasight.errors import Problem, StudyError, TableError

SEPARATORS = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a bar"}
_GUESSED = (",", ";", "\t")

_LONGEST_CELL = 131_072
_TOO_LONG = "field larger"
"""As the csv module says it too."""


def text_rows(path: Path, encoding: str, *, header_row: int = 1) -> Sheet:
    """Header and rows of a file; rows above ``header_row`` are a title.

    Raises
    ------
    StudyError
        Not the stated encoding, no header, no telling separator.
    TableError
        Quotes that do not close.
    """
    text = _decode(path.name, path.read_bytes(), encoding)
    delimiter, text, skipped = _hint(path.name, text)
    delimiter = delimiter or _delimiter(text, path.name, header_row)
    rows: list[list[str]] = []
    # newline="" leaves line ends to the csv module: \n, \r\n and the \r of old Macs
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        rows.extend(_checked(row) for row in reader)
    except csv.Error as error:
        raise TableError([_broken(path.name, 1 + skipped + len(rows), error)]) from error
    header = rows[header_row - 1] if len(rows) >= header_row else []
    if not any(c.strip() for c in header):
        raise StudyError(
            "the file has no header",
            where=path.name,
            remedy="Name its columns, or give the row that does: header_row = 2",
        )
    rows = rows[header_row - 1 :]
    _refuse_swallowed_rows(path.name, rows, delimiter, header_row + skipped)
    return Sheet(header=header, rows=rows[1:], first_row=1 + header_row + skipped)


def _checked(row: list[str]) -> list[str]:
    """The row, no cell of it too long: the csv module's own limit is whoever's set it last."""
    if any(len(cell) > _LONGEST_CELL for cell in row):
        raise csv.Error(_TOO_LONG)
    return row


def _decode(name: str, data: bytes, encoding: str) -> str:
    if data.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        raise StudyError(
            "this is an Excel workbook with a text file's name",
            where=name,
            remedy="Rename it to .xlsx, or save it as CSV UTF-8",
        )
    try:
        codec = codecs.lookup(encoding).name
        if data.startswith((b"\xff\xfe", b"\xfe\xff")) and not codec.startswith(
            ("utf-16", "utf-32")
        ):
            raise StudyError(
                f"the file is UTF-16, not {encoding}",
                where=name,
                remedy='Give encoding = "utf-16" in study.toml, or save it as "CSV UTF-8"',
            )
        text = data.decode(codec)
    except UnicodeDecodeError as error:
        line = len(re.findall(rb"\r\n?|\n", data[: error.start])) + 1
        raise StudyError(
            f"the file is not {encoding}",
            where=f"{name}, row {line}",
            value=f"byte 0x{data[error.start]:02x}",
            remedy='Save it as "CSV UTF-8", or give its encoding (Excel on Windows often writes '
            'cp1252): encoding = "cp1252" in study.toml, or --encoding cp1252 of `metasight init`',
        ) from error
    except (LookupError, UnicodeError) as error:
        raise StudyError(
            "unknown encoding",
            where=name,
            value=encoding,
            remedy='Give an encoding that Python knows, for example "utf-8", "cp1252", "utf-16"',
        ) from error
    if "\x00" in text:
        raise StudyError(
            "the file holds NUL characters",
            where=name,
            remedy='Save it as "CSV UTF-8", or give its encoding (perhaps "utf-16")',
        )
    return text.removeprefix("\ufeff")


def _hint(name: str, text: str) -> tuple[str, str, int]:
    """Separator from a first line ``sep=;`` (Excel's own hint), the text behind it, lines taken."""
    if text[:4].lower() != "sep=":
        return "", text, 0
    delimiter = text[4:5]
    if delimiter not in SEPARATORS:
        raise StudyError(
            "the line sep= names no separator",
            where=f"{name}, row 1",
            value=repr(delimiter),
            remedy=f"Write one of {', '.join(SEPARATORS.values())} after sep=, or remove that line",
        )
    end = re.search(r"\r\n?|\n", text)
    return delimiter, text[end.end() :] if end else "", 1


def _delimiter(text: str, name: str, header_row: int) -> str:
    """The one separator that stands outside quotes in the header."""
    found: dict[str, None] = {}
    quoted, start = False, True
    if header_row > 1:
        text = re.split(r"\r\n?|\n", text, maxsplit=header_row - 1)[-1]
    for character in text:
        if character == '"' and (quoted or start):
            quoted = not quoted
        elif not quoted and character in "\r\n":
            break
        elif not quoted and character in _GUESSED:
            found[character] = None
        start = character in _GUESSED
    if len(found) > 1:
        raise StudyError(
            "the header holds more than one kind of separator",
            where=f"{name}, row {header_row}",
            value=" ".join(repr(d) for d in found),
            remedy="Rename the columns so that only the separator is between names, or quote "
            "the names",
        )
    return next(iter(found), ",")


def _broken(name: str, row: int, error: csv.Error) -> Problem:
    told = str(error)
    if "unexpected end of data" in told:
        what = (
            "a quoted cell of this row is never closed; all following rows are read as part of it"
        )
    elif _TOO_LONG in told:
        what = f"a cell of more than {_LONGEST_CELL} characters; a quote may not be closed"
    else:
        what = "a quoted cell of this row ends in the middle of its text"
    return Problem(
        table=name,
        row=row,
        column="",
        value="",
        problem=what,
        accepted='text in quotes, a quote inside it written twice ("")',
    )


def _refuse_swallowed_rows(name: str, rows: list[list[str]], delimiter: str, first: int) -> None:
    """Two stray quotes make one cell of everything between them, and the rows there vanish.

    Such a cell runs over lines and holds at least the separators of a whole row.
    """
    width = len(rows[0])
    problems = [
        Problem(
            table=name,
            row=first + offset,
            column=rows[0][i].strip() if i < width else "",
            value=f"text of {len(cell)} characters",
            problem="a quoted cell that runs over several lines and holds as many separators "
            "as a row: a quotation mark may be misplaced",
            accepted="quotes in pairs, and no line breaks inside such a cell",
        )
        for offset, row in enumerate(rows)
        for i, cell in enumerate(row)
        if width > 1 and ("\n" in cell or "\r" in cell) and cell.count(delimiter) >= width - 1
    ]
    if problems:
        raise TableError(problems)
