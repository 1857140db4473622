"""Noise of a CT scan, from the image, where the tissue itself is even."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from metasight.volumes.chest import Chest, robust_sd
from metasight.volumes.volume import Volume

Booleans = npt.NDArray[np.bool_]

_WINDOW_MM = 7.0  # several noise grains wide, yet free of large vessels in most places
_SLICES = 16
_LEAST_VOXELS = 2000
_LEAST_BLOCKS = 60
_CUT_OFF_SHARE = 0.02


def noise_in_lung(volume: Volume, chest: Chest) -> float | None:
    """The commonest local standard deviation in the lungs, HU; None without enough lung.

    Windows of 7 mm that hold a vessel spread more than those that do not, so the commonest value
    is that of parenchyma: Christianson's global noise level (2015,
    doi:10.2214/AJR.14.13613), with lung in place of soft tissue. Parenchyma is not quite even:
    the value is an upper bound of the noise.
    """
    planes = chest.lung_planes
    if planes is None:
        return None
    spread: list[npt.NDArray[np.float32]] = []
    inner = ndimage.binary_erosion(chest.lungs, np.ones((1, 3, 3), dtype=bool))
    for plane, z in _spaced(chest, *planes):
        inside = chest.at_voxels(np.asarray(inner[plane]), volume.array.shape[1:])
        if inside.any():
            spread.append(_local_sd(volume, z)[inside])
    values = np.concatenate(spread) if spread else np.zeros(0, dtype=np.float32)
    return _commonest(values) if len(values) >= _LEAST_VOXELS else None


def noise_in_air(volume: Volume, chest: Chest) -> float | None:
    """Robust standard deviation in the air round the body, HU; None if it cannot be measured.

    It cannot where there is too little air, or where more than 2 % of it has the lowest value of
    the scan: then the scanner cut off what lies below, and the spread is too small.
    """
    far = ndimage.binary_erosion(chest.outside_air, np.ones((1, 5, 5), dtype=bool))
    if np.count_nonzero(far) < _LEAST_BLOCKS:
        return None
    values: list[npt.NDArray[np.float32]] = []
    for plane, z in _spaced(chest, 0, chest.blocks.shape[0] - 1):
        inside = chest.at_voxels(np.asarray(far[plane]), volume.array.shape[1:])
        values.append(volume.array[z][inside])
    found = np.concatenate(values)
    if len(found) < _LEAST_VOXELS or np.mean(found <= found.min()) > _CUT_OFF_SHARE:
        return None
    return robust_sd(found)


def _spaced(chest: Chest, low: int, high: int) -> list[tuple[int, int]]:
    """Up to 16 planes of blocks, evenly, each with the slice in its middle."""
    planes = np.unique(np.linspace(low, high, min(_SLICES, high - low + 1)).round().astype(int))
    fz = chest.factor[0]
    return [(int(p), int(p) * fz + fz // 2) for p in planes]


def _local_sd(volume: Volume, z: int) -> npt.NDArray[np.float32]:
    _, sy, sx = volume.spacing_zyx_mm
    size = (2 * round(_WINDOW_MM / sx / 2) + 1, 2 * round(_WINDOW_MM / sy / 2) + 1)
    # about the mean of lung, so that squares keep their precision in float32
    plane = volume.array[z] + np.float32(850.0)
    mean = cv2.blur(plane, size)
    square = cv2.blur(plane * plane, size)
    spread: npt.NDArray[np.float32] = np.sqrt(np.maximum(square - mean * mean, 0.0))
    return spread


def _commonest(values: npt.NDArray[np.float32]) -> float:
    """Mode of a histogram of bins of 1 HU, smoothed over 5."""
    counts = np.bincount(np.minimum(values, 400.0).astype(np.int64), minlength=401).astype(float)
    return float(np.argmax(ndimage.uniform_filter1d(counts, 5))) + 0.5
