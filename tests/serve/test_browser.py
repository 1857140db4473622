"""A user's way through a workbench in a real Chromium: pages, keyboard, slide, axe-core."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from metasight.engine.step import StepKind
from metasight.serve.accounts import Accounts, Role
from metasight.serve.database import Database, database_of
from metasight.serve.last_run import LastRun
from metasight.study.file import read_study
from source_texts import ROOT

from .conftest import PASSWORD

WALK = ROOT / "bench" / "workbench_assets"
BROWSER = shutil.which("chromium") or shutil.which("google-chrome")

pytestmark = [
    pytest.mark.skipif(BROWSER is None, reason="no Chromium here: apt-get install chromium"),
    pytest.mark.skipif(shutil.which("node") is None, reason="no node here"),
    pytest.mark.skipif(
        not (WALK / "node_modules" / "axe-core").is_dir(),
        reason="axe-core and playwright-core are not here: npm ci in bench/workbench_assets",
    ),
]


def walked(folder: Path, told: dict[str, object]) -> list[str]:
    """What a browser's walk through a workbench found, in order; it must find nothing wrong."""
    command = [sys.executable, "-m", "metasight", "serve", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            address = next(
                line for line in server.stdout if re.search("/enter\\?token=|/login", line)
            )
            address = address.split()[-1]
            walk = subprocess.run(
                ["node", "walk.js", json.dumps({"address": address, "browser": BROWSER, **told})],
                cwd=WALK,
                capture_output=True,
                text=True,
                timeout=300,
                check=False,
            )
        finally:
            server.terminate()
    assert walk.returncode == 0, walk.stdout + walk.stderr
    assert not re.findall("WRONG", walk.stdout)
    return [json.loads(line)["what"] for line in walk.stdout.splitlines()]


def test_a_user_s_way_without_an_error_or_another_host(study_folder: Path) -> None:
    run = LastRun(read_study(study_folder))
    (checked,) = run.of(StepKind.CHECK_SLIDE)
    patient = next(iter(run.risks.of))
    Accounts(Database(database_of(study_folder))).put("ann", Role.ADMIN, PASSWORD)
    slide = checked.name.removeprefix("check ")
    found = walked(
        study_folder,
        {
            "slide": slide,
            "patient": patient,
            "login": {"name": "ann", "password": PASSWORD},
            "overrule": slide,
        },
    )
    assert found == [
        "logged in",
        "flow count opens as many patients",
        "patient to patient by keyboard",
        "zoomed to full resolution",
        "layers over the slide",
        "measured a distance",
        "overruled a verdict",
        "done",
    ]
    written = (study_folder / "reader_decisions.csv").read_text()
    assert ",ann," in written and "he.svs" in written


def test_a_radiologist_s_way_through_scans(lung_folder: Path) -> None:
    run = LastRun(read_study(lung_folder))
    (measured,) = run.of(StepKind.MEASURE_SCANS)
    told = {"scan": measured.patient, "patient": measured.patient, "pet": True, "count": 0}
    found = walked(lung_folder, {**told, "only": "scans"})
    assert found == ["scrolled a CT with its mask", "done"]
