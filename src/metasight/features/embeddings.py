"""Patch features of a slide: tiles on tissue, read in the file's order, through an encoder."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from metasight.errors import EncoderError
from metasight.features.bags import PatchFeatures
from metasight.features.encoders import Encoder
from metasight.slides.reader import RGB, PyramidReader
from metasight.slides.reading import read_tiles
from metasight.slides.tiling import TileGrid

_BATCH = 32
_LEAST_TISSUE = 0.5

Progress = Callable[[int, int], None]


def embed_slide(
    slide: PyramidReader,
    tissue: npt.NDArray[np.bool_],
    tissue_mpp: float,
    encoder: Encoder,
    *,
    most_patches: int | None = None,
    progress: Progress | None = None,
) -> PatchFeatures:
    """Features of the tiles at least half on tissue, side by side without overlap.

    Memory is bounded by a batch of tiles.

    Parameters
    ----------
    slide
        Brightfield, open.
    tissue, tissue_mpp
        Mask of the whole slide and its micrometres a pixel.
    encoder
        Says the size and resolution of a tile.
    most_patches
        Of more tiles, so many are taken, spread evenly.
    progress
        Told of tiles done and all tiles.

    Raises
    ------
    EncoderError
        The slide is fluorescence, coarser than the encoder reads, or has no tile on tissue.
    SlideError
        A tile cannot be decoded.
    """
    card = encoder.card
    if slide.channels != RGB:
        raise EncoderError(
            "an encoder reads stained sections in brightfield",
            where=slide.name,
            remedy="Give its H&E slide",
        )
    if slide.mpp > 1.05 * card.mpp:
        raise EncoderError(
            "the slide is coarser than the encoder reads",
            where=slide.name,
            value=f"{slide.mpp:g} µm a pixel",
            remedy=f"{card.name} reads {card.mpp:g} or finer",
        )
    mpp = max(card.mpp, slide.mpp)
    width, height = slide.size_at(mpp)
    grid = TileGrid(width=width, height=height, mpp=mpp, tile_size=card.tile_px, step=card.tile_px)
    tiles = grid.on_tissue(tissue, tissue_mpp, _LEAST_TISSUE)
    if not len(tiles):
        raise EncoderError(
            "no tile is on tissue", where=slide.name, remedy="Check its quality sheet"
        )
    if most_patches is not None and len(tiles) > most_patches:
        tiles = tiles[np.linspace(0, len(tiles) - 1, most_patches).round().astype(int)]
    to_full = mpp / slide.mpp
    coords: list[tuple[int, int]] = []
    found: list[npt.NDArray[np.float32]] = []
    waiting: list[npt.NDArray[np.uint8]] = []
    for row, column, pixels in read_tiles(slide, grid, tiles):
        region = grid.region(row, column)
        coords.append((round(region.x * to_full), round(region.y * to_full)))
        waiting.append(pixels.astype(np.uint8))
        if len(waiting) == _BATCH or len(coords) == len(tiles):
            found.append(encoder.embed(np.stack(waiting)))
            waiting.clear()
            if progress is not None:
                progress(len(coords), len(tiles))
    order = np.lexsort(np.array(coords).T)
    return PatchFeatures(
        features=np.concatenate(found)[order],
        coords=np.array(coords, dtype=np.int64)[order],
        patch_px=round(card.tile_px * to_full),
        encoder=f"{card.name} {encoder.sha256[:16]}",
        where=slide.name,
    )
