"""Intensity peaks: means over 1 cm³ round the brightest voxel."""

from __future__ import annotations

import numpy as np
import pytest

from metasight.features.radiomics.peaks import intensity_peaks
from metasight.features.radiomics.region import PEAK_RADIUS_MM, Region


def region(intensities: np.ndarray, inside: np.ndarray, spacing=(2.0, 2.0, 2.0)) -> Region:
    return Region(
        intensities=intensities.astype(float),
        morphological=inside,
        inside=inside,
        spacing_zyx_mm=spacing,
    )


def test_the_sphere_holds_a_cubic_centimetre():
    assert 4 / 3 * np.pi * (PEAK_RADIUS_MM / 10) ** 3 == pytest.approx(1.0)


def test_one_bright_voxel_is_spread_over_the_sphere():
    image = np.zeros((15, 15, 15))
    image[7, 7, 7] = 1230.0
    told = intensity_peaks(region(image, np.ones_like(image, dtype=bool)))
    z, y, x = np.indices(image.shape) - 7
    n = int((2 * np.sqrt(z**2 + y**2 + x**2) <= PEAK_RADIUS_MM).sum())
    assert n * 8 == pytest.approx(1000, rel=0.05)
    assert told["local intensity peak"] == pytest.approx(1230 / n)


def test_the_global_peak_may_lie_elsewhere():
    """A single voxel of 100 in nothing against a plateau of 60."""
    image = np.zeros((15, 15, 40))
    image[7, 7, 7] = 100.0
    image[:, :, 20:] = 60.0
    told = intensity_peaks(region(image, np.ones_like(image, dtype=bool)))
    assert told["local intensity peak"] < 2
    assert told["global intensity peak"] == pytest.approx(60)


def test_voxels_outside_the_region_count_and_those_beyond_the_image_do_not():
    image = np.full((3, 3, 3), 5.0)
    inside = np.zeros(image.shape, dtype=bool)
    inside[1, 1, 1] = True
    told = intensity_peaks(region(image, inside, (5.0, 5.0, 5.0)))
    assert told == {"local intensity peak": 5.0, "global intensity peak": 5.0}
    image[0, 1, 1] = 12.0  # 5 mm off, one of the seven voxels within 6.2 mm
    assert intensity_peaks(region(image, inside, (5.0, 5.0, 5.0)))[
        "local intensity peak"
    ] == pytest.approx((6 * 5 + 12) / 7)
    corner = np.zeros(image.shape, dtype=bool)
    corner[2, 2, 2] = True
    assert (
        intensity_peaks(region(np.full((3, 3, 3), 5.0), corner, (5.0, 5.0, 5.0)))[
            "global intensity peak"
        ]
        == 5.0
    )


def test_of_several_brightest_voxels_the_higher_peak_counts():
    image = np.zeros((1, 1, 40))
    image[0, 0, 5] = image[0, 0, 30] = 10.0
    image[0, 0, 31] = 8.0
    told = intensity_peaks(region(image, image > 9, (2.0, 2.0, 2.0)))
    # seven voxels within 6.2 mm along the row
    assert told["local intensity peak"] == pytest.approx(18 / 7)


def test_voxels_that_are_not_cubes():
    """3 mm between slices: two each side reach 6 mm; 5 mm in a row: one each side."""
    image = np.zeros((9, 1, 9))
    image[4, 0, 4] = 1.0
    told = intensity_peaks(region(image, image > 0, (3.0, 5.0, 5.0)))
    # offsets in mm: (0, 0), (±3, 0), (±6, 0), (0, ±5), (±3, ±5)
    assert told["local intensity peak"] == pytest.approx(1 / (1 + 2 + 2 + 2 + 4))
