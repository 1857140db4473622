"""Nuclei of a whole slide, tile by tile: memory is bounded by the tile, not by the slide.

What is glass, how dark nuclei are and where the threshold lies is settled once for the slide, so
that a tile of fat is not treated like a tile of tumour. Tiles are read with a margin beyond which
nothing that the detection looks at can lie, and a nucleus belongs to the tile in which its centre
lies: no nucleus is cut at a tile's border or counted twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from metasight.errors import MarkerError
from metasight.segmentation.nucleus import (
    Image,
    NuclearLevels,
    Nuclei,
    NucleusSettings,
    detect_nuclei,
    fluorescence_image,
    haematoxylin_image,
    nuclear_levels,
)
from metasight.slides.blocks import Block, tissue_blocks
from metasight.slides.reader import RGB, Pixels, Region, SlideReader
from metasight.slides.stain import background_colour

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

WORKING_MPP = 0.5

_MARGIN_UM = 60.0  # four standard deviations of the surroundings' Gaussian
_OVERVIEW_MPP = 8.0
_SAMPLED_TILES = 16


@dataclass(frozen=True, kw_only=True)
class NucleusTable:
    """Nuclei of a slide without their outlines; see :class:`Nuclei` for the columns.

    ``x_um`` and ``y_um`` count from the slide's level-0 origin.
    """

    x_um: Floats
    y_um: Floats
    area_um2: Floats
    amount: Floats
    contrast: Floats
    axis_ratio: Floats
    lymphocyte_like: Mask

    def __len__(self) -> int:
        return len(self.x_um)


def nuclei_on_slide(
    slide: SlideReader,
    tissue: Mask,
    tissue_mpp: float,
    *,
    nuclear_channel: str | None = None,
    mpp: float = WORKING_MPP,
    settings: NucleusSettings | None = None,
) -> NucleusTable:
    """Find the nuclei of a slide's tissue.

    Parameters
    ----------
    slide
        Open; brightfield, or fluorescence with ``nuclear_channel``.
    tissue, tissue_mpp
        Tissue mask and its µm per pixel, from the slide's origin.
    nuclear_channel
        Name of the nuclear channel of a fluorescence slide.
    mpp
        Resolution to work at.
    settings
        As for :func:`detect_nuclei`.

    Raises
    ------
    MarkerError
        The slide has no such channel, or no tissue.
    """
    found = [
        _of_block(nuclei, block, mpp)
        for block, _, nuclei in nuclei_by_block(
            slide, tissue, tissue_mpp, nuclear_channel=nuclear_channel, mpp=mpp, settings=settings
        )
    ]
    return NucleusTable(
        **{
            name: np.concatenate([columns[name] for columns in found])
            for name in NucleusTable.__dataclass_fields__
        }
    )


def nuclei_by_block(
    slide: SlideReader,
    tissue: Mask,
    tissue_mpp: float,
    *,
    nuclear_channel: str | None = None,
    mpp: float = WORKING_MPP,
    settings: NucleusSettings | None = None,
) -> Iterator[tuple[Block, Pixels, Nuclei]]:
    """Nuclei of one block of a slide after the other, with the pixels of the block and its margin.

    For what has to be measured in the pixels too. Nuclei of the margin are there as well: those of
    the block itself are told by its ``owns``. Parameters and errors as `nuclei_on_slide`.
    """
    s = settings or NucleusSettings()
    nuclear = _nuclear_image(slide, nuclear_channel)
    blocks = list(tissue_blocks(slide, tissue, tissue_mpp, mpp=mpp, margin_um=_MARGIN_UM))
    if not blocks:
        raise MarkerError("the slide has no tissue to look for nuclei in", where=slide.name)
    levels = _slide_levels(slide, [b.core for b in blocks], nuclear, mpp, s)
    for block in blocks:
        pixels = slide.read(block.wide, mpp)
        yield block, pixels, detect_nuclei(nuclear(pixels), mpp, s, levels)


def _nuclear_image(slide: SlideReader, channel: str | None) -> Callable[[Pixels], Image]:
    """How a tile's pixels become an image in which nuclei are bright."""
    overview = _whole(slide, max(_OVERVIEW_MPP, slide.mpp))
    if slide.channels == RGB:
        glass = background_colour(overview)
        return lambda pixels: haematoxylin_image(pixels, glass)
    if channel is None or channel not in slide.channels:
        raise MarkerError(
            "the slide has no such nuclear channel",
            where=slide.name,
            value=str(channel),
            remedy=f"Its channels: {', '.join(slide.channels)}",
        )
    at = slide.channels.index(channel)
    dark = float(np.percentile(overview[..., at], 1))
    return lambda pixels: fluorescence_image(pixels[..., at], dark)


def _whole(slide: SlideReader, mpp: float) -> Pixels:
    width, height = slide.size_at(mpp)
    return slide.read(Region(x=0, y=0, width=width, height=height), mpp)


def _slide_levels(
    slide: SlideReader,
    tiles: list[Region],
    nuclear: Callable[[Pixels], Image],
    mpp: float,
    settings: NucleusSettings,
) -> NuclearLevels:
    """Threshold and strength over tiles spread evenly over the tissue."""
    at = np.unique(np.linspace(0, len(tiles) - 1, min(_SAMPLED_TILES, len(tiles))).astype(int))
    images = [nuclear(slide.read(tiles[i], mpp)) for i in at]
    height = min(image.shape[0] for image in images)
    return nuclear_levels(
        np.concatenate([image[:height] for image in images], axis=1), mpp, settings
    )


def _of_block(found: Nuclei, block: Block, mpp: float) -> dict[str, npt.NDArray[np.generic]]:
    x, y = found.x_um + block.wide.x * mpp, found.y_um + block.wide.y * mpp
    own = block.owns(x, y, mpp)
    columns = {"x_um": x, "y_um": y} | {
        name: getattr(found, name)
        for name in ("area_um2", "amount", "contrast", "axis_ratio", "lymphocyte_like")
    }
    return {name: values[own] for name, values in columns.items()}
