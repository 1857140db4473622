"""Commands that de-identify: exit statuses, what is said, and nothing of a patient in it."""

from __future__ import annotations

import os

import pytest

from metasight.cli import main
from planted import CANARIES, leaks, write_planted


@pytest.fixture
def run(capsys):
    def of(*arguments: object) -> tuple[int, str]:
        status = 0
        try:
            main(["deidentify", *map(str, arguments)])
        except SystemExit as stop:
            status = int(stop.code or 0)
        told = capsys.readouterr()
        said = " ".join((told.out + told.err).split())
        assert not any(text in said for text in CANARIES.values())
        return status, said

    return of


@pytest.fixture
def key(tmp_path, run):
    path = tmp_path / "key"
    assert run("new-key", path)[0] == 0
    assert os.stat(path).st_mode & 0o777 == 0o600
    return path


def test_from_end_to_end(tmp_path, run, key):
    write_planted(tmp_path / "source")
    status, said = run("run", tmp_path / "source", "-o", tmp_path / "out", "--key", key)
    assert status == 0
    assert "nothing of the source's patients was found" in said
    assert leaks(tmp_path / "out") == {}
    assert (tmp_path / "out.ledger.csv").read_text().count("kept") == 3
    against = ("--against", tmp_path / "source", "--key", key)
    assert run("check", tmp_path / "out", *against)[0] == 0
    spoiled = next((tmp_path / "out").rglob("*.dcm"))
    with spoiled.open("ab") as file:
        file.write(CANARIES["id"].encode())
    status, said = run("check", tmp_path / "out", *against)
    assert status == 1
    assert "do not send this" in said
    assert "identifier of the source" in said


def test_a_file_that_failed_needs_attention(tmp_path, run, key):
    write_planted(tmp_path / "source", n=2)
    (tmp_path / "source" / "Kanarius.txt").write_text("Kanarius")
    ledger = tmp_path / "l.csv"
    out = ("-o", tmp_path / "out", "--key", key, "--ledger", ledger)
    status, said = run("run", tmp_path / "source", *out)
    assert status == 1
    assert "a table that the flags do not name" in said
    assert "failed" in ledger.read_text()


def test_tables_with_flags(tmp_path, run, key):
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "t.csv").write_text("id,seen,age\nA-1,2020-01-02,3\nA-2,2020-02-02,4\n")
    flags = tmp_path / "flags.toml"
    flags.write_text(
        '[[table]]\nfile = "t.csv"\nname = "new"\npatient = "id"\ncolumns = { seen = "date" }\n'
    )
    out = ("-o", tmp_path / "out", "--key", key, "--tables", flags)
    assert run("run", tmp_path / "source", *out)[0] == 0
    assert (tmp_path / "out" / "new.csv").read_text().startswith("patient,seen,age\n")


def test_what_needs_correction(tmp_path, run, key):
    write_planted(tmp_path / "source", n=2)
    out = ("-o", tmp_path / "out", "--key")
    status, said = run("run", tmp_path / "source", *out, tmp_path / "none")
    assert (status, "new-key" in said) == (2, True)
    key.chmod(0o644)
    status, said = run("run", tmp_path / "source", *out, key)
    assert (status, "chmod 600" in said) == (2, True)
    assert run("new-key", key)[0] == 2
    assert not (tmp_path / "out").exists()
