"""Jumps between slices and wide edges, against movements put in by hand."""

from __future__ import annotations

import numpy as np
import pytest

from metasight.volumes.chest import find_chest
from metasight.volumes.ct_motion import _width, largest_jump_mm, widest_edge_mm
from metasight.volumes.volume import Volume

STEP_MM = 3.0


def chest_of(shift_mm, *, blur_mm: float = 0.0, n: int = 40) -> Volume:
    """A body with two lungs whose walls lie ``shift_mm(z)`` to the side in slice z; 1 mm pixels.

    Walls slant by a tenth of the way from slice to slice, as anatomy does.
    """
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:160, :200].astype(float)
    voxels = np.empty((n, 160, 200))
    for z in range(n):
        at = x - shift_mm(z) - 0.3 * z

        def soft(inside_by):
            """1 inside and 0 outside; over ``blur_mm`` between (1 mm at least)."""
            return np.clip(inside_by / max(blur_mm, 1.0) + 0.5, 0, 1)

        body = soft(90 - np.abs(at - 106)) * soft(65 - np.abs(y - 80))
        lungs = soft(45 - np.abs(y - 80)) * np.maximum(
            soft(32 - np.abs(at - 66)), soft(32 - np.abs(at - 146))
        )
        inside = 4 <= z < n - 4
        voxels[z] = -1000 + 1040 * body - 890 * lungs * inside
    voxels += rng.normal(0, 3, voxels.shape)
    return Volume.from_array(voxels, unit="HU", spacing_mm=(1.0, 1.0, STEP_MM))


def still(_: int) -> float:
    return 0.0


def test_a_still_patient():
    scan = chest_of(still)
    chest = find_chest(scan)
    assert chest.lung_planes is not None
    assert largest_jump_mm(scan, chest) < 0.6
    assert widest_edge_mm(scan, chest) < 2.0


@pytest.mark.parametrize("slices", [2, 3])
def test_slices_left_out_are_a_jump_of_their_thickness(slices):
    """Between the neighbours of a gap anatomy changes as often as slices are missing."""
    whole = chest_of(still)
    kept = np.r_[:20, 20 + slices : 40]
    scan = Volume.from_array(whole.array[kept], unit="HU", spacing_mm=(1.0, 1.0, STEP_MM))
    jump = largest_jump_mm(scan, find_chest(scan))
    assert jump == pytest.approx(slices * STEP_MM, rel=0.25)


def test_a_slow_drift_is_no_jump():
    scan = chest_of(lambda z: 0.2 * z)
    assert largest_jump_mm(scan, find_chest(scan)) < 0.6


@pytest.mark.parametrize("blur_mm", [4.0, 8.0])
def test_an_edge_is_as_wide_as_the_way_from_lung_to_fat(blur_mm):
    """From −850 (in lung) to 40 over ``blur``: −700 to −250 HU is 450 / 890 of it."""
    scan = chest_of(still, blur_mm=blur_mm)
    found = widest_edge_mm(scan, find_chest(scan))
    assert found == pytest.approx(blur_mm * 450 / 890, rel=0.2)


def test_too_little_lung_cannot_be_judged():
    scan = chest_of(still, n=16)
    few = find_chest(scan)
    assert largest_jump_mm(scan, few) is None
    tissue = Volume.from_array(np.full((12, 60, 60), 40.0), unit="HU", spacing_mm=(1.0, 1.0, 3.0))
    none = find_chest(tissue)
    assert largest_jump_mm(tissue, none) is None
    assert widest_edge_mm(tissue, none) is None


@pytest.mark.parametrize(
    ("profile", "width"),
    [
        # −700 is crossed at 2 + 100/300, −250 at 4 + 150/300
        ([-850, -850, -800, -500, -400, -100, 40], 4 + 150 / 300 - (2 + 100 / 300)),
        # the last crossing of −700 before the first of −250 counts
        ([-650, -850, -900, -600, -200, 40], 3 + 350 / 400 - (2 + 200 / 300)),
        ([40, -850, -850], None),  # begins in tissue
        ([-600, -500, -100], None),  # never in lung
        ([-900, -900, -900], None),  # never out of it
    ],
)
def test_a_width_by_hand(profile, width):
    found = _width(np.array(profile, np.float32))
    assert found == (None if width is None else pytest.approx(width, abs=2e-3))
