"""CPU time and memory of the radiomics engine beside pyradiomics-bhklab, same classes and settings.

    python -m venv /tmp/theirs && /tmp/theirs/bin/pip install pyradiomics-bhklab==3.1.4
    python bench/radiomics.py --theirs /tmp/theirs/bin/python

Each program runs in a process of its own, on one thread, with the scan already read; the first
extraction is for compilation and caches, the median of the next is the time. Peak memory is the
process's, scan and imports with it. Classes: first order, shape, GLCM, GLRLM, GLSZM, GLDM (our
NGLDM), NGTDM; bins of 25 HU, 13 directions averaged.
"""

from __future__ import annotations

import argparse
import gzip
import json
import logging
import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
REPEATS = 5
FAMILIES = ("morphology", "statistics", "histogram", "GLCM", "GLRLM", "GLSZM", "NGTDM", "NGLDM")
BARS = {"lung1": 20.0, "GTV at 1 mm": 5.0, "GTV on 1 mm voxels": 5.0}


def ours(image: str, region: str, spacing_mm: float | None) -> dict[str, float]:
    import SimpleITK as sitk  # noqa: N813

    from metasight.features.radiomics import RadiomicsSettings, extract
    from metasight.volumes.volume import Mask, Volume

    volume = Volume(image=sitk.ReadImage(image, sitk.sitkFloat32), unit="HU")
    mask = Mask(image=sitk.ReadImage(region, sitk.sitkUInt8))
    settings = RadiomicsSettings(
        families=FAMILIES,
        aggregations=("3D:avg",),
        bin_size=25.0,
        bin_start="multiple",
        interpolation="cubic" if spacing_mm else "none",
        rounding=False,
        spacing_zyx_mm=(spacing_mm, spacing_mm, spacing_mm),
        intensity_range=None,
        outlier_sigma=None,
    )
    return timed(lambda: extract(volume, mask, settings), "3D:avg:GLCM:joint entropy")


def theirs(image: str, region: str, spacing_mm: float | None) -> dict[str, float]:
    import SimpleITK as sitk  # noqa: N813

    sys.path.remove(str(Path(__file__).resolve().parent))  # this file has their package's name
    from radiomics import featureextractor

    logging.getLogger("radiomics").setLevel(logging.ERROR)
    scan, mask = sitk.ReadImage(image), sitk.ReadImage(region)
    more = {"resampledPixelSpacing": [spacing_mm] * 3, "preCrop": True} if spacing_mm else {}
    extractor = featureextractor.RadiomicsFeatureExtractor(
        binWidth=25, label=1, additionalInfo=False, interpolator="sitkBSpline", **more
    )
    return timed(lambda: extractor.execute(scan, mask), "original_glcm_JointEntropy")


def timed(run: object, name: str) -> dict[str, float]:
    found = run()
    cpu, wall = [], []
    for _ in range(REPEATS):
        start, begin = time.process_time(), time.perf_counter()
        found = run()
        cpu.append(time.process_time() - start)
        wall.append(time.perf_counter() - begin)
    # ru_maxrss would count the parent's memory from before exec
    status = Path("/proc/self/status").read_text()
    peak = int(status.partition("VmHWM:")[2].split()[0]) / 1024
    return {
        "cpu_s": statistics.median(cpu),
        "wall_s": statistics.median(wall),
        "peak_mb": peak,
        "entropy": float(found[name]),
    }


def cases(folder: Path) -> dict[str, tuple[Path, Path, float | None]]:
    """Image, mask and spacing of each case, written as NRRD for both programs."""
    import numpy as np
    import SimpleITK as sitk  # noqa: N813

    from metasight.volumes.dicom import read_series
    from metasight.volumes.masks import read_mask
    from metasight.volumes.resample import isotropic, isotropic_mask

    small = SHARED / "radiomics/pyradiomics"
    scan = SHARED / "volumes/lung1-001"
    with tarfile.open(next(scan.glob("*.tar.xz"))) as archive:
        archive.extractall(folder / "ct", filter="data")
    packed = (scan / "RTSTRUCT_1-1.dcm.gz").read_bytes()
    (folder / "rtstruct.dcm").write_bytes(gzip.decompress(packed))
    volume = read_series(folder / "ct")
    mask = read_mask(folder / "rtstruct.dcm", volume, region="GTV-1")
    found: dict[str, tuple[Path, Path, float | None]] = {
        "lung1": (small / "lung1_image.nrrd", small / "lung1_label.nrrd", None)
    }
    for name, v, m, spacing in (
        ("GTV at 1 mm", volume, mask, 1.0),
        ("GTV on 1 mm voxels", isotropic(volume, 1.0), isotropic_mask(mask, 1.0), None),
    ):
        stem = name.replace(" ", "_")
        image = sitk.Cast(sitk.Round(v.image), sitk.sitkInt16)  # as a CT is stored
        sitk.WriteImage(image, str(folder / f"{stem}.nrrd"))
        sitk.WriteImage(m.image, str(folder / f"{stem}_mask.nrrd"))
        print(f"{name}: {np.count_nonzero(m.array)} voxels, grid {v.array.shape}")
        found[name] = (folder / f"{stem}.nrrd", folder / f"{stem}_mask.nrrd", spacing)
    return found


def run(python: str, program: str, case: tuple[Path, Path, float | None]) -> dict[str, float]:
    threads = {"OMP_NUM_THREADS": "1", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": "1"}
    done = subprocess.run(
        [python, __file__, "--child", program, *map(str, case[:2]), str(case[2] or 0)],
        check=True,
        capture_output=True,
        text=True,
        env=os.environ | threads,
    )
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--theirs", help="a Python that has pyradiomics-bhklab")
    parser.add_argument("--child", nargs=4)
    given = parser.parse_args()
    if given.child:
        program, image, region, spacing = given.child
        call = {"ours": ours, "theirs": theirs}[program]
        print(json.dumps(call(image, region, float(spacing) or None)))
        return
    with tempfile.TemporaryDirectory() as name:
        for case, files in cases(Path(name)).items():
            us = run(sys.executable, "ours", files)
            line = f"{case}: ours {us['cpu_s']:.4f} s CPU, {us['peak_mb']:.0f} MB"
            if given.theirs:
                them = run(given.theirs, "theirs", files)
                line += (
                    f"; theirs {them['cpu_s']:.4f} s CPU, {them['peak_mb']:.0f} MB; "
                    f"CPU ratio {them['cpu_s'] / us['cpu_s']:.1f} (bar ≥ {BARS[case]:g}), "
                    f"memory ratio {us['peak_mb'] / them['peak_mb']:.2f} (bar ≤ 1.5); "
                    f"joint entropy {us['entropy']:.6f} and {them['entropy']:.6f}"
                )
            print(line, flush=True)


if __name__ == "__main__":
    main()
