"""Read a user's table as text, cell by cell, with the row number a spreadsheet shows.

Nothing is interpreted here: types, units and codes belong to :mod:`metasight.cohort.canonical`.
What the study does not read cannot stop it: a column that nobody asks for may have no name or
another column's, and may hold errors. What concerns a whole table (another encoding, an empty file,
a column that was asked for and stands twice) is refused here; what concerns one row or cell goes
with the table, for whoever reads that cell.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Collection, Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import pandas as pd

from metasight.cohort.delimited import text_rows
from metasight.cohort.ids import normal_id
from metasight.cohort.settings import TableSettings
from metasight.cohort.showing import printable
from metasight.cohort.statistical import SUFFIXES, statistical_rows
from metasight.cohort.workbook import Sheet, excel_rows
from metasight.engine.guarded import guarded, limits_for
from metasight.errors import Problem, StudyError, TableError
from metasight.spreadsheet import unshielded

EXCEL_ERRORS = ("#REF!", "#NAME?", "#VALUE!", "#DIV/0!", "#N/A", "#NULL!", "#NUM!")
TEXT_SUFFIXES = (".csv", ".tsv", ".txt")
_ROWS_SEARCHED = 20
"""Rows in which a header is looked for when the first row holds none."""


@dataclass(frozen=True, kw_only=True)
class RawTable:
    """Cells as text.

    Attributes
    ----------
    name
        File name without folder.
    cells
        Text, one column a named header cell; an empty cell is "". Index: the spreadsheet's row
        number. Rows that could not be read are not among them.
    flaws
        Problems of single cells, by row and column: a formula without a result, a code that a
        dictionary does not list. They matter to whoever reads the cell.
    bad_rows
        Problems of rows that are not among ``cells``.
    dates
        Cells that are dates by the file's own type; their text is YYYY-MM-DD.
    codes
        Column → row → code, of cells that hold the label of a code.
    names
        Column → file that it was joined from, where that is another one.
    row_of
        Column → row number → row of the file that it was joined from.
    """

    name: str
    cells: pd.DataFrame
    flaws: Mapping[tuple[int, str], Problem] = field(default_factory=dict)
    bad_rows: tuple[Problem, ...] = ()
    dates: frozenset[tuple[int, str]] = frozenset()
    codes: Mapping[str, Mapping[int, str]] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    row_of: Mapping[str, Mapping[int, int]] = field(default_factory=dict)
    _counts: dict[str, Counter[str]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def is_repeated(self, column: str, text: str) -> bool:
        """Whether several rows of a column hold a text."""
        if column not in self.cells:
            return False
        if column not in self._counts:
            self._counts[column] = Counter(map(str, self.cells[column]))
        return self._counts[column][text] > 1

    def flaw(self, row: int, column: str, missing: Container[str]) -> Problem | None:
        """Problem of a cell, unless the cell holds a code that is declared as missing.

        An empty cell with a problem (a formula without a result, the cells below a merged one) is
        not missing.
        """
        found = self.flaws.get((row, column))
        if found is None:
            return None
        text = str(self.cells.at[row, column])
        return None if text and text in missing else found

    def flaws_of(self, columns: Collection[str]) -> tuple[Problem, ...]:
        """Problems of single cells of some columns, and of whole rows, in the order of rows."""
        found = [p for (_, column), p in self.flaws.items() if column in columns]
        return tuple(sorted([*self.bad_rows, *found], key=lambda p: (p.row or 0, p.column)))


def is_begun(path: Path) -> bool:
    """Whether a table of text has a row: one with its header alone waits for the first decision."""
    if path.suffix.lower() not in {".csv", ".tsv", ".txt"} or not path.is_file():
        return True  # whatever is wrong with it is said where it is read
    with path.open("rb") as file:
        return sum(bool(line.strip()) for line in file) != 1


def read_table(
    folder: Path, settings: TableSettings, needed: Collection[str] | None = None
) -> RawTable:
    """Read one file.

    Parameters
    ----------
    folder, settings
        Study folder and the table.
    needed
        Columns that the study reads besides the id; what is wrong with another one is not its
        business. None: every column.

    Raises
    ------
    StudyError
        The file is missing, empty, not in the stated encoding or of an unknown type; its header is
        in another row.
    TableError
        A name that is needed stands twice, most rows are longer or shorter than the header, quotes
        do not close.
    """
    path = folder / settings.path
    name, kind = path.name, path.suffix.lower()
    if not path.is_file():
        raise StudyError("there is no such file", where=name, remedy="Correct its path")
    if path.stat().st_size == 0:
        raise StudyError("the file is empty (0 bytes)", where=name, remedy="Export it again")
    codes: dict[int, dict[int, str]] = {}
    limits, error = limits_for(path), partial(StudyError, where=name)
    if kind == ".xlsx":
        named, decimal, header = settings.sheet, settings.decimal, settings.header_row
        sheet = guarded(excel_rows, limits, error, path, named, decimal, header_row=header)
    elif kind in TEXT_SUFFIXES:
        sheet = text_rows(path, settings.encoding, header_row=settings.header_row)
    elif kind in SUFFIXES:
        sheet, codes = guarded(statistical_rows, limits, error, path, settings.decimal)
    else:
        raise StudyError(
            "unknown kind of table",
            where=name,
            value=kind,
            remedy="Give a "
            + ", ".join((*TEXT_SUFFIXES, ".xlsx", *SUFFIXES[:-1]))
            + f" or {SUFFIXES[-1]} file",
        )
    if kind not in SUFFIXES:
        sheet = _without_shields(sheet)
    wanted = None if needed is None else {settings.id, *needed}
    table = _table(name, sheet, wanted, settings, separated=kind in TEXT_SUFFIXES)
    return replace(
        _with_ids(table, settings),
        codes={column: codes[i] for i, column in _places(sheet.header).items() if i in codes},
    )


def _without_shields(sheet: Sheet) -> Sheet:
    """The texts themselves, where metasight wrote an apostrophe before them."""
    rows = [[unshielded(c) for c in r] if any(c[:1] == "'" for c in r) else r for r in sheet.rows]
    return replace(sheet, header=[unshielded(h) for h in sheet.header], rows=rows)


def _table(
    name: str,
    sheet: Sheet,
    wanted: Collection[str] | None,
    settings: TableSettings,
    *,
    separated: bool,
) -> RawTable:
    header = list(_places(sheet.header, blank=True).values())
    while header and not header[-1]:  # Excel leaves empty columns behind the table
        header.pop()
    _look_for_header(name, header, sheet, settings)
    if wanted is not None and len(wanted) > 1 and not set(wanted) & set(header):
        raise StudyError(
            f"row {sheet.first_row - 1} names none of the {len(wanted)} columns that are read",
            where=name,
            remedy="Correct header_row, sheet, or the names in study.toml",
        )
    rows, uneven = _even_rows(name, len(header), sheet, settings, separated=separated)
    problems = _header_problems(name, header, rows, wanted)
    if problems:
        raise TableError(problems)
    if uneven and len(uneven) > len(rows):
        raise TableError(uneven)
    if not rows:
        raise StudyError("the table has a header but no rows", where=name, remedy="Export it again")
    counts = Counter(header)
    kept = [i for i, h in enumerate(header) if h and (counts[h] == 1)]
    names = [header[i] for i in kept]
    cells = pd.DataFrame.from_dict(
        {n: [r[i] for i in kept] for n, r in rows.items()},
        orient="index",
        columns=names,
        dtype="object",
    )
    return RawTable(
        name=name,
        cells=cells,
        flaws=_flaws(name, sheet, {i: header[i] for i in kept}, rows),
        bad_rows=tuple(uneven),
        dates=frozenset((n, header[i]) for n, i in sheet.dates if i in set(kept) and n in rows),
    )


def _places(header: list[str], *, blank: bool = False) -> dict[int, str]:
    """Place → name as it is compared: composed (NFC), without invisible characters."""
    named = {i: normal_id(h) for i, h in enumerate(header)}
    return named if blank else {i: h for i, h in named.items() if h}


def _look_for_header(name: str, header: list[str], sheet: Sheet, settings: TableSettings) -> None:
    """Refuse a table whose names stand in another row than was said."""
    if settings.id in header or settings.ids == "row":
        return
    for offset, row in enumerate(sheet.rows[:_ROWS_SEARCHED]):
        if settings.id in {normal_id(c) for c in row}:
            found = sheet.first_row + offset
            raise StudyError(
                f"row {sheet.first_row - 1} does not name the column {settings.id!r}, "
                f"row {found} does",
                where=name,
                remedy=f"Set header_row = {found} in study.toml, or --header-row {found} of "
                "`metasight init`",
            )


def _even_rows(
    name: str, width: int, sheet: Sheet, settings: TableSettings, *, separated: bool
) -> tuple[dict[int, list[str]], list[Problem]]:
    """Rows by their number, and a problem of every one that is not as long as the header."""
    kept: dict[int, list[str]] = {}
    uneven: list[Problem] = []
    left_out = set(settings.skip_rows)
    head = sheet.first_row - 1
    for number, row in enumerate(sheet.rows, start=sheet.first_row):
        cells = [c.strip() for c in row]
        if number in left_out or not any(cells):
            continue
        # in a workbook a cell knows its column; in a text file a cell too many shifts the others,
        # unless the header has a place for it, be it without a name
        if len(cells) >= width and not (separated and any(cells[len(sheet.header) :])):
            kept[number] = cells[:width]
            continue
        one_more = ", or R wrote row names without a column name (write.csv does not)"
        uneven.append(
            Problem(
                table=name,
                row=number,
                column="",
                value="",
                problem=f"the row has {len(cells)} cells, row {head} has {width}",
                accepted=f"{width} cells; quote text that holds the separator. If row {head} is a "
                f"title, set header_row = {head + 1}"
                + (one_more if len(cells) == width + 1 else ""),
            )
        )
    return kept, uneven


def _header_problems(
    name: str, header: list[str], rows: Mapping[int, list[str]], wanted: Collection[str] | None
) -> list[Problem]:
    """Names that are needed and stand twice; columns without a name that might be needed."""
    times = Counter(header)
    problems = [
        Problem(
            table=name,
            row=None,
            column=printable(h),
            value="",
            problem=f"the column name occurs {times[h]} times",
            accepted="each name once; rename the other columns",
        )
        for h in sorted(h for h in times if times[h] > 1 and h)
        if wanted is None or h in wanted
    ]
    if wanted is None:
        problems += [
            Problem(
                table=name,
                row=None,
                column=f"number {i + 1}",
                value="",
                problem="a column has no name",
                accepted="a name; or name the columns to read, and it is ignored",
            )
            for i, h in enumerate(header)
            if not h and not _numbers_rows([r[i] for r in rows.values()])
        ]
    return problems


def _numbers_rows(cells: list[str]) -> bool:
    """Whether a column only numbers the rows, as R and pandas write it, or is empty."""
    n = len(cells)
    return (
        not any(cells)
        or cells == [str(i) for i in range(n)]
        or cells == [str(i + 1) for i in range(n)]
    )


def _flaws(
    name: str, sheet: Sheet, columns: Mapping[int, str], rows: Mapping[int, list[str]]
) -> dict[tuple[int, str], Problem]:
    """Cells that cannot be read for what they are."""
    found: dict[tuple[int, str], tuple[str, str, str]] = {
        (n, columns[i]): ("", *what)
        for (n, i), what in sheet.strange.items()
        if i in columns and n in rows
    }
    for number, cells in rows.items():
        for i, column in columns.items():
            text = cells[i]
            if text[:1] == "#" and (text in EXCEL_ERRORS or (len(text) > 2 and set(text) == {"#"})):
                problem = "a spreadsheet error instead of a value"
                found[number, column] = text, problem, "the value, or an empty cell"
    return {
        (n, column): Problem(
            table=name,
            row=n,
            column=printable(column),
            value=value,
            problem=problem,
            accepted=accepted,
        )
        for (n, column), (value, problem, accepted) in found.items()
    }


def _with_ids(table: RawTable, settings: TableSettings) -> RawTable:
    """Ids as they are compared; see `metasight.cohort.ids`."""
    column = settings.id
    if settings.ids == "row":
        return _numbered(table, column)
    if column not in table.cells:
        return table
    cells, flaws = table.cells.copy(), dict(table.flaws)
    ids = [normal_id(str(i)) for i in cells[column]]
    if settings.ids == "number":
        for place, (row, text) in enumerate(zip(cells.index, ids, strict=True)):
            whole = _whole_number(text)
            if text and whole is None:
                flaws[int(str(row)), column] = Problem(
                    table=table.name,
                    row=int(str(row)),
                    column=printable(column),
                    value="",
                    problem='the id is no whole number, and ids = "number"',
                    accepted='a whole number, or ids = "text" in study.toml',
                )
            ids[place] = text if whole is None else whole
    cells[column] = ids
    return replace(table, cells=cells, flaws=flaws)


def _numbered(table: RawTable, column: str) -> RawTable:
    """A table without ids: the number of a row is its id.

    Raises
    ------
    StudyError
        It has a column of that name.
    """
    if column in table.cells:
        raise StudyError(
            'ids = "row" is for a table without ids, and this one has the column that id names',
            where=table.name,
            value=column,
            remedy='Remove ids = "row", or give id a name that no column has',
        )
    cells = table.cells.copy()
    cells.insert(0, column, [str(n) for n in cells.index])
    return replace(table, cells=cells)


def _whole_number(text: str) -> str | None:
    whole, _, rest = unicodedata.normalize("NFKC", text).replace(",", ".").partition(".")
    if whole.isascii() and whole.isdigit() and not rest.strip("0"):
        return str(int(whole))
    return None


def missing_columns(raw: RawTable, needed: Sequence[str], section: str) -> list[Problem]:
    """A problem for every column that a table of images must have and does not.

    Parameters
    ----------
    section
        Of ``study.toml``, where columns may be named otherwise.
    """
    return [
        Problem(
            table=raw.name,
            row=None,
            column=column,
            value="",
            problem="missing column",
            accepted=f"a column of this name, or another name under {section} in study.toml",
        )
        for column in needed
        if column not in raw.cells
    ]
