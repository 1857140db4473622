"""The log is only added to, and a byte that is changed breaks it visibly."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest

from metasight.serve.audit import HEAD, Act, AuditLog
from metasight.serve.database import Database


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / ".metasight" / "workbench.sqlite"


@pytest.fixture
def log(path: Path) -> AuditLog:
    found = AuditLog(Database(path), "a key")
    for n in range(5):
        found.add("ann", Act.VIEW, f"patient {n}")
    return found


def changed(path: Path, statement: str) -> None:
    """What somebody with the file does, triggers or not."""
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TRIGGER audit_stays")
        connection.execute("DROP TRIGGER audit_remains")
        connection.execute(statement)


def test_rows_follow_each_other_and_hold(log: AuditLog) -> None:
    rows = log.rows()
    assert [r.number for r in rows] == [1, 2, 3, 4, 5]
    assert [r.before for r in rows[1:]] == [r.mark for r in rows[:-1]]
    assert log.broken() == ""
    assert [r.number for r in log.rows(last=2)] == [4, 5]


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE audit SET who = 'bob' WHERE number = 3", "row 3 was changed"),
        ("UPDATE audit SET about = about || '.' WHERE number = 1", "row 1 was changed"),
        ("UPDATE audit SET at = replace(at, '2', '3') WHERE number = 5", "row 5 was changed"),
        ("UPDATE audit SET mark = '00' WHERE number = 2", "row 2 was changed"),
        ("DELETE FROM audit WHERE number = 2", "row 2 is missing"),
        ("DELETE FROM audit WHERE number = 5", "5 rows were written and 4 are there"),
        ("DELETE FROM audit", "5 rows were written and 0 are there"),
    ],
)
def test_what_is_changed_is_seen(log: AuditLog, path: Path, statement: str, said: str) -> None:
    changed(path, statement)
    assert said in AuditLog(Database(path), "a key").broken()


def test_a_byte_of_the_file_is_seen(log: AuditLog, path: Path) -> None:
    log._database.rows("PRAGMA wal_checkpoint(TRUNCATE)")
    log._database.close()
    data = path.read_bytes()
    assert data.count(b"patient 3") == 1
    path.write_bytes(data.replace(b"patient 3", b"patient 9"))
    assert "row 4 was changed" in AuditLog(Database(path), "a key").broken()


def test_without_the_key_the_chain_cannot_be_made_anew(log: AuditLog, path: Path) -> None:
    other = AuditLog(Database(path), "another key")
    assert "row 1 was changed" in other.broken()


def test_without_its_head_it_says_so(log: AuditLog, path: Path) -> None:
    path.with_name(HEAD).unlink()
    assert "last mark is missing" in log.broken()
    path.with_name(HEAD).write_text("five\n")
    assert "cannot be read" in log.broken()
    path.with_name(HEAD).write_text("5 00\n")
    assert "not that of row 5" in log.broken()


def test_the_database_refuses_changes(log: AuditLog) -> None:
    for statement in ("UPDATE audit SET who = ''", "DELETE FROM audit"):
        with pytest.raises(sqlite3.DatabaseError, match="only added to"):
            log._database.write(statement)


def test_rows_of_several_threads_form_one_chain(path: Path) -> None:
    log = AuditLog(Database(path), "a key")
    threads = [
        threading.Thread(target=lambda: [log.add("ann", Act.VIEW, "x") for _ in range(10)])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(log.rows()) == 40
    assert log.broken() == ""
