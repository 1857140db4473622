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
from metasight.serve.last_run import LastRun
from metasight.study.file import read_study
from source_texts import ROOT

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


def test_a_user_s_way_without_an_error_or_another_host(study_folder: Path) -> None:
    run = LastRun(read_study(study_folder))
    (checked,) = run.of(StepKind.CHECK_SLIDE)
    patient = next(iter(run.risks.of))
    command = [sys.executable, "-m", "metasight", "serve", str(study_folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            address = next(line for line in server.stdout if "/enter?token=" in line).strip()
            told = {
                "address": address,
                "browser": BROWSER,
                "slide": checked.name.removeprefix("check "),
                "patient": patient,
            }
            walked = subprocess.run(
                ["node", "walk.js", json.dumps(told)],
                cwd=WALK,
                capture_output=True,
                text=True,
                timeout=300,
                check=False,
            )
        finally:
            server.terminate()
    assert walked.returncode == 0, walked.stdout + walked.stderr
    found = [json.loads(line)["what"] for line in walked.stdout.splitlines()]
    assert found == [
        "flow count opens as many patients",
        "patient to patient by keyboard",
        "zoomed to full resolution",
        "layers over the slide",
        "done",
    ]
    assert not re.findall("WRONG", walked.stdout)
