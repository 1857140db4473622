"""A scan in coarse blocks, and back: what need not be exact is found there first."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Booleans = npt.NDArray[np.bool_]
Floats32 = npt.NDArray[np.float32]
Labels = npt.NDArray[np.uint8]
Factor = tuple[int, int, int]


def block_means(voxels: Floats32, factor: Factor) -> Floats32:
    """Mean of each block of voxels, (z, y, x); what is left over at the far ends is dropped.

    A stack thinner than a block makes one plane.
    """
    fz, fy, fx = factor
    nz, ny, nx = (n // f for n, f in zip(voxels.shape, factor, strict=True))
    nz = max(nz, 1)
    means = np.empty((nz, ny, nx), dtype=np.float32)
    for k in range(nz):
        slab = voxels[k * fz : (k + 1) * fz, : ny * fy, : nx * fx]
        plane = slab[0] if len(slab) == 1 else slab.mean(axis=0)
        # over whole numbers of pixels this is their mean
        means[k] = cv2.resize(np.ascontiguousarray(plane), (nx, ny), interpolation=cv2.INTER_AREA)
    return means


def repeated(blocks: Labels, factor: Factor) -> Labels:
    """Each block as the voxels that it was made of."""
    for axis, times in enumerate(factor):
        if times > 1:
            blocks = np.repeat(blocks, times, axis=axis)
    return blocks
