"""Commands of the workbench: users, audit, and where it may be served."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="the extra `serve` is not installed")

from metasight.cli import main
from metasight.serve.database import database_of

PASSWORD = "a long enough password"


@pytest.fixture
def folder(breast_study: Callable[..., Path], tmp_path: Path) -> Path:
    (tmp_path / "password").write_text(PASSWORD + "\n")
    return breast_study()


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as stop:
        main(list(arguments))
    assert stop.value.code == 2
    return " ".join(capsys.readouterr().err.split())


def done(*arguments: str) -> None:
    with pytest.raises(SystemExit) as stop:
        main(list(arguments))
    assert not stop.value.code


def test_users_are_added_listed_and_removed(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    password = str(folder.parent / "password")
    done("users", "add", str(folder), "ann", "--role", "reviewer", "--password-from", password)
    done("users", "list", str(folder))
    shown = capsys.readouterr().out
    assert "ann" in shown and "reviewer" in shown and PASSWORD not in shown
    done("audit", str(folder))
    assert "holds: 1 rows" in capsys.readouterr().out
    done("users", "remove", str(folder), "ann")
    done("users", "list", str(folder))
    assert "There are no users" in capsys.readouterr().out
    assert "no such user" in refused(capsys, "users", "remove", str(folder), "ann")


def test_what_is_no_user_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    password = str(folder.parent / "password")
    options = ("--password-from", password)
    assert "no such role" in refused(
        capsys, "users", "add", str(folder), "ann", "--role", "king", *options
    )
    assert "not a user's name" in refused(capsys, "users", "add", str(folder), "a b", *options)
    (folder.parent / "password").write_text("short")
    assert "too short" in refused(capsys, "users", "add", str(folder), "ann", *options)


def test_another_interface_is_refused_without_users_and_tls(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "no users" in refused(capsys, "serve", str(folder), "--host", "0.0.0.0")
    password = str(folder.parent / "password")
    done("users", "add", str(folder), "ann", "--password-from", password)
    capsys.readouterr()
    assert "in the clear" in refused(capsys, "serve", str(folder), "--host", "0.0.0.0")
    assert "both" in refused(capsys, "serve", str(folder), "--tls-key", password)


def test_an_altered_log_is_found(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "no audit log" in refused(capsys, "audit", str(folder))
    password = str(folder.parent / "password")
    done("users", "add", str(folder), "ann", "--password-from", password)
    with sqlite3.connect(database_of(folder)) as connection:
        connection.execute("DROP TRIGGER audit_stays")
        connection.execute("UPDATE audit SET about = 'ann is admin'")
    assert "row 1 was changed" in refused(capsys, "audit", str(folder))
