"""Errors that name the place, the problem, the value and the remedy.

The tree::

    MetasightError
    ├── ProtocolError        a protocol file does not say what a protocol must say
    ├── StudyError           study.toml is wrong or contradicts its protocol
    ├── TableError           one or more problems in the patient tables, all at once
    ├── EvaluationError      a metric that the data cannot support was asked for
    ├── FitError             a model that the data cannot support was asked for
    ├── LeakageError         something saw data it must not see
    ├── SlideError           a slide cannot be read, or what it says of itself cannot be
    ├── AlignmentError       two sections cannot be brought together, or a transform not applied
    ├── MarkerError          a stain, a cell table or a marker map is not what it is said to be
    ├── VolumeError          a scan or a mask cannot be read, or what it says of itself cannot be
    ├── EncoderError         weights or patch features are not what they are said to be
    └── StoreError           a stored result is missing, damaged or of another version

A command line user sees ``str(error)`` and exit status 2, never a traceback. No message may
carry a patient identifier: tables are quoted by row number and study pseudonym only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial


class MetasightError(Exception):
    """Base of every error metasight raises on purpose.

    Parameters
    ----------
    problem
        What is wrong, in one clause.
    where
        File, table, row, column or step; empty when the problem has no place.
    value
        The offending value as text, if there is one.
    remedy
        What the reader can do about it.
    """

    def __init__(self, problem: str, *, where: str = "", value: str = "", remedy: str = "") -> None:
        self.problem = problem
        self.where = where
        self.value = value
        self.remedy = remedy
        super().__init__(self._text())

    def _text(self) -> str:
        head = f"{self.where}: {self.problem}" if self.where else self.problem
        if self.value:
            head += f" (value: {self.value})"
        if head.endswith("\n"):  # a list of lines: the remedy stands below it
            return head + (f"{self.remedy}." if self.remedy else "")
        return f"{head}. {self.remedy}." if self.remedy else f"{head}."

    def __reduce__(self) -> tuple[object, ...]:
        # Errors cross process borders (Dask workers); keyword-only arguments need this.
        return _rebuild, (type(self), self.problem, self.where, self.value, self.remedy)


def _rebuild(
    kind: type[MetasightError], problem: str, where: str, value: str, remedy: str
) -> MetasightError:
    return kind(problem, where=where, value=value, remedy=remedy)


class ProtocolError(MetasightError):
    """A protocol file does not say what a protocol must say."""


class StudyError(MetasightError):
    """``study.toml`` is wrong or contradicts its protocol."""


class EvaluationError(MetasightError):
    """A metric was asked for that the data cannot support."""


class FitError(MetasightError):
    """A model was asked for that the data cannot support."""


class LeakageError(MetasightError):
    """Something fitted saw data that it must not see."""


class SlideError(MetasightError):
    """A slide cannot be read, or what it says of itself cannot be."""


class AlignmentError(MetasightError):
    """Two sections cannot be brought together, or a transform cannot be applied."""


class MarkerError(MetasightError):
    """A stain, a cell table or a marker map is not what it is said to be."""


class VolumeError(MetasightError):
    """A scan or a mask cannot be read, or what it says of itself cannot be."""


class EncoderError(MetasightError):
    """Weights of an encoder, or a file of patch features, are not what they are said to be."""


class StoreError(MetasightError):
    """A stored result is missing, damaged or was written by another version."""


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One problem in a table.

    Attributes
    ----------
    table
        File name of the table (no folder: a path may hold a name).
    row
        1-based row as a spreadsheet shows it (the header is row 1); ``None`` for the whole table.
    column
        Column as the file spells it; empty for the whole row.
    value
        The value found, as text; empty if there is none or if it may identify a patient.
    problem
        What is wrong.
    accepted
        What would be accepted.
    """

    table: str
    row: int | None
    column: str
    value: str
    problem: str
    accepted: str

    def __str__(self) -> str:
        place = self.table
        if self.row is not None:
            place += f", row {self.row}"
        if self.column:
            place += f", column {self.column}"
        shown = f" (value: {self.value})" if self.value else ""
        return f"{place}: {self.problem}{shown}; accepted: {self.accepted}"


class TableError(MetasightError):
    """Every problem found in the patient tables, reported at once.

    Problems of one column with one cause are one problem, told once: the first row with its value,
    then how many more rows, with numbers and values of some; ``problems`` holds every row.

    Parameters
    ----------
    problems
        At least one.
    may_leave_out
        Whether each is of one row, and the study may leave those patients out.
    """

    def __init__(self, problems: Sequence[Problem], *, may_leave_out: bool = False) -> None:
        if not problems:
            raise ValueError("a TableError needs at least one problem")
        self.problems = tuple(problems)
        self.may_leave_out = may_leave_out
        leave_out = ', or set on_problem = "exclude" in study.toml to leave these patients out'
        kinds = _by_kind(self.problems)
        n = len(kinds)
        super().__init__(
            f"{n} problem{'s' if n > 1 else ''} in the patient tables\n"
            + "\n".join(_table_lines(kinds))
            + "\n",
            remedy="Correct the table, or the mapping in study.toml, and run `metasight check`"
            + (leave_out if may_leave_out else ""),
        )

    def __reduce__(self) -> tuple[object, ...]:
        return partial(TableError, may_leave_out=self.may_leave_out), (self.problems,)


_ROWS_BY_NUMBER = 10
_VALUES = 5
_LINES = 60


def _by_kind(problems: Sequence[Problem]) -> list[list[Problem]]:
    """Problems of one column with one cause together, in the order of their first row."""
    kinds: dict[Problem, list[Problem]] = {}
    for problem in problems:
        kinds.setdefault(replace(problem, row=None, value=""), []).append(problem)
    return list(kinds.values())


def _table_lines(kinds: Sequence[Sequence[Problem]]) -> list[str]:
    """At most 60 lines."""
    lines = [line for alike in kinds for line in _lines_of_kind(alike)]
    if len(lines) > _LINES:
        left = sum(n for _, n in lines[_LINES - 1 :])
        lines = [*lines[: _LINES - 1], (f"  … and {left} more problems; correct these first", left)]
    return [text for text, _ in lines]


def _lines_of_kind(alike: Sequence[Problem]) -> Iterator[tuple[str, int]]:
    """Lines, each with the number of problems that it is the first to speak of."""
    yield f"  {alike[0]}", 1
    rest = alike[1:]
    if rest:
        rows = _some([str(p.row) for p in rest], _ROWS_BY_NUMBER)
        values = list(dict.fromkeys(p.value for p in rest if p.value and p.value != alike[0].value))
        more = f"; other values: {_some(values, _VALUES)}" if values else ""
        yield f"    … and {len(rest)} more row{'s' * (len(rest) > 1)} ({rows}){more}", 0


def _some(texts: Sequence[str], most: int) -> str:
    return ", ".join([*texts[:most], *(["…"] if len(texts) > most else [])])
