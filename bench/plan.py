"""How long a large study's plan takes: 10,000 slides, none of them measured yet.

    python bench/plan.py [--slides 10000] [--work FOLDER]

A study of made-up patients with two small slides each is written (copies of one file of 30 kB, so
that what is timed is the plan and not the disk), with a generator of maps. ``metasight run
--dry-run`` lists what would run, in a process of its own: wall-clock seconds, CPU-seconds, largest
resident memory, steps planned. Beside it the time that importing the program takes.
"""

from __future__ import annotations

import argparse
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))
from conftest import BREAST, breast_table  # noqa: E402
from slide_files import tissue_like, write_pyramid  # noqa: E402

BAR_SECONDS, BAR_GIB = 10.0, 1.0
SLIDES = """
[slides]
path = "slides.csv"
id = "id"
folder = "slides"

[slides.maps]
folds = 2
"""


def write_study(folder: Path, slides: int) -> None:
    """Patients with an H&E and an immunostained section each."""
    (folder / "slides").mkdir(parents=True)
    table = breast_table(slides // 2)
    table.to_csv(folder / "patients.csv", index=False)
    one = write_pyramid(folder / "one.svs", tissue_like(256, 256), levels=1).read_bytes()
    rows = []
    for number, patient in enumerate(table["id"]):
        for stain, marker in (("H&E", ""), ("IHC", "CD3")):
            name = f"{number}-{stain[0]}.svs"
            (folder / "slides" / name).write_bytes(one)
            rows.append({"id": patient, "file": name, "stain": stain, "markers": marker})
    pd.DataFrame(rows).to_csv(folder / "slides.csv", index=False)
    (folder / "study.toml").write_text(BREAST + SLIDES, "utf-8")


def timed(command: list[str]) -> tuple[float, float, str]:
    """Wall-clock and CPU-seconds of a command, and what it printed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall, cpu, done.stdout


def main() -> int:
    """Write, plan, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slides", type=int, default=10_000)
    parser.add_argument("--work", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=asked.work) as place:
        study = Path(place) / "study"
        write_study(study, asked.slides)
        importing, _, _ = timed([sys.executable, "-c", "import metasight.pipeline"])
        wall, cpu, printed = timed(
            [sys.executable, "-m", "metasight", "run", "--dry-run", str(study)]
        )
    gib = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    found = re.search(r"(\d+) image measurements", printed)
    print(f"slides {asked.slides:,}; steps planned {found.group(1) if found else '?'}")
    print(f"wall-clock {wall:.1f} s (bar {BAR_SECONDS:.0f}), of it importing {importing:.1f} s")
    print(f"CPU {cpu:.1f} s; memory {gib:.2f} GiB (bar {BAR_GIB:.0f})")
    return int(wall > BAR_SECONDS or gib > BAR_GIB)


if __name__ == "__main__":
    sys.exit(main())
