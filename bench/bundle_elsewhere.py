"""A bundle carried elsewhere gives the same risks: another folder, environment and command.

    python bench/bundle_elsewhere.py STUDY EXTERNAL WORK

STUDY was run; EXTERNAL is a study with outcomes whose patients were not in the training (a cohort
simulated with another seed, say). Here, ``metasight validate`` with the bundle's folder; there, in
an environment made for the purpose (a wheel of this checkout, an empty home, nothing of this
environment), ``metasight predict`` with bundle.zip and the same patients' raw files, no outcome
given. Printed: patients and risks that both give, how many differ in any bit, patients without a
risk on either side. Exit status 1 where a risk differs or there is nothing to compare.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pandas as pd
from predict import without_outcomes

ROOT = Path(__file__).resolve().parents[1]


def environment(work: Path) -> Path:
    """The interpreter of a fresh environment with a wheel of this checkout."""
    python = work / "venv" / "bin" / "python"
    if not python.is_file():
        build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
        subprocess.run([*build, "--wheel-dir", work / "wheel", ROOT], check=True)
        venv.create(work / "venv", with_pip=True)
        (wheel,) = (work / "wheel").glob("metasight-*.whl")
        command = [python, "-m", "pip", "install", "--quiet", "-c", ROOT / "constraints.txt"]
        subprocess.run([*command, f"{wheel}[deep]"], check=True)
    return python


def validated(study: Path, external: Path) -> dict[tuple[str, str], float]:
    """Risks by patient and target that a validation here gives with the headline model."""
    locked = study / "results" / "latest" / "bundle"
    command = [sys.executable, "-m", "metasight", "validate", str(locked), str(external)]
    subprocess.run(command, check=True)
    found = external / "results" / "latest-validation"
    headline = json.loads((locked / "bundle.json").read_text("utf-8"))["headline_model"]
    table = pd.read_parquet(found / "predictions.parquet")
    table = table[table["model"] == headline]
    target = "horizon_days" if table["horizon_days"].notna().any() else "label"
    return {(r.patient, str(getattr(r, target))): r.risk for r in table.itertuples()}


def predicted(study: Path, external: Path, work: Path) -> dict[tuple[str, str], float]:
    """Risks by patient and target that ``predict`` gives elsewhere, from the zip alone."""
    python = environment(work)
    shutil.rmtree(work / "there", ignore_errors=True)
    (work / "there" / "home").mkdir(parents=True)
    patients = work / "there" / "patients"
    patients.mkdir()
    shutil.copyfile(study / "results" / "latest" / "bundle.zip", work / "there" / "bundle.zip")
    without_outcomes(external, study, patients)
    command = [python, "-m", "metasight", "predict", "bundle.zip", "patients", "-o", "out"]
    clean = {"HOME": str(work / "there" / "home"), "PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
    subprocess.run(list(map(str, command)), check=True, env=clean, cwd=work / "there")
    told = json.loads((work / "there" / "out" / "predictions.json").read_text("utf-8"))
    return {
        (p["patient"], str(r["target"])): r["risk"]["value"]
        for p in told["patients"]
        for r in p["risks"]
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", type=Path)
    parser.add_argument("external", type=Path)
    parser.add_argument("work", type=Path)
    asked = parser.parse_args()
    asked.work.mkdir(parents=True, exist_ok=True)
    here = validated(asked.study, asked.external)
    there = predicted(asked.study, asked.external, asked.work.resolve())
    both = sorted(here.keys() & there.keys())
    differ = [k for k in both if here[k] != there[k]]
    print(
        f"{len({p for p, _ in both})} patients, {len(both)} risks on both sides; "
        f"{len(differ)} differ; {len(here.keys() - there.keys())} only in the validation, "
        f"{len(there.keys() - here.keys())} only predicted"
    )
    return 0 if both and not differ else 1


if __name__ == "__main__":
    sys.exit(main())
