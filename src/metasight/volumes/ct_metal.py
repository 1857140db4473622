"""Metal in a CT scan and the streaks that it throws."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from metasight.volumes.chest import Chest
from metasight.volumes.volume import Volume

Floats = npt.NDArray[np.float64]

METAL_HU = 2500.0
"""Cortical bone stays below 2000 HU, contrast agent in a vein mostly too."""

_DARK_HU = -250.0  # twice as far below water as fat: in solid tissue only a streak is
_LEAST_METAL_ML = 0.01
_DEEP_MM = 6.0
_MOST_SLICES = 24


def metal_ml(volume: Volume, chest: Chest) -> float:
    """Volume at or above 2500 HU in the body, at the lungs' height if there are lungs, ml."""
    return float(_metal_by_slice(volume, chest).sum())


def streak_share(volume: Volume, chest: Chest) -> float:
    """Share of deep tissue that dark streaks of metal cross, in the worst slice with metal.

    Deep tissue lies 6 mm from any gas block and from the skin; there, smoothed by 2 mm, nothing
    but a streak reads below −250 HU. 0 without metal. Bright streaks come with dark ones and are
    not told from bone.
    """
    hit = np.flatnonzero(_metal_by_slice(volume, chest) >= _LEAST_METAL_ML)
    if not len(hit):
        return 0.0
    some = hit[np.unique(np.linspace(0, len(hit) - 1, _MOST_SLICES).round().astype(int))]
    return max(_dark_share(volume, chest, int(z)) for z in some)


def _metal_by_slice(volume: Volume, chest: Chest) -> Floats:
    """Metal in the body in each slice, ml."""
    fz = chest.factor[0]
    planes = chest.lung_planes or (0, chest.blocks.shape[0] - 1)
    found = np.zeros(volume.array.shape[0])
    near = ndimage.binary_dilation(chest.body, np.ones((1, 3, 3), dtype=bool))
    for plane in range(planes[0], planes[1] + 1):
        for z in range(plane * fz, min((plane + 1) * fz, volume.array.shape[0])):
            bright = volume.array[z] >= METAL_HU
            if bright.any():
                inside = chest.at_voxels(np.asarray(near[plane]), volume.array.shape[1:])
                found[z] = np.count_nonzero(bright & inside)
    return found * volume.grid.voxel_volume_mm3 / 1000.0


def _dark_share(volume: Volume, chest: Chest, z: int) -> float:
    _, sy, sx = volume.spacing_zyx_mm
    plane = min(z // chest.factor[0], chest.blocks.shape[0] - 1)
    # what streaks made dark enough for gas is filled again before the rim is taken off
    rounds = max(1, round(_DEEP_MM / chest.block_mm[1]))
    solid = ndimage.binary_closing(chest.body[plane], iterations=rounds)
    deep = ndimage.binary_erosion(np.asarray(solid) & ~chest.lungs[plane], iterations=rounds)
    inside = chest.at_voxels(np.asarray(deep), volume.array.shape[1:])
    smooth = cv2.GaussianBlur(volume.array[z], (0, 0), sigmaX=2.0 / sx, sigmaY=2.0 / sy)
    n = int(np.count_nonzero(inside))
    return float(np.count_nonzero(smooth[inside] < _DARK_HU)) / n if n else 0.0
