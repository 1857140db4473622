"""Where tiles lie: geometry without a file.

Tiles are squares of pixels on the grid of one resolution, ``step`` apart, the first at the
slide's upper left corner. Which of them are kept is decided by the tissue they hold.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from metasight.slides.reader import Region

Coordinates = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class TileGrid:
    """All tiles that lie wholly on a slide.

    Attributes
    ----------
    width, height
        Of the slide, in pixels of ``mpp``.
    mpp
        Micrometres a pixel.
    tile_size, step
        Pixels; a step below the size makes tiles overlap.
    """

    width: int
    height: int
    mpp: float
    tile_size: int
    step: int

    def __post_init__(self) -> None:
        if self.tile_size < 1 or self.step < 1 or not self.mpp > 0:
            raise ValueError("tile size, step and mpp must be above 0")

    @property
    def columns(self) -> int:
        """Tiles across."""
        return max(0, (self.width - self.tile_size) // self.step + 1)

    @property
    def rows(self) -> int:
        """Tiles down."""
        return max(0, (self.height - self.tile_size) // self.step + 1)

    def __len__(self) -> int:
        return self.rows * self.columns

    def region(self, row: int, column: int) -> Region:
        """The pixels of one tile."""
        return Region(
            x=column * self.step, y=row * self.step, width=self.tile_size, height=self.tile_size
        )

    def tissue_share(self, mask: npt.NDArray[np.bool_], mask_mpp: float) -> Floats:
        """Per tile the share of it that is tissue; (rows, columns), 0–1.

        Exact for the mask's pixels, taken as squares: a pixel that a tile's edge cuts counts by
        its share.

        Parameters
        ----------
        mask
            (h, w) tissue of the whole slide.
        mask_mpp
            Micrometres to one of its pixels.
        """
        total = np.asarray(cv2.integral(mask.astype(np.uint8)), dtype=np.float64)
        scale = self.mpp / mask_mpp
        top = np.arange(self.rows, dtype=np.float64) * (self.step * scale)
        left = np.arange(self.columns, dtype=np.float64) * (self.step * scale)
        side = self.tile_size * scale
        area = _summed(total, top + side, left + side) - _summed(total, top, left + side)
        area = area - _summed(total, top + side, left) + _summed(total, top, left)
        return np.asarray(np.clip(area / side**2, 0.0, 1.0), dtype=np.float64)

    def on_tissue(
        self, mask: npt.NDArray[np.bool_], mask_mpp: float, least_share: float
    ) -> Coordinates:
        """(n, 2) row and column of the tiles with at least ``least_share`` tissue, row by row."""
        return np.argwhere(self.tissue_share(mask, mask_mpp) >= least_share)


def reading_order(
    grid: TileGrid, tiles: Coordinates, *, strip_pixels: int = 8192
) -> Iterator[Coordinates]:
    """Tiles in strips from top to bottom, so that each tile of the file is decoded once or nearly.

    Row by row over a wide slide, a row of the file's tiles is gone from a bounded cache before
    the next row of tiles asks for it again; over a narrow strip it is still there.

    Parameters
    ----------
    grid, tiles
        Which tiles: (n, 2) row and column.
    strip_pixels
        Width of a strip, in pixels of the grid's resolution.

    Yields
    ------
    (k, 2) row and column, row by row; every tile in one strip only, strips from left to right.
    """
    if len(tiles) == 0:
        return
    strip = tiles[:, 1] * grid.step // strip_pixels
    order = np.lexsort((tiles[:, 1], tiles[:, 0], strip))
    yield from np.split(tiles[order], np.flatnonzero(np.diff(strip[order])) + 1)


def _summed(total: Floats, rows: Floats, columns: Floats) -> Floats:
    """Tissue above and left of each (row, column), fractions by linear interpolation."""
    height, width = total.shape[0] - 1, total.shape[1] - 1
    rows, columns = np.clip(rows, 0, height), np.clip(columns, 0, width)
    row = np.minimum(rows.astype(np.int64), height - 1)
    column = np.minimum(columns.astype(np.int64), width - 1)
    down, across = (rows - row)[:, None], (columns - column)[None, :]
    corner = [total[np.ix_(row + i, column + j)] for i in (0, 1) for j in (0, 1)]
    upper = corner[0] * (1 - across) + corner[1] * across
    lower = corner[2] * (1 - across) + corner[3] * across
    return np.asarray(upper * (1 - down) + lower * down, dtype=np.float64)
