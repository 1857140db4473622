"""Verdicts that a reader may decide, and decisions written into the study's own table.

A decision is a row of the table that ``[reader_decisions]`` of ``study.toml`` names. The next run
reads it there, so the steps that rest on it are pending from then on, and no others.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from metasight.cohort.canonical import pseudonym
from metasight.cohort.ids import normal_id
from metasight.cohort.reader_decisions import (
    ALIGNMENT,
    QUALITY,
    REPLACEABLE,
    VERDICTS,
    read_reader_decisions,
)
from metasight.cohort.settings import ReaderDecisionSettings
from metasight.cohort.tables import read_table
from metasight.engine.cache import write_durably
from metasight.errors import MetasightError, StudyError
from metasight.ledger import Entry, Fate
from metasight.serve.last_run import LastRun
from metasight.spreadsheet import csv_line
from metasight.study.file import Study

_STAGES = {"slide quality": QUALITY, "alignment": ALIGNMENT, "eligibility": ""}
_FIRST = {Fate.UNKNOWN: 0, Fate.FAILED: 1, Fate.EXCLUDED: 2, Fate.KEPT: 3, Fate.WAIVED: 4}
_LOCK = threading.Lock()


@dataclass(frozen=True, kw_only=True)
class Item:
    """A verdict that a reader may decide.

    Attributes
    ----------
    patient
        Pseudonym.
    item
        Slide's name; empty for a criterion.
    about
        ``quality``, ``alignment`` or a criterion.
    verdict, value, reason
        As in the ledger.
    who
        The reader who has decided already; empty where nobody has.
    """

    patient: str
    item: str
    about: str
    verdict: Fate
    value: str
    reason: str
    who: str

    @property
    def key(self) -> str:
        """By which a form names it."""
        return f"{self.patient}|{self.item}|{self.about}"

    @property
    def choices(self) -> tuple[Fate, ...]:
        """Verdicts that a reader may put in its place."""
        return tuple(v for v in VERDICTS if v is not self.verdict)


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What a reader decided.

    Attributes
    ----------
    item
        About what.
    verdict
        ``kept`` or ``excluded``.
    reader, reason
        Who, and why.
    """

    item: Item
    verdict: Fate
    reader: str
    reason: str


def decidable_of(entries: Sequence[Entry]) -> tuple[Item, ...]:
    """Verdicts of one patient that may be decided."""
    return tuple(
        Item(
            patient=e.patient,
            item="" if e.stage == "eligibility" else e.item,
            about=_STAGES[e.stage] or e.criterion,
            verdict=e.verdict,
            value=e.value,
            reason=e.reason,
            who=e.who,
        )
        for e in entries
        if e.stage in _STAGES and e.verdict in REPLACEABLE
    )


def queue_of(run: LastRun, *, kept: bool = False) -> tuple[Item, ...]:
    """Verdicts of all patients, those that are not known first; kept ones if they are asked for."""
    found = [
        item
        for patient, entries in run.ledger.items()
        if patient
        for item in decidable_of(entries)
        if kept or item.verdict is not Fate.KEPT or item.who
    ]
    return tuple(sorted(found, key=lambda i: (_FIRST[i.verdict], i.about, i.patient, i.item)))


def table_of(study: Study) -> tuple[Path | None, str]:
    """The table that decisions are appended to; None, and what to do, where there is none."""
    asked = study.settings.reader_decisions
    if asked is None:
        return None, (
            "This study names no table of reader decisions, so nothing can be decided here. Add "
            'to study.toml: [reader_decisions], path = "reader_decisions.csv", id = "patient"; '
            "and make the file with the header patient,file,about,verdict,replaces,reader,day,"
            "reason."
        )
    path = study.folder / asked.path
    if path.suffix.lower() != ".csv" or asked.format != "table":
        return None, (
            "The table of reader decisions is not a CSV file, and only rows of a CSV file can be "
            "added here. Save it as CSV and name that in study.toml."
        )
    return path, ""


def decide(study: Study, decision: Decision, *, today: dt.date | None = None) -> None:
    """Append a decision to the study's table; it is on the disk when this returns.

    A copy of the table with the row added takes its place whole, so a kill at any moment leaves the
    table as it was or as it is to be. The rules of the table are applied before that.

    Raises
    ------
    MetasightError
        The study has no table that can be added to, the decision says too little, or something was
        decided about the same before.
    """
    path, why_not = table_of(study)
    asked = study.settings.reader_decisions
    if path is None or asked is None:
        raise StudyError(why_not.rstrip("."))
    if decision.verdict not in decision.item.choices:
        raise StudyError(
            "this is the verdict that is there already", remedy="Choose the other one, or leave it"
        )
    day = (today or dt.datetime.now(dt.UTC).date()).isoformat()
    with _LOCK:
        with_row(
            path,
            _row_of(study, asked, decision, day),
            lambda: read_reader_decisions(study.folder, study.settings, study.protocol),
        )


def with_row(path: Path, row: Mapping[str, str], check: Callable[[], object]) -> None:
    """Append a row to a table of readers; it is on the disk when this returns.

    Parameters
    ----------
    path
        CSV file; made with a header where it is not there.
    row
        Column → cell.
    check
        Reads the table by its rules; where it refuses, the table is as it was.

    Raises
    ------
    MetasightError
        The table lacks a column, or ``check`` refuses.
    """
    before = path.read_bytes() if path.is_file() else b""
    _put(path, _added(before, row))
    try:
        check()
    except MetasightError:
        _put(path, before)
        raise


def _row_of(
    study: Study, asked: ReaderDecisionSettings, decision: Decision, day: str
) -> dict[str, str]:
    item = decision.item
    return {
        asked.id: hospital_id(study, item.patient),
        asked.file: _file_of(study, item.item) if item.item else "",
        asked.about: item.about,
        asked.verdict: str(decision.verdict),
        asked.replaces: str(item.verdict),
        asked.reader: decision.reader.strip(),
        asked.day: day,
        asked.reason: " ".join(decision.reason.split()),
    }


def _added(before: bytes, row: Mapping[str, str]) -> bytes:
    """The table with a row more, in its own columns and by its own separator."""
    text = before.decode("utf-8-sig")
    if not text.strip():
        text = ",".join(row) + "\n"
    separator = max(",;\t", key=text.splitlines()[0].count)
    header = next(csv.reader(io.StringIO(text), delimiter=separator))
    missing = [c for c in row if c not in header]
    if missing:
        raise StudyError(
            "the table of readers lacks columns",
            value=", ".join(missing),
            remedy="Add them to its header (docs/study-file.md)",
        )
    end = "\r\n" if "\r\n" in text else "\n"
    line = csv_line([row.get(c) for c in header], separator=separator, line_end=end)
    mark = b"\xef\xbb\xbf" if before.startswith(b"\xef\xbb\xbf") else b""
    return mark + (text.rstrip("\r\n") + end + line).encode("utf-8")


def _put(path: Path, content: bytes) -> None:
    """Put the table in place with the rights that it has."""
    mode = path.stat().st_mode & 0o777 if path.is_file() else 0o640
    write_durably(path, content, mode=mode)


def hospital_id(study: Study, patient: str) -> str:
    """The id of the patient table that a pseudonym stands for; written into the study's table only.

    Raises
    ------
    StudyError
        The patient table holds the patient no longer.
    """
    raw = read_table(study.folder, study.settings.patients, ())
    for own in map(str, raw.cells[study.settings.patients.id]):
        if pseudonym(normal_id(own), study.settings.key) == patient:
            return own.strip()
    raise StudyError(
        "the patient is not in the patient table any more", remedy="Run the study again"
    )


def _file_of(study: Study, name: str) -> str:
    """The file of a slide as its table has it."""
    from metasight.serve.slides import slide_rows

    row = slide_rows(study).get(name)
    settings = study.settings.slides
    if row is None or settings is None:
        raise StudyError("the slide is not in the table of slides", remedy="Run the study again")
    return os.path.relpath(row.path, study.folder / settings.folder)
