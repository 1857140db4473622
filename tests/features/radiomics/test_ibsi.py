"""Every feature on offer against IBSI-1's consensus values, within their stated tolerances."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from metasight.features import radiomics
from metasight.features.radiomics.definitions import DIRECTIONAL, FAMILIES
from metasight.volumes.volume import Mask, Volume

COMMON: dict = {"families": FAMILIES, "outlier_sigma": None, "rounding": True}
FLAT = tuple(a for a in DIRECTIONAL if not a.startswith("3D"))
DEEP = ("3D:avg", "3D:mrg")
BREADTH = {
    "2D:avg": "2D_avg",
    "2D:smrg": "2D_comb",
    "2.5D:dmrg": "2_5D_avg",
    "2.5D:vmrg": "2_5D_comb",
    "3D:avg": "3D_avg",
    "3D:mrg": "3D_comb",
    "2D": "2D",
    "2.5D": "2_5D",
    "3D": "3D",
}
DIGITAL = radiomics.RadiomicsSettings(
    **COMMON,
    aggregations=DIRECTIONAL,
    interpolation="none",
    intensity_range=None,
    bin_size=1.0,
    bin_start="minimum",
    ivh_step=1.0,
)
CONFIGURATIONS = {
    "a": radiomics.RadiomicsSettings(
        **COMMON,
        aggregations=FLAT,
        interpolation="none",
        intensity_range=(-500, 400),
        bin_size=25.0,
        bin_start="range",
        ivh_step=1.0,
    ),
    "b": radiomics.RadiomicsSettings(
        **COMMON,
        aggregations=FLAT,
        interpolation="linear",
        spacing_zyx_mm=(None, 2.0, 2.0),
        intensity_range=(-500, 400),
        bin_number=32,
        bin_start="range",
        ivh_step=1.0,
    ),
    "c": radiomics.RadiomicsSettings(
        **COMMON,
        aggregations=DEEP,
        interpolation="linear",
        spacing_zyx_mm=(2.0, 2.0, 2.0),
        intensity_range=(-1000, 400),
        bin_size=25.0,
        bin_start="range",
        ivh_bin_size=2.5,
    ),
}


def phantom(folder: Path) -> tuple[Volume, Mask]:
    """As its file says, but with axes that run our way: the digital phantom's do not."""
    image = sitk.ReadImage(str(folder / "nifti/image/phantom.nii.gz"), sitk.sitkFloat32)
    region = sitk.GetArrayFromImage(sitk.ReadImage(str(folder / "nifti/mask/mask.nii.gz")))
    spacing = tuple(float(np.float32(s)) for s in image.GetSpacing())
    volume = Volume.from_array(sitk.GetArrayFromImage(image), unit="HU", spacing_mm=spacing)
    return volume, Mask.from_array(region, on=volume)


def reference(path: Path) -> dict[str, tuple[float, float]]:
    found = {}
    with path.open() as lines:
        for row in csv.DictReader(lines, delimiter=";"):
            if row["reference value"]:
                value, tolerance = float(row["reference value"]), float(row["tolerance"])
                # a value is stated to three digits: half of the last one is its own uncertainty
                digits = 10.0 ** (math.floor(math.log10(abs(value))) - 2) if value else 0.0
                found[row["tag"]] = (value, max(tolerance, 0.5000001 * digits))
    return found


def wrong(values: dict[str, float], known: dict[str, tuple[float, float]]) -> tuple[int, list[str]]:
    """Compared features, and those outside tolerance."""
    n, off = 0, []
    for definition in radiomics.definitions():
        for aggregation in definition.aggregations or ("",):
            key = definition.key(aggregation)
            if key not in values:
                continue
            tag = definition.tag + (f"_{BREADTH[aggregation]}" if aggregation else "")
            assert tag in known, f"{key} is offered without a reference value"
            n += 1
            value, tolerance = known[tag]
            if not abs(values[key] - value) <= tolerance:
                off.append(f"{key}: {values[key]:.6g}, not {value:g} ± {tolerance:g}")
    return n, off


def test_the_digital_phantom(shared: Path) -> None:
    ibsi = shared / "data/radiomics/ibsi"
    volume, mask = phantom(ibsi / "ibsi_1_digital_phantom")
    values = radiomics.extract(volume, mask, DIGITAL)
    known = reference(ibsi / "reference_values/ibsi_1_dig_phantom.csv")
    n, off = wrong(values, known)
    assert not off, "\n".join(off)
    assert n == len(values) == 482


@pytest.mark.parametrize("name", ["a", "b", "c"])
def test_the_chest_phantom(shared: Path, name: str) -> None:
    ibsi = shared / "data/radiomics/ibsi"
    volume, mask = phantom(ibsi / "ibsi_1_ct_radiomics_phantom")
    found = radiomics.measure(volume, mask, CONFIGURATIONS[name])
    known = reference(ibsi / f"reference_values/ibsi_1_chest_config_{name}.csv")
    n, off = wrong(found.values, known)
    assert not off, "\n".join(off)
    assert n == len(found.values)
    for count, tag in (
        (found.n_voxels, "morph_mask_vox_count_reseg_roi"),
        (found.n_intensity_voxels, "int_mask_vox_count_reseg_roi"),
    ):
        assert abs(count - known[tag][0]) <= known[tag][1]
