"""What a pathologist or radiologist decided in place of a verdict: one row a decision.

A decision is about the quality of a slide or a CT, the alignment of a marker section, or one
criterion for one patient. It says which verdict it replaces, and is applied to that verdict alone:
where another reading of the image, or another limit, has led to another verdict since, the decision
was about something else, and the ledger says that it was not applied.
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from metasight.cohort.canonical import pseudonym
from metasight.cohort.joined import meet_patients
from metasight.cohort.settings import (
    CohortSettings,
    ReaderDecisionSettings,
    SignedTableSettings,
    TableSettings,
)
from metasight.cohort.showing import is_id, looks_like_date, visible
from metasight.cohort.tables import RawTable, is_begun, missing_columns, read_table
from metasight.errors import Problem, TableError
from metasight.ledger import Entry, Fate
from metasight.protocol.study import Protocol

QUALITY, ALIGNMENT = "quality", "alignment"
"""What a decision about a file may be about."""

VERDICTS = (Fate.KEPT, Fate.EXCLUDED)
REPLACEABLE = (Fate.KEPT, Fate.EXCLUDED, Fate.UNKNOWN)
_SHORTEST_REASON = 10
_WORDS = (QUALITY, ALIGNMENT, *Fate)


@dataclass(frozen=True, kw_only=True)
class ReaderDecision:
    """One decision of one reader.

    Attributes
    ----------
    verdict
        ``kept`` or ``excluded``.
    replaces
        The verdict that it was made about.
    reader, day, reason
        Who, when (ISO date) and why.
    """

    verdict: Fate
    replaces: Fate
    reader: str
    day: str
    reason: str

    def on(self, entry: Entry) -> Entry:
        """The ledger row with this decision in place of its verdict.

        A row with another verdict than the one that was decided about keeps it, and says so.
        """
        if entry.verdict is not self.replaces:
            more = f"the decision of {self.day} is not applied: it replaces “{self.replaces}”"
            return replace(entry, reason=f"{entry.reason}; {more}" if entry.reason else more)
        return replace(
            entry,
            verdict=self.verdict,
            reason=self.reason,
            who=self.reader,
            when=self.day,
            replaced=str(self.replaces),
        )


def decided(entry: Entry, decision: ReaderDecision | None) -> Entry:
    """The row as a reader decided it; the same row where nobody did."""
    return entry if decision is None else decision.on(entry)


@dataclass(frozen=True, kw_only=True)
class ReaderDecisions:
    """All of a study.

    Attributes
    ----------
    criteria
        Pseudonym → criterion → decision.
    quality, alignment
        File of a slide or CT → decision.
    """

    criteria: Mapping[str, Mapping[str, ReaderDecision]] = field(default_factory=dict)
    quality: Mapping[Path, ReaderDecision] = field(default_factory=dict)
    alignment: Mapping[Path, ReaderDecision] = field(default_factory=dict)


def read_reader_decisions(
    folder: Path, settings: CohortSettings, protocol: Protocol
) -> ReaderDecisions:
    """Read the table that ``settings.reader_decisions`` names; nothing where it names none.

    Parameters
    ----------
    folder
        Study folder.
    settings
        The key makes the pseudonyms; the tables of slides and scans say which files there are.
    protocol
        Its criteria.

    Raises
    ------
    StudyError
        A table cannot be read.
    TableError
        Every row with a problem: nobody's, about nothing that is decided here, without reader, day
        or reason, a second one about the same.
    """
    asked = settings.reader_decisions
    if asked is None or not is_begun(folder / asked.path):
        return ReaderDecisions()
    raw = read_table(folder, asked, asked.read)
    problems = missing_columns(raw, asked.read, "[reader_decisions]")
    if problems:
        raise TableError(problems)
    ids = {int(str(n)): str(i) for n, i in raw.cells[asked.id].items()}
    meeting = meet_patients(folder, settings, ids, table=raw.name, column=asked.id)
    problems = [*raw.flaws_of(asked.read), *meeting.problems]
    problems += _strangers(raw, asked, () if meeting.problems else meeting.strangers)
    known = _Known(criteria=tuple(protocol.criteria), files=_files(folder, settings))
    criteria: dict[str, dict[str, ReaderDecision]] = {}
    files: dict[str, dict[Path, ReaderDecision]] = {QUALITY: {}, ALIGNMENT: {}}
    seen: dict[tuple[str, str, str], int] = {}
    for number, cells in raw.cells.iterrows():
        row = _Row(raw, int(str(number)), asked, {c: str(cells[c]).strip() for c in asked.read})
        wrong = [*_problems_of(row, known)]
        if not wrong and (first := seen.setdefault(row.key, row.number)) != row.number:
            what = f"a decision about the same stands in row {first}"
            wrong.append(row.problem(asked.about, what, "the one that counts"))
        problems += wrong
        if wrong:
            continue
        if row.file:
            files[row.about][known.files[row.owner, row.file][0]] = row.decision()
        else:
            patient = pseudonym(row.owner, settings.key)
            criteria.setdefault(patient, {})[row.about] = row.decision()
    if problems:
        raise TableError(problems)
    return ReaderDecisions(criteria=criteria, quality=files[QUALITY], alignment=files[ALIGNMENT])


@dataclass(frozen=True)
class _Known:
    """What may be decided about: criteria, and files as a table of images names them."""

    criteria: tuple[str, ...]
    files: Mapping[tuple[str, str], tuple[Path, tuple[str, ...]]]


@dataclass(frozen=True)
class _Row:
    """One row of the table."""

    raw: RawTable
    number: int
    asked: ReaderDecisionSettings
    text: Mapping[str, str]

    @property
    def owner(self) -> str:
        return self.text[self.asked.id]

    @property
    def about(self) -> str:
        return self.text[self.asked.about]

    @property
    def file(self) -> str:
        given = self.text[self.asked.file]
        return os.path.normpath(given) if given else ""

    @property
    def key(self) -> tuple[str, str, str]:
        return self.owner, self.file, self.about

    def decision(self) -> ReaderDecision:
        text, asked = self.text, self.asked
        return ReaderDecision(
            verdict=Fate(text[asked.verdict]),
            replaces=Fate(text[asked.replaces]),
            reader=text[asked.reader],
            day=text[asked.day],
            reason=text[asked.reason].rstrip("."),
        )

    def problem(self, column: str, what: str, accepted: str, *, shown: bool = False) -> Problem:
        """A problem of a cell; ``shown`` where the cell may be repeated."""
        return Problem(
            table=self.raw.name,
            row=self.number,
            column=column,
            value=visible(self.text[column], {self.owner}, expected=_WORDS) if shown else "",
            problem=what,
            accepted=accepted,
        )


def _files(
    folder: Path, settings: CohortSettings
) -> dict[tuple[str, str], tuple[Path, tuple[str, ...]]]:
    """Patient's id and file → its path, and what is decided about it."""
    found: dict[tuple[str, str], tuple[Path, tuple[str, ...]]] = {}
    slides, scans = settings.slides, settings.scans
    if slides is not None:
        for owner, file, stain in _cells(folder, slides, (slides.id, slides.file, slides.stain)):
            about = (QUALITY,) if stain == "H&E" else (QUALITY, ALIGNMENT)
            found[owner, os.path.normpath(file)] = folder / slides.folder / file, about
    if scans is not None:
        for owner, file, kind in _cells(folder, scans, (scans.id, scans.file, scans.kind)):
            if kind == "CT":
                found[owner, os.path.normpath(file)] = folder / scans.folder / file, (QUALITY,)
    return found


def _cells(
    folder: Path, table: TableSettings, columns: tuple[str, ...]
) -> Iterator[tuple[str, ...]]:
    """Cells of rows that name a file; none where a column is missing, which is said elsewhere."""
    raw = read_table(folder, table, columns)
    if all(c in raw.cells for c in columns):
        for _, cells in raw.cells.iterrows():
            row = tuple(str(cells[c]).strip() for c in columns)
            if row[1]:
                yield row


def _problems_of(row: _Row, known: _Known) -> Iterator[Problem]:
    asked, text = row.asked, row.text
    if not row.owner:
        yield row.problem(asked.id, "no patient id", "an id in every row")
    yield from _problems_of_about(row, known)
    for column, accepted in ((asked.verdict, VERDICTS), (asked.replaces, REPLACEABLE)):
        if text[column] not in accepted:
            yield row.problem(column, "not a verdict", ", ".join(accepted), shown=True)
    if text[asked.verdict] and text[asked.verdict] == text[asked.replaces]:
        yield row.problem(asked.replaces, "the same verdict as decided", "the one replaced")
    for column, what, right in problems_of_reader(text, asked, row.owner):
        yield row.problem(column, what, right)


def problems_of_reader(
    text: Mapping[str, str], asked: SignedTableSettings, owner: str
) -> Iterator[tuple[str, str, str]]:
    """What a row does not say of who decided, when and why: column, problem, what is accepted.

    Parameters
    ----------
    text
        Cells by column.
    asked
        Names of the columns.
    owner
        The patient's id, which the reason must not hold.
    """
    if not text[asked.reader]:
        yield asked.reader, "nobody is named", "the reader's code or initials"
    if not _is_day(text[asked.day]):
        yield asked.day, "not a day", "YYYY-MM-DD"
    reason = text[asked.reason]
    if len(reason) < _SHORTEST_REASON:
        yield asked.reason, "no reason is given", "the reason, without a name in it"
    elif is_id(reason, {owner}) or looks_like_date(reason):
        yield asked.reason, "the reason holds the patient's id or a date", "the reason alone"


def _problems_of_about(row: _Row, known: _Known) -> Iterator[Problem]:
    asked = row.asked
    if not row.file:
        if row.about not in known.criteria:
            what = "not a criterion of the protocol, and no file is named"
            accepted = f"{', '.join(known.criteria)}; or a file in column {asked.file}"
            yield row.problem(asked.about, what, accepted, shown=True)
        return
    own = known.files.get((row.owner, row.file))
    if own is None:
        accepted = "a file as the table of slides or scans has it for this patient"
        yield row.problem(asked.file, "no slide and no CT of this patient", accepted)
    elif row.about not in own[1]:
        what = "not decided about this file"
        yield row.problem(asked.about, what, ", ".join(own[1]), shown=True)


def _is_day(text: str) -> bool:
    try:
        return dt.date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def _strangers(raw: RawTable, asked: ReaderDecisionSettings, rows: Iterable[int]) -> list[Problem]:
    return [
        Problem(
            table=raw.name,
            row=row,
            column=asked.id,
            value="",
            problem="no such patient in the patient table",
            accepted="an id of the patient table",
        )
        for row in rows
        if str(raw.cells.at[row, asked.id]).strip()
    ]
