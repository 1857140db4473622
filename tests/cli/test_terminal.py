"""Output where it goes: an encoding that lacks characters, and a reader that leaves."""

from __future__ import annotations

import io
import os
import subprocess
import sys

import pytest

from metasight.cli import terminal
from metasight.cli.terminal import is_utf, spell_out

PRINT = """
import sys
from metasight.cli.terminal import spell_out
from metasight.cli.printing import out, err
from rich.table import Table
spell_out()
table = Table("what", "found", title="A – B")
table.add_row("café ← Größe", "≥ 3 µm … 日")
out.print(table)
err.print("café ≥ 3")
"""
MANY = """
import sys
from pathlib import Path
from metasight.cli.printing import out
for n in range(5000):
    out.print(f"line {n}")
Path(sys.argv[1]).write_text("ended")
"""


def python(text: str, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", text, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | environment,
    )


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [
        ("ascii", "cafe <- Große".encode().replace(b"\xc3\x9f", b"?")),
        ("latin-1", "café <- Größe".encode("latin-1")),
    ],
)
def test_what_an_encoding_lacks_is_spelt(encoding, shown):
    said, complaints = python(PRINT, PYTHONIOENCODING=encoding).communicate(timeout=60)
    assert shown in said
    assert b"Traceback" not in complaints
    assert complaints.decode(encoding).strip().endswith(("3", "3 "))
    if encoding == "ascii":
        assert b">= 3 um ... ?" in said
        assert b"A - B" in said


def test_help_is_printed_in_ascii():
    text = "import sys; from metasight.cli import main; main(['run', '--help'])"
    running = python(text, PYTHONIOENCODING="ascii")
    said, complaints = running.communicate(timeout=60)
    assert running.returncode == 0, complaints
    assert b"--scheduler" in said


def test_work_goes_on_when_nothing_reads_its_output_any_more(tmp_path):
    with python(MANY, str(tmp_path / "ended")) as running:
        assert running.stdout is not None and running.stderr is not None
        assert running.stdout.readline() == b"line 0\n"
        running.stdout.close()
        assert running.stderr.read() == b""
        assert running.wait(60) == 0
    assert (tmp_path / "ended").is_file()


def test_a_report_that_nothing_reads_ends_without_a_traceback():
    text = "from metasight.cli import main; main(['doctor', '--json'])"
    with python(text) as running:
        assert running.stdout is not None and running.stderr is not None
        running.stdout.close()
        assert running.stderr.read() == b""
        assert running.wait(60) == 1


def test_streams_of_tests_and_libraries_are_left_alone(monkeypatch):
    for stream in (io.StringIO(), io.TextIOWrapper(io.BytesIO(), encoding="utf-8")):
        monkeypatch.setattr(terminal.sys, "stdout", stream)
        spell_out()
        assert stream.errors in {None, "strict"}


def test_encodings_that_have_every_character():
    assert [is_utf(e) for e in ("UTF-8", "utf8", "utf-16-le", "ascii", "latin-1", "cp1252")] == [
        True,
        True,
        True,
        False,
        False,
        False,
    ]
