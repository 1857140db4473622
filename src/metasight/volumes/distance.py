"""Distance to a region, exact, in compiled code.

Felzenszwalb and Huttenlocher, Theory of Computing 2012;8:415: along each axis in turn, the lower
envelope of parabolas. Lines that lie in the region, or that nothing near has reached yet, are
passed over, and the distances alone are kept: several times faster than a transform that keeps the
nearest voxel as well, which nothing here asks for.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from metasight.engine.kernels import njit

Booleans = npt.NDArray[np.bool_]
Floats32 = npt.NDArray[np.float32]
Spacing = tuple[float, float, float]

_jit = njit(cache=True, nogil=True, error_model="numpy")


def distance_to(
    region: Booleans, spacing_zyx_mm: Spacing, *, most_mm: float = math.inf
) -> Floats32:
    """Distance of every voxel's middle to the nearest one of the region, mm.

    Parameters
    ----------
    region
        (z, y, x).
    spacing_zyx_mm
        Of its voxels.
    most_mm
        Further away nothing is asked for, and the distance is infinite: the smaller it is, the less
        is computed.

    Returns
    -------
    ndarray
        float32, 0 in the region; infinite everywhere if the region is empty.
    """
    out = np.empty(region.shape, dtype=np.float32)
    z, y, x = (float(s) for s in spacing_zyx_mm)
    # a little more, so that what is just as far as asked for is kept whatever is rounded
    most = float(most_mm) ** 2 * (1 + 1e-5)
    _squared(np.ascontiguousarray(region), z, y, x, most, out)
    return np.sqrt(out, out=out)


def depth_in(region: Booleans, spacing_zyx_mm: Spacing, *, most_mm: float = math.inf) -> Floats32:
    """Distance of every voxel's middle to the nearest one outside the region, mm.

    The array's edge is no border: what lies beyond is not known.
    """
    return distance_to(~region, spacing_zyx_mm, most_mm=most_mm)


@_jit
def _squared(region, z_mm, y_mm, x_mm, most, out):  # type: ignore[no-untyped-def]  # noqa: PLR0917
    nz, ny = region.shape[:2]
    for i in range(nz):
        reached = False
        for j in range(ny):
            reached |= _along_row(region[i, j], x_mm, most, out[i, j])
        if reached:
            _along_columns(out[i], y_mm, most)
    for j in range(ny):
        _along_columns(out[:, j], z_mm, most)


@_jit
def _along_columns(plane, step, most):  # type: ignore[no-untyped-def]
    """Lower envelope down each column, copied together so that memory is read in order."""
    n, width = plane.shape
    place, start, line = np.empty(n, dtype=np.int64), np.empty(n + 1), np.empty(n)
    columns = np.empty((width, n), dtype=np.float32)
    for j in range(n):
        for k in range(width):
            columns[k, j] = plane[j, k]
    for k in range(width):
        _envelope(columns[k], step, most, place, start, line)
    for j in range(n):
        for k in range(width):
            plane[j, k] = columns[k, j]


@_jit
def _along_row(inside, step, most, out):  # type: ignore[no-untyped-def]
    """Squared distance along a row; whether any of it is near."""
    n = len(inside)
    last = -1
    for k in range(n):
        if inside[k]:
            last = k
        out[k] = math.inf if last < 0 else ((k - last) * step) ** 2
    last = -1
    for k in range(n - 1, -1, -1):
        if inside[k]:
            last = k
        if last >= 0:
            out[k] = min(out[k], ((last - k) * step) ** 2)
        if out[k] > most:
            out[k] = math.inf
    return last >= 0


@_jit
def _envelope(values, step, most, place, start, line):  # type: ignore[no-untyped-def]  # noqa: PLR0917
    """Smallest of value + squared distance along a line, in place."""
    n = len(values)
    top, all_zero = -1, True
    square = step * step
    for q in range(n):
        line[q] = values[q]
        if line[q] == math.inf:
            all_zero = False
            continue
        if line[q] > 0:
            all_zero = False
        cross = -math.inf
        while top >= 0:
            p = place[top]
            cross = ((line[q] - line[p]) / square + (q * q - p * p)) / (2.0 * (q - p))
            if cross > start[top]:
                break
            top -= 1
        if top < 0:
            cross = -math.inf
        top += 1
        place[top] = q
        start[top] = cross
    if top < 0 or all_zero:
        return
    start[top + 1] = math.inf
    at = 0
    for q in range(n):
        while start[at + 1] < q:
            at += 1
        away = (q - place[at]) * step
        found = line[place[at]] + away * away
        values[q] = math.inf if found > most else found
