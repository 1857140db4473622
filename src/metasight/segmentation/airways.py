# ruff: noqa: PLR0917  (kernels take plain numbers: numba passes no keyword-only arguments)
"""Lumen of trachea and bronchi, grown from the top with a watch on leaks.

The threshold is raised step by step while the tree gains little; the step at which it runs out
into the lung is undone (Tschirren et al., IEEE Trans Med Imaging 2005;24:1529).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from metasight.engine.kernels import njit

Booleans = npt.NDArray[np.bool_]
Floats32 = npt.NDArray[np.float32]
Index = tuple[int, int, int]

_AIRWAY_HU = (-950.0, -650.0, 10.0)  # first and last threshold tried, and the step
_TRACHEA_ML = 10.0
_LEAK_ML = 12.0  # gained from one threshold to the next beside a trachea: no bronchus holds that
_MOST_AIRWAY_ML = 160.0
_WALL_HU = -700.0

_jit = njit(cache=True, nogil=True, error_model="numpy")


def find_airways(
    hu: Floats32,
    inside: Booleans,
    spacing_mm: tuple[float, float, float],
    *,
    middle: float,
    width: float,
) -> Booleans:
    """Trachea and bronchi; all False where no trachea is in the scan.

    Parameters
    ----------
    hu, inside
        (z, y, x) from the feet up, at about 2 mm; air within the body.
    spacing_mm
        Of z, y, x.
    middle, width
        Column of the body's middle, and how many columns it takes.
    """
    seed = _trachea(hu, inside, spacing_mm, middle=middle, width=width)
    if seed is None:
        return np.zeros_like(inside)
    voxel_ml = math.prod(spacing_mm) / 1000
    limits = np.arange(_AIRWAY_HU[0], _AIRWAY_HU[1] + 1, _AIRWAY_HU[2])
    found = _grown(
        hu,
        inside,
        np.array(seed),
        limits,
        _TRACHEA_ML / voxel_ml,
        _LEAK_ML / voxel_ml,
        _MOST_AIRWAY_ML / voxel_ml,
    )
    # the wall's inner half is brighter than the lumen, and air all the same
    return np.asarray(ndimage.binary_dilation(found) & inside & (hu < _WALL_HU))


def _trachea(
    hu: Floats32,
    inside: Booleans,
    spacing_mm: tuple[float, float, float],
    *,
    middle: float,
    width: float,
) -> Index | None:
    """A voxel of the trachea: the topmost round dark spot in the middle that goes on for 2 cm."""
    pixel = spacing_mm[1] * spacing_mm[2]
    slices = round(20 / spacing_mm[0])
    for z in range(len(inside) - 1, max(len(inside) // 3, slices), -1):
        labels, n = ndimage.label(inside[z] & (hu[z] < -800))
        for number in range(1, n + 1):
            spot = labels == number
            y, x = np.nonzero(spot)
            area = len(y) * pixel
            reach = max(np.ptp(y) * spacing_mm[1], np.ptp(x) * spacing_mm[2])
            if not 60 <= area <= 700 or reach > 2.2 * np.sqrt(area):
                continue
            at = round(float(y.mean())), round(float(x.mean()))
            if abs(at[1] - middle) > 0.15 * width or not spot[at]:
                continue
            below = hu[z - slices : z, at[0] - 2 : at[0] + 3, at[1] - 2 : at[1] + 3]
            if below.size and (below.min(axis=(1, 2)) < -850).all():
                return z, at[0], at[1]
    return None


@_jit
def _grown(hu, inside, seed, limits, least, leak, most):  # type: ignore[no-untyped-def]
    """What hangs together with the seed below the last threshold that does not leak.

    One pass for all thresholds: each voxel waits in the queue of the lowest threshold at which
    it can be reached. ``least``, ``leak`` and ``most`` in voxels.
    """
    nz, ny, nx = hu.shape
    n = len(limits)
    reached = np.full(hu.shape, n, dtype=np.uint8)
    queues = np.full(n, -1, dtype=np.int64)
    waiting = np.full(nz * ny * nx, -1, dtype=np.int64)
    own = np.searchsorted(limits, hu[seed[0], seed[1], seed[2]], side="right")
    if own < n:
        queues[own] = (seed[0] * ny + seed[1]) * nx + seed[2]
        reached[seed[0], seed[1], seed[2]] = own
    count, before, last = 0, 0, -1
    for level in range(n):
        while queues[level] >= 0:
            at = queues[level]
            queues[level] = waiting[at]
            count += 1
            i, rest = at // (ny * nx), at % (ny * nx)
            j, k = rest // nx, rest % nx
            for side in range(6):
                a = i + (side == 0) - (side == 1)
                b = j + (side == 2) - (side == 3)
                c = k + (side == 4) - (side == 5)
                if a < 0 or b < 0 or c < 0 or a >= nz or b >= ny or c >= nx:
                    continue
                if not inside[a, b, c] or reached[a, b, c] < n:
                    continue
                own = max(level, np.searchsorted(limits, hu[a, b, c], side="right"))
                if own < n:
                    reached[a, b, c] = own
                    other = (a * ny + b) * nx + c
                    waiting[other] = queues[own]
                    queues[own] = other
            if count > most:
                break
        if count > most or (before > least and count - before > leak):
            break
        before, last = count, level
    return reached <= last if last >= 0 else np.zeros(hu.shape, dtype=np.bool_)
