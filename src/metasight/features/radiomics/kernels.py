"""Numba kernels that count: pairs, runs, zones and neighbourhoods of grey levels.

All take levels (z, y, x) as int32, 0 outside, with a border of zeros one voxel wide (``distance``
wide for pairs), so that no index needs a check. A single slice is a stack of one: the same
26 neighbours are then 8.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from metasight.engine.kernels import njit

Levels = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float64]

DIRECTIONS = np.array(
    [(z, y, x) for z in (0, 1) for y in (-1, 0, 1) for x in (-1, 0, 1) if (z, y, x) > (0, 0, 0)],
    dtype=np.int32,
)
"""The 13 directions of space, (dz, dy, dx); the first four lie in a slice."""

N_PLANAR = 4


@njit(cache=True)
def count_pairs(levels: Levels, directions: Levels, distance: int, n_levels: int) -> Floats:
    """How often level j stands ``distance`` from level i, both ways: shape (d, n, n)."""
    found = np.zeros((directions.shape[0], n_levels, n_levels))
    depth, height, width = levels.shape
    for z in range(distance, depth - distance):
        for y in range(distance, height - distance):
            for x in range(distance, width - distance):
                i = levels[z, y, x]
                if i == 0:
                    continue
                for d in range(directions.shape[0]):
                    j = levels[
                        z + distance * directions[d, 0],
                        y + distance * directions[d, 1],
                        x + distance * directions[d, 2],
                    ]
                    if j > 0:
                        found[d, i - 1, j - 1] += 1.0
                        found[d, j - 1, i - 1] += 1.0
    return found


@njit(cache=True)
def count_runs(levels: Levels, directions: Levels, n_levels: int, longest: int) -> Levels:
    """How many runs of level i have length r: shape (d, n_levels, longest)."""
    found = np.zeros((directions.shape[0], n_levels, longest), dtype=np.int32)
    depth, height, width = levels.shape
    for z in range(1, depth - 1):
        for y in range(1, height - 1):
            for x in range(1, width - 1):
                i = levels[z, y, x]
                if i == 0:
                    continue
                for d in range(directions.shape[0]):
                    dz, dy, dx = directions[d, 0], directions[d, 1], directions[d, 2]
                    if levels[z - dz, y - dy, x - dx] == i:
                        continue  # not the first of its run
                    n = 1
                    while levels[z + n * dz, y + n * dy, x + n * dx] == i:
                        n += 1
                    found[d, i - 1, n - 1] += 1
    return found


@njit(cache=True)
def find_zones(levels: Levels, depth_inside: Levels) -> Levels:
    """Zones of equal level, 26-connected: rows of level, voxels, least of ``depth_inside``."""
    depth, height, width = levels.shape
    left = levels.copy()
    n_voxels = 0
    for value in levels.flat:
        if value > 0:
            n_voxels += 1
    found = np.empty((n_voxels, 3), dtype=np.int32)
    stack = np.empty((n_voxels, 3), dtype=np.int32)
    n_zones = 0
    for z in range(1, depth - 1):
        for y in range(1, height - 1):
            for x in range(1, width - 1):
                i = left[z, y, x]
                if i == 0:
                    continue
                left[z, y, x] = 0
                stack[0, 0], stack[0, 1], stack[0, 2] = z, y, x
                top, size, least = 1, 0, depth_inside[z, y, x]
                while top > 0:
                    top -= 1
                    a, b, c = stack[top, 0], stack[top, 1], stack[top, 2]
                    size += 1
                    least = min(least, depth_inside[a, b, c])
                    for u in range(a - 1, a + 2):
                        for v in range(b - 1, b + 2):
                            for w in range(c - 1, c + 2):
                                if left[u, v, w] == i:
                                    left[u, v, w] = 0
                                    stack[top, 0], stack[top, 1], stack[top, 2] = u, v, w
                                    top += 1
                found[n_zones, 0], found[n_zones, 1], found[n_zones, 2] = i, size, least
                n_zones += 1
    return found[:n_zones]


@njit(cache=True)
def count_neighbours(levels: Levels, n_levels: int, coarseness: int) -> tuple[Floats, Levels]:
    """Neighbourhoods of 26 voxels, those inside.

    Returns
    -------
    tones
        Shape (n_levels, 2): voxels of a level that have a neighbour, and the sum over them of
        the difference from their neighbours' mean (NGTDM).
    dependence
        Shape (n_levels, 27): voxels of a level with k neighbours that differ by no more than
        ``coarseness`` (NGLDM; IBSI's count is k + 1).
    """
    tones = np.zeros((n_levels, 2))
    dependence = np.zeros((n_levels, 27), dtype=np.int32)
    depth, height, width = levels.shape
    for z in range(1, depth - 1):
        for y in range(1, height - 1):
            for x in range(1, width - 1):
                i = levels[z, y, x]
                if i == 0:
                    continue
                n, total, alike = 0, 0, 0
                for u in range(z - 1, z + 2):
                    for v in range(y - 1, y + 2):
                        for w in range(x - 1, x + 2):
                            j = levels[u, v, w]
                            if j > 0:
                                n += 1
                                total += j
                                if abs(j - i) <= coarseness:
                                    alike += 1
                dependence[i - 1, alike - 1] += 1  # the voxel itself was counted
                if n > 1:
                    tones[i - 1, 0] += 1.0
                    tones[i - 1, 1] += abs(i - (total - i) / (n - 1))
    return tones, dependence


@njit(cache=True)
def peak_means(intensities: Floats, centres: Levels, offsets: Levels) -> Floats:
    """Mean intensity of the voxels at ``offsets`` around each centre, those in the image."""
    depth, height, width = intensities.shape
    found = np.empty(centres.shape[0])
    for c in range(centres.shape[0]):
        total, n = 0.0, 0
        for o in range(offsets.shape[0]):
            z = centres[c, 0] + offsets[o, 0]
            y = centres[c, 1] + offsets[o, 1]
            x = centres[c, 2] + offsets[o, 2]
            if 0 <= z < depth and 0 <= y < height and 0 <= x < width:
                total += intensities[z, y, x]
                n += 1
        found[c] = total / n
    return found
