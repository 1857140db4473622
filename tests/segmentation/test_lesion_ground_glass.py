"""Ground glass round a solid part is told from a blurred border, and bodies from vessels."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from metasight.segmentation.lesion_field import Field
from metasight.segmentation.lesion_ground_glass import (
    faint_of,
    own_solid,
    with_enclosed,
    with_ground_glass,
)
from metasight.segmentation.lung import Lungs
from metasight.volumes.volume import Mask, Volume

N, MM, LUNG, GLASS, SOLID = 56, 1.0, -870.0, -550.0, 30.0
LIMIT = (-600.0 + LUNG) / 2


def away(centre=(28, 28, 28)) -> np.ndarray:
    grid = np.indices((N, N, N))
    return np.sqrt(sum((g - c) ** 2 for g, c in zip(grid, centre, strict=True))) * MM


def field_of(hu: np.ndarray, blur_mm: float = 0.7) -> Field:
    rng = np.random.default_rng(0)
    hu = ndimage.gaussian_filter(hu, blur_mm) + rng.normal(0, 10, hu.shape)
    scan = Volume.from_array(hu, unit="HU", spacing_mm=(MM,) * 3)
    inside = np.ones((N, N, N), dtype=bool)
    inside[0] = inside[-1] = False
    own = Mask.from_array(inside, on=scan)
    other = Mask.from_array(~inside, on=scan)
    lungs = Lungs(right=own, left=other, right_whole=own, left_whole=other, airways=None)
    return Field.cut(scan, lungs, scan.grid.to_mm(np.array([28.0, 28.0, 28.0])), 26.0, None)


def middle(field: Field) -> tuple[int, int, int]:
    n = (field.hu.shape[0] - 1) // 2
    return n, n, n


def region(field: Field, radius_mm: float) -> np.ndarray:
    return field.near(middle(field), radius_mm)


def test_ground_glass_of_four_millimetres_round_a_core_is_taken_in():
    hu = np.where(away() <= 10, GLASS, LUNG)
    hu[away() <= 5] = SOLID
    field = field_of(hu)
    found = with_ground_glass(field, region(field, 5.0), middle(field), LUNG)
    assert found is not None
    volume = found.sum() * field.spacing_mm**3
    assert volume == pytest.approx(4 / 3 * np.pi * 10**3, rel=0.2)


@pytest.mark.parametrize("blur_mm", [0.7, 1.2])
def test_a_blurred_border_is_none(blur_mm):
    field = field_of(np.where(away() <= 8, SOLID, LUNG), blur_mm)
    assert with_ground_glass(field, region(field, 8.0), middle(field), LUNG) is None


def test_what_is_faint_leaves_vessels_and_their_blur_out():
    hu = np.where(away() <= 10, GLASS, LUNG)
    grid = np.indices((N, N, N))
    vessel = np.hypot(grid[0] - 28, grid[1] - 46) <= 2
    hu[vessel] = SOLID
    field = field_of(hu)
    faint = faint_of(field, LUNG, LIMIT)
    assert (faint & region(field, 8.5)).sum() > 0.95 * region(field, 8.5).sum()
    n = middle(field)[0]
    off = round(18 / field.spacing_mm)
    assert not faint[n, n + off].any()


def test_a_body_is_own_and_a_vessel_through_the_glass_is_not():
    grid = np.indices((N, N, N))
    glass = np.where(away() <= 11, GLASS, LUNG)
    with_body = glass.copy()
    with_body[away() <= 4] = SOLID
    field = field_of(with_body)
    found = own_solid(field, LUNG, LIMIT, middle(field))
    assert found is not None
    assert found.sum() * field.spacing_mm**3 == pytest.approx(4 / 3 * np.pi * 4**3, rel=0.35)
    with_vessel = glass.copy()
    with_vessel[np.hypot(grid[0] - 28, grid[1] - 28) <= 2.5] = SOLID
    field = field_of(with_vessel)
    assert own_solid(field, LUNG, LIMIT, middle(field)) is None


def test_what_lies_within_the_hull_belongs_to_the_lesion():
    hu = np.where(away() <= 10, GLASS, LUNG)
    hu[away() <= 4] = SOLID
    field = field_of(hu)
    shell = region(field, 9.0) & ~region(field, 5.0)
    whole = with_enclosed(field, shell, LIMIT)
    assert whole[region(field, 4.0)].all()
    assert not (whole & ~region(field, 10.5)).any()
    # lung within the hull is no part of it
    hollow = np.where((away() <= 10) & (away() > 5), GLASS, LUNG)
    field = field_of(hollow)
    shell = region(field, 9.0) & ~region(field, 6.0)
    assert not with_enclosed(field, shell, LIMIT)[region(field, 3.0)].any()


def test_a_region_of_a_few_voxels_has_no_hull_and_stays():
    field = field_of(np.where(away() <= 10, GLASS, LUNG))
    few = np.zeros(field.hu.shape, dtype=bool)
    few[middle(field)] = True
    np.testing.assert_array_equal(with_enclosed(field, few, LIMIT), few)
