"""CT quality on real scans, as they are and with each defect put in by hand, in stated amounts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from metasight.errors import VolumeError
from metasight.volumes.chest import find_aorta, find_chest
from metasight.volumes.ct_limits import CtLimits, Limit
from metasight.volumes.ct_metal import metal_ml, streak_share
from metasight.volumes.ct_motion import largest_jump_mm, widest_edge_mm
from metasight.volumes.ct_noise import noise_in_air, noise_in_lung, noise_in_tissue
from metasight.volumes.quality import CtQuality, ct_quality
from metasight.volumes.volume import Volume


@pytest.fixture(scope="module")
def of_lung1(lung1: Volume) -> CtQuality:
    return ct_quality(lung1)


def failed(quality: CtQuality) -> set[str]:
    return {f.name for f in quality.findings if f.verdict == "failed"}


def test_a_whole_clean_chest_passes(of_lung1: CtQuality) -> None:
    assert of_lung1.verdict == "passed", of_lung1.reasons
    assert of_lung1.reasons == ()
    assert (of_lung1.kernel, of_lung1.contrast) == ("smooth", "none")
    # the right lung's and the left lung's contours enclose 5.2 l with vessels, without the tumour
    assert of_lung1.of("lung_volume_ml").value == pytest.approx(5000, rel=0.05)
    assert 30 <= (of_lung1.of("contrast_hu").value or 0) <= 60


def test_a_part_of_a_chest_fails_for_what_it_lacks_and_nothing_else(lidc: Volume) -> None:
    quality = ct_quality(lidc)
    assert quality.verdict == "failed"
    assert failed(quality) == {
        "lung_volume_ml",
        "lung_height_mm",
        "lung_first_slice_cm2",
        "lung_last_slice_cm2",
    }
    assert quality.kernel == "sharp"


def test_the_aorta_is_found_where_it_is(lung1: Volume) -> None:
    aorta = find_aorta(lung1, find_chest(lung1))
    assert aorta is not None
    # seen by eye: left of the spine, at rows 295–315 and columns 270–298 of all its slices
    assert aorta.centres[:, 1].min() > 290 and aorta.centres[:, 1].max() < 320
    assert aorta.centres[:, 2].min() > 265 and aorta.centres[:, 2].max() < 300


@pytest.fixture(scope="module")
def chest_ct(lung1: Volume) -> Volume:
    """The chest of LUNG1-001 without arms, belly and couch: a third of the voxels."""
    return Volume.from_array(
        lung1.array[18:115, 110:420, 50:460],
        unit="HU",
        spacing_mm=lung1.spacing_mm,
        facts=lung1.facts,
    )


def test_noise_is_what_was_put_in() -> None:
    # white noise of 40 HU on pixels of 1 mm, smoothed by 1 mm: 40 / (2 √π) = 11.3
    rng = np.random.default_rng(0)
    voxels = np.full((30, 200, 200), -1000.0)
    voxels[:, 30:170, 30:170] = 40.0
    voxels[3:27, 60:140, 40:95] = voxels[3:27, 60:140, 105:160] = -850.0
    voxels += rng.normal(0, 40, voxels.shape)
    scan = Volume.from_array(voxels, unit="HU", spacing_mm=(1.0, 1.0, 3.0))
    chest = find_chest(scan)
    for measure in (noise_in_air, noise_in_tissue, noise_in_lung):
        assert measure(scan, chest) == pytest.approx(11.3, rel=0.1), measure


def test_noise_that_is_too_much_is_found(chest_ct: Volume) -> None:
    rng = np.random.default_rng(0)
    noisy = chest_ct.of_array(chest_ct.array + rng.normal(0, 60, chest_ct.array.shape))
    quality = ct_quality(noisy)
    assert "noise_tissue_hu" in failed(quality)
    # as variances add: 16.5 of the noise put in, 8 to 11 of the scan's own
    assert quality.of("noise_tissue_hu").value == pytest.approx(19, rel=0.15)


@pytest.mark.parametrize("axis", [1, 2])
@pytest.mark.parametrize("moved_px", [5, 8])
def test_doubled_contours_are_as_wide_as_the_movement(
    chest_ct: Volume, axis: int, moved_px: int
) -> None:
    voxels = chest_ct.array.copy()
    part = slice(42, 48)
    voxels[part] = (voxels[part] + np.roll(voxels[part], moved_px, axis=axis)) / 2
    moved = chest_ct.of_array(voxels)
    assert widest_edge_mm(moved, find_chest(moved)) == pytest.approx(moved_px * 0.977, abs=1.0)


@pytest.mark.parametrize("axis", [1, 2])
@pytest.mark.parametrize("moved_px", [5, 8])
def test_a_jump_between_slices_is_measured_in_mm(
    chest_ct: Volume, axis: int, moved_px: int
) -> None:
    voxels = chest_ct.array.copy()
    voxels[49:] = np.roll(voxels[49:], moved_px, axis=axis)
    moved = chest_ct.of_array(voxels)
    jump = largest_jump_mm(moved, find_chest(moved))
    assert jump == pytest.approx(moved_px * 0.977, rel=0.25)
    assert CtLimits().slice_jump_mm.verdict(jump) == "failed"


def test_a_still_patient_has_narrow_edges_and_no_jump(chest_ct: Volume) -> None:
    chest = find_chest(chest_ct)
    assert (widest_edge_mm(chest_ct, chest) or 9) < 3.0
    assert (largest_jump_mm(chest_ct, chest) or 9) < 2.0


def test_a_field_of_view_that_cuts_the_lung(chest_ct: Volume) -> None:
    columns = np.flatnonzero(find_chest(chest_ct).lungs.any(axis=(0, 1))) * 3
    cut = Volume.from_array(
        chest_ct.array[:, :, columns[0] + 20 :],
        unit="HU",
        spacing_mm=chest_ct.spacing_mm,
        facts=chest_ct.facts,
    )
    quality = ct_quality(cut)
    assert failed(quality) == {"lung_at_view_edge_cm2"}
    assert "lung_at_view_edge_cm2" in quality.reasons[0]


def test_a_chest_cut_at_the_base(chest_ct: Volume) -> None:
    short = Volume.from_array(
        chest_ct.array[32:], unit="HU", spacing_mm=chest_ct.spacing_mm, facts=chest_ct.facts
    )
    assert failed(ct_quality(short)) == {"lung_first_slice_cm2"}


@pytest.mark.parametrize("length", [3, 24])
def test_metal_and_its_streaks(chest_ct: Volume, length: int) -> None:
    """A rod of 8 mm before the spine; streaks fall off as 1/distance, 300 HU at 40 mm."""
    voxels = chest_ct.array.copy()
    y, x = np.indices(voxels.shape[1:])
    away = np.hypot(y - 190, x - 206)
    streaks = 12_000.0 / np.maximum(away, 5.0) * np.cos(8 * np.arctan2(y - 190, x - 206))
    part = slice(42, 42 + length)
    voxels[part] = np.clip(voxels[part] + streaks, -1024, 3071)
    voxels[part, away < 4] = 3071
    struck = chest_ct.of_array(voxels)
    chest = find_chest(struck)
    expected = np.pi * 4**2 * length * chest_ct.grid.voxel_volume_mm3 / 1000
    assert metal_ml(struck, chest) == pytest.approx(expected, rel=0.5)
    assert CtLimits().streak_share.verdict(streak_share(struck, chest)) == "failed"


def test_metal_without_streaks_passes(chest_ct: Volume) -> None:
    voxels = chest_ct.array.copy()
    voxels[48:50, 190:193, 235:238] = 3000
    clip = chest_ct.of_array(voxels)
    chest = find_chest(clip)
    assert metal_ml(clip, chest) > 0.01
    assert streak_share(clip, chest) < 0.1


@pytest.mark.parametrize("offset", [-70.0, 70.0])
def test_an_offset_too_small_for_the_reader_is_found(chest_ct: Volume, offset: float) -> None:
    assert "air_hu" in failed(ct_quality(chest_ct.of_array(chest_ct.array + np.float32(offset))))


def test_what_the_header_says_is_held_against_its_limits(chest_ct: Volume) -> None:
    facts = replace(
        chest_ct.facts,
        slice_thickness_mm=1.5,
        kernel="",
        missing_slices_mm=(12.0, 90.0),
        tilt_degrees=7.0,
        lossy=True,
    )
    quality = ct_quality(replace(chest_ct, facts=facts))
    assert failed(quality) == {"slice_gap_mm", "missing_slices", "tilt_degrees", "lossy"}
    assert quality.of("kernel_known").verdict == "unknown"
    assert "12, 90 mm" in quality.of("missing_slices").said


def test_unknown_is_neither_passed_nor_failed(chest_ct: Volume) -> None:
    quality = ct_quality(replace(chest_ct, facts=replace(chest_ct.facts, slice_thickness_mm=None)))
    assert quality.verdict == "unknown"
    assert [r.split()[0] for r in quality.reasons] == ["slice_thickness_mm", "slice_gap_mm"]


def test_a_scan_without_lungs_fails_or_is_unknown_but_is_measured() -> None:
    rng = np.random.default_rng(0)
    voxels = np.full((20, 60, 60), -1000.0) + rng.normal(0, 8, (20, 60, 60))
    voxels[:, 15:45, 15:45] += 1040
    quality = ct_quality(Volume.from_array(voxels, unit="HU", spacing_mm=(2.0, 2.0, 3.0)))
    assert quality.verdict == "failed"
    assert "lung_volume_ml" in failed(quality)
    assert quality.contrast == "unknown"
    assert quality.of("slice_jump_mm").verdict == "unknown"


def test_a_pet_has_no_ct_quality(chest_ct: Volume) -> None:
    with pytest.raises(VolumeError, match="unit"):
        ct_quality(replace(chest_ct, unit="SUVbw"))


def test_limits_from_a_protocol() -> None:
    limits = CtLimits.from_table({"slice_thickness_mm": {"high": 1.5, "required": False}})
    assert limits.slice_thickness_mm == Limit(high=1.5, required=False)
    assert limits.air_hu == CtLimits().air_hu
    for table, says in (
        ({"slice_thicknes_mm": {"high": 1.0}}, "no such value"),
        ({"air_hu": {"highest": 1.0}}, "low and high"),
        ({"air_hu": {"high": "3"}}, "low and high"),
        ({"air_hu": {"low": 3, "high": 1}}, "above its high"),
    ):
        with pytest.raises(VolumeError, match=says):
            CtLimits.from_table(table)
    assert [Limit(low=1, high=2).verdict(v) for v in (0.9, 1, 2, 2.1, None, np.nan)] == [
        "failed",
        "passed",
        "passed",
        "failed",
        "unknown",
        "unknown",
    ]
    assert [str(Limit(low=1)), str(Limit(high=2)), str(Limit())] == ["≥ 1", "≤ 2", "no limit"]
