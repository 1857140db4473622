"""Installation without a network, as docs/installation.md prints it, and one that many share.

    python bench/offline.py [--extras serve,exchange] [--work FOLDER]

Runs the page's two blocks: the first makes a folder of wheels from a clone of this repository, the
second installs from it in a network namespace that has no network (``unshare --net``; needs root).
The installation is then made read-only and tried as another user without a home folder: ``doctor``
and a study from its table to its report.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))
from conftest import BREAST, breast_table  # noqa: E402

NOBODY = 65534
ALONE = ["unshare", "--net", "bash", "-c", 'ip link set lo up && exec "$@"', "alone"]
"""Before a command: in a namespace with a loopback interface and no other."""


def blocks() -> dict[str, str]:
    """The page's blocks by title."""
    page = (ROOT / "docs" / "installation.md").read_text("utf-8")
    return dict(re.findall(r'```sh title="([\w.]+)"\n(.*?)```', page, re.DOTALL))


def shell(script: str, where: Path, environment: dict[str, str], *, alone: bool = False) -> None:
    """Run a block; ``alone``: without any network."""
    command = ["bash", "-euo", "pipefail", "-c", script]
    if alone:
        command = [*ALONE, *command]
    subprocess.run(command, cwd=where, env=environment, check=True)


def tried_by_others(target: Path, work: Path) -> list[str]:
    """Faults of the read-only installation in the hands of another user."""
    study = work / "study"
    study.mkdir()
    breast_table().to_csv(study / "patients.csv", index=False)
    (study / "study.toml").write_text(BREAST, "utf-8")
    subprocess.run(["chmod", "-R", "a-w,a+rX", str(target)], check=True)
    subprocess.run(["chown", "-R", f"{NOBODY}:{NOBODY}", str(study)], check=True)
    wrong = []
    for name, arguments in (("doctor", []), ("run", [str(study)])):
        command = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
        done = subprocess.run(
            [*ALONE, *command, str(target / "bin" / "metasight"), name, *arguments],
            cwd="/",
            env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"},
            check=False,
            capture_output=True,
            text=True,
        )
        print(f"{name} as another user: status {done.returncode}")
        if done.returncode:
            wrong.append(f"{name}: {done.stdout[-500:]}{done.stderr[-500:]}")
    if not (study / "results" / "latest" / "report.pdf").is_file():
        wrong.append("no report")
    return wrong


def main() -> int:
    """Download, carry over, install, try."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--extras", default="serve,exchange")
    parser.add_argument("--work", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=asked.work) as place:
        work = Path(place)
        work.chmod(0o755)
        clone, target, carried = work / "clone", work / "metasight", work / "carried"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        # the Python of the system, which other users may run
        environment = {**os.environ, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
        environment |= {"EXTRAS": asked.extras, "TARGET": str(target)}
        start = time.perf_counter()
        shell(blocks()["wheelhouse"], clone, environment)
        wheels = list((clone / "wheelhouse").glob("*.whl"))
        size = sum(p.stat().st_size for p in wheels) / 2**20
        taken = time.perf_counter() - start
        print(f"wheelhouse: {len(wheels)} wheels, {size:.0f} MiB, {taken:.0f} s")
        carried.mkdir()
        for name in ("wheelhouse", "wheelhouse.sha256"):
            shutil.move(clone / name, carried / name)
        start = time.perf_counter()
        shell(blocks()["install"], carried, environment, alone=True)
        print(f"installed without a network: {time.perf_counter() - start:.0f} s")
        wrong = tried_by_others(target, work)
    print("\n".join(wrong) or "nothing wrong")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
