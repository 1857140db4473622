"""Errors that name the place, the problem, the value and the remedy.

The tree::

    MetasightError
    ├── ProtocolError        a protocol file does not say what a protocol must say
    ├── StudyError           study.toml is wrong or contradicts its protocol
    ├── TableError           one or more problems in the patient tables, all at once
    ├── EvaluationError      a metric that the data cannot support was asked for
    ├── FitError             a model that the data cannot support was asked for
    ├── LeakageError         something saw data it must not see
    └── StoreError           a stored result is missing, damaged or of another version

A command line user sees ``str(error)`` and exit status 2, never a traceback. No message may
carry a patient identifier: tables are quoted by row number and study pseudonym only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


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

    Parameters
    ----------
    problems
        At least one.
    """

    def __init__(self, problems: Sequence[Problem]) -> None:
        if not problems:
            raise ValueError("a TableError needs at least one problem")
        self.problems = tuple(problems)
        n = len(self.problems)
        super().__init__(
            f"{n} problem{'s' if n > 1 else ''} in the patient tables\n"
            + "\n".join(f"  {p}" for p in self.problems)
            + "\n",
            remedy="Correct the table, or the mapping in study.toml, and run `metasight check`",
        )

    def __reduce__(self) -> tuple[object, ...]:
        return TableError, (self.problems,)
