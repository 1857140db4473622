"""How many plausible faults the tests notice: hand-made mutants, each killed or alive.

``python bench/mutants.py`` makes each fault in a copy of ``src``, runs the tests named beside it,
and prints who survived, with the share killed of each package; ``python bench/mutants.py volumes
cohort`` does so for these. A mutant whose text is not in its file any more is called stale and
counts as alive, so that the table is kept up with the source. One mutant takes some 10 to 30 s.

A good mutant is a mistake that somebody could make and that moves a number or an exclusion: an
order turned round, a boundary that is in instead of out, a unit, a missing half pixel. One that
changes nothing anybody could see is no mutant (a tolerance, a speed, a wording).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LONGEST_S = 420
"""A mutant that hangs is noticed too."""


@dataclass(frozen=True)
class Mutant:
    """One fault.

    Attributes
    ----------
    package
        What it is counted under.
    fault
        In words.
    file
        Below ``src/metasight``.
    old, new
        Text that occurs once in the file, and what stands there instead.
    tests
        Below ``tests``, with spaces between; the fewest that should notice it.
    """

    package: str
    fault: str
    file: str
    old: str
    new: str
    tests: str


MUTANTS = (
    # -------------------------------------------------------------------------- validation
    Mutant(
        "validation",
        "C ranked by the first horizon, not the last",
        "validation/table.py",
        "columns.index(max(plan.horizons_days))",
        "columns.index(min(plan.horizons_days))",
        "validation/test_table.py",
    ),
    Mutant(
        "validation",
        "ordinal C ranked by P(any node), not by the expected stage",
        "validation/table.py",
        "ranking.append(block @ np.arange(block.shape[1]))",
        "ranking.append(1 - block[:, 0])",
        "validation/test_table.py",
    ),
    Mutant(
        "validation",
        "AUC of partly verified patients compares patients with themselves",
        "validation/verification.py",
        "own = (cases * controls).sum(axis=1)",
        "own = np.zeros(len(cases))",
        "validation/test_verification.py",
    ),
    Mutant(
        "validation",
        "Uno's weights are made for patients past tau too",
        "validation/discrimination.py",
        "(w > 0) & (data.time <= tau)",
        "(w > 0)",
        "validation/test_discrimination.py",
    ),
    # --------------------------------------------------------------------------- crossfit
    Mutant(
        "crossfit",
        "the corrupt-test-rows guard is blind to binary features",
        "models/crossfit.py",
        "column[rows] = 1.0 - np.nan_to_num(column[rows])",
        "pass",
        "models/test_crossfit.py",
    ),
    Mutant(
        "crossfit",
        "copies of a patient in a resample are not marked as his",
        "models/crossfit.py",
        '{data.patients[i]}{COPY_MARK}{k}"',
        '{data.patients[i]}-{k}"',
        "models/test_crossfit.py",
    ),
    # -------------------------------------------------------------------------- alignment
    Mutant(
        "alignment",
        "the inverse does not reverse the legs",
        "alignment/transform.py",
        "for leg in reversed(self.legs)",
        "for leg in self.legs",
        "alignment/test_transform.py",
    ),
    Mutant(
        "alignment",
        "warped pixels are half a pixel off across",
        "alignment/transform.py",
        "((across - left) / mpp - 0.5)",
        "((across - left) / mpp)",
        "alignment/test_transform.py",
    ),
    Mutant(
        "alignment",
        "warped pixels are half a pixel off down",
        "alignment/transform.py",
        "((down - top) / mpp - 0.5)",
        "((down - top) / mpp)",
        "alignment/test_transform.py",
    ),
    # ------------------------------------------------------------------------- biomarkers
    Mutant(
        "biomarkers",
        "aggregates of B cells only are counted as TLS",
        "biomarkers/tls.py",
        "good &= b_cells < total  #",
        "good &= b_cells <= total  #",
        "biomarkers/test_tls.py",
    ),
)


def main(chosen: list[str]) -> int:
    """Run the mutants of the chosen packages, or all; 1 if fewer than 90 % are killed."""
    wanted = [m for m in MUTANTS if not chosen or m.package in chosen]
    told: dict[str, list[bool]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "src"
        keep_out = shutil.ignore_patterns("__pycache__", "*.nbi", "*.nbc")
        shutil.copytree(ROOT / "src", source, ignore=keep_out)
        for mutant in wanted:
            result = tried(mutant, source)
            told[mutant.package].append(result == "killed")
            print(f"{result:9} {mutant.package:11} {mutant.fault}  ({mutant.file})", flush=True)
    print()
    for package, killed in told.items():
        share = 100 * sum(killed) / len(killed)
        print(f"{package:11} {sum(killed):3} of {len(killed):3} killed, {share:.0f} %")
    everyone = [k for killed in told.values() for k in killed]
    print(f"{'all':11} {sum(everyone):3} of {len(everyone):3} killed")
    return 0 if sum(everyone) >= 0.9 * len(everyone) else 1


def tried(mutant: Mutant, source: Path) -> str:
    """``killed``, ``survived``, ``stale``, or ``broken`` where no test could run."""
    path = source / "metasight" / mutant.file
    whole = path.read_text()
    if whole.count(mutant.old) != 1:
        return "stale"
    path.write_text(whole.replace(mutant.old, mutant.new))
    forget_kernels(source, whole)
    try:
        return outcome(mutant, source)
    finally:
        path.write_text(whole)
        forget_kernels(source, whole)


def outcome(mutant: Mutant, source: Path) -> str:
    """Run the mutant's tests on the copy."""
    tests = [f"tests/{t}" for t in mutant.tests.split()]
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-x", "-q", *tests],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(source), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            timeout=LONGEST_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return "killed"
    return {0: "survived", 1: "killed"}.get(done.returncode, "broken")


def forget_kernels(source: Path, text: str) -> None:
    """Numba keeps a kernel although a function that it calls has changed."""
    if "njit" in text:
        for cached in source.rglob("*.nb[ic]"):
            cached.unlink()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
