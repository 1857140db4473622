"""A user's whole way through the workbench, in a real Chromium, on two simulated studies.

    python bench/workbench_walked.py
    python bench/workbench_walked.py --breast FOLDER --pictures OUT

Breast: log in by name, from a count of the flow to patients and a patient, a slide at full
resolution with section, predicted error and map over it, swipe, checkerboard, side by side, ruler;
a verdict of quality is overruled, the pending steps are run from the page, and its ledger, the
audit log and a download are looked at. Lung: a CT in three planes with outline, diameters and PET,
a click, the lesion accepted, run, and the new figure read. On every page axe-core 0 violations in
light and dark at two sizes, no console error, no request to another host.

The breast study is the one of ``metasight demo --simulated``: drawn and run first (minutes), or a
folder where it was run. It is copied; the folder itself stays as it is. Needs Chromium, node, and
``npm ci`` in bench/workbench_assets.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))
from lung_study import DECISIONS, run_study, write_lung_study  # noqa: E402
from metasight import pipeline  # noqa: E402
from metasight.demonstration import write_simulated  # noqa: E402
from metasight.engine.progress import Silent  # noqa: E402
from metasight.engine.step import StepKind  # noqa: E402
from metasight.serve.accounts import Accounts, Role  # noqa: E402
from metasight.serve.database import Database, database_of  # noqa: E402
from metasight.serve.last_run import LastRun  # noqa: E402
from metasight.serve.scans import measured_of  # noqa: E402
from metasight.serve.slides import alignments_on, maps_on, quality_of, slide_rows  # noqa: E402
from metasight.study.file import read_study  # noqa: E402

PASSWORD = "long enough for a walk"
TABLE = '\n[reader_decisions]\npath = "reader_decisions.csv"\nid = "patient"\n'


def walk(folder: Path, told: dict[str, object]) -> bool:
    """Whether nothing was wrong; what was found is printed."""
    Accounts(Database(database_of(folder))).put("ann", Role.ADMIN, PASSWORD)
    told["login"] = {"name": "ann", "password": PASSWORD}
    command = [sys.executable, "-m", "metasight", "serve", str(folder)]
    begun = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            line = next(line for line in server.stdout if "/login" in line)
            told |= {"address": line.split()[-1], "browser": shutil.which("chromium")}
            walked = subprocess.run(
                ["node", "walk.js", json.dumps(told)],
                cwd=ROOT / "bench" / "workbench_assets",
                timeout=1800,
                check=False,
            )
        finally:
            server.terminate()
    print(f"{folder.name}: walked in {time.perf_counter() - begun:.0f} s")
    return walked.returncode == 0


def breast(place: Path, given: Path | None) -> tuple[Path, dict[str, object]]:
    """A finished study with an aligned section and maps, and where to walk in it."""
    folder = place / "breast"
    if given is None:
        write_simulated(folder, Silent())
        pipeline.run(read_study(folder), scheduler="auto", progress=Silent())
    else:
        shutil.copytree(given, folder, symlinks=True)
    toml = folder / "study.toml"
    if "[reader_decisions]" not in toml.read_text("utf-8"):
        text = toml.read_text("utf-8")
        at = text.index("[columns]")
        toml.write_text(text[:at] + TABLE.lstrip() + "\n" + text[at:], "utf-8")
        (folder / "reader_decisions.csv").write_text(DECISIONS)
    run = LastRun(read_study(folder))
    for name, row in slide_rows(run.study).items():
        aligned = alignments_on(run, row.patient, name) if row.stain == "H&E" else ()
        if aligned and maps_on(run, row.patient):
            break
    else:
        sys.exit("no slide with an aligned section and maps")
    # a patient without an aligned section: no generator is trained anew
    other = next(
        r
        for r in slide_rows(run.study).values()
        if r.stain == "H&E"
        and not alignments_on(run, r.patient, r.name)
        and (quality_of(run, r.name) or {}).get("sufficient")
    )
    return folder, {
        "count": 0,
        "slide": name,
        "patient": row.patient,
        "layers": [["aligned", 60], ["error", 50], ["map", 60]],
        "compare": True,
        "overrule": other.name,
        "item": other.patient,
        "run": True,
        "download": "ledger.parquet",
        "after": [
            [f"/patients/{other.patient}", "looked at again on the workstation"],
            ["/audit", f"quality of {other.name}: excluded in place of kept"],
        ],
    }


def lung(place: Path) -> tuple[Path, dict[str, object]]:
    """A finished study with a CT, a PET and a mask, and where to walk in it."""
    folder = place / "lung"
    write_lung_study(folder)
    run_study(folder)
    run = LastRun(read_study(folder))
    (scanned,) = run.of(StepKind.MEASURE_SCANS)
    return folder, {
        "count": 0,
        "scan": scanned.patient,
        "patient": scanned.patient,
        "pet": True,
        "accept": True,
        "run": True,
        "download": "report.pdf",
        "after": [
            [f"/patients/{scanned.patient}", "accepted by a reader"],
            ["/audit", "accepted"],
        ],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--breast", type=Path, help="folder of a simulated study that was run")
    parser.add_argument("--pictures", type=Path, help="folder for a picture of every page")
    parser.add_argument("--only", choices=("breast", "lung"))
    told = parser.parse_args()
    right = True
    with tempfile.TemporaryDirectory(prefix="metasight-walk-") as place:
        for name in ("lung", "breast"):
            if told.only not in {None, name}:
                continue
            made = lung(Path(place)) if name == "lung" else breast(Path(place), told.breast)
            folder, asked = made
            if told.pictures:
                (told.pictures / name).mkdir(parents=True, exist_ok=True)
                asked["pictures"] = str((told.pictures / name).resolve())
            before = _size(folder, asked)
            right &= walk(folder, asked)
            print(f"size of the lesion: {before} mm, then {_size(folder, asked)} mm" * bool(before))
    sys.exit(not right)


def _size(folder: Path, asked: dict[str, object]) -> str:
    if "scan" not in asked:
        return ""
    measured = measured_of(LastRun(read_study(folder)), str(asked["scan"]))
    return f"{measured['tumour_size_mm']:.1f}"


if __name__ == "__main__":
    main()
