"""Beside pyradiomics 3.0.1's own baselines: 1e-6 relative where the definitions agree.

Left out: its resampling (another grid) and normalisation (not IBSI's), TotalEnergy, MCC, the 2-D
diameters and the measures that it defines with n voxels where IBSI takes n − 1 (axis lengths).
"""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import SimpleITK as sitk

from metasight.features import radiomics
from metasight.volumes.volume import Mask, Volume

TEXTURE = ("GLCM", "GLRLM", "GLSZM", "NGTDM", "NGLDM")
INFINITE = float("inf")
# with one grey level these are 0/0; pyradiomics puts 1, 0 and a million there
UNDEFINED_WHEN_FLAT = {
    "3D:avg:GLCM:correlation",
    "3D:avg:GLCM:information correlation 1",
    "3D:NGTDM:coarseness",
}
# the default baselines add 2000 HU before they square; "_resegmentation" compares these two
SHIFTED = {"statistics:energy", "statistics:root mean square"}
BASE: dict = {
    "aggregations": ("3D:avg",),
    "interpolation": "none",
    "intensity_range": None,
    "outlier_sigma": None,
    "rounding": False,
    "bin_start": "multiple",
}
SETTINGS: dict[str, dict] = {
    "": {"families": ("morphology", "statistics", "histogram", *TEXTURE), "bin_size": 25.0},
    "_FBN": {"families": TEXTURE, "bin_number": 64},
    "_2d": {"families": TEXTURE, "bin_size": 25.0, "aggregations": ("2.5D:dmrg",)},
    "_combined": {"families": ("GLCM", "GLRLM"), "bin_size": 25.0, "aggregations": ("3D:mrg",)},
    "_flatRegion": {"families": TEXTURE, "bin_size": 5000.0, "intensity_range": (0.0, INFINITE)},
    "_resegmentation": {
        "families": ("statistics", "histogram", *TEXTURE),
        "bin_size": 25.0,
        "outlier_sigma": 3.0,
    },
}


def scan(folder: Path, name: str) -> tuple[Volume, Mask]:
    image = sitk.ReadImage(str(folder / f"{name}_image.nrrd"))
    region = sitk.ReadImage(str(folder / f"{name}_label.nrrd"))
    volume = Volume.from_array(
        sitk.GetArrayFromImage(image), unit="HU", spacing_mm=image.GetSpacing()
    )
    return volume, Mask.from_array(sitk.GetArrayFromImage(region) == 1, on=volume)


def baseline(folder: Path, case: str) -> dict[str, float]:
    found = {}
    for path in sorted((folder / "baseline").glob("*.csv")):
        if path.stem == "baseline_shape2D":
            continue
        with path.open() as lines:
            for row in csv.DictReader(lines):
                if row["featureName"].startswith("original_") and case in row:
                    found[row["featureName"].removeprefix("original_")] = float(row[case])
    return found


@pytest.mark.parametrize("kind", SETTINGS)
@pytest.mark.parametrize("name", ["lung1", "breast1"])
def test_the_baselines(shared: Path, name: str, kind: str) -> None:
    folder = shared / "data/radiomics/pyradiomics"
    settings = radiomics.RadiomicsSettings(**(BASE | SETTINGS[kind]))
    found = radiomics.measure(*scan(folder, name), settings)
    theirs = baseline(folder, name + kind)
    n, off = 0, []
    for definition in radiomics.definitions():
        if definition.pyradiomics not in theirs:
            continue
        for aggregation in definition.aggregations or ("",):
            key = definition.key(aggregation)
            if key not in found.values or (not kind and key in SHIFTED):
                continue
            if kind == "_flatRegion" and key in UNDEFINED_WHEN_FLAT:
                assert found.undefined[key] == "there is one grey level"
                continue
            n += 1
            ours, known = found.values[key], theirs[definition.pyradiomics]
            if not abs(ours - known) <= 1e-6 * abs(known) + 1e-12:
                off.append(f"{key}: {ours!r}, not {known!r}")
    assert not off, "\n".join(off)
    assert n > 30
