# ruff: noqa: PLR0917  (kernels take plain numbers: numba passes no keyword-only arguments)
"""Vessels, bronchi and strands laid over a picture, with partial volume."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from metasight.engine.kernels import njit
from metasight.simulate.lung.anatomy import Tubes
from metasight.simulate.lung.forms import share_inside, tube_level
from metasight.simulate.lung.raster import Grid

Image = npt.NDArray[np.float32]
Labels = npt.NDArray[np.uint8]

_jit = njit(cache=True, nogil=True, error_model="numpy")


@_jit
def _paint_tubes(ends, radii, zs, ys, xs, steps, value, mode, label, hu, labels):  # type: ignore[no-untyped-def]
    """Lay tubes over a picture.

    Mode 0 never lowers a CT number (vessels), and stays inside lobes; 1 replaces (lumen, aorta).
    """
    dz, dy, dx = steps
    voxel = (dz * dy * dx) ** (1.0 / 3.0)
    for n in range(ends.shape[0]):
        e, r = ends[n], radii[n]
        reach = max(r[0], r[1]) + voxel
        i0 = max(0, math.ceil((min(e[2], e[5]) - reach - zs[0]) / dz))
        i1 = min(len(zs), math.floor((max(e[2], e[5]) + reach - zs[0]) / dz) + 1)
        j0 = max(0, math.ceil((min(e[1], e[4]) - reach - ys[0]) / dy))
        j1 = min(len(ys), math.floor((max(e[1], e[4]) + reach - ys[0]) / dy) + 1)
        k0 = max(0, math.ceil((min(e[0], e[3]) - reach - xs[0]) / dx))
        k1 = min(len(xs), math.floor((max(e[0], e[3]) + reach - xs[0]) / dx) + 1)
        # a tube thinner than a voxel fills a part of it
        thin = min(1.0, 1.6 * (max(r[0], r[1]) / voxel))
        for i in range(i0, i1):
            for j in range(j0, j1):
                for k in range(k0, k1):
                    if mode == 0 and (labels[i, j, k] == 0 or labels[i, j, k] > 5):
                        continue
                    c = share_inside(tube_level(e, r, xs[k], ys[j], zs[i]), voxel) * thin
                    if c <= 0:
                        continue
                    if mode == 0:
                        new = -860.0 + c * (value + 860.0)
                        hu[i, j, k] = max(hu[i, j, k], new)
                    else:
                        hu[i, j, k] = hu[i, j, k] * (1 - c) + value * c
                        if label > 0 and c > 0.5:
                            labels[i, j, k] = label


def paint_tubes(
    tubes: Tubes,
    grid: Grid,
    hu: Image,
    labels: Labels,
    *,
    value_hu: float,
    over: bool,
    label: int = 0,
) -> None:
    """Lay tubes over a picture, in place.

    Parameters
    ----------
    tubes, grid
        What, and where the voxels are.
    hu, labels
        Changed in place.
    value_hu
        CT number of the tubes.
    over
        They replace what was there; without it they only add to lung.
    label
        Written where a tube fills most of a voxel, if not 0 and ``over``.
    """
    zs, ys, xs = grid.axes()
    _paint_tubes(
        tubes.ends, tubes.radii, zs, ys, xs, grid.spacing_mm, value_hu, int(over), label, hu, labels
    )
