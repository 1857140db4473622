"""Pixels of one grid averaged onto a coarser one, wherever the two grids meet.

Both grids start at the slide's upper left corner, so a pixel's value does not depend on the
region that it was read with: two reads side by side fit as if they had been one. Each new pixel
is the mean of what it covers, edges by their share, which neither aliases nor shifts.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from metasight.engine.kernels import njit

Pixels = npt.NDArray[Any]
Indices = npt.NDArray[np.int64]


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
    (rows, columns, channels) of the type of ``source``: the mean, rounded; bytes to within one
    grey level of it, since shares are then kept in 256ths.
    """
    fixed = source.dtype == np.uint8 and max(scale) <= _COARSEST_IN_256THS
    down = _weights((start[0], shape[0]), scale[0], first[0], source.shape[0], fixed)
    across = _weights((start[1], shape[1]), scale[1], first[1], source.shape[1], fixed)
    # Down, turned, down again, turned back: along whole lines the sums run eight at a time.
    out = _turned(_sum_lines(_turned(_sum_lines(source, *down)), *across))
    return out if fixed else np.asarray(np.rint(out), dtype=source.dtype)


def covered(start: int, count: int, scale: float) -> tuple[int, int]:
    """First fine pixel, and one past the last, that ``count`` new pixels from ``start`` cover."""
    return int(np.floor(start * scale + _TOUCH)), int(np.ceil((start + count) * scale - _TOUCH))


_TOUCH = 1e-6  # a share of a pixel below this is rounding
_COARSEST_IN_256THS = 8.0  # beyond it a pixel's share is a few 256ths and their rounding shows


@lru_cache(maxsize=256)  # neighbouring tiles share theirs
def _weights(
    span: tuple[int, int], scale: float, first: int, available: int, in_256ths: bool
) -> tuple[Indices, Pixels]:
    """Per new pixel the first of its fine pixels, and the share of each.

    Rows sum to 1 (float32), or to 256 (uint16). The number of shares is a multiple of three: the
    loops below take three at a time.
    """
    start, count = span
    edges = np.arange(start, start + count + 1) * scale - first
    taps = int(np.max(np.ceil(edges[1:] - _TOUCH) - np.floor(edges[:-1] + _TOUCH)))
    taps = -(-taps // 3) * 3
    begin = np.floor(edges[:-1] + _TOUCH).astype(np.int64)
    begin = np.clip(begin, 0, max(available - taps, 0))  # no tap beyond the last pixel
    index = begin[:, None] + np.arange(taps)
    share = np.minimum(index + 1, edges[1:, None]) - np.maximum(index, edges[:-1, None])
    share = np.where((share > _TOUCH) & (index < available), share, 0.0)
    share /= share.sum(axis=1, keepdims=True)
    if not in_256ths:
        return begin, share.astype(np.float32)
    # Sums are rounded and not shares: whatever run of pixels is bright weighs what it should to
    # within a 256th, where the errors of rounded shares would add up over the run.
    whole = np.diff(np.rint(np.cumsum(share, axis=1) * 256), axis=1, prepend=0)
    return begin, whole.astype(np.uint16)


def _sum_lines(source: Pixels, begin: Indices, share: Pixels) -> Pixels:
    """Weighted sums of the rows of ``source``; of bytes in 256ths first 8.8 bits, then bytes."""
    rows = np.ascontiguousarray(source).reshape(source.shape[0], -1)
    shape = (len(begin), rows.shape[1])
    if share.dtype == np.float32:
        out = np.empty(shape, dtype=np.float32)
        _float_lines(rows, begin, share, out)
    elif source.dtype == np.uint8:
        out = np.empty(shape, dtype=np.uint16)
        _byte_lines(rows, begin, share, out)
    else:
        out = np.empty(shape, dtype=np.uint8)
        _fixed_lines(rows, begin, share, out)
    return out.reshape(len(begin), *source.shape[1:])


def _turned(image: Pixels) -> Pixels:
    """Rows as columns, channels kept together."""
    if image.shape[2] <= 4:
        return cv2.transpose(image).reshape(image.shape[1], image.shape[0], image.shape[2])
    return np.ascontiguousarray(image.swapaxes(0, 1))


@njit(cache=True, nogil=True, fastmath=True)
def _float_lines(source, begin, share, out):  # type: ignore[no-untyped-def]
    last = source.shape[0] - 1
    for i in range(out.shape[0]):
        line = out[i]
        line[:] = np.float32(0.0)
        for k in range(0, share.shape[1], 3):
            a, b, c = share[i, k], share[i, k + 1], share[i, k + 2]
            above = source[min(begin[i] + k, last)]
            middle = source[min(begin[i] + k + 1, last)]
            below = source[min(begin[i] + k + 2, last)]
            for j in range(line.shape[0]):
                line[j] += a * above[j] + b * middle[j] + c * below[j]


@njit(cache=True, nogil=True)
def _byte_lines(source, begin, share, out):  # type: ignore[no-untyped-def]
    last = source.shape[0] - 1
    for i in range(out.shape[0]):
        line = out[i]
        line[:] = np.uint16(0)
        for k in range(0, share.shape[1], 3):
            a, b, c = share[i, k], share[i, k + 1], share[i, k + 2]
            above = source[min(begin[i] + k, last)]
            middle = source[min(begin[i] + k + 1, last)]
            below = source[min(begin[i] + k + 2, last)]
            for j in range(line.shape[0]):
                line[j] += (
                    np.uint16(a * np.uint16(above[j]))
                    + np.uint16(b * np.uint16(middle[j]))
                    + np.uint16(c * np.uint16(below[j]))
                )


@njit(cache=True, nogil=True)
def _fixed_lines(source, begin, share, out):  # type: ignore[no-untyped-def]
    last = source.shape[0] - 1
    half = np.uint32(1 << 15)
    total = np.empty(out.shape[1], dtype=np.uint32)
    for i in range(out.shape[0]):
        total[:] = half
        for k in range(0, share.shape[1], 3):
            a = np.uint32(share[i, k])
            b = np.uint32(share[i, k + 1])
            c = np.uint32(share[i, k + 2])
            above = source[min(begin[i] + k, last)]
            middle = source[min(begin[i] + k + 1, last)]
            below = source[min(begin[i] + k + 2, last)]
            for j in range(total.shape[0]):
                total[j] += a * above[j] + b * middle[j] + c * below[j]
        line = out[i]
        for j in range(total.shape[0]):
            line[j] = np.uint8(total[j] >> np.uint32(16))
