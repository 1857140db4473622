"""The command line itself: help, doctor, report, and errors without a traceback."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from metasight.cli import main
from metasight.doctor import examine


def test_help_is_quick():
    begun = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "metasight", "--help"], capture_output=True, text=True, check=True
    )
    assert time.monotonic() - begun < 5
    for command in ("init", "check", "run", "report", "validate", "doctor", "demo"):
        assert command in done.stdout


def test_importing_metasight_imports_nothing_heavy():
    heavy = "pandas", "numba", "dask"
    code = f"import sys, metasight.cli; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_doctor():
    findings = examine()
    assert all(f.verdict == "PASS" or f.fix for f in findings)
    assert not [f for f in findings if f.verdict == "FAIL"]


@pytest.mark.parametrize(
    "arguments",
    [["run", "nowhere"], ["validate", "nowhere", "nowhere"], ["init", "x", "--protocol", "none"]],
)
def test_errors_end_with_status_2(arguments, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    said = capsys.readouterr()
    assert said.err.startswith("error ")
    assert "Traceback" not in said.err + said.out


def test_report_needs_results(breast_study, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["report", str(breast_study())])
    assert stop.value.code == 2
    assert "the results are not up to date" in capsys.readouterr().err


def test_our_own_mistakes_show_no_value_and_no_traceback(breast_study, capsys, monkeypatch):
    def broken(study):
        raise KeyError("MRN-00001")

    monkeypatch.setattr("metasight.pipeline.screen", broken)
    with pytest.raises(SystemExit) as stop:
        main(["check", str(breast_study())])
    assert stop.value.code == 2
    said = capsys.readouterr()
    assert "internal error KeyError in test_cli.py, line" in " ".join(said.err.split())
    assert "MRN-" not in said.err
    with pytest.raises(KeyError):
        main(["--debug", "check", str(breast_study(name="again"))])
