"""The workbench's own state is its owner's alone, and whole."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from metasight.errors import StoreError
from metasight.serve.database import Database, database_of


def test_only_the_owner_may_read_it(tmp_path: Path) -> None:
    path = database_of(tmp_path)
    database = Database(path)
    database.write("INSERT INTO failures VALUES ('a', 1.0)")
    for file in path.parent.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file.name
    assert stat.S_IMODE(path.parent.stat().st_mode) & 0o007 == 0
    assert database.rows("PRAGMA journal_mode") == [("wal",)]


def test_a_change_is_whole_or_not_at_all(tmp_path: Path) -> None:
    database = Database(database_of(tmp_path))
    with pytest.raises(ZeroDivisionError), database.changing():
        database.write("INSERT INTO failures VALUES ('a', 1.0)")
        _ = 1 / 0
    assert database.rows("SELECT * FROM failures") == []


def test_what_is_no_database_is_refused_by_name(tmp_path: Path) -> None:
    path = database_of(tmp_path)
    path.parent.mkdir()
    path.write_bytes(b"no database " * 100)
    with pytest.raises(StoreError, match="own state cannot be read"):
        Database(path)
