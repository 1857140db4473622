"""One row of plain numbers: names with their units, and None with a reason for what is unknown."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from metasight.errors import VolumeError
from metasight.lesions.disagreement import Disagreement
from metasight.lesions.measured import MeasureSettings, measure
from metasight.volumes.volume import Mask, Volume

RADIUS = 9.0


def ball(hu: float, *, core: float | None = None, core_mm: float = 4.0):
    """A ball of 18 mm in lung, perhaps with a solid core, on 0.8 × 0.8 × 1 mm."""
    shape, spacing = (40, 50, 50), (1.0, 0.8, 0.8)
    grid = np.indices(shape)
    away = np.sqrt(
        sum(((g - (n - 1) / 2) * s) ** 2 for g, n, s in zip(grid, shape, spacing, strict=True))
    )
    voxels = np.where(away <= RADIUS, hu, -870.0)
    if core is not None:
        voxels[away <= core_mm] = core
    scan = Volume.from_array(voxels, unit="HU", spacing_mm=spacing[::-1])
    return scan, Mask.from_array(away <= RADIUS, on=scan)


@pytest.fixture(scope="module")
def part_solid():
    return measure(*ball(-550.0, core=30.0))


def test_sizes_and_shares(part_solid):
    row = part_solid.as_row()
    assert row["tumour_size_mm"] == pytest.approx(2 * RADIUS, abs=1.0)
    assert row["tumour_volume_mm3"] == pytest.approx(4 / 3 * math.pi * RADIUS**3, rel=0.05)
    assert row["solid_size_mm"] == pytest.approx(8, abs=1.5)
    assert row["ctr"] == pytest.approx(row["solid_size_mm"] / row["tumour_size_mm"])
    assert row["ctr_volume"] == pytest.approx(
        row["solid_volume_mm3"] / row["tumour_volume_mm3"], rel=0.1
    )
    assert row["attenuation"] == "part-solid"
    assert row["pure_ground_glass"] is False
    # a ball is as long on every plane
    for plane in ("axial", "coronal", "sagittal"):
        assert row[f"{plane}_longest_mm"] == pytest.approx(2 * RADIUS, abs=1.2)


def test_the_main_threshold_is_the_first(part_solid):
    row = part_solid.as_row()
    first = part_solid.solidity.parts[0].threshold_hu
    assert row["solid_size_mm"] == row[f"solid_size_at_minus_{-first:g}_hu_mm"]
    other = measure(
        *ball(-550.0, core=30.0), settings=MeasureSettings(solid_thresholds_hu=(-300.0, -160.0))
    )
    assert other.as_row()["ctr"] == other.as_row()["ctr_at_minus_300_hu"]


@pytest.mark.parametrize(
    ("hu", "pure", "attenuation"), [(-600.0, True, "pure ground glass"), (30.0, False, "solid")]
)
def test_all_of_one_kind(hu, pure, attenuation):
    row = measure(*ball(hu)).as_row()
    assert row["pure_ground_glass"] is pure
    assert row["attenuation"] == attenuation


def test_what_was_not_measured_is_none_and_says_why(part_solid):
    row = part_solid.as_row()
    assert row["central"] is None
    assert row["upper_lobe"] is None
    assert row["suvmax"] is None
    assert part_solid.not_measured == (
        "place: no lungs are given",
        "uptake: no PET given",
    )
    assert part_solid.central is None


def test_uptake_where_there_is_a_pet():
    scan, lesion = ball(30.0)
    pet = scan.of_array(np.where(lesion.array, 6.0, 1.0), unit="SUVbw")
    told = measure(scan, lesion, pet=pet)
    row = told.as_row()
    assert row["suvmax"] == pytest.approx(6.0, abs=1e-6)
    assert row["suv_unit"] == "SUVbw"
    # all of the ball is above 2.5, 4 and 41 % of 6
    ml = lesion.volume_ml
    for name in ("metabolic_volume_suv_2_5_ml", "metabolic_volume_suv_4_ml"):
        assert row[name] == pytest.approx(ml, rel=0.02)
    assert row["tlg_suv_4_suv_ml"] == pytest.approx(6 * ml, rel=0.02)
    assert told.not_measured == ("place: no lungs are given",)


def test_a_row_is_plain_values(part_solid):
    for name, value in part_solid.as_row().items():
        assert value is None or isinstance(value, bool | float | str), name
        assert not (isinstance(value, float) and math.isnan(value)), name


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"central": "near_the_heart"}, 'no such definition of "central"'),
        ({"solid_thresholds_hu": ()}, "at least one"),
        ({"solid_thresholds_hu": (-160.0, 10.0)}, "−800 to 0 HU"),
        ({"solid_thresholds_hu": (-801.0,)}, "−800 to 0 HU"),
    ],
)
def test_settings_that_make_no_sense(changes, problem):
    with pytest.raises(VolumeError, match=problem):
        MeasureSettings(**changes)


def test_how_far_outlines_lie_apart_is_in_the_row_of_a_clicked_lesion_only(part_solid):
    assert not any(name.startswith("outline") for name in part_solid.as_row())
    apart = Disagreement(
        n=3, dice_distance=0.2, size_apart_mm=9.0, volume_factor=1.4, cut_share=0.1, errors={}
    )
    row = replace(part_solid, disagreement=apart).as_row()
    assert (row["outline_size_apart_mm"], row["outline_volume_factor"]) == (9.0, 1.4)
    assert (row["outline_wrong_probability"], row["outline_flagged"]) == (None, None)
    doubted = replace(apart, wrong_probability=0.97)
    row = replace(part_solid, disagreement=doubted).as_row()
    assert (row["outline_wrong_probability"], row["outline_flagged"]) == (0.97, True)
