"""One case from DICOM to its measures: wall time, CPU time and peak memory of every step.

    python bench/one_case.py [--runs 1]

LUNG1-001 (134 slices of 3 mm, a 156 ml tumour) with its contoured tumour as the mask, and
LIDC-IDRI-0314 (48 slices of 1 mm) with the mask of a click; each in a process of its own.
"Mask given" leaves the click out, "click to mask" is lungs and click. Compiled code is cached by
a first run that is not counted; imports are. Bars: 20 s, 5 s, 4 GB on two cores.
"""

from __future__ import annotations

import argparse
import gzip
import json
import resource
import subprocess
import sys
import tarfile
import tempfile
import time
import tomllib
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "volumes"
CASES = ("lung1-001", "lidc-0314")
T = TypeVar("T")
Steps = dict[str, tuple[float, float]]


def timed(steps: Steps, name: str, work: Callable[[], T]) -> T:
    wall, cpu = time.perf_counter(), time.process_time()
    found = work()
    steps[name] = time.perf_counter() - wall, time.process_time() - cpu
    return found


def unpacked(case: str, folder: Path) -> tuple[Path, Path | None]:
    """The CT and the contours as a team would have them."""
    if case == "lidc-0314":
        return next((DATA / case).glob("*.zip")), None
    with tarfile.open(next((DATA / case).glob("*.tar.xz"))) as archive:
        archive.extractall(folder / "CT", filter="data")
    contours = folder / "rt.dcm"
    contours.write_bytes(gzip.decompress(next((DATA / case).glob("*.dcm.gz")).read_bytes()))
    return folder / "CT", contours


def one(case: str, ct: Path, contours: Path | None) -> dict[str, Any]:
    """Every step once."""
    steps: Steps = {}
    timed(steps, "imports", _imports)
    import numpy as np

    from metasight.features.radiomics.extract import measure as texture
    from metasight.features.radiomics.settings import RadiomicsSettings
    from metasight.lesions.disagreement import disagreement_of
    from metasight.lesions.measured import measure
    from metasight.lesions.picture import picture_of
    from metasight.segmentation.lesion import lesion_from_click
    from metasight.segmentation.lesion_network import shipped_lesion_network
    from metasight.segmentation.lung import find_lungs
    from metasight.volumes.dicom import read_series
    from metasight.volumes.masks import read_mask
    from metasight.volumes.quality import ct_quality

    scan = timed(steps, "read DICOM", lambda: read_series(ct))
    given = None
    if contours is not None:
        given = timed(steps, "read mask", lambda: read_mask(contours, scan, region="GTV-1"))
        index = np.argwhere(given.array).mean(axis=0)
        point = scan.grid.to_mm(index[::-1])
    else:
        # the middle of what three of four radiologists drew
        point = np.array([-57.2, 131.3, -520.2])
    timed(steps, "quality", lambda: ct_quality(scan))
    lungs = timed(steps, "lungs", lambda: find_lungs(scan))
    x, y, z = (float(v) for v in point)
    network = shipped_lesion_network()
    click = timed(
        steps, "click", lambda: lesion_from_click(scan, lungs, (x, y, z), network=network)
    )
    clicked = click.mask
    apart = timed(steps, "how sure", lambda: disagreement_of(click.outlines))
    lesion = clicked if given is None else given
    found = timed(steps, "measure", lambda: measure(scan, lesion, lungs=lungs))
    timed(steps, "picture", lambda: picture_of(scan, lesion, found))
    protocol = files("metasight.protocol").joinpath("nsclc_occult_node.toml").read_text("utf-8")
    settings = RadiomicsSettings.from_toml(tomllib.loads(protocol)["radiomics"])
    timed(steps, "radiomics", lambda: texture(scan, lesion, settings))
    return {
        "case": case,
        "steps": steps,
        "click_ml": clicked.volume_ml,
        "wrong_probability": apart.wrong_probability,
        "mask_ml": lesion.volume_ml,
        "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
    }


def _imports() -> None:
    import metasight.features.radiomics.extract
    import metasight.lesions.picture
    import metasight.segmentation.lesion
    import metasight.volumes.dicom
    import metasight.volumes.masks
    import metasight.volumes.quality  # noqa: F401


def show(found: dict[str, Any]) -> None:
    steps: Steps = found["steps"]
    print(
        f"{found['case']}: mask {found['mask_ml']:.2f} ml, click {found['click_ml']:.2f} ml, "
        f"wrong with probability {found['wrong_probability']:.2f}"
    )
    for name, (wall, cpu) in steps.items():
        print(f"  {name:12s} wall {wall:6.2f} s  CPU {cpu:6.2f} s")
    sums = {
        "mask given, DICOM to measures": [n for n in steps if n not in {"click", "how sure"}],
        "click to mask": ["lungs", "click", "how sure"],
    }
    for name, parts in sums.items():
        wall, cpu = (sum(steps[p][k] for p in parts) for k in (0, 1))
        print(f"  {name}: wall {wall:.2f} s, CPU {cpu:.2f} s")
    print(f"  peak memory {found['peak_gb']:.2f} GB")


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--case", choices=CASES)
    parser.add_argument("--ct", type=Path)
    parser.add_argument("--contours", type=Path)
    asked = parser.parse_args()
    if asked.case:
        print(json.dumps(one(asked.case, asked.ct, asked.contours)))
        return
    for case in CASES:
        with tempfile.TemporaryDirectory() as folder:
            ct, contours = unpacked(case, Path(folder))
            command = [sys.executable, __file__, "--case", case, "--ct", str(ct)]
            if contours is not None:
                command += ["--contours", str(contours)]
            for run in range(asked.runs + 1):
                text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
                if run:
                    show(json.loads(text.splitlines()[-1]))


if __name__ == "__main__":
    main()
