"""The workbench's own state beside the study: users, sessions, readings, the audit log."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from metasight.engine.private import private_folder
from metasight.errors import StoreError

NAME = "workbench.sqlite"
"""Within the study's ``.metasight``."""

_TABLES = """
CREATE TABLE IF NOT EXISTS users (
  name TEXT PRIMARY KEY, role TEXT NOT NULL, password TEXT NOT NULL, made REAL NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS sessions (
  digest TEXT PRIMARY KEY, name TEXT NOT NULL, role TEXT NOT NULL, form_token TEXT NOT NULL,
  made REAL NOT NULL, seen REAL NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS failures (who TEXT NOT NULL, at REAL NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS audit (
  number INTEGER PRIMARY KEY, at TEXT NOT NULL, who TEXT NOT NULL, what TEXT NOT NULL,
  about TEXT NOT NULL, before TEXT NOT NULL, mark TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS readings (
  item TEXT NOT NULL, about TEXT NOT NULL, reader TEXT NOT NULL, verdict TEXT NOT NULL,
  at TEXT NOT NULL, PRIMARY KEY (item, reader)
) STRICT;
CREATE TRIGGER IF NOT EXISTS audit_stays BEFORE UPDATE ON audit
  BEGIN SELECT RAISE(ABORT, 'the audit log is only added to'); END;
CREATE TRIGGER IF NOT EXISTS audit_remains BEFORE DELETE ON audit
  BEGIN SELECT RAISE(ABORT, 'the audit log is only added to'); END;
"""


class Database:
    """An SQLite file in write-ahead mode, of mode 0600; what was committed survives a kill.

    Parameters
    ----------
    path
        Made where it is not there.

    Raises
    ------
    StoreError
        The file is no database, or cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.RLock()
        private_folder(path.parent)
        try:
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
            path.chmod(0o600)
            self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")
            self._connection.execute("PRAGMA busy_timeout = 5000")
            self._connection.executescript(_TABLES)
        except (sqlite3.DatabaseError, OSError) as error:
            raise StoreError(
                "the workbench's own state cannot be read or written",
                where=f".metasight/{path.name}",
                remedy="Check permissions and free space; if the file is damaged, move it away: "
                "users and the audit log start afresh, and the study is not touched",
            ) from error

    @contextmanager
    def changing(self) -> Iterator[None]:
        """All that is done within it is written, or nothing of it; others wait."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def write(self, statement: str, values: Sequence[Any] = ()) -> int:
        """Carry a change out; the number of rows that it touched."""
        with self._lock:
            return self._connection.execute(statement, values).rowcount

    def rows(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """What a query finds."""
        with self._lock:
            return self._connection.execute(statement, values).fetchall()

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._connection.close()


def database_of(folder: Path) -> Path:
    """Where a study's workbench keeps its state."""
    return folder / ".metasight" / NAME
