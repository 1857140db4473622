"""Distance to the boundary of a mask, in mm, also between slices that are far apart."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from metasight.volumes.volume import Booleans

Floats = npt.NDArray[np.float64]


def distance_outside(inside: Booleans, spacing_zyx_mm: tuple[float, float, float]) -> Floats:
    """Distance of each voxel's centre to the mask's boundary, mm; 0 inside.

    The nearest voxel inside is found by centres (exact Euclidean distance transform); the boundary
    is half a voxel nearer, of the spacing along the way there. Exact across a face; for a ball the
    shells of these distances have the volumes of geometry, which distances to centres (too long)
    and to voxel boxes (too short at a staircase) do not give.

    Parameters
    ----------
    inside
        (z, y, x), at least one voxel.
    spacing_zyx_mm
        Distance of voxels.
    """
    distance, nearest = ndimage.distance_transform_edt(
        ~inside, sampling=spacing_zyx_mm, return_indices=True
    )
    half = np.zeros(inside.shape)
    for axis, step in enumerate(spacing_zyx_mm):
        place = np.arange(inside.shape[axis]).reshape([-1 if a == axis else 1 for a in range(3)])
        half += (step * (nearest[axis] - place)) ** 2 * (0.5 * step)
    away = distance > 0
    np.divide(half, distance**2, out=half, where=away)
    return np.where(away, distance - half, 0.0)


def signed_distance(inside: Booleans, spacing_zyx_mm: tuple[float, float, float]) -> Floats:
    """Distance to the boundary, mm, below 0 inside; what lies beyond the array is outside."""
    padded = np.pad(inside, 1)
    outer = distance_outside(padded, spacing_zyx_mm)
    inner = distance_outside(~padded, spacing_zyx_mm)
    return np.asarray((outer - inner)[1:-1, 1:-1, 1:-1], dtype=np.float64)


def around(
    inside: Booleans, reach_mm: float, spacing_zyx_mm: tuple[float, float, float]
) -> tuple[slice, slice, slice]:
    """The box of a mask, wider by ``reach_mm`` and a voxel where the image goes on."""
    cut = []
    for axis, step in enumerate(spacing_zyx_mm):
        margin = int(np.ceil(reach_mm / step)) + 1
        there = np.flatnonzero(inside.any(axis=tuple(a for a in range(3) if a != axis)))
        low, high = int(there[0]) - margin, int(there[-1]) + 1 + margin
        cut.append(slice(max(low, 0), min(high, inside.shape[axis])))
    return cut[0], cut[1], cut[2]
