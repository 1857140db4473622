"""Ground glass beside a solid body, and none where blur or a generous outline explains the rim."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from metasight.lesions.rim import Surroundings, rim_of, surroundings_of, without_lung
from metasight.lesions.size import size_of
from metasight.volumes.volume import Mask, Volume

SPACING = (1.0, 0.7, 0.7)


def drawn(
    solid_mm: float,
    whole_mm: float,
    outline_mm: float,
    *,
    across_mm: float = 0.5,
    ground_glass_hu: float = -600.0,
) -> Surroundings:
    """Balls of three radii: soft tissue in ground glass, blurred, and an outline."""
    shape = (45, 64, 64)
    grid = np.indices(shape)
    away = np.sqrt(
        sum(((g - (n - 1) / 2) * s) ** 2 for g, n, s in zip(grid, shape, SPACING, strict=True))
    )
    hu = np.where(away <= whole_mm, ground_glass_hu, -860.0)
    hu[away <= solid_mm] = 30.0
    blur = np.array([across_mm, 0.6, 0.6]) / SPACING
    noise = ndimage.gaussian_filter(np.random.default_rng(3).normal(0, 40, shape), 0.7)
    scan = Volume.from_array(
        ndimage.gaussian_filter(hu, blur) + noise, unit="HU", spacing_mm=SPACING[::-1]
    )
    mask = Mask.from_array(away <= outline_mm, on=scan)
    return surroundings_of(scan, mask, size_of(mask))


@pytest.mark.parametrize("outline_mm", [6.0, 7.0, 8.0])
@pytest.mark.parametrize("across_mm", [0.5, 1.3])
def test_a_solid_body_in_a_generous_outline_has_no_ground_glass(outline_mm, across_mm):
    found = rim_of(drawn(6.0, 6.0, outline_mm, across_mm=across_mm), -160.0)
    assert found is not None
    assert found.share < 0.03
    assert found.beyond < 0.1
    assert found.lung_hu == pytest.approx(-865, abs=20)
    assert found.solid_hu == pytest.approx(30, abs=25)


def test_ground_glass_round_a_solid_body_is_told_in_a_tight_and_a_generous_outline():
    for outline_mm in (9.0, 10.0):
        found = rim_of(drawn(6.0, 9.0, outline_mm), -160.0)
        assert found is not None
        assert found.share > 0.3
        assert found.share_at_most >= found.share


def test_ground_glass_outside_the_outline_is_told():
    found = rim_of(drawn(6.0, 9.5, 6.0), -160.0)
    assert found is not None
    assert found.beyond > 0.6
    assert found.share < 0.1


def test_a_wider_blur_across_slices_is_found_as_such():
    sharp, thick = (rim_of(drawn(8.0, 8.0, 8.0, across_mm=mm), -160.0) for mm in (0.5, 1.5))
    assert sharp is not None
    assert thick is not None
    assert thick.across_mm > sharp.across_mm
    assert thick.in_plane_mm == pytest.approx(sharp.in_plane_mm, abs=0.21)


def test_without_anything_solid_there_is_nothing_to_explain():
    assert rim_of(drawn(0.0, 8.0, 8.0), -160.0) is None


def test_lung_in_the_outlines_margin_is_no_part_of_the_dense_diameter():
    assert without_lung(drawn(6.0, 6.0, 8.0)) == pytest.approx(13.0, abs=1.2)
    assert without_lung(drawn(0.0, 0.0, 4.0, ground_glass_hu=-860.0)) < 2.0


def test_a_scan_of_one_slice_or_without_a_border_is_no_error():
    hu = np.full((1, 9, 9), 30.0)
    for left in (None, -860.0):
        if left is not None:
            hu[:, :, :4] = left
        scan = Volume.from_array(hu, unit="HU", spacing_mm=(1.0, 1.0, 1.0))
        mask = Mask.from_array(hu > 0, on=scan)
        around = surroundings_of(scan, mask, size_of(mask))
        assert around.hu.shape == around.lesion.shape
        found = rim_of(around, -160.0)
        assert (found is None) == (left is None)


def test_a_body_whose_border_is_far_from_the_outline_has_nothing_to_tell():
    hu = np.full((40, 40, 40), 30.0)
    hu[0] = -860.0
    scan = Volume.from_array(hu, unit="HU", spacing_mm=(1.0, 1.0, 1.0))
    inside = np.zeros(hu.shape)
    inside[18:23, 18:23, 18:23] = 1
    mask = Mask.from_array(inside, on=scan)
    around = surroundings_of(scan, mask, size_of(mask))
    assert rim_of(around, -160.0) is None
