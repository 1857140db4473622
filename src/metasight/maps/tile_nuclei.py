"""Nuclei of an H&E laid on training tiles: how each looks, and the pixel of the map it lies in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from metasight.errors import MarkerError
from metasight.maps.nucleus_looks import N_LOOKS, SlideNuclei

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class TileNuclei:
    """Nuclei of one patient's tiles; one that lies in two tiles is told twice.

    Attributes
    ----------
    looks
        float32 (n, `N_LOOKS`), see :mod:`metasight.maps.nucleus_looks`.
    tile
        int32 (n,) number of the tile, ascending.
    pixel
        int32 (n,) row · k + column of the tile's k × k pixels of the map.
    """

    looks: npt.NDArray[np.float32]
    tile: npt.NDArray[np.int32]
    pixel: npt.NDArray[np.int32]

    def __post_init__(self) -> None:
        n = len(self.looks)
        if self.looks.shape != (n, N_LOOKS) or self.tile.shape != (n,) or self.pixel.shape != (n,):
            raise MarkerError(
                "nuclei of training tiles differ in shape", value=f"{self.looks.shape}"
            )
        if not np.isfinite(self.looks).all():
            raise MarkerError("a nucleus of a training tile has no finite numbers")
        if n and (np.diff(self.tile).min(initial=0) < 0 or self.tile.min() < 0):
            raise MarkerError("nuclei of training tiles do not stand in the tiles' order")

    def __len__(self) -> int:
        return len(self.looks)


def lay_nuclei(
    nuclei: SlideNuclei, corners: Sequence[tuple[int, int]], k: int, spacing_um: float
) -> TileNuclei:
    """The nuclei of each tile.

    Parameters
    ----------
    nuclei
        Of the whole slide.
    corners
        Column and row of each tile's first pixel of the map.
    k
        Side of a tile in pixels of the map.
    spacing_um
        Side of such a pixel.
    """
    row, column = pixels_of(nuclei, spacing_um)
    chosen, tile, pixel = [], [], []
    for number, (left, top) in enumerate(corners):
        own, at = inside(row - top, column - left, (k, k))
        chosen.append(own)
        tile.append(np.full(len(own), number))
        pixel.append(at)
    return TileNuclei(
        looks=nuclei.looks[np.concatenate(chosen)],
        tile=np.concatenate(tile).astype(np.int32),
        pixel=np.concatenate(pixel).astype(np.int32),
    )


def pixels_of(nuclei: SlideNuclei, spacing_um: float) -> tuple[Ints, Ints]:
    """Row and column of the map's pixel in which each nucleus lies."""
    row, column = (np.floor(v / spacing_um).astype(np.int64) for v in (nuclei.y_um, nuclei.x_um))
    return row, column


def inside(row: Ints, column: Ints, shape: tuple[int, int]) -> tuple[Ints, Ints]:
    """Numbers of the points that lie on a grid of ``shape``, and row · columns + column of each."""
    own = np.flatnonzero((row >= 0) & (row < shape[0]) & (column >= 0) & (column < shape[1]))
    return own, row[own] * shape[1] + column[own]
