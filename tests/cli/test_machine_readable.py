"""What --json prints is one object of the documented fields, without patients in it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from metasight import __version__
from metasight.cli import main
from metasight.cli.machine_readable import FORMAT, pending_found, slides_found
from metasight.doctor import Finding
from metasight.engine.run import Pending
from metasight.engine.step import Step, StepKind
from scan_files import write_ct

PAGE = (Path(__file__).parents[2] / "docs" / "command-line.md").read_text("utf-8")
COMMON = {"format", "metasight", "command"}


def documented(heading: str) -> set[str]:
    """Names in the first column of the table below a heading."""
    section = PAGE.split(f"\n{heading}\n", 1)[1].split("\n#", 1)[0]
    first = re.findall(r"^\| (`[^|]+) \|", section, re.MULTILINE)
    return {name for cell in first for name in re.findall(r"`(\w+)`", cell)}


def printed(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, Any]:
    try:
        main(arguments)
        status = 0
    except SystemExit as stop:
        status = int(stop.code or 0)
    found = json.loads(capsys.readouterr().out)
    assert found["format"] == FORMAT
    assert found["metasight"] == __version__
    return status, found


def test_check_prints_what_is_documented_and_no_patient(breast_study, breast_table, capsys):
    folder = breast_study()
    status, found = printed(["check", str(folder), "--json"], capsys)
    assert status == 0
    assert found["command"] == "check"
    assert set(found) == COMMON | documented("### `check`")
    assert found["screened"] == len(breast_table())
    analysis = found["analyses"][0]
    assert 0 < analysis["events"] < analysis["patients"] <= analysis["eligible"]
    for name in (*found["eligibility"][0], *analysis):
        assert f"`{name}`" in PAGE
    text = json.dumps(found)
    assert not [p for p in breast_table()["id"] if p in text]
    assert not re.search(r"\bP[0-9a-f]{16}\b", text)


def test_dry_run_counts_steps_by_reason(breast_study, capsys):
    folder = breast_study()
    status, found = printed(["run", str(folder), "--dry-run", "--json"], capsys)
    assert status == 0
    assert found["command"] == "run --dry-run"
    assert set(found) == COMMON | documented("### `run --dry-run`")
    assert found["up_to_date"] is False
    assert found["steps"] == [
        {
            "stage": "cohort",
            "n": 1,
            "measures_images": False,
            "why": "not finished before",
        }
    ]


def test_a_reason_keeps_no_pseudonym():
    step = Step(name="x", kind=StepKind.FIT, label="fit", function=documented)
    why = "'measure P0123456789abcdef' changed"
    found = pending_found([Pending(step=step, why=why)] * 2)
    assert [(s["n"], s["why"]) for s in found["steps"]] == [(2, "'measure …' changed")]


def test_doctor(capsys, monkeypatch):
    bad = Finding(verdict="FAIL", what="disk", found="0 GiB", fix="free 2 GiB")
    monkeypatch.setattr("metasight.doctor.examine", lambda: [bad])
    status, found = printed(["doctor", "--json"], capsys)
    assert status == 1
    assert set(found) == COMMON | documented("### `doctor`")
    assert found["findings"] == [
        {"verdict": "FAIL", "what": "disk", "found": "0 GiB", "fix": "free 2 GiB"}
    ]


def test_slides_check_numbers_slides(tmp_path, capsys):
    name = "Maier_Anna.svs"
    (tmp_path / name).write_bytes(b"no slide")
    status, found = printed(
        ["slides", "check", "-i", str(tmp_path / name), "-o", str(tmp_path / "out"), "--json"],
        capsys,
    )
    assert status == 1
    assert set(found) == COMMON | documented("### `slides check`")
    assert [(s["slide"], s["quality"]) for s in found["slides"]] == [(1, "failed")]
    assert "Maier" not in json.dumps(found)


def test_scans_check_numbers_scans(tmp_path, capsys):
    write_ct(tmp_path / "Maier_Anna", [0.0, 2.0, 4.0, 6.0])
    folders = [str(tmp_path / "none"), str(tmp_path / "Maier_Anna")]
    status, found = printed(["scans", "check", *folders, "--json"], capsys)
    assert status == 1
    assert set(found) == COMMON | {"scans"}
    assert [(s["scan"], s["quality"]) for s in found["scans"]] == [(1, "failed"), (2, "refused")]
    named = documented("### `scans check`")
    for scan in found["scans"]:
        assert set(scan) == named - {"scans"}
    section = PAGE.split("### `scans check`", 1)[1]
    for part in ("series", "read"):
        assert all(f"`{name}`" in section for name in found["scans"][1][part])
    assert all(f"`{name}`" in section for name in found["scans"][1]["findings"][0])
    assert "Maier" not in json.dumps(found)


def test_quality_in_words():
    judged = [{"sufficient": s, "reasons": ["r"]} for s in (True, False, None)]
    words = [s["quality"] for s in slides_found(judged)["slides"]]
    assert words == ["sufficient", "refused", "unknown"]


def test_an_error_is_an_object_too(breast_study, breast_table, capsys):
    table = breast_table()
    table["age"] = table["age"].astype(object)
    table.loc[3, "age"] = "old"
    folder = breast_study(table)
    status, found = printed(["check", str(folder), "--json"], capsys)
    assert status == found["error"]["exit_status"] == 2
    assert set(found["error"]) == documented("## `--json`: machine-readable output") - COMMON - {
        "error"
    }
    (problem,) = found["error"]["problems"]
    assert (problem["table"], problem["row"]) == ("patients.csv", 5)


def test_an_internal_error_quotes_nothing(breast_study, capsys, monkeypatch):
    def broken(study, *, progress):
        raise KeyError("MRN-00001")

    monkeypatch.setattr("metasight.pipeline.screen", broken)
    status, found = printed(["check", str(breast_study()), "--json"], capsys)
    assert status == 3
    assert found["error"] == {"kind": "KeyError", "exit_status": 3}


def test_json_of_a_run_needs_dry_run(breast_study, capsys):
    status, found = printed(["run", str(breast_study()), "--json"], capsys)
    assert status == 2
    assert found["error"]["problem"] == "--json needs --dry-run"
