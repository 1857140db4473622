"""Diameters and volumes of bodies whose size is known."""

from __future__ import annotations

import numpy as np
import pytest

from metasight.lesions.size import size_of
from metasight.volumes.volume import Mask, Volume


def ellipsoid(half_mm: tuple[float, float, float], spacing: tuple[float, float, float]) -> Mask:
    """Half axes along z, y, x, and the distance of voxels in the same order."""
    size = [int(2 * (h + 4) / s) | 1 for h, s in zip(half_mm, spacing, strict=True)]
    grid = np.ogrid[tuple(slice(0, n) for n in size)]
    away = sum(
        ((g - (n - 1) / 2) * s / h) ** 2
        for g, n, s, h in zip(grid, size, spacing, half_mm, strict=True)
    )
    z, y, x = spacing
    scan = Volume.from_array(np.zeros(size), unit="HU", spacing_mm=(x, y, z))
    return Mask.from_array(away <= 1, on=scan)


@pytest.mark.parametrize("spacing", [(1.0, 0.7, 0.7), (2.0, 0.8, 0.8), (0.6, 0.6, 0.6)])
@pytest.mark.parametrize("radius", [4.0, 9.0, 17.5])
def test_a_ball_has_its_diameter_and_volume(
    radius: float, spacing: tuple[float, float, float]
) -> None:
    found = size_of(ellipsoid((radius, radius, radius), spacing))
    assert found.longest_mm == pytest.approx(2 * radius, abs=max(spacing))
    assert found.longest.perpendicular_mm == pytest.approx(2 * radius, abs=max(spacing))
    assert found.volume_mm3 == pytest.approx(4 / 3 * np.pi * radius**3, rel=0.1)


def test_the_longest_diameter_is_found_on_its_plane() -> None:
    found = size_of(ellipsoid((15.0, 8.0, 10.0), (1.0, 0.8, 0.8)))
    assert found.longest.plane in {"coronal", "sagittal"}
    assert found.longest_mm == pytest.approx(30, abs=1)
    assert found.by_plane["axial"].longest_mm == pytest.approx(20, abs=1)
    assert found.by_plane["axial"].perpendicular_mm == pytest.approx(16, abs=1)


def test_a_mask_of_one_voxel_has_a_voxels_size() -> None:
    scan = Volume.from_array(np.zeros((9, 9, 9)), unit="HU", spacing_mm=(1.0, 1.0, 2.0))
    inside = np.zeros((9, 9, 9))
    inside[4, 4, 4] = 1
    found = size_of(Mask.from_array(inside, on=scan))
    assert found.volume_mm3 == pytest.approx(2.0)
    assert 0 < found.longest_mm <= 2.5
