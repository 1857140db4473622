"""The door: settings, bad input, undefined features, and what must not change a value."""

from __future__ import annotations

import numpy as np
import pytest

from metasight.errors import VolumeError
from metasight.features.radiomics import (
    LEFT_OUT,
    RadiomicsSettings,
    definitions,
    extract,
    measure,
)
from metasight.features.radiomics.definitions import DIRECTIONAL, FAMILIES
from metasight.volumes.volume import Mask, Volume

EVERYTHING: dict = {
    "families": FAMILIES,
    "aggregations": DIRECTIONAL,
    "interpolation": "none",
    "rounding": True,
    "intensity_range": None,
    "outlier_sigma": None,
    "bin_size": 25.0,
    "bin_start": "multiple",
    "ivh_step": 1.0,
}
RESAMPLED = EVERYTHING | {"interpolation": "cubic", "spacing_zyx_mm": (1.0, 1.0, 1.0)}


def made(shape: tuple[int, int, int] = (9, 30, 28), *, seed: int = 0) -> tuple[Volume, np.ndarray]:
    """Noise of −100 ± 60 HU and an ellipsoid in it."""
    rng = np.random.default_rng(seed)
    voxels = np.rint(rng.normal(-100.0, 60.0, shape)).astype(np.float32)
    grid = np.indices(shape) - (np.array(shape)[:, None, None, None] - 1) / 2
    inside = ((grid / np.array([3.2, 8.0, 6.5])[:, None, None, None]) ** 2).sum(axis=0) <= 1
    return Volume.from_array(voxels, unit="HU", spacing_mm=(0.8, 0.8, 2.0)), inside


def settings(**over: object) -> RadiomicsSettings:
    return RadiomicsSettings(**(EVERYTHING | over))


def test_definitions_are_unique_and_those_left_out_are_not_offered() -> None:
    offered = definitions()
    assert len({(d.family, d.name) for d in offered}) == len(offered) == 169
    assert len({d.tag for d in offered}) == len(offered)
    shared = {"BC2M", "GBPN"}  # one code for several percentages
    codes = [d.code for d in offered if d.code not in shared]
    assert len(set(codes)) == len(codes)
    assert not set(LEFT_OUT) & set(codes)
    entropy = next(d for d in offered if d.code == "TU9B")
    assert entropy.key("3D:avg") == "3D:avg:GLCM:joint entropy"
    assert entropy.pyradiomics == "glcm_JointEntropy"


def test_names_are_those_of_the_definitions() -> None:
    volume, inside = made()
    values = extract(volume, Mask.from_array(inside, on=volume), settings())
    known = [d.key(a) for d in definitions() for a in d.aggregations or ("",)]
    assert list(values) == known
    assert np.isfinite(list(values.values())).all()


@pytest.mark.parametrize("over", [{}, RESAMPLED])
def test_what_lies_far_away_changes_nothing(over: dict) -> None:
    # the image is cropped to the region; a wider image and other far voxels must not matter
    volume, inside = made((15, 60, 56))
    first = extract(volume, Mask.from_array(inside, on=volume), settings(**over))
    voxels = volume.array.copy()
    voxels[:, :2] = 3000.0
    other = Volume.from_array(voxels, unit="HU", spacing_mm=(0.8, 0.8, 2.0))
    second = extract(other, Mask.from_array(inside, on=other), settings(**over))
    assert first == pytest.approx(second, rel=1e-9, nan_ok=True)


@pytest.mark.parametrize("over", [{}, RESAMPLED])
def test_the_edge_of_the_image_is_no_obstacle(over: dict) -> None:
    volume, _ = made()
    whole = measure(
        volume, Mask.from_array(np.ones(volume.array.shape), on=volume), settings(**over)
    )
    expected = 9 * 30 * 28 if not over else 18 * 24 * 23
    assert whole.n_voxels == expected
    assert whole.values["morphology:volume (voxel counting)"] == pytest.approx(
        expected * (1.28 if not over else 1.0)
    )


def test_same_inputs_same_values() -> None:
    volume, inside = made()
    mask = Mask.from_array(inside, on=volume)
    assert extract(volume, mask, settings()) == extract(volume, mask, settings())


def test_turning_the_region_about_its_axis_keeps_what_has_no_direction() -> None:
    volume, inside = made()
    turned = Volume.from_array(
        volume.array.transpose(0, 2, 1)[:, ::-1], unit="HU", spacing_mm=(0.8, 0.8, 2.0)
    )
    first = extract(volume, Mask.from_array(inside, on=volume), settings())
    second = extract(
        turned, Mask.from_array(inside.transpose(0, 2, 1)[:, ::-1], on=turned), settings()
    )
    # marching cubes cuts ambiguous corners by the axes' order
    loose = {k for k in first if k.startswith("morphology")}
    for name, value in first.items():
        rel = 0.02 if name in loose else 1e-9
        assert second[name] == pytest.approx(value, rel=rel), name


@pytest.mark.parametrize("n_voxels", [1, 2])
def test_tiny_regions_say_what_is_undefined(n_voxels: int) -> None:
    volume, inside = made()
    inside = np.zeros_like(inside)
    inside[4, 15, 14 : 14 + n_voxels] = True
    found = measure(volume, Mask.from_array(inside, on=volume), settings())
    nan = {k for k, v in found.values.items() if not np.isfinite(v)}
    assert nan == set(found.undefined)
    if n_voxels == 1:
        assert found.values["statistics:mean"] == volume.array[4, 15, 14]
        assert found.undefined["statistics:skewness"] == "the intensity mask has one voxel"
        assert found.undefined["3D:mrg:GLCM:contrast"] == "the intensity mask has one voxel"
        assert "plane or line (1 voxels)" in found.undefined["morphology:major axis length"]


def test_one_grey_level_is_undefined_not_invented() -> None:
    volume, inside = made()
    flat = volume.of_array(np.full(volume.array.shape, 40.0))
    found = measure(flat, Mask.from_array(inside, on=flat), settings())
    for name in (
        "statistics:skewness",
        "3D:mrg:GLCM:correlation",
        "2D:NGTDM:coarseness",
        "morphology:Moran's I index",
        "histogram:maximum gradient",
    ):
        assert np.isnan(found.values[name])
        assert found.undefined[name] == "all intensities are equal"
    assert found.values["3D:mrg:GLCM:joint entropy"] == 0.0
    assert found.values["3D:mrg:GLCM:angular second moment"] == 1.0


def test_nothing_left_after_resegmentation_is_said() -> None:
    volume, inside = made()
    found = measure(
        volume, Mask.from_array(inside, on=volume), settings(intensity_range=(2000.0, 3000.0))
    )
    assert found.n_intensity_voxels == 0 < found.n_voxels
    assert np.isfinite(found.values["morphology:volume (mesh)"])
    assert found.undefined["statistics:mean"].startswith("no voxel is left")


def test_resegmentation_and_outliers_take_voxels_from_intensities_only() -> None:
    volume, inside = made()
    mask = Mask.from_array(inside, on=volume)
    bounded = measure(volume, mask, settings(intensity_range=(-150.0, 0.0)))
    values = volume.array[inside]
    assert bounded.n_intensity_voxels == ((values >= -150) & (values <= 0)).sum()
    assert bounded.values["statistics:minimum"] >= -150
    assert bounded.n_voxels == inside.sum()
    filtered = measure(volume, mask, settings(outlier_sigma=1.0))
    near = np.abs(values - values.mean(dtype=np.float64)) <= values.std(dtype=np.float64)
    assert filtered.n_intensity_voxels == near.sum()


def test_a_mask_off_the_grid_is_refused() -> None:
    volume, inside = made()
    other, _ = made((9, 30, 29))
    mask = Mask.from_array(np.pad(inside, ((0, 0), (0, 0), (0, 1))), on=other)
    with pytest.raises(VolumeError, match="not on the scan's grid"):
        extract(volume, mask, settings())


def test_counts_are_not_a_unit_to_compare_patients_in() -> None:
    volume, inside = made()
    counts = volume.of_array(volume.array, unit="CNTS")
    with pytest.raises(VolumeError, match="unit"):
        extract(counts, Mask.from_array(inside, on=counts), settings())


def test_empty_masks_and_nan_never_get_here() -> None:
    volume, inside = made()
    with pytest.raises(VolumeError, match="empty"):
        Mask.from_array(np.zeros_like(inside), on=volume)
    voxels = volume.array.copy()
    voxels[0, 0, 0] = np.nan
    with pytest.raises(VolumeError, match="not numbers"):
        volume.of_array(voxels)


def test_a_region_too_small_for_the_new_grid_is_refused() -> None:
    volume, inside = made()
    inside = np.zeros_like(inside)
    inside[4, 15, 14] = True
    coarse = settings(interpolation="linear", spacing_zyx_mm=(6.0, 6.0, 6.0))
    with pytest.raises(VolumeError, match="nothing of the region is left"):
        extract(volume, Mask.from_array(inside, on=volume), coarse)


def test_a_bin_size_in_the_wrong_unit_is_refused() -> None:
    volume, inside = made()
    with pytest.raises(VolumeError, match="too many grey levels"):
        extract(volume, Mask.from_array(inside, on=volume), settings(bin_size=0.01))


@pytest.mark.parametrize(
    "over",
    [
        {"families": ("GLCM", "texture")},
        {"aggregations": ("3D",)},
        {"families": ("GLCM", "GLCM")},
        {"interpolation": "linear"},
        {"spacing_zyx_mm": (1.0, 1.0, 1.0)},
        {"interpolation": "nearest", "spacing_zyx_mm": (1.0, 1.0, 1.0)},
        {"bin_number": 32},
        {"bin_size": None},
        {"bin_size": 0.0},
        {"bin_size": float("nan")},
        {"bin_start": "range"},
        {"bin_start": "range", "intensity_range": (float("-inf"), 400.0)},
        {"ivh_step": None},
        {"ivh_bin_size": 2.5},
        {"intensity_range": (400.0, -500.0)},
        {"outlier_sigma": 0.0},
        {"region_share": 1.0},
        {"distance": 0},
        {"coarseness": -1},
    ],
)
def test_settings_that_contradict_themselves_are_refused(over: dict) -> None:
    with pytest.raises(VolumeError):
        settings(**over)


def test_settings_from_a_protocols_table() -> None:
    table = {
        "families": ["GLCM"],
        "aggregations": ["2D:avg"],
        "interpolation": "linear",
        "spacing_zyx_mm": [0, 2.0, 2.0],
        "rounding": True,
        "intensity_range": [-500, 400],
        "bin_number": 32,
        "bin_start": "range",
    }
    found = RadiomicsSettings.from_toml(table)
    assert found.spacing_zyx_mm == (None, 2.0, 2.0)
    assert found.dimensions == ("2D",)
    with pytest.raises(VolumeError, match="is unknown"):
        RadiomicsSettings.from_toml(table | {"bin_width": 25})
    del table["bin_start"]
    with pytest.raises(VolumeError, match="missing"):
        RadiomicsSettings.from_toml(table)
