"""Marked cells of a whole slide, block by block: memory is bounded by a block, not by the slide.

What decides (the dyes, how dark nuclei are, each marker's threshold) is settled once, on blocks
spread over the tissue, so that a block of stroma is not judged by other rules than a block of
tumour. Blocks overlap by more than a cell and its surroundings; a cell belongs to the block that
holds its centre.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from metasight.errors import MarkerError
from metasight.maps.cells import Cells
from metasight.maps.fluorescence import Channels, require_markers
from metasight.maps.markers import (
    DAB_LINEAR_TO_OD,
    MarkedCells,
    MarkerSettings,
    cell_regions,
    cell_signal,
    cells_of_nuclei,
    chromogenic_cells,
    dab_stains,
    fluorescence_cells,
    pure_channels,
)
from metasight.maps.positivity import Positivity, positive_cells
from metasight.segmentation.nucleus import (
    NuclearLevels,
    Nuclei,
    detect_nuclei,
    fluorescence_image,
    haematoxylin_image,
    levels_beside_dab,
    nuclear_levels,
)
from metasight.slides.blocks import tissue_blocks
from metasight.slides.reader import RGB, Pixels, SlideReader
from metasight.slides.stain import Stains, background_colour, deconvolve
from metasight.slides.tiling import TileGrid

WORKING_MPP = 0.5
_MARGIN_UM = 60.0
_SAMPLE_BLOCK = 512
_SAMPLES = 16

Progress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class SlideMarkers:
    """Cells of a slide and the rules that told them.

    Attributes
    ----------
    cells
        In µm from the slide's corner.
    thresholds
        Marker → threshold, in the signal's unit.
    rules
        Marker → how the threshold was found.
    mpp
        Resolution that was worked at.
    """

    cells: Cells
    thresholds: dict[str, float] = field(default_factory=dict)
    rules: dict[str, str] = field(default_factory=dict)
    mpp: float


def cells_of_slide(
    slide: SlideReader,
    tissue: npt.NDArray[np.bool_],
    tissue_mpp: float,
    markers: tuple[str, ...],
    settings: MarkerSettings | None = None,
    *,
    channels: tuple[str, ...] | None = None,
    progress: Progress | None = None,
) -> SlideMarkers:
    """Read every marked cell of a slide.

    Parameters
    ----------
    slide
        Open: one marker in DAB, or fluorescence with a channel for each marker.
    tissue, tissue_mpp
        Where to look, and its micrometres a pixel.
    markers
        One for DAB, one or more for fluorescence.
    settings
        Nuclear channel, spill-over, the laboratory's thresholds.
    channels
        Names of the slide's channels as the study calls them, in their order; those of the file
        unless given.
    progress
        Told of blocks done and all blocks.

    Raises
    ------
    MarkerError
        A marker is missing, names and channels contradict each other, an H&E section was given
        as DAB, or there is no tissue.
    """
    s = settings or MarkerSettings()
    if slide.channels == RGB and len(markers) != 1:
        raise MarkerError(
            "a DAB section carries one marker",
            where=slide.name,
            value=", ".join(markers),
            remedy="Give one marker for it in the slide table",
        )
    names = channels or slide.channels
    if slide.channels != RGB:
        require_markers(names, [s.nuclear, *markers])
    mpp = max(WORKING_MPP, slide.mpp)
    sample = _sample(slide, tissue, tissue_mpp, mpp)
    if slide.channels == RGB:
        reader: _Chromogenic | _Fluorescent = _Chromogenic(sample, mpp, markers[0], s)
    else:
        reader = _Fluorescent(sample, mpp, names, markers, s)
    blocks = list(tissue_blocks(slide, tissue, tissue_mpp, mpp=mpp, margin_um=_MARGIN_UM))
    parts = []
    for number, block in enumerate(blocks, start=1):
        corner_um = (block.wide.x * mpp, block.wide.y * mpp)
        marked = reader.read(slide.read(block.wide, mpp), corner_um)
        if marked is not None:
            parts.append(marked.take(block.owns(marked.x_um, marked.y_um, mpp)))
        if progress is not None:
            progress(number, len(blocks))
    return SlideMarkers(
        cells=_joined(parts, markers), thresholds=reader.thresholds, rules=reader.rules, mpp=mpp
    )


class _Chromogenic:
    def __init__(self, sample: Pixels, mpp: float, marker: str, settings: MarkerSettings) -> None:
        self.settings, self.marker, self.mpp = settings, marker, mpp
        self.stains: Stains = dab_stains(sample)
        self.glass = background_colour(sample)
        self.levels: NuclearLevels = levels_beside_dab(
            haematoxylin_image(sample, self.glass),
            deconvolve(sample, self.stains)[..., self.stains.names.index("dab")],
            mpp,
            settings.nucleus,
        )
        found = chromogenic_cells(sample, mpp, marker, settings)
        self.thresholds, self.rules = _settled(found)

    def read(self, rgb: Pixels, origin_um: tuple[float, float]) -> Cells | None:
        s = self.settings
        image = haematoxylin_image(rgb, self.glass)
        nuclei = detect_nuclei(image, self.mpp, s.nucleus, self.levels)
        if not len(nuclei):
            return None
        dab = deconvolve(rgb, self.stains)[..., self.stains.names.index("dab")]
        amount = np.minimum(dab, np.float32(DAB_LINEAR_TO_OD))
        region = cell_regions(nuclei, s.cell_margin_um)
        signal, noise = cell_signal(amount, region, len(nuclei), self.mpp)
        found = positive_cells(signal, noise, threshold=self.thresholds[self.marker])
        return cells_of_nuclei(nuclei, {self.marker: signal}, {self.marker: found}, origin_um)


class _Fluorescent:
    def __init__(
        self,
        sample: Pixels,
        mpp: float,
        names: tuple[str, ...],
        markers: tuple[str, ...],
        settings: MarkerSettings,
    ) -> None:
        self.settings, self.names, self.markers, self.mpp = settings, names, markers, mpp
        channels = Channels(counts=np.moveaxis(sample, 2, 0), names=names, mpp=mpp)
        found = fluorescence_cells(channels, markers, settings)
        self.thresholds, self.rules = _settled(found)
        # the square root, as for a field: on plain counts a few bright nuclei hide the dim ones
        nuclear = fluorescence_image(pure_channels(channels, settings)[settings.nuclear], 0.0)
        self.levels = nuclear_levels(nuclear, mpp, settings.nucleus)

    def read(self, pixels: Pixels, origin_um: tuple[float, float]) -> Cells | None:
        s = self.settings
        channels = Channels(counts=np.moveaxis(pixels, 2, 0), names=self.names, mpp=self.mpp)
        pure = pure_channels(channels, s)
        nuclear = fluorescence_image(pure[s.nuclear], 0.0)
        nuclei: Nuclei = detect_nuclei(nuclear, self.mpp, s.nucleus, self.levels)
        if not len(nuclei):
            return None
        region = cell_regions(nuclei, s.cell_margin_um)
        signal: dict[str, npt.NDArray[np.float64]] = {}
        found: dict[str, Positivity] = {}
        for name in self.markers:
            signal[name], noise = cell_signal(pure[name], region, len(nuclei), self.mpp)
            found[name] = positive_cells(signal[name], noise, threshold=self.thresholds[name])
        return cells_of_nuclei(nuclei, signal, found, origin_um)


def _settled(found: MarkedCells) -> tuple[dict[str, float], dict[str, str]]:
    return (
        {name: p.threshold for name, p in found.positivity.items()},
        {name: p.rule for name, p in found.positivity.items()},
    )


def _sample(
    slide: SlideReader, tissue: npt.NDArray[np.bool_], tissue_mpp: float, mpp: float
) -> Pixels:
    """Blocks spread evenly over the tissue, side by side."""
    width, height = slide.size_at(mpp)
    size = min(_SAMPLE_BLOCK, width, height)
    grid = TileGrid(width=width, height=height, mpp=mpp, tile_size=size, step=size)
    share = grid.tissue_share(tissue, tissue_mpp)
    tiles = np.argwhere(share >= min(0.5, float(share.max()) if share.size else 0.5))
    if not len(tiles) or not tissue.any():
        raise MarkerError(
            "the slide has no tissue to read a marker in",
            where=slide.name,
            remedy="Check its quality sheet",
        )
    chosen = tiles[np.unique(np.linspace(0, len(tiles) - 1, _SAMPLES).astype(int))]
    parts = [slide.read(grid.region(r, c), mpp) for r, c in chosen.tolist()]
    return np.ascontiguousarray(np.concatenate(parts, axis=1))


def _joined(parts: list[Cells], markers: tuple[str, ...]) -> Cells:
    if not parts:
        nothing = np.zeros(0)
        return Cells(
            x_um=nothing,
            y_um=nothing,
            type_code=np.zeros(0, dtype=np.int16),
            type_names=("other", *markers),
            positive={m: np.zeros(0, dtype=np.bool_) for m in markers},
        )
    return replace(
        parts[0],
        x_um=np.concatenate([p.x_um for p in parts]),
        y_um=np.concatenate([p.y_um for p in parts]),
        type_code=np.concatenate([p.type_code for p in parts]),
        positive={m: np.concatenate([p.positive[m] for p in parts]) for m in markers},
        probability={},
    )
