"""Uncertainty of a spatial measure by drawing blocks of tissue with replacement.

Cells are not independent, so they cannot be resampled one by one. The window is cut into square
blocks, each cell's contribution (its pairs, its nearest distance) goes to the block it lies in,
and blocks are drawn whole: the marked-point bootstrap of Loh and Stein (Stat Sinica 2004;14:69),
in which no pair is broken at a block's border. It says how the measure would vary over tissue
like this one; it says nothing of the slide, the stain or the patient.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from metasight.maps.window import TissueWindow

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class TissueBlocks:
    """Square blocks of a window that hold any of it.

    Attributes
    ----------
    number
        Block of each pixel of the window's array, -1 off the window, shape ``(y, x)``.
    area_um2
        Window in each block, shape ``(blocks,)``.
    """

    number: Ints
    area_um2: Floats

    def __len__(self) -> int:
        return len(self.area_um2)

    def of_points(self, window: TissueWindow, x_um: Floats, y_um: Floats) -> Ints:
        """Block of each point of the window."""
        row, column = window.pixel(x_um, y_um)
        return self.number[row, column]

    def sums(self, image: npt.NDArray[np.generic]) -> Floats:
        """Sum of an image of the window's shape over each block."""
        inside = self.number >= 0
        total = np.bincount(
            self.number[inside], weights=image[inside].astype(np.float64), minlength=len(self)
        )
        return np.asarray(total, dtype=np.float64)


def tissue_blocks(window: TissueWindow, block_um: float) -> TissueBlocks:
    """Cut ``window`` into squares of about ``block_um`` (a whole number of pixels)."""
    pixels = max(round(block_um / window.spacing_um), 1)
    ny, nx = window.mask.shape
    n_columns = -(-nx // pixels)
    square = (np.arange(ny) // pixels)[:, None] * n_columns + (np.arange(nx) // pixels)[None]
    used, inverse = np.unique(square[window.mask], return_inverse=True)
    number = np.full(window.mask.shape, -1, dtype=np.int64)
    number[window.mask] = inverse
    area = np.bincount(inverse, minlength=len(used)) * window.spacing_um**2
    return TissueBlocks(number=number, area_um2=area.astype(np.float64))


@dataclass(frozen=True, kw_only=True)
class BlockBootstrap:
    """Draws of blocks, the same for every measure of a slide.

    Attributes
    ----------
    weights
        How often each block is drawn, shape ``(resamples, blocks)``; empty where there are too
        few blocks for an interval.
    level
        Of the interval.
    """

    weights: npt.NDArray[np.float32]
    level: float = 0.95

    def sums(self, by_block: Floats) -> Floats:
        """Sums over the blocks of each draw, shape ``(resamples, …)``."""
        flat = by_block.reshape(len(by_block), -1)
        return np.asarray(
            (self.weights @ flat).reshape(len(self.weights), *by_block.shape[1:]), dtype=np.float64
        )

    def interval(
        self, by_block: Floats, combine: Callable[[Floats], Floats]
    ) -> tuple[float, float]:
        """Percentile interval of a measure.

        Parameters
        ----------
        by_block
            What each block contributes, shape ``(blocks, …)``.
        combine
            Turns sums over blocks, shape ``(resamples, …)``, into the measure, ``(resamples,)``.

        Returns
        -------
        (lower, upper)
            NaN where there are too few blocks, or more than one resample in ten has no value.
        """
        if not len(self.weights):
            return np.nan, np.nan
        sums = self.sums(by_block)
        with np.errstate(invalid="ignore", divide="ignore"):
            values = np.asarray(combine(sums), dtype=np.float64)
        there = values[np.isfinite(values)]
        if len(there) < 0.9 * len(values):
            return np.nan, np.nan
        tail = (1 - self.level) / 2
        lower, upper = np.quantile(there, [tail, 1 - tail])
        return float(lower), float(upper)


def draw_blocks(
    n_blocks: int, *, resamples: int, minimum_blocks: int, rng: np.random.Generator
) -> BlockBootstrap:
    """Draw blocks with replacement, all equally likely."""
    if n_blocks < minimum_blocks:
        return BlockBootstrap(weights=np.zeros((0, n_blocks), dtype=np.float32))
    weights = rng.multinomial(n_blocks, np.full(n_blocks, 1 / n_blocks), size=resamples)
    return BlockBootstrap(weights=weights.astype(np.float32))
