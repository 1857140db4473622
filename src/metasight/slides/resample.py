"""Pixels of one grid averaged onto a coarser one, wherever the two grids meet.

Both grids start at the slide's upper left corner, so a pixel's value does not depend on the
region that it was read with: two reads side by side fit as if they had been one. Each new pixel
is the mean of what it covers, edges by their share, which neither aliases nor shifts.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[Any]


def average_onto(
    source: Pixels,
    *,
    first: tuple[int, int],
    scale: tuple[float, float],
    start: tuple[int, int],
    shape: tuple[int, int],
) -> Pixels:
    """Mean of ``source`` over each pixel of a coarser grid.

    Parameters
    ----------
    source
        (h, w, channels) uint8 or uint16: the part of the fine grid that the new pixels cover.
    first
        Fine row and column of ``source[0, 0]``.
    scale
        Fine pixels to a new pixel, down and across; above 0. Below 1 pixels are repeated by
        their share.
    start, shape
        First new row and column, and how many of each.

    Returns
    -------
    (rows, columns, channels) of the type of ``source``, rounded to nearest.
    """
    down = _weights(start[0], shape[0], scale[0], first[0], source.shape[0])
    across = _weights(start[1], shape[1], scale[1], first[1], source.shape[1])
    channels = source.shape[2]
    lines = np.empty((shape[0], source.shape[1] * channels), dtype=np.float32)
    _average_rows(np.ascontiguousarray(source).reshape(source.shape[0], -1), *down, lines)
    out = np.empty((shape[0], shape[1], channels), dtype=source.dtype)
    _average_columns(lines, *across, out)
    return out


def covered(start: int, count: int, scale: float) -> tuple[int, int]:
    """First fine pixel, and one past the last, that ``count`` new pixels from ``start`` cover."""
    return int(np.floor(start * scale + _TOUCH)), int(np.ceil((start + count) * scale - _TOUCH))


_TOUCH = 1e-6  # a share of a pixel below this is rounding


@lru_cache(maxsize=256)  # neighbouring tiles share theirs
def _weights(
    start: int, count: int, scale: float, first: int, available: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """Per new pixel the first of its fine pixels, and the share of each; rows sum to 1.

    The number of shares is a multiple of three: the loops below take three at a time.
    """
    edges = np.arange(start, start + count + 1) * scale - first
    taps = int(np.max(np.ceil(edges[1:] - _TOUCH) - np.floor(edges[:-1] + _TOUCH)))
    taps = -(-taps // _AT_ONCE) * _AT_ONCE
    begin = np.floor(edges[:-1] + _TOUCH).astype(np.int64)
    begin = np.clip(begin, 0, max(available - taps, 0))  # no tap beyond the last pixel
    index = begin[:, None] + np.arange(taps)
    share = np.minimum(index + 1, edges[1:, None]) - np.maximum(index, edges[:-1, None])
    share = np.where((share > _TOUCH) & (index < available), share, 0.0)
    share /= share.sum(axis=1, keepdims=True)
    return begin, share.astype(np.float32)


_AT_ONCE = 3


@numba.njit(cache=True, nogil=True, fastmath=True)
def _average_rows(source, begin, share, out):  # type: ignore[no-untyped-def]
    last = source.shape[0] - 1
    for i in range(out.shape[0]):
        line = out[i]
        line[:] = np.float32(0.5)  # rounds to nearest when cut off at the end
        for k in range(0, share.shape[1], 3):
            a, b, c = share[i, k], share[i, k + 1], share[i, k + 2]
            above = source[min(begin[i] + k, last)]
            middle = source[min(begin[i] + k + 1, last)]
            below = source[min(begin[i] + k + 2, last)]
            for j in range(line.shape[0]):
                line[j] += a * above[j] + b * middle[j] + c * below[j]


@numba.njit(cache=True, nogil=True, fastmath=True)
def _average_columns(lines, begin, share, out):  # type: ignore[no-untyped-def]
    channels = out.shape[2]
    taps = share.shape[1]
    for i in range(out.shape[0]):
        line = lines[i]
        if channels == 3 and taps == 3:  # brightfield, less than twice coarser: nearly all reads
            for j in range(out.shape[1]):
                a, b, c = share[j, 0], share[j, 1], share[j, 2]
                at = begin[j] * 3
                out[i, j, 0] = a * line[at] + b * line[at + 3] + c * line[at + 6]
                out[i, j, 1] = a * line[at + 1] + b * line[at + 4] + c * line[at + 7]
                out[i, j, 2] = a * line[at + 2] + b * line[at + 5] + c * line[at + 8]
        else:
            for j in range(out.shape[1]):
                for channel in range(channels):
                    total = np.float32(0.0)
                    for k in range(taps):
                        at = min((begin[j] + k) * channels + channel, line.shape[0] - 1)
                        total += share[j, k] * line[at]
                    out[i, j, channel] = total
