"""A slide cut into blocks with margins: for what has to see round a cell, a block at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from metasight.slides.reader import Region, SlideReader

_BLOCK = 1024
_LEAST_TISSUE = 0.02


@dataclass(frozen=True, kw_only=True)
class Block:
    """A block and the region to read for it: the block with its margin, inside the slide."""

    core: Region
    wide: Region

    def owns(
        self, x_um: npt.NDArray[np.float64], y_um: npt.NDArray[np.float64], mpp: float
    ) -> npt.NDArray[np.bool_]:
        """Which points (µm from the slide's corner) lie in the core: each in one block only."""
        column, row = np.floor(x_um / mpp), np.floor(y_um / mpp)
        across = (column >= self.core.x) & (column < self.core.x + self.core.width)
        down = (row >= self.core.y) & (row < self.core.y + self.core.height)
        return np.asarray(across & down, dtype=np.bool_)


def tissue_blocks(
    slide: SlideReader,
    tissue: npt.NDArray[np.bool_],
    tissue_mpp: float,
    *,
    mpp: float,
    margin_um: float,
) -> Iterator[Block]:
    """Blocks of 1024 pixels of ``mpp`` with at least a fiftieth of tissue, row by row.

    Parameters
    ----------
    slide
        Open.
    tissue, tissue_mpp
        Tissue mask from the slide's corner, and its µm per pixel.
    mpp
        Resolution to work at.
    margin_um
        How far beyond the block is read.
    """
    width, height = slide.size_at(mpp)
    margin = int(np.ceil(margin_um / mpp))
    scale = mpp / tissue_mpp
    for y in range(0, height, _BLOCK):
        for x in range(0, width, _BLOCK):
            core = Region(x=x, y=y, width=min(_BLOCK, width - x), height=min(_BLOCK, height - y))
            part = tissue[
                int(y * scale) : int(np.ceil((y + core.height) * scale)),
                int(x * scale) : int(np.ceil((x + core.width) * scale)),
            ]
            if not part.any() or part.mean() < _LEAST_TISSUE:
                continue
            left, top = max(x - margin, 0), max(y - margin, 0)
            right = min(x + core.width + margin, width)
            bottom = min(y + core.height + margin, height)
            yield Block(
                core=core, wide=Region(x=left, y=top, width=right - left, height=bottom - top)
            )
