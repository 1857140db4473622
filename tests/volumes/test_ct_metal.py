"""Metal is counted in the body, and its streaks by the tissue that they change."""

from __future__ import annotations

import numpy as np
import pytest

from metasight.volumes.chest import find_chest
from metasight.volumes.ct_metal import METAL_HU, metal_ml, streak_share
from metasight.volumes.volume import Volume

RIM = 0.02
"""What the blurred rim of a clip of 4 mm itself takes of the tissue round it."""


def body(n: int = 30) -> np.ndarray:
    """Tissue of 100 × 100 mm in air, without lungs, on 1 × 1 × 3 mm."""
    rng = np.random.default_rng(0)
    voxels = np.full((n, 140, 140), -1000.0)
    voxels[:, 20:120, 20:120] = 40.0
    return voxels + rng.normal(0, 3, voxels.shape)


def scan_of(voxels: np.ndarray) -> Volume:
    return Volume.from_array(voxels, unit="HU", spacing_mm=(1.0, 1.0, 3.0))


def of(voxels: np.ndarray, measure) -> float:
    scan = scan_of(voxels)
    return measure(scan, find_chest(scan))


def test_metal_has_the_volume_that_was_put_in():
    voxels = body()
    voxels[10:14, 60:65, 60:66] = 4000.0
    assert of(voxels, metal_ml) == pytest.approx(4 * 5 * 6 * 3 / 1000)


def test_metal_begins_at_2500_hu_and_bone_is_none():
    voxels = body()
    voxels[10, 60:70, 60:70] = METAL_HU - 1
    assert of(voxels, metal_ml) == 0
    voxels[10, 60, 60] = METAL_HU
    assert of(voxels, metal_ml) == pytest.approx(0.003)


def test_metal_beside_the_body_is_not_in_it():
    voxels = body()
    voxels[:, 5:9, 60:70] = 4000.0  # a wire 11 mm in front of the skin
    assert of(voxels, metal_ml) == 0
    voxels[:, 18:22, 60:70] = 4000.0  # a clip in the skin
    assert of(voxels, metal_ml) > 0


def test_without_metal_there_are_no_streaks():
    voxels = body()
    voxels[10, 40:50] = -100.0  # nor does a change of anatomy make one
    assert of(voxels, streak_share) == 0


def with_streak(depth: float, *, slices: slice = slice(14, 16), rows: int = 10) -> np.ndarray:
    voxels = body()
    voxels[slices, 68:72, 68:72] = 4000.0
    voxels[slices, 80 : 80 + rows, 20:120] -= depth
    return voxels


def test_metal_without_streaks():
    assert of(with_streak(0), streak_share) == pytest.approx(0, abs=RIM)


@pytest.mark.parametrize("sign", [-1, 1])
def test_a_streak_has_the_share_of_the_tissue_that_it_crosses(sign):
    """A band of 10 mm in a disc of 40 mm radius round metal, 10 to 20 mm off its middle."""
    found = of(with_streak(sign * 400.0), streak_share)
    y, x = np.mgrid[-60:61, -60:61]
    disc = np.hypot(y, x) <= 42  # 40 mm from a square of 4
    band = disc & (y >= 10) & (y < 20)
    wider = disc & (y >= 9) & (y < 21)  # smoothing by 2 mm takes the band less than 1 mm further
    assert band.sum() / disc.sum() < found < wider.sum() / disc.sum() + RIM


def test_a_shallow_band_is_no_streak():
    assert of(with_streak(100.0), streak_share) == pytest.approx(0, abs=RIM)
    assert of(with_streak(250.0), streak_share) > 0.05


def test_what_is_there_in_the_neighbouring_slices_too_is_anatomy():
    voxels = body()
    voxels[14:16, 68:72, 68:72] = 4000.0
    voxels[:, 80:90, 20:120] -= 140.0  # a layer of fat in all slices
    assert of(voxels, streak_share) == pytest.approx(0, abs=RIM)


def test_a_long_rod_has_no_clean_neighbours_and_dark_tissue_is_its_streak():
    voxels = body()
    voxels[5:25, 68:72, 68:72] = 4000.0  # 60 mm
    assert of(voxels, streak_share) == pytest.approx(0, abs=RIM)
    voxels[14, 80:90, 30:110] = -300.0
    assert of(voxels, streak_share) > 0.05
    voxels[14, 80:90, 30:110] = -120.0  # fat is no streak
    assert of(voxels, streak_share) == pytest.approx(0, abs=RIM)
