"""Counts in squares of tissue: hot spots and spatial entropy.

Both compare squares with each other, so a square enters only if at least half of it lies in the
window, and counts are divided by the window's area in it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage, stats

from metasight.maps.window import TissueWindow

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_ROUND = np.ones((3, 3))


@dataclass(frozen=True, kw_only=True)
class Quadrats:
    """A window cut into squares.

    Attributes
    ----------
    number
        Square of each pixel, shape ``(y, x)``.
    area_um2
        Window in each square, shape ``(rows, columns)``.
    used
        Squares at least half of which lie in the window.
    """

    number: npt.NDArray[np.int64]
    area_um2: Floats
    used: Mask

    def sums(self, image: Floats) -> Floats:
        """Sum of an image over each square, shape ``(rows, columns)``."""
        flat = np.bincount(
            self.number.ravel(),
            weights=image.ravel().astype(np.float64),
            minlength=self.area_um2.size,
        )
        return np.asarray(flat.reshape(self.area_um2.shape), dtype=np.float64)

    def on_pixels(self, flags: Mask) -> Mask:
        """A flag of each square, on the window's pixels."""
        return np.asarray(flags.ravel()[self.number], dtype=np.bool_)


def cut_quadrats(window: TissueWindow, side_um: float) -> Quadrats:
    """Cut ``window`` into squares of about ``side_um`` (a whole number of pixels)."""
    pixels = max(round(side_um / window.spacing_um), 1)
    ny, nx = window.mask.shape
    rows, columns = -(-ny // pixels), -(-nx // pixels)
    number = (np.arange(ny) // pixels)[:, None] * columns + (np.arange(nx) // pixels)[None]
    number = number.astype(np.int64)
    inside = np.bincount(number.ravel(), weights=window.mask.ravel(), minlength=rows * columns)
    area = inside.reshape(rows, columns).astype(np.float64) * window.spacing_um**2
    full = (pixels * window.spacing_um) ** 2
    return Quadrats(number=number, area_um2=area, used=area >= full / 2)


def getis_ord(count: Floats, quadrats: Quadrats) -> Floats:
    """Gi* of each square with the eight round it (Ord and Getis, Geogr Anal 1995;27:286).

    Parameters
    ----------
    count
        Cells in each square, shape ``(rows, columns)``.
    quadrats
        Squares; those not used neither count nor lend.

    Returns
    -------
    array, shape ``(rows, columns)``
        Standard normal where there is no pattern; NaN off the used squares, and everywhere
        where all squares are alike.
    """
    used = quadrats.used
    n = int(used.sum())
    z = np.full(count.shape, np.nan)
    if n < 3:
        return z
    density = np.where(used, count / np.maximum(quadrats.area_um2, 1e-12), 0.0)
    mean = density[used].mean()
    spread = density[used].std()
    if spread == 0:
        return z
    neighbours = ndimage.convolve(used.astype(np.float64), _ROUND, mode="constant")
    local = ndimage.convolve(density, _ROUND, mode="constant")
    scale = spread * np.sqrt(np.maximum(n * neighbours - neighbours**2, 1e-12) / (n - 1))
    z[used] = ((local - mean * neighbours) / scale)[used]
    return z


def hot(z: Floats, false_discovery_rate: float) -> Mask:
    """Squares whose Gi* is high at the false discovery rate (Benjamini and Hochberg 1995)."""
    there = np.isfinite(z)
    found = np.zeros(z.shape, dtype=bool)
    if there.any():
        p = stats.norm.sf(z[there])
        found[there] = stats.false_discovery_control(p) <= false_discovery_rate
    return found


def information_bits(counts: Floats) -> float:
    """How much a cell's square tells of its kind, bits.

    Parameters
    ----------
    counts
        Cells of each kind in each square, shape ``(squares, kinds)``.

    Returns
    -------
    float
        Mutual information of square and kind: 0 where every square has the same composition,
        at most the entropy of the kinds. Few cells a square make it too large; the null by
        label permutation has the same bias. NaN without cells.
    """
    total = counts.sum()
    if total <= 0:
        return float("nan")
    within = (counts.sum(axis=1) * entropy_bits(counts)).sum() / total
    return float(max(entropy_bits(counts.sum(axis=0, keepdims=True))[0] - within, 0.0))


def entropy_bits(counts: Floats) -> Floats:
    """Shannon entropy of each row of counts, bits; 0 for an empty row."""
    total = counts.sum(axis=-1, keepdims=True)
    share = np.divide(counts, total, out=np.zeros_like(counts, dtype=np.float64), where=total > 0)
    logs = np.log2(share, out=np.zeros_like(share), where=share > 0)
    return np.asarray(-(share * logs).sum(axis=-1), dtype=np.float64)


def permuted_counts(
    counts: npt.NDArray[np.int64], rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Deal the kinds out anew over all cells, every square keeping its number of cells.

    Multivariate hypergeometric, one kind after the other; equal in law to permuting the labels
    of the cells themselves.
    """
    left = counts.sum(axis=1)
    dealt = np.zeros_like(counts)
    for kind in range(counts.shape[1] - 1):
        dealt[:, kind] = rng.multivariate_hypergeometric(
            left, int(counts[:, kind].sum()), method="marginals"
        )
        left = left - dealt[:, kind]
    dealt[:, -1] = left
    return dealt
