"""CT quality over simulated chests: clean ones refused, seeded defects caught.

    python bench/ct_quality.py [--clean 60] [--spoilt 63] [--first 0] [--pixel 0.98]

Whole simulated chests (docs/simulation-lung.md) of four centres' scanners, written as DICOM and
read back; the seeded defects in turn. Caught is: refused by the reader, failed by a limit, or
mended and said so (a missing slice interpolated, a slice that is there twice). Large pixels make
it quick; noise is the scanner's own on them.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from scipy.stats import binomtest

from metasight.errors import VolumeError
from metasight.simulate.lung.defects import UNUSABLE, scan_with, spoilt, write_with
from metasight.simulate.lung.dicom import CtSeries, Study
from metasight.simulate.lung.phantom import scan_of
from metasight.simulate.lung.settings import LungSettings, ThoraxSettings
from metasight.simulate.lung.specimen import drawn, nodule_of, plan_of
from metasight.volumes.dicom import read_series
from metasight.volumes.quality import ct_quality

SEED = 23
VESSEL_ENDS = 4000  # a quarter of a simulated patient's: quality looks at no vessels


def judged(task: tuple[int, str], pixel_mm: float) -> tuple[str, str, str]:
    """Defect, ``refused`` | ``failed`` | ``mended`` | ``unknown`` | ``passed``, and why."""
    number, defect = task
    settings = LungSettings(patients=4, pixel_mm=pixel_mm, centre_shift=1)
    plan = plan_of(settings, SEED, number)
    thorax_settings = ThoraxSettings(
        female=bool(plan.patients.female[0]),
        nodule=nodule_of(plan.patients),
        vessel_ends=VESSEL_ENDS,
        scan=scan_with(defect, plan.centre.scan(settings, contrast=plan.contrast)),
    )
    thorax = drawn(thorax_settings, (SEED, number))
    scan = scan_of(thorax, thorax_settings, np.random.default_rng([SEED, 1, number]))
    scan = spoilt(defect, scan, np.random.default_rng([SEED, 2, number]))
    study = Study(
        patient=f"SIM-{number}",
        date="20200101",
        female=thorax_settings.female,
        age_years=60,
        weight_kg=70.0,
        height_m=1.7,
        centre=plan.centre.name,
        seed=SEED,
    )
    series = CtSeries(
        name="ct",
        number=2,
        machine=plan.centre.machine,
        contrast=plan.contrast,
        thickness_mm=thorax_settings.scan.thickness_mm,
    )
    with tempfile.TemporaryDirectory() as folder:
        rng = np.random.default_rng([SEED, 3, number])
        write_with(defect, Path(folder) / "CT", study, series, scan, rng)
        try:
            volume = read_series(Path(folder) / "CT")
        except VolumeError as error:
            return defect, "refused", str(error)
    found = ct_quality(volume)
    if found.verdict == "failed":
        return defect, "failed", "; ".join(f.name for f in found.findings if f.verdict == "failed")
    if volume.facts.missing_slices_mm or volume.facts.identical_copies:
        return defect, "mended", ""
    return defect, found.verdict, "; ".join(found.reasons)


def share(right: int, of: int) -> str:
    """With its exact 95 % interval."""
    if not of:
        return "0 of 0"
    ends = binomtest(right, of).proportion_ci()
    return f"{right} of {of} ({ends.low:.1%} to {ends.high:.1%})"


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clean", type=int, default=60)
    parser.add_argument("--spoilt", type=int, default=63)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--pixel", type=float, default=0.98)
    parser.add_argument("--jobs", type=int, default=2)
    asked = parser.parse_args()
    tasks = [(asked.first + k, "") for k in range(asked.clean)]
    start = asked.first + asked.clean
    tasks += [(start + k, UNUSABLE[k % len(UNUSABLE)]) for k in range(asked.spoilt)]
    with ProcessPoolExecutor(asked.jobs) as pool:
        rows = []
        for row in pool.map(partial(judged, pixel_mm=asked.pixel), tasks):
            rows.append(row)
            print(len(rows), *row, flush=True)
    clean = [r for r in rows if not r[0]]
    bad = [r for r in clean if r[1] != "passed"]
    print(f"clean scans not passed: {share(len(bad), len(clean))}; bar 2 %")
    for _, verdict, why in bad:
        print(f"  {verdict}: {why}")
    seeded = [r for r in rows if r[0]]
    caught = [r for r in seeded if r[1] in {"refused", "failed", "mended"}]
    print(f"seeded defects caught: {share(len(caught), len(seeded))}; bar all")
    for defect in UNUSABLE:
        print(f"  {defect:16s}", dict(Counter(r[1] for r in seeded if r[0] == defect)))
    for defect, verdict, why in seeded:
        if verdict in {"passed", "unknown"}:
            print(f"  not caught: {defect}: {verdict} {why}")


if __name__ == "__main__":
    main()
