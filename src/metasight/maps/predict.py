"""Paint the map of a whole slide: tile by tile, without seams, memory bounded by the tile.

Tiles are read with a margin and only their middle is kept, so that what a pixel is painted from
does not end at a tile's border. Glass is made white first, as for training.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from metasight.errors import MarkerError
from metasight.maps.density import DensityMap
from metasight.maps.generator import Generator, SlideTile, refuse_seen
from metasight.maps.glass import glass_of, over_white
from metasight.maps.outlier import OutlierScore, block_features
from metasight.maps.training_tiles import on_grid
from metasight.maps.window import TissueWindow
from metasight.slides.reader import RGB, Region, SlideReader

Mask = npt.NDArray[np.bool_]
Progress = Callable[[int, int], None]

CORE_UM = 1024.0
MARGIN_UM = 128.0
"""A network of the default depth looks further, but what lies beyond this changes a region by less
than a hundredth (test)."""


@dataclass(frozen=True, kw_only=True)
class GeneratedMap:
    """A painted map and what may be thought of it.

    Attributes
    ----------
    map
        Density, and as error the standard error of the density of the 128 µm region centred on a
        pixel (1.645 of it either way are the calibrated 90 % interval), on the tissue.
    outlier
        Whether the slide looks like those of training; None where the generator cannot tell.
    generator
        sha256 of the weights that painted it.
    """

    map: DensityMap
    outlier: OutlierScore | None
    generator: str


def paint(
    slide: SlideReader,
    tissue: Mask,
    tissue_mpp: float,
    generator: Generator,
    *,
    patients: Collection[str] = (),
    progress: Progress | None = None,
) -> GeneratedMap:
    """Paint a slide.

    Parameters
    ----------
    slide
        H&E, open.
    tissue, tissue_mpp
        Its tissue mask and µm per pixel.
    generator
        What paints.
    patients
        Pseudonyms whose slide this is: a generator that saw one of them is refused.
    progress
        Called with tiles done and tiles in all.

    Raises
    ------
    MarkerError
        The slide is not brightfield, or has no tissue.
    LeakageError
        The generator saw the patient.
    """
    refuse_seen(generator, patients)
    if slide.channels != RGB:
        raise MarkerError(
            "a generator paints from brightfield H&E",
            where=slide.name,
            value=", ".join(slide.channels),
        )
    shape = _grid_shape(slide, generator)
    support = np.zeros(shape, dtype=np.bool_)
    if tissue.any():
        window = TissueWindow(mask=tissue, spacing_um=tissue_mpp)
        support = on_grid(window, generator.spacing_um, shape)
    if not support.any():
        raise MarkerError(
            "the slide has no tissue to paint", where=slide.name, remedy="Check its quality sheet"
        )
    planes = np.full((2, len(generator.markers), *shape), np.nan, dtype=np.float32)
    blocks = []
    cores = list(_cores(support, generator))
    painter, reading = generator.on(slide, tissue, tissue_mpp), _Tiles(slide, generator)
    for number, (row, column) in enumerate(cores):
        k = round(CORE_UM / generator.spacing_um)
        here = slice(row, min(row + k, shape[0])), slice(column, min(column + k, shape[1]))
        margin, tile = reading.at(row, column)
        painted = painter(tile)
        high, wide = here[0].stop - row, here[1].stop - column
        core = slice(margin, margin + high), slice(margin, margin + wide)
        planes[0][:, *here] = painted.density[:, *core]
        planes[1][:, *here] = painted.error[:, *core]
        own = block_features(painted.features[:, *core], support[here], generator.spacing_um)
        blocks.append(own)
        if progress is not None:
            progress(number + 1, len(cores))
    planes[:, :, ~support] = np.nan
    density_map = DensityMap(
        density=planes[0],
        error=planes[1],
        support=support,
        markers=tuple(generator.markers),
        spacing_um=generator.spacing_um,
    )
    outlier = generator.outliers.score(np.concatenate(blocks)) if generator.outliers else None
    return GeneratedMap(map=density_map, outlier=outlier, generator=generator.identity)


def _grid_shape(slide: SlideReader, generator: Generator) -> tuple[int, int]:
    width, height = slide.size_at(generator.mpp)
    per = round(generator.spacing_um / generator.mpp)
    return -(-height // per), -(-width // per)


def _cores(support: Mask, generator: Generator) -> Iterator[tuple[int, int]]:
    k = round(CORE_UM / generator.spacing_um)
    for row in range(0, support.shape[0], k):
        for column in range(0, support.shape[1], k):
            if support[row : row + k, column : column + k].any():
                yield row, column


class _Tiles:
    """Tiles of a slide, a core with its margin on every side.

    A slide's last core is cut off where the slide ends, on the network's own step: a small slide
    costs no more than it shows.
    """

    def __init__(self, slide: SlideReader, generator: Generator) -> None:
        self.slide, self.mpp, self.glass = slide, generator.mpp, glass_of(slide)
        self.per = round(generator.spacing_um / generator.mpp)
        self.step = generator.step_px // self.per
        self.margin = -(-round(MARGIN_UM / generator.spacing_um) // self.step) * self.step
        self.whole = -(-round(CORE_UM / generator.spacing_um) // self.step) * self.step
        self.shape = _grid_shape(slide, generator)

    def at(self, row: int, column: int) -> tuple[int, SlideTile]:
        """Margin in pixels of the map, and the tile whose core begins at a pixel of the map."""
        rows, columns = (
            min(self.whole, -(-(n - at) // self.step) * self.step) + 2 * self.margin
            for n, at in zip(self.shape, (row, column), strict=True)
        )
        region = Region(
            x=(column - self.margin) * self.per,
            y=(row - self.margin) * self.per,
            width=columns * self.per,
            height=rows * self.per,
        )
        return self.margin, SlideTile(
            row=row - self.margin,
            column=column - self.margin,
            rows=rows,
            columns=columns,
            read=lambda: over_white(self.slide.read(region, self.mpp), self.glass),
        )
