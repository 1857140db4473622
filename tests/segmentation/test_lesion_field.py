"""The cube about a lesion: where it lies, what hangs together in it, and the way back."""

from __future__ import annotations

import numpy as np
import pytest

from metasight.errors import VolumeError
from metasight.segmentation.lesion_field import Field
from metasight.segmentation.lung import Lungs
from metasight.volumes.volume import Mask, Volume

SHAPE, SPACING = (60, 70, 80), (0.9, 0.9, 1.2)


def scan_of(dense: np.ndarray, origin=(-30.0, 10.0, 200.0)) -> tuple[Volume, Lungs]:
    scan = Volume.from_array(
        np.where(dense, 40.0, -870.0), unit="HU", spacing_mm=SPACING, origin_mm=origin
    )
    right = np.zeros(SHAPE, dtype=bool)
    right[5:55, 5:65, 5:75] = True
    left = np.zeros(SHAPE, dtype=bool)
    left[0, 0, 0] = True
    air = Mask.from_array(right & ~dense, on=scan)
    whole, other = Mask.from_array(right, on=scan), Mask.from_array(left, on=scan)
    return scan, Lungs(right=air, left=other, right_whole=whole, left_whole=other, airways=None)


def ball(centre, radius_mm) -> np.ndarray:
    z, y, x = np.indices(SHAPE)
    away = [(g - c) * s for g, c, s in zip((z, y, x), centre, SPACING[::-1], strict=True)]
    return np.sqrt(sum(a**2 for a in away)) <= radius_mm


@pytest.fixture(scope="module")
def field():
    dense = ball((30, 35, 40), 8.0)
    scan, lungs = scan_of(dense)
    at = scan.grid.to_mm(np.array([40.0, 35.0, 30.0]))
    return scan, lungs, dense, Field.cut(scan, lungs, at, 20.0, None)


def test_the_cube_is_centred_with_equal_spacing(field):
    scan, _, _, cube = field
    n = cube.hu.shape[0]
    assert cube.hu.shape == (n, n, n)
    assert n % 2 == 1
    assert cube.spacing_mm == 0.9  # the scan's finest
    assert n * cube.spacing_mm == pytest.approx(40, abs=1.8)
    at = scan.grid.to_mm(np.array([40.0, 35.0, 30.0]))
    assert cube.index(at) == ((n - 1) // 2,) * 3
    # a point off the cube is its nearest voxel
    assert cube.index(at + np.array([500.0, 0, 0]))[2] == n - 1


def test_a_region_goes_back_to_the_scan_where_it_was(field):
    scan, _, dense, cube = field
    found = cube.on(scan, cube.sharp > -400)
    both = (found.array & dense).sum() * 2 / (found.array.sum() + dense.sum())
    assert both > 0.97


def test_a_box_allows_what_it_holds_and_two_millimetres_round_it(field):
    scan, lungs, _, _ = field
    at = scan.grid.to_mm(np.array([40.0, 35.0, 30.0]))
    box = np.array([at - 5.0, at + 5.0])
    cube = Field.cut(scan, lungs, at, 20.0, box)
    side = np.flatnonzero(cube.allowed.any(axis=(0, 1)))
    assert len(side) * cube.spacing_mm == pytest.approx(14, abs=1.0)


def test_distances_in_millimetres(field):
    _, _, _, cube = field
    region = np.zeros(cube.hu.shape, dtype=bool)
    region[20:30] = True
    depth, away = cube.depth(region), cube.away(region)
    assert depth[25, 10, 10] == pytest.approx(5 * 0.9, abs=0.5)
    assert away[35, 10, 10] == pytest.approx(6 * 0.9, abs=0.5)
    assert not (depth * away).any()


def test_only_what_hangs_together_with_the_seed():
    dense = ball((30, 35, 30), 6.0) | ball((30, 35, 62), 5.0)
    scan, lungs = scan_of(dense)
    at = scan.grid.to_mm(np.array([36.0, 35.0, 30.0]))
    cube = Field.cut(scan, lungs, at, 24.0, None)
    here = cube.index(scan.grid.to_mm(np.array([30.0, 35.0, 30.0])))
    other = cube.index(scan.grid.to_mm(np.array([58.0, 35.0, 30.0])))
    own = cube.component(cube.sharp > -400, here)
    assert own[here]
    assert not own[other]
    # a seed beside it takes the one within 5 mm, a seed further off none
    beside = (here[0], here[1], here[2] + round(10 / 0.9))
    assert cube.component(cube.sharp > -400, beside)[here]
    nowhere = (here[0] + round(16 / 0.9), here[1], here[2])
    assert not cube.component(cube.sharp > -400, nowhere).any()


def test_a_vessel_that_leads_to_a_lesion_is_cut_off():
    """A ball of 9 mm radius and a tube of 1.8 mm radius into it."""
    z, y, x = np.indices(SHAPE)
    tube = (np.hypot((z - 30) * 1.2, (y - 35) * 0.9) <= 1.8) & (x > 40)
    lesion = ball((30, 35, 34), 9.0)
    scan, lungs = scan_of(lesion | tube)
    at = scan.grid.to_mm(np.array([40.0, 35.0, 30.0]))
    cube = Field.cut(scan, lungs, at, 30.0, None)
    seed = cube.index(scan.grid.to_mm(np.array([34.0, 35.0, 30.0])))
    found, centre = cube.freed(cube.sharp > -400, seed, faint=False)
    back = cube.on(scan, found).array
    assert (back & lesion).sum() > 0.9 * lesion.sum()
    far_tube = tube & (x > 48)
    assert (back & far_tube).sum() < 0.1 * far_tube.sum()
    # its deepest point is the ball's middle
    middle = np.array(cube.index(scan.grid.to_mm(np.array([34.0, 35.0, 30.0]))))
    assert np.linalg.norm(np.array(centre) - middle) * 0.9 < 3


def test_a_region_smaller_than_a_voxel_is_refused(field):
    scan, _, _, cube = field
    with pytest.raises(VolumeError, match="smaller than a voxel"):
        cube.on(scan, np.zeros(cube.hu.shape, dtype=bool))
