"""Feature tables beside the patient table: numbers by patient, nothing silently missing."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from metasight.cohort.canonical import pseudonym
from metasight.cohort.codes import MissingCodes
from metasight.cohort.columns import patient_ids
from metasight.cohort.ids import meet
from metasight.cohort.joined import strangers_of
from metasight.cohort.parsing import is_percentage
from metasight.cohort.redcap import is_own_field, read_redcap
from metasight.cohort.settings import ModalityTable
from metasight.cohort.showing import is_id, printable
from metasight.cohort.tables import RawTable, read_table
from metasight.errors import Problem, StudyError
from metasight.ledger import Entry, Fate

LARGEST = 1e100
"""No measurement is larger; such a number is a damaged cell, and squares of it overflow."""

LARGEST_LOG = 40.0
"""2^40 copies or counts of a transcript are more than any assay measures."""

_NUMBER = {
    decimal: re.compile(rf"[+-]?(?:\d+[{decimal}]?\d*|[{decimal}]\d+)(?:[eE][+-]?\d+)?", re.ASCII)
    for decimal in (".", ",")
}


@dataclass(frozen=True, kw_only=True)
class Modality:
    """One feature table.

    Attributes
    ----------
    values
        Index: pseudonym, of patients in the patient table only, each once; numbers or NaN where
        the cell is empty. A patient with a problem must not be read from it.
    problems
        Everything found; row ``None`` for the whole table.
    failed
        Pseudonym → number of the first of its rows with a problem.
    entries
        A ledger row for every row that is nobody's in the patient table and for every problem
        of a row.
    """

    values: pd.DataFrame
    problems: tuple[Problem, ...]
    failed: dict[str, int]
    entries: tuple[Entry, ...]


def read_modality(
    folder: Path,
    name: str,
    settings: ModalityTable,
    *,
    key: str,
    patients: Collection[str],
    patient_table: RawTable,
    patient_id: str,
) -> Modality:
    """Read one modality's table.

    Parameters
    ----------
    folder, name, settings
        Study folder; the modality and its part of ``study.toml``.
    key
        Of the study's pseudonyms.
    patients
        Pseudonyms of the patient table.
    patient_table, patient_id
        The patient table and its id column: its ids are never shown.

    Raises
    ------
    StudyError
        No columns, a column named twice or the id among them, or no value in the whole table.
    """
    raw = _read(folder, name, settings)
    columns = _columns(raw, name, settings)
    reader = _Reader(raw, settings, columns, patient_ids(raw, settings))
    if patient_id in patient_table.cells:
        reader.ids |= frozenset(map(str, patient_table.cells[patient_id]))
    reader.check_columns()
    if reader.problems:
        return Modality(
            values=pd.DataFrame(), problems=tuple(reader.problems), failed={}, entries=()
        )
    known = {str(i) for i in patient_table.cells.get(patient_id, ()) if i}
    return reader.read(name, key, patients, patient_table.name, known)


def _read(folder: Path, name: str, settings: ModalityTable) -> RawTable:
    given = settings.columns
    if given is not None and not given:
        raise _no_columns(name)
    twice = sorted({c for c in given or () if (given or ()).count(c) > 1})
    if twice:
        raise StudyError(
            "columns are named twice",
            where=f"study.toml [modalities.{name}]",
            value=", ".join(twice),
            remedy="Name each column once",
        )
    if settings.id in (given or ()):
        raise StudyError(
            "the column of the patient id is among the features",
            where=f"study.toml [modalities.{name}]",
            value=settings.id,
            remedy="Remove it from columns",
        )
    if settings.format == "redcap":
        return read_redcap(folder, settings, needed=given)
    return read_table(folder, settings, given)


def _columns(raw: RawTable, name: str, settings: ModalityTable) -> list[str]:
    if settings.columns is not None:
        return list(settings.columns)
    redcap = settings.format == "redcap"
    found = [str(c) for c in raw.cells.columns if c != settings.id]
    columns = [c for c in found if not (redcap and is_own_field(c))]
    if not columns:
        raise _no_columns(name)
    return columns


def _no_columns(name: str) -> StudyError:
    return StudyError(
        "the modality has no columns",
        where=f"study.toml [modalities.{name}]",
        remedy="Name them in columns, or leave columns out to take every one but the id",
    )


class _Reader:
    def __init__(
        self, raw: RawTable, settings: ModalityTable, columns: Sequence[str], ids: frozenset[str]
    ) -> None:
        self.raw, self.settings, self.columns, self.ids = raw, settings, columns, ids
        self.problems: list[Problem] = []

    def _problem(self, row: int | None, column: str, value: str, what: str, accepted: str) -> None:
        shown = printable(column)
        if column in self.raw.cells and is_id(column, self.ids):  # a table turned on its side
            shown = f"number {list(self.raw.cells.columns).index(column) + 1}"
        self.problems.append(
            Problem(
                table=self.raw.name,
                row=row,
                column=shown,
                value=value,
                problem=what,
                accepted=accepted,
            )
        )

    def check_columns(self) -> None:
        for column in [self.settings.id, *self.columns]:
            if column not in self.raw.cells:
                self._problem(None, column, "", "missing column", "a column of this name")

    def read(
        self,
        name: str,
        key: str,
        patients: Collection[str],
        patient_table: str,
        known: Collection[str],
    ) -> Modality:
        ids = {int(str(n)): str(i) for n, i in self.raw.cells[self.settings.id].items()}
        of_row = {n: pseudonym(i, key) if i else "" for n, i in ids.items()}
        strangers = [n for n, p in of_row.items() if p and p not in patients]
        self.problems += self.raw.bad_rows
        self.problems += meet(
            ids,
            known,
            table=self.raw.name,
            column=self.settings.id,
            patient_table=patient_table,
        ).problems
        self._check_ids(of_row, set(strangers))
        ours = [n for n, p in of_row.items() if p in patients]
        numbers = self._numbers(self.raw.cells.loc[ours, list(self.columns)])
        if ours and not self.problems and bool(numbers.isna().all(axis=None)):
            raise StudyError(
                "the modality has no value for any patient of the patient table",
                where=f"{self.raw.name} ([modalities.{name}])",
                remedy="Remove the modality, or correct its columns",
            )
        numbers.index = pd.Index([of_row[n] for n in ours], name="patient")
        failed: dict[str, int] = {}
        for problem in self.problems:
            if problem.row is not None and of_row.get(problem.row):
                failed.setdefault(of_row[problem.row], problem.row)
        return Modality(
            values=numbers[~numbers.index.duplicated()],
            problems=tuple(self.problems),
            failed=failed,
            entries=(
                *strangers_of(self.raw, strangers, patient_table),
                *(
                    row_with_problem(p, of_row.get(p.row, ""))
                    for p in self.problems
                    if p.row is not None
                ),
            ),
        )

    def _check_ids(self, of_row: dict[int, str], strangers: set[int]) -> None:
        first: dict[str, int] = {}
        for number, patient in of_row.items():
            if not patient:
                self._problem(number, self.settings.id, "", "no patient id", "an id in every row")
            elif number not in strangers and patient in first:
                self._problem(
                    number,
                    self.settings.id,
                    f"first in row {first[patient]}",
                    "duplicate patient",
                    "one row a patient",
                )
            first.setdefault(patient, number)

    def _numbers(self, cells: pd.DataFrame) -> pd.DataFrame:
        # Column by column in plain Python: several times as fast as pandas on wide tables.
        rows = [int(str(n)) for n in cells.index]
        missing = MissingCodes(self.settings.missing)
        flawed = {column for _, column in self.raw.flaws}
        numbers = np.full(cells.shape, np.nan)
        for j, column in enumerate(self.columns):
            texts = cells[column].tolist()
            shares = any("%" in t for t in texts)
            for i, text in enumerate(texts):
                flaw = self.raw.flaw(rows[i], column, missing) if column in flawed else None
                if flaw is not None:
                    self.problems.append(flaw)
                    continue
                if text in missing:
                    continue
                share = shares and is_percentage(text)
                value = _number(text[:-1].rstrip() if share else text, self.settings.decimal)
                if not abs(value) <= LARGEST:
                    self._bad_cell(rows[i], column, text)
                elif shares and not share and 0 < value <= 1:
                    self._mixed(rows[i], column)
                else:
                    numbers[i, j] = value
        return pd.DataFrame(numbers, index=cells.index, columns=list(self.columns))

    def _mixed(self, row: int, column: str) -> None:
        what = "a plain number up to 1 in a column with percentages: its unit is unclear"
        self._problem(row, column, "", what, "all cells of the column in one notation")

    def _bad_cell(self, row: int, column: str, text: str) -> None:
        accepted = f'a number with decimal = "{self.settings.decimal}", or empty'
        if self.settings.decimal == "," and "." in text:
            what = 'a point, which may be decimal or group thousands, under decimal = ","'
        elif re.fullmatch(r"[+-]?\d+[.]?\d*([eE][+-]?\d+)?", text.replace(",", ".")):
            comma = self.settings.decimal == "." and "," in text
            what = (
                'a decimal comma (set decimal = "," in study.toml)'
                if comma
                else (f"a measurement cannot be larger than {LARGEST:g}")
            )
        else:
            what = "not a finite number"
        self._problem(row, column, f"text of {len(text)} characters", what, accepted)


def problem_of_expression(values: pd.DataFrame, table: str, *, log_scale: bool) -> Problem | None:
    """Why values of gene expression cannot be on the scale that ``study.toml`` says they are on.

    Parameters
    ----------
    values
        A column a gene.
    table
        File name, for the message.
    log_scale
        Whether they are said to be logarithms.
    """
    numbers = values.to_numpy(dtype=float)
    if log_scale:
        wrong, what = (
            np.abs(numbers) > LARGEST_LOG,
            "a logarithm of an expression value cannot be this large",
        )
        accepted = (
            f"logarithms from -{LARGEST_LOG:g} to {LARGEST_LOG:g}; set log_scale = false for "
        )
        accepted += "values that are none"
    else:
        wrong, what = numbers < 0, "an expression value that is not a logarithm cannot be negative"
        accepted = "values of 0 or more; set log_scale = true for logarithms, ratios and z values"
    if not wrong.any():
        return None
    extreme = float(numbers[wrong][np.abs(numbers[wrong]).argmax()])
    column = str(values.columns[int(wrong.any(axis=0).argmax())])
    return Problem(
        table=table,
        row=None,
        column=printable(column),
        value=f"{extreme:g}, {int(wrong.sum())} values in {int(wrong.any(axis=0).sum())} columns",
        problem=f"[biology] log_scale = {'true' if log_scale else 'false'}, and {what}",
        accepted=accepted,
    )


def _number(text: str, decimal: str) -> float:
    """One cell; NaN where it is not a number.

    ``float`` reads more than numbers (inf, 1_000); those stay what they are: text.
    """
    if _NUMBER[decimal].fullmatch(text):
        return float(text.replace(",", "."))
    return float("nan")


def row_with_problem(problem: Problem, patient: str = "") -> Entry:
    """The ledger row of a table's row that has a problem; of nobody where it is not known whose."""
    return Entry(
        patient=patient,
        item=f"{problem.table} row {problem.row}",
        stage="reading",
        verdict=Fate.FAILED,
        criterion=problem.column,
        value=problem.value,
        reason=f"{problem.problem}; accepted: {problem.accepted}",
    )
