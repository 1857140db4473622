"""Peaks, watershed and nearest label of a whole tile in compiled loops.

Each does what scikit-image's function of that name does (`peak_local_max`, `watershed`,
`expand_labels`) for the one case that nuclei need, and gives its answer; where two answers are
equally right (pixels as near to two nuclei, equal peaks that touch) it may choose the other.
"""

# mypy: disallow-untyped-decorators=False

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from metasight.engine.kernels import njit

Floats = npt.NDArray[np.float64]
Image = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int32]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Bits = npt.NDArray[np.uint32]
Keys = npt.NDArray[np.uint64]
Shorts = npt.NDArray[np.int16]


def peaks_of(height: Image, foreground: Mask, distance_px: int) -> Ints:
    """Pixels of the foreground that nothing within a square overtops, the highest first.

    Parameters
    ----------
    height, foreground
        Same shape; what is not foreground does not count.
    distance_px
        Half the square's side, at least 1; of equal peaks nearer than this the first is kept.

    Returns
    -------
    ndarray of shape (n, 2)
        Row and column.
    """
    lowest = np.finfo(np.float32).min
    seen = np.where(foreground, height, lowest)
    side = 2 * distance_px + 1
    top = cv2.dilate(seen, np.ones((side, side), dtype=np.uint8))
    found = (seen == top) & foreground & (height > height.min(initial=np.inf))
    at = np.argwhere(found)
    at = at[np.argsort(-height[found], kind="stable")]
    return _apart(at.astype(np.int64), foreground.shape[0], foreground.shape[1], distance_px)


@njit(cache=True)
def _apart(at: Ints, rows: int, columns: int, distance: int) -> Ints:
    """Each point but those with an earlier one nearer than ``distance`` along both axes."""
    taken = np.zeros((rows, columns), dtype=np.bool_)
    kept = np.empty_like(at)
    n = 0
    for y, x in at:
        free = True
        for v in range(max(0, y - distance + 1), min(rows, y + distance)):
            for u in range(max(0, x - distance + 1), min(columns, x + distance)):
                free = free and not taken[v, u]
        if free:
            taken[y, x] = True
            kept[n, 0], kept[n, 1] = y, x
            n += 1
    return kept[:n]


def flooded(height: Image, seeds: Ints, foreground: Mask) -> Labels:
    """Watershed of the foreground from its seeds, the highest pixels first.

    A part of the foreground with one seed is that seed's, whatever its heights: only where
    nuclei touch is there anything to flood, each part by itself.

    Parameters
    ----------
    height, foreground
        Same shape; pixels are neighbours that share an edge.
    seeds
        Row and column of seed 1, 2, …, shape ``(n, 2)``; in the foreground.

    Returns
    -------
    ndarray of int32
        Number of the seed; 0 off the foreground and in parts without a seed.
    """
    if not len(seeds):
        return np.zeros(foreground.shape, dtype=np.int32)
    n, found = cv2.connectedComponents(
        foreground.astype(np.uint8), connectivity=4, ltype=cv2.CV_32S
    )
    part = np.asarray(found, dtype=np.int32)
    home = part[seeds[:, 0], seeds[:, 1]]
    flat = seeds[:, 0] * foreground.shape[1] + seeds[:, 1]
    order = np.lexsort((flat, home))
    bits = np.ascontiguousarray(height, dtype=np.float32).view(np.uint32)
    return np.asarray(_flooded(bits, part, n, flat, home, order))


@njit(cache=True)
def _key(bits: np.uint32, clock: np.uint64) -> np.uint64:
    """Of a height by its bits, the highest first, equals by the clock."""
    rank = bits if bits >> np.uint32(31) else np.uint32(0x7FFFFFFF) - bits
    return (np.uint64(rank) << np.uint64(32)) | clock


@njit(cache=True)
def _push(key: Keys, pixel: Labels, size: int, new: np.uint64, at: np.int64 | int) -> None:
    """Put a pixel on a heap of ``size``, the lowest key on top."""
    k = size
    while k:
        parent = (k - 1) >> 1
        if key[parent] <= new:
            break
        key[k], pixel[k] = key[parent], pixel[parent]
        k = parent
    key[k], pixel[k] = new, at


@njit(cache=True)
def _drop_top(key: Keys, pixel: Labels, size: int) -> None:
    """Take the top off a heap of ``size``."""
    last, at = key[size - 1], pixel[size - 1]
    k, child = 0, 1
    while child < size - 1:
        if child + 1 < size - 1 and key[child + 1] < key[child]:
            child += 1
        if key[child] >= last:
            break
        key[k], pixel[k] = key[child], pixel[child]
        k, child = child, 2 * child + 1
    key[k], pixel[k] = last, at


@njit(cache=True)
def _flooded(  # noqa: PLR0917
    bits: Bits, part: Labels, n_parts: int, seed_at: Ints, home: Labels, order: Ints
) -> Labels:
    of, level = part.ravel(), bits.ravel()
    seeds_of, size_of = np.zeros(n_parts, dtype=np.int64), np.zeros(n_parts, dtype=np.int64)
    only = np.zeros(n_parts, dtype=np.int32)
    for k in range(seed_at.size):
        seeds_of[home[k]] += 1
        only[home[k]] = k + 1
    for k in range(n_parts):
        if seeds_of[k] > 1:
            only[k] = 0
    out = np.zeros(of.size, dtype=np.int32)
    for i in range(of.size):
        if of[i]:
            size_of[of[i]] += 1
            out[i] = only[of[i]]
    room = 1
    for k in range(1, n_parts):
        if seeds_of[k] > 1:
            room = max(room, size_of[k])
    key, pixel = np.empty(room, dtype=np.uint64), np.empty(room, dtype=np.int32)
    first = 0
    while first < order.size:
        last = first + seeds_of[home[order[first]]]
        if last > first + 1:
            _flood(of, level, out, part.shape[1], seed_at, order[first:last], key, pixel)
        first = last
    return out.reshape(part.shape)


@njit(cache=True)
def _flood(  # noqa: PLR0917
    of: Labels,
    level: Bits,
    out: Labels,
    columns: int,
    seed_at: Ints,
    seeds: Ints,
    key: Keys,
    pixel: Labels,
) -> None:
    """Flood one part from its seeds; equals in the order in which they were reached."""
    own = of[seed_at[seeds[0]]]
    size, clock = 0, np.uint64(0)
    for k in seeds:
        at = seed_at[k]
        out[at] = k + 1
        _push(key, pixel, size, _key(level[at], clock), at)
        size += 1
    while size:
        at = np.int64(pixel[0])
        _drop_top(key, pixel, size)
        size -= 1
        x = at % columns
        for side in range(4):
            if side == 0:
                there, to = at >= columns, at - columns
            elif side == 1:
                there, to = x > 0, at - 1
            elif side == 2:
                there, to = x < columns - 1, at + 1
            else:
                there, to = at + columns < of.size, at + columns
            if there and of[to] == own and out[to] == 0:
                clock += np.uint64(1)
                out[to] = out[at]
                _push(key, pixel, size, _key(level[to], clock), to)
                size += 1


def ring_of(labels: Labels, reach_px: float) -> Labels:
    """Each pixel off the labels, with the label nearest to it if that is within reach.

    Parameters
    ----------
    labels
        0 or a number from 1.
    reach_px
        Between centres of pixels.
    """
    return np.asarray(_ring(labels, int(reach_px), reach_px * reach_px))


def depth_of(mask: Mask, most_px: int) -> Image:
    """Distance of each pixel of a mask to the nearest one off it, at most ``most_px``.

    As ``cv2.distanceTransform`` with exact distances, cut off: what lies deeper is not searched
    for. Beyond the edge there is nothing that is off the mask.

    Parameters
    ----------
    mask
        Shape ``(y, x)``.
    most_px
        Between centres of pixels, 1 to 30,000.
    """
    return np.asarray(_depth(mask, most_px))


@njit(cache=True)
def _depth(mask: Mask, most: int) -> Image:
    rows, columns = mask.shape
    far = most + 1
    down = _rows_down(mask, False, far)
    out = np.zeros((rows, columns), dtype=np.float32)
    up = np.full(columns, far, dtype=np.int64)
    near = np.full(columns + 2 * far, far, dtype=np.int64)
    for y in range(rows):
        for x in range(columns):
            up[x] = min(up[x] + 1, far) if mask[y, x] else 0
            near[x + far] = min(up[x], np.int64(down[y, x]))
        for x in range(columns):
            if not mask[y, x]:
                continue
            best = min(near[x + far] * near[x + far], most * most)
            away = 1
            while away * away < best:
                rise = min(near[x + far - away], near[x + far + away])
                best = min(best, away * away + rise * rise)
                away += 1
            out[y, x] = np.sqrt(np.float32(best))
    return out


@njit(cache=True)
def _rows_down(there: Labels | Mask, wanted: bool, far: int) -> Shorts:
    """Rows down to the nearest pixel of a column that is something, or nothing; at most ``far``."""
    rows, columns = there.shape
    down = np.full((rows + 1, columns), far, dtype=np.int16)
    for y in range(rows - 1, -1, -1):
        for x in range(columns):
            down[y, x] = 0 if (there[y, x] != 0) == wanted else min(down[y + 1, x] + 1, far)
    return down


@njit(cache=True)
def _ring(labels: Labels, reach: int, reach_squared: float) -> Labels:
    rows, columns = labels.shape
    far = reach + 1
    down = _rows_down(labels, True, far)
    out = np.zeros((rows, columns), dtype=np.int32)
    up = np.full(columns, far, dtype=np.int64)
    near = np.full(columns + 2 * reach, far, dtype=np.int64)
    reached = np.zeros(columns + 1, dtype=np.int64)
    for y in range(rows):
        for x in range(columns):
            up[x] = 0 if labels[y, x] else min(up[x] + 1, far)
            near[x + reach] = min(up[x], np.int64(down[y, x]))
            reached[x + 1] = reached[x] + (near[x + reach] <= reach)
        for x in range(columns):
            empty = reached[min(x + far, columns)] == reached[max(x - reach, 0)]
            if labels[y, x] or empty:
                continue
            best, u = reach_squared + 1e-6, -1
            for away in range(far):
                if away * away > best:
                    break
                for to in (x - away, x + away):
                    rise = near[to + reach]
                    square = away * away + rise * rise
                    nearer = square < best or (square == best and to < u)
                    if rise <= reach and nearer:
                        best, u = square, to
            if u >= 0:
                out[y, x] = (
                    labels[y - up[u], u] if up[u] <= down[y, u] else labels[y + down[y, u], u]
                )
    return out
