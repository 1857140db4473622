"""Noise of a CT scan, from the image, where the tissue itself is even.

All of it is stated at one resolution, :func:`metasight.volumes.chest.at_noise_resolution`.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from metasight.volumes.chest import Chest, at_noise_resolution, robust_sd
from metasight.volumes.volume import Volume

Booleans = npt.NDArray[np.bool_]

_WINDOW_MM = 7.0  # several noise grains wide, yet free of large vessels in most places
_SLICES = 16
_LEAST_VOXELS = 2000
_LEAST_BLOCKS = 60
_CUT_OFF_SHARE = 0.02
_MOST_HU = 200.0


def noise_in_lung(volume: Volume, chest: Chest) -> float | None:
    """The commonest local standard deviation in the lungs, HU; None without enough lung.

    Windows of 7 mm that hold a vessel spread more than those that do not, so the commonest value
    is that of parenchyma. Parenchyma is not even: the value is an upper bound of the noise.
    """
    return _commonest_spread(volume, chest, chest.lungs, (-1024.0, -500.0))


def noise_in_tissue(volume: Volume, chest: Chest) -> float | None:
    """The commonest local standard deviation in soft tissue at the lungs' height, HU.

    The global noise level of Christianson et al. 2015 (AJR 205:W93): windows within one organ
    spread by the noise alone, those across a border by more, and the former are commonest. None
    without enough tissue.
    """
    return _commonest_spread(volume, chest, chest.body, (0.0, 120.0))


def _commonest_spread(
    volume: Volume, chest: Chest, region: Booleans, hu: tuple[float, float]
) -> float | None:
    low, high = hu
    planes = chest.lung_planes
    if planes is None:
        return None
    spread: list[npt.NDArray[np.float32]] = []
    inner = ndimage.binary_erosion(region, np.ones((1, 3, 3), dtype=bool))
    for plane, z in _spaced(chest, *planes):
        inside = chest.at_voxels(np.asarray(inner[plane]), volume.array.shape[1:])
        if inside.any():
            mean, deviation = _local(volume, z)
            inside &= (mean > low) & (mean < high)
            spread.append(deviation[inside])
    values = np.concatenate(spread) if spread else np.zeros(0, dtype=np.float32)
    return _commonest(values)


def noise_in_air(volume: Volume, chest: Chest) -> float | None:
    """Robust standard deviation in the air round the body, HU; None if it cannot be measured.

    It cannot where there is too little air, or where more than 2 % of it has the lowest value of
    the scan: then the scanner cut off what lies below, and the spread is too small.
    """
    far = ndimage.binary_erosion(chest.outside_air, np.ones((1, 5, 5), dtype=bool))
    if np.count_nonzero(far) < _LEAST_BLOCKS:
        return None
    lowest = float(volume.array.min())
    cut_off = 0
    values: list[npt.NDArray[np.float32]] = []
    for plane, z in _spaced(chest, 0, chest.blocks.shape[0] - 1):
        inside = chest.at_voxels(np.asarray(far[plane]), volume.array.shape[1:])
        cut_off += int(np.count_nonzero(volume.array[z][inside] <= lowest))
        values.append(at_noise_resolution(volume, z)[inside])
    found = np.concatenate(values)
    if len(found) < _LEAST_VOXELS or cut_off / len(found) > _CUT_OFF_SHARE:
        return None
    return robust_sd(found)


def _spaced(chest: Chest, low: int, high: int) -> list[tuple[int, int]]:
    """Up to 16 planes of blocks, evenly, each with the slice in its middle."""
    planes = np.unique(np.linspace(low, high, min(_SLICES, high - low + 1)).round().astype(int))
    fz = chest.factor[0]
    return [(int(p), int(p) * fz + fz // 2) for p in planes]


def _local(volume: Volume, z: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Mean and standard deviation in the window round each voxel of a slice."""
    _, sy, sx = volume.spacing_zyx_mm
    size = (2 * round(_WINDOW_MM / sx / 2) + 1, 2 * round(_WINDOW_MM / sy / 2) + 1)
    # in float64: the square of −1000 HU leaves float32 no room for a variance of 20
    plane = at_noise_resolution(volume, z).astype(np.float64)
    mean = cv2.blur(plane, size)
    square = cv2.blur(plane * plane, size)
    deviation = np.sqrt(np.maximum(square - mean * mean, 0.0))
    return mean.astype(np.float32), deviation.astype(np.float32)


def _commonest(values: npt.NDArray[np.float32]) -> float | None:
    """Mode of a histogram of bins of 0.5 HU up to 200, smoothed over 2.5; None if too few."""
    bins = (values[values < _MOST_HU] * 2.0).astype(np.int64)
    if len(bins) < _LEAST_VOXELS:
        return None
    counts = np.bincount(bins, minlength=int(2 * _MOST_HU)).astype(float)
    return float(np.argmax(ndimage.uniform_filter1d(counts, 5))) / 2.0 + 0.25
