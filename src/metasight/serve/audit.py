"""Who saw, exported and decided what: a log that is only added to, each row sealed with the last.

A row's mark is an HMAC, under the study's key, of the row and of the mark before it. A row that is
changed, inserted or taken out breaks the chain from there on, and without the key (which lies in
the study's vault) the chain cannot be made anew. The last mark stands in a file of its own as well,
so that rows taken off the end are missed.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import json
import threading
from dataclasses import dataclass
from enum import StrEnum

from metasight.engine.cache import write_durably
from metasight.serve.database import Database

HEAD = "workbench.head"
"""Number and mark of the last row, beside the database."""


class Act(StrEnum):
    """What is logged."""

    LOGIN = "logged in"
    REFUSED = "login refused"
    LOGOUT = "logged out"
    VIEW = "viewed"
    EXPORT = "downloaded"
    DECIDE = "decided"
    CLICK = "clicked"
    READ = "read"
    RUN = "started a run"
    STOP = "stopped a run"
    USER = "changed users"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row.

    Attributes
    ----------
    number
        From 1, without gaps.
    at
        UTC, ISO 8601.
    who
        Name of the user.
    what
        What was done.
    about
        Page, pseudonym, file; never what identifies a patient.
    before, mark
        Hexadecimal seals of the row before and of this one.
    """

    number: int
    at: str
    who: str
    what: str
    about: str
    before: str
    mark: str


class AuditLog:
    """The log of one study.

    Parameters
    ----------
    database
        That holds it.
    key
        The study's key.
    """

    def __init__(self, database: Database, key: str) -> None:
        self._database = database
        self._key = hashlib.sha256(b"metasight audit\0" + key.encode()).digest()
        self._head = database.path.with_name(HEAD)
        self._lock = threading.Lock()

    def add(self, who: str, what: Act, about: str) -> Row:
        """Append a row; it is on the disk when this returns."""
        with self._lock:  # the head is written in the order of the rows
            return self._added(who, what, about)

    def _added(self, who: str, what: Act, about: str) -> Row:
        at = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
        with self._database.changing():
            last = self._database.rows(
                "SELECT number, mark FROM audit ORDER BY number DESC LIMIT 1"
            )
            number, before = (last[0][0] + 1, last[0][1]) if last else (1, "")
            mark = self._mark(number, at, who, str(what), about, before)
            row = Row(
                number=number,
                at=at,
                who=who,
                what=str(what),
                about=about,
                before=before,
                mark=mark,
            )
            self._database.write(
                "INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?)",
                (number, at, who, str(what), about, before, mark),
            )
        write_durably(self._head, f"{number} {mark}\n".encode("ascii"), mode=0o600)
        return row

    def rows(self, *, last: int | None = None) -> list[Row]:
        """Rows in order; the last ones only where ``last`` is given."""
        found = self._database.rows(
            "SELECT number, at, who, what, about, before, mark FROM audit "
            "ORDER BY number DESC LIMIT ?",
            (-1 if last is None else last,),
        )
        names = ("number", "at", "who", "what", "about", "before", "mark")
        return [Row(**dict(zip(names, r, strict=True))) for r in reversed(found)]

    def broken(self) -> str:
        """The first place where the chain does not hold, in words; empty where it holds."""
        before, rows = "", self.rows()
        for expected, row in enumerate(rows, 1):
            if row.number != expected:
                return f"row {expected} is missing: row {row.number} follows row {expected - 1}"
            if row.before != before:
                return f"row {row.number} does not follow the row that stands before it"
            own = self._mark(row.number, row.at, row.who, row.what, row.about, row.before)
            if not hmac.compare_digest(own, row.mark):
                return f"row {row.number} was changed after it was written"
            before = row.mark
        return self._cut_off(rows)

    def _cut_off(self, rows: list[Row]) -> str:
        """Whether rows were taken off the end. A kill may leave the head one row behind."""
        try:
            number, mark = self._head.read_text("ascii").split()
            last = int(number)
        except FileNotFoundError:
            return "the file with the last mark is missing" if rows else ""
        except (OSError, ValueError):
            return "the file with the last mark cannot be read"
        if last > len(rows):
            return f"{last} rows were written and {len(rows)} are there"
        if last < 1 or rows[last - 1].mark != mark:
            return f"the last mark that was written is not that of row {last}"
        return ""

    def _mark(self, *parts: object) -> str:
        text = json.dumps(parts, ensure_ascii=False, separators=(",", ":"))
        return hmac.new(self._key, text.encode(), hashlib.sha256).hexdigest()
