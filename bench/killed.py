"""Studies that are killed at random moments, again and again: the same bytes in the end.

    python bench/killed.py [--kills 30] [--seed 1] [--kinds tables images maps] [--work DIR]

Each kind of study is carried out once undisturbed. A copy of the same inputs is then started,
killed with SIGKILL (all its processes) after a random time, and started again, ``--kills`` times;
then it is left to finish. All files of its results and of its store must have the bytes of the
undisturbed one, and no unfinished file may be left in ``results``.

- ``tables``: a study of tables, run to its report;
- ``images``: tables, slides and CT under a third protocol, run to its report;
- ``maps``: simulated slides with marker sections, checked: generators are trained, maps painted.

Printed: kills that struck a living run, seconds, and files that differ. Exit status 1 if any does.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# and not bench/, where alignment.py is another
sys.path[1:1] = [str(ROOT / "tests"), str(ROOT / "tests/study")]

import numpy as np  # noqa: E402


def tables(folder: Path) -> list[str]:
    """A study of tables; the command that carries it out."""
    from conftest import BREAST, breast_table

    folder.mkdir(parents=True)
    breast_table().to_csv(folder / "patients.csv", index=False)
    (folder / "study.toml").write_text(BREAST, "utf-8")
    return ["run", str(folder), "--scheduler", "local"]


def images(folder: Path) -> list[str]:
    """Tables, slides and CT."""
    import pandas as pd
    from test_toy import IMAGED, IN_TABLE, STUDY, patients, write_slides

    from metasight.engine.progress import Silent
    from metasight.simulate.lung.cohort import simulate_lung
    from metasight.simulate.lung.settings import LungSettings

    settings = LungSettings(
        patients=2, pixel_mm=2.0, click_fraction=0.0, pet_fraction=0.0, ineligible_fraction=0.0
    )
    simulate_lung(folder, settings, 4, jobs=1, progress=Silent())
    shutil.copy(ROOT / "tests/study/toy_protocol.toml", folder)
    write_slides(folder / "slides")
    rows = [
        (IMAGED[0], "he.svs", "H&E", ""),
        (IMAGED[0], "if.ome.tif", "fluorescence", IN_TABLE),
        (IMAGED[1], "he2.svs", "H&E", ""),
    ]
    table = pd.DataFrame(rows, columns=["patient", "file", "stain", "markers"])
    table.to_csv(folder / "slides.csv", index=False)
    patients().to_csv(folder / "patients.csv", index=False)
    (folder / "study.toml").write_text(STUDY, "utf-8")
    return ["run", str(folder), "--scheduler", "local"]


def maps(folder: Path) -> list[str]:
    """Slides whose maps are painted by generators that are trained in the study."""
    from test_maps import MAPS, simulated

    simulated(folder, MAPS)
    return ["check", str(folder)]


KINDS: dict[str, Callable[[Path], list[str]]] = {"tables": tables, "images": images, "maps": maps}


def start(command: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "metasight", *command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"},
    )


def finish(command: list[str]) -> float:
    """Carry a study out undisturbed; seconds."""
    begun = time.monotonic()
    process = start(command)
    said = process.communicate()[1]
    if process.returncode:
        raise SystemExit(f"{' '.join(command)}: status {process.returncode}\n{said.decode()}")
    return time.monotonic() - begun


def killed(command: list[str], seconds: float, rng: np.random.Generator) -> bool:
    """Start, and kill after a random time; whether it was still running."""
    process = start(command)
    try:
        process.wait(timeout=float(rng.uniform(0.3, max(4.0, 0.6 * seconds))))
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return True
    process.communicate()
    return False


def bytes_of(folder: Path) -> dict[str, bytes]:
    """Every file that a study made and that has to be the same: results, and the store's."""
    found = {}
    for top in ("results", ".metasight/store"):
        for path in sorted((folder / top).rglob("*")):
            name = path.relative_to(folder).as_posix()
            mine = top == "results" or name.split("/")[2] not in {"unfinished", "going"}
            if mine and path.is_file() and path.name != "files.json":
                found[name] = path.read_bytes()
    return found


def judged(name: str, work: Path, kills: int, seed: int) -> int:
    """Files that differ between a study that was left alone and one that was killed."""
    rng = np.random.default_rng([seed, sorted(KINDS).index(name)])
    calm, hunted = work / "calm" / "study", work / "hunted" / "study"
    command = KINDS[name](calm)
    hunted.parent.mkdir(parents=True)
    shutil.copytree(calm, hunted)
    seconds = finish(command)
    again = [str(hunted) if part == str(calm) else part for part in command]
    begun, struck, done = time.monotonic(), 0, 0
    for _ in range(kills):
        if killed(again, seconds, rng):
            struck += 1
        else:  # it was finished before: from the beginning, so that every kill meets work
            done += 1
            for made in ("results", ".metasight"):
                shutil.rmtree(hunted / made, ignore_errors=True)
    finish(again)
    one, other = bytes_of(calm), bytes_of(hunted)
    differ = sorted(n for n in one.keys() | other.keys() if one.get(n) != other.get(n))
    left = [n for n in other if n.startswith("results/.")]
    print(
        f"{name:7s} {seconds:4.0f} s undisturbed; {struck} of {kills} kills struck, {done} "
        f"times it was done before; {len(one)} files, {len(differ)} differ, {len(left)} unfinished "
        f"({time.monotonic() - begun:.0f} s)",
        flush=True,
    )
    for n in differ[:10]:
        print(f"  {n}")
    return len(differ) + len(left)


def main() -> int:
    """Each kind; 1 if a file differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kinds", nargs="*", choices=sorted(KINDS), default=sorted(KINDS))
    parser.add_argument("--work", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="killed-") as folder:
        top = asked.work or Path(folder)
        faults = sum(judged(k, top / k, asked.kills, asked.seed) for k in asked.kinds)
    return int(faults > 0)


if __name__ == "__main__":
    sys.exit(main())
