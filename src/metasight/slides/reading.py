"""A slide's tiles, one after the other, each part of the file decoded once."""

from __future__ import annotations

from collections.abc import Iterator

from metasight.slides.reader import Pixels, SlideReader
from metasight.slides.tiling import Coordinates, TileGrid, reading_order


def read_tiles(
    slide: SlideReader, grid: TileGrid, tiles: Coordinates
) -> Iterator[tuple[int, int, Pixels]]:
    """Pixels of the tiles, in the order in which the file is read best.

    Memory is bounded by a tile and the cache, whatever the slide's size.

    Parameters
    ----------
    slide
        Open.
    grid
        Of this slide's ``size_at(grid.mpp)``.
    tiles
        (n, 2) row and column.

    Yields
    ------
    row, column, (tile_size, tile_size, channels)
    """
    for strip in reading_order(grid, tiles):
        for row, column in strip.tolist():
            yield row, column, slide.read(grid.region(row, column), grid.mpp)
