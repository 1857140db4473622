"""Local intensity (9ST6): the mean over a sphere of 1 cm³ around the brightest voxel."""

from __future__ import annotations

import numpy as np

from metasight.features.radiomics.kernels import peak_means
from metasight.features.radiomics.region import PEAK_RADIUS_MM, Region


def intensity_peaks(region: Region) -> dict[str, float]:
    """Local and global intensity peak.

    The sphere has a radius of 6.2 mm and takes voxels by their centres, also those outside the
    region, but none outside the image. The local peak is that of the brightest voxel (of several,
    the highest peak); the global peak is the highest over all voxels inside.

    Parameters
    ----------
    region
        With its surroundings of at least 6.2 mm, where the image has them.
    """
    spacing = np.array(region.spacing_zyx_mm)
    reach = np.floor(PEAK_RADIUS_MM / spacing).astype(int)
    offsets = np.stack(
        np.meshgrid(*[np.arange(-r, r + 1) for r in reach], indexing="ij"), axis=-1
    ).reshape(-1, 3)
    near = ((offsets * spacing) ** 2).sum(axis=1) <= PEAK_RADIUS_MM**2
    centres = np.argwhere(region.inside).astype(np.int32)
    means = peak_means(region.intensities, centres, offsets[near].astype(np.int32))
    values = region.values
    return {
        "local intensity peak": float(means[values == values.max()].max()),
        "global intensity peak": float(means.max()),
    }
