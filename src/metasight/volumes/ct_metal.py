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

_STREAK_HU = 150.0  # as far as soft tissue lies from the threshold of a solid part (−160 HU)
_DARK_HU = -200.0  # fat ends at −130
_NEAR_MM = 30.0
_ROUND_MM = 40.0
_LEAST_METAL_ML = 0.01
_DEEP_MM = 6.0
_MOST_SLICES = 24


def metal_ml(volume: Volume, chest: Chest) -> float:
    """Volume at or above 2500 HU in the body, at the lungs' height if there are lungs, ml."""
    return float(_metal_by_slice(volume, chest).sum())


def streak_share(volume: Volume, chest: Chest) -> float:
    """Share of the deep tissue round metal that its streaks cross, in the worst slice.

    Deep tissue lies 6 mm from any gas and from the skin, here within 40 mm of metal. A streak is
    where, smoothed by 2 mm, a
    slice with metal differs by more than 150 HU, and in the same direction, from the nearest
    slices without metal on either side: anatomy changes from the one to the other and lies
    between them, streaks do not. Where metal is longer than 30 mm, as rods of the spine are, there
    is nothing near to compare with, and a streak is what reads below −200 HU: no solid tissue
    does. 0 without metal.
    """
    metal = _metal_by_slice(volume, chest) >= _LEAST_METAL_ML
    hit, clean = np.flatnonzero(metal), np.flatnonzero(~metal)
    if not len(hit):
        return 0.0
    shares = []
    for z in hit[np.unique(np.linspace(0, len(hit) - 1, _MOST_SLICES).round().astype(int))]:
        below, above = clean[clean < z], clean[clean > z]
        near: tuple[int, ...] = ()
        if len(below) and len(above):
            gap_mm = (above[0] - below[-1]) * volume.spacing_mm[2]
            near = (int(below[-1]), int(above[0])) if gap_mm <= _NEAR_MM else ()
        shares.append(_crossed(volume, chest, int(z), near))
    return max(shares)


def _metal_by_slice(volume: Volume, chest: Chest) -> Floats:
    """Metal in the body in each slice, ml."""
    fz = chest.factor[0]
    planes = chest.lung_planes or (0, chest.blocks.shape[0] - 1)
    found = np.zeros(volume.array.shape[0])
    near = ndimage.binary_dilation(chest.within, np.ones((1, 3, 3), dtype=bool))
    for plane in range(planes[0], planes[1] + 1):
        for z in range(plane * fz, min((plane + 1) * fz, volume.array.shape[0])):
            bright = volume.array[z] >= METAL_HU
            if bright.any():
                inside = chest.at_voxels(np.asarray(near[plane]), volume.array.shape[1:])
                found[z] = np.count_nonzero(bright & inside)
    return found * volume.grid.voxel_volume_mm3 / 1000.0


def _round_metal(volume: Volume, z: int) -> npt.NDArray[np.bool_]:
    """Voxels of a slice within 40 mm of metal in it."""
    _, sy, sx = volume.spacing_zyx_mm
    free = (volume.array[z] < METAL_HU).astype(np.uint8)
    away: npt.NDArray[np.float32] = cv2.distanceTransform(free, cv2.DIST_L2, 5)
    return np.asarray(away * max(sy, sx) <= _ROUND_MM)


def _crossed(volume: Volume, chest: Chest, z: int, near: tuple[int, ...]) -> float:
    """Share of the deep tissue round metal of slice ``z`` that streaks change.

    ``near`` are the slices without metal to compare with; empty if there are none.
    """
    _, sy, sx = volume.spacing_zyx_mm
    plane = min(z // chest.factor[0], chest.blocks.shape[0] - 1)
    # what streaks made dark enough for gas is filled again before the rim is taken off
    rounds = max(1, round(_DEEP_MM / chest.block_mm[1]))
    solid = np.asarray(ndimage.binary_closing(chest.body[plane], iterations=rounds))
    deep = ndimage.binary_erosion(solid & ~chest.lungs[plane], iterations=rounds)
    inside = chest.at_voxels(np.asarray(deep), volume.array.shape[1:])
    inside &= _round_metal(volume, z)
    smooth = [
        cv2.GaussianBlur(volume.array[k], (0, 0), sigmaX=2.0 / sx, sigmaY=2.0 / sy)[inside]
        for k in (z, *near)
    ]
    here, others = smooth[0], smooth[1:]
    tissue = np.all([s < METAL_HU / 2 for s in smooth], axis=0)  # not metal's own rim
    if others:
        changed = here < np.min(others, axis=0) - _STREAK_HU
        changed |= here > np.max(others, axis=0) + _STREAK_HU
    else:
        changed = here < _DARK_HU
    n = int(np.count_nonzero(tissue))
    return float(np.count_nonzero(tissue & changed)) / n if n else 0.0
