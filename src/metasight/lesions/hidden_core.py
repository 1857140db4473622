"""Whether a scan's slices and noise could hide a small solid part in ground glass.

Point spread and slice thickness spread a small body's brightness over its surroundings: what is
left of a ball's contrast at the brightest voxel, the ball lying as badly as it can between voxels,
tells how bright the brightest spot of a lesion would have to be if it held one. A lesion that has
no such spot holds none; of a lesion that has one it cannot be told.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy import ndimage

from metasight.volumes.distance import Spacing

HIDDEN_MM = 3.0
"""Solid parts of this diameter are asked for."""
SOLID_HU = -50.0
"""The darkest soft tissue of a lesion."""

_SPREAD_MM = 0.7
"""Standard deviation of the point spread in the slice, of a soft kernel: others blur less."""
_FINE_MM = 0.25
_NOISE_SDS = 2.0


@lru_cache(maxsize=32)
def contrast_left(diameter_mm: float, spacing_mm: Spacing, smoothed_mm: float) -> float:
    """Share of a ball's contrast that its brightest voxel has at least, within (0, 1].

    Parameters
    ----------
    diameter_mm
        Of the ball.
    spacing_mm
        Of the scan's voxels, z, y, x; a slice is as thick as slices are apart.
    smoothed_mm
        Standard deviation of a Gaussian that the scan was smoothed by.
    """
    reach = diameter_mm / 2 + max(spacing_mm) + 3 * (_SPREAD_MM + smoothed_mm)
    at = np.arange(-reach, reach + _FINE_MM / 2, _FINE_MM)
    # half a voxel off in every direction: no voxel's middle is further from the ball's
    off = [s / 2 for s in spacing_mm]
    z, y, x = (at[(slice(None), *[None] * (2 - k))] + off[k] for k in range(3))
    ball = (z**2 + y**2 + x**2 <= (diameter_mm / 2) ** 2).astype(np.float64)
    flat = float(np.hypot(_SPREAD_MM, smoothed_mm)) / _FINE_MM
    seen = ndimage.gaussian_filter(ball, [smoothed_mm / _FINE_MM, flat, flat])
    seen = ndimage.uniform_filter1d(seen, max(1, round(spacing_mm[0] / _FINE_MM)), axis=0)
    middle = len(at) // 2
    return float(seen[middle, middle, middle])


def least_brightest_hu(
    ground_glass_hu: float, noise_hu: float, spacing_mm: Spacing, smoothed_mm: float
) -> float:
    """How bright the brightest spot of ground glass is at least if it holds a solid part of 3 mm.

    Parameters
    ----------
    ground_glass_hu
        Of the lesion.
    noise_hu
        Standard deviation of its voxels.
    spacing_mm, smoothed_mm
        Of the scan, see :func:`contrast_left`.
    """
    left = contrast_left(HIDDEN_MM, spacing_mm, smoothed_mm)
    return ground_glass_hu + left * (SOLID_HU - ground_glass_hu) - _NOISE_SDS * noise_hu
