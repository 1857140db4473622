"""What each nucleus of an H&E looks like: size, shape, chromatin, colour and crowding.

A generator that reads nuclei learns from these numbers. Each is told twice: as it is, and against
the slide's own nuclei (distance from their median in interquartile ranges), since one laboratory
stains darker than the next and small is small beside the others. Crowding is counted over the
whole slide, so that nothing changes at the border of a tile.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from metasight.errors import MarkerError
from metasight.maps.glass import glass_of
from metasight.segmentation.nucleus import Nuclei
from metasight.segmentation.slide_nuclei import nuclei_by_block
from metasight.slides.blocks import Block
from metasight.slides.reader import RGB, SlideReader
from metasight.slides.stain import optical_density

Floats = npt.NDArray[np.float64]
Floats32 = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

RADII_UM = (15.0, 30.0, 60.0)
"""About a cell's neighbours, a small group, and what is compared between sections."""

OWN = (
    "log_area",
    "axis_ratio",
    "amount",
    "contrast",
    "od_red",
    "od_green",
    "od_blue",
    "chromatin_spread",
    *(f"log_nuclei_within_{r:g}_um" for r in RADII_UM),
)
"""Names of the numbers of a nucleus as they are; as many, against the slide's own, follow."""

N_LOOKS = 2 * len(OWN)


@dataclass(frozen=True, kw_only=True)
class SlideNuclei:
    """Nuclei of a slide.

    Attributes
    ----------
    x_um, y_um
        (n,) centres, from the slide's level-0 corner.
    looks
        float32 (n, `N_LOOKS`): the numbers of `OWN`, and the same against the slide's own nuclei.
    """

    x_um: Floats
    y_um: Floats
    looks: Floats32

    def __len__(self) -> int:
        return len(self.x_um)


def read_nuclei(slide: SlideReader, tissue: Mask, tissue_mpp: float, *, mpp: float) -> SlideNuclei:
    """Find the nuclei of a slide's tissue and measure how each looks.

    Parameters
    ----------
    slide
        H&E, open.
    tissue, tissue_mpp
        Its tissue mask from the slide's corner, and µm per pixel.
    mpp
        Resolution to read at, 0.2 to 1 µm per pixel.

    Raises
    ------
    MarkerError
        The slide is not brightfield, has no tissue, or its tissue shows no nucleus.
    """
    if slide.channels != RGB:
        raise MarkerError(
            "nuclei's looks are those of brightfield H&E",
            where=slide.name,
            value=", ".join(slide.channels),
        )
    glass = glass_of(slide)
    found = [
        _measured(block, nuclei, optical_density(pixels, glass), mpp)
        for block, pixels, nuclei in nuclei_by_block(slide, tissue, tissue_mpp, mpp=mpp)
    ]
    at, own = (np.concatenate(part) for part in zip(*found, strict=True))
    if not len(at):
        raise MarkerError(
            "no nucleus was found in the slide's tissue",
            where=slide.name,
            remedy="See the slide on its quality sheet: it may be no H&E, or out of focus",
        )
    looks = np.concatenate([own, _crowding(at)], axis=1)
    return SlideNuclei(
        x_um=at[:, 0],
        y_um=at[:, 1],
        looks=np.concatenate([looks, against_the_slide(looks)], axis=1).astype(np.float32),
    )


def against_the_slide(looks: Floats) -> Floats:
    """Distance of each number (n, f) from its median over the nuclei, in interquartile ranges.

    A number that does not vary among the middle half of the nuclei tells nothing: 0.
    """
    low, median, high = np.percentile(looks, [25, 50, 75], axis=0)
    range_ = high - low
    told = range_ > 0
    return np.asarray((looks - median) * told / np.where(told, range_, 1.0), dtype=np.float64)


def _measured(
    block: Block, nuclei: Nuclei, density_od: Floats32, mpp: float
) -> tuple[Floats, Floats]:
    """Centres (n, 2) in µm on the slide and the numbers that the pixels tell, of a block's own."""
    x, y = nuclei.x_um + block.wide.x * mpp, nuclei.y_um + block.wide.y * mpp
    own = block.owns(x, y, mpp)
    label = nuclei.labels.ravel()
    pixels = np.bincount(label, minlength=len(nuclei) + 1)[1:]

    def mean(image: Floats32) -> Floats:
        total = np.bincount(label, image.ravel(), minlength=len(nuclei) + 1)[1:]
        return np.asarray(total / pixels, dtype=np.float64)

    colour = [mean(density_od[..., channel]) for channel in range(3)]
    spread = np.sqrt(np.maximum(mean(density_od[..., 0] ** 2) - colour[0] ** 2, 0.0))
    told = [np.log(nuclei.area_um2), nuclei.axis_ratio, nuclei.amount, nuclei.contrast]
    looks = np.stack([*told, *colour, spread], axis=1)
    return np.stack([x, y], axis=1)[own], looks[own]


def _crowding(at_um: Floats) -> Floats:
    """Logarithm of the number of nuclei, itself included, within each of `RADII_UM`."""
    tree = cKDTree(at_um)
    near = [tree.query_ball_point(at_um, r, return_length=True) for r in RADII_UM]
    return np.asarray(np.log(np.stack(near, axis=1)), dtype=np.float64)
