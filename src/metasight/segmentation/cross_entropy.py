"""Threshold of least cross entropy from sorted values, to its fixed point."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.float32]

_BLOCK = 4096
_TURNS = 10_000
"""More than it ever takes: each turn moves the threshold past at least one value."""


def threshold_of_least_cross_entropy(ascending: Image) -> float:
    """Li and Lee's threshold (Pattern Recognit 1993;26:617) by Li and Tam's iteration.

    The same as `skimage.filters.threshold_li` but for rounding; a turn is a look-up in the
    sorted values instead of a pass over the image.

    Parameters
    ----------
    ascending
        Values, sorted, shape ``(n,)``, not all equal.

    Source
    ------
    Li and Tam, Pattern Recognit Lett 1998;19:771.
    """
    lowest = float(ascending[0])
    n = len(ascending)
    blocks = np.add.reduceat(ascending, np.arange(0, n, _BLOCK), dtype=np.float64)
    sums = np.concatenate([[0.0], np.cumsum(blocks)])

    def total(first: int) -> float:
        block = first // _BLOCK
        return float(sums[block] + ascending[block * _BLOCK : first].sum(dtype=np.float64))

    level = sums[-1] / n
    below = -1
    for _ in range(_TURNS):
        now = int(np.searchsorted(ascending, np.float32(level), side="right"))
        if now in {below, 0, n}:
            break
        below = now
        back = total(now) / now - lowest
        fore = (sums[-1] - total(now)) / (n - now) - lowest
        if back <= 0:
            break
        level = lowest + (back - fore) / (np.log(back) - np.log(fore))
    return float(level)
