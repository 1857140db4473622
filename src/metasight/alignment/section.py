"""One section as alignment sees it: a colour image at working resolution, and its evidence.

Stains differ between consecutive sections, structures do not. What is compared is therefore not
colour but the square root of the mean optical density: near 0 in glass, lumens and fat whatever
the stain, and compressed where one stain is much darker than the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from metasight.errors import AlignmentError
from metasight.slides.stain import background_colour, optical_density
from metasight.slides.tissue import tissue_mask

Rgb = NDArray[np.uint8]
Image = NDArray[np.float32]
Points = NDArray[np.float64]

_SMALLEST_PX = 48
_NOT_SCANNED = 8  # grey level: no stain lets so little light through in all three channels


@dataclass(frozen=True, kw_only=True)
class Section:
    """A section's image at one resolution.

    Coordinates are micrometres (x, y) from the image's top left corner: the centre of pixel
    (column i, row j) lies at ((i + 0.5) · mpp, (j + 0.5) · mpp).

    Attributes
    ----------
    rgb
        (h, w, 3) uint8, transmitted light. Black pixels count as not scanned.
    mpp
        Pixel size, µm, the same in both directions. About 4–10 serves; coarser than the
        structures that consecutive sections share (~50 µm) does not.
    name
        What errors call it; no patient identifier.
    """

    rgb: Rgb
    mpp: float
    name: str = "section"

    def __post_init__(self) -> None:
        if self.rgb.ndim != 3 or self.rgb.shape[2] != 3 or self.rgb.dtype != np.uint8:
            raise AlignmentError(
                "a section is an (h, w, 3) image of 8-bit colours",
                where=self.name,
                value=f"{self.rgb.shape}, {self.rgb.dtype}",
                remedy="Read it as RGB",
            )
        if min(self.rgb.shape[:2]) < _SMALLEST_PX:
            raise AlignmentError(
                "the image is too small to be aligned",
                where=self.name,
                value=f"{self.rgb.shape[1]} × {self.rgb.shape[0]} pixels",
                remedy=f"Give at least {_SMALLEST_PX} pixels each way",
            )
        if not (np.isfinite(self.mpp) and 0.05 <= self.mpp <= 100):
            raise AlignmentError(
                "the pixel size is not that of a section",
                where=self.name,
                value=f"{self.mpp} µm",
                remedy="Give mpp between 0.05 and 100 µm",
            )

    @property
    def size_um(self) -> tuple[float, float]:
        """Width and height, µm."""
        return self.rgb.shape[1] * self.mpp, self.rgb.shape[0] * self.mpp

    @property
    def diagonal_um(self) -> float:
        """Length of the image diagonal, µm: the unit of the relative registration error."""
        return float(np.hypot(*self.size_um))


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What of a section is compared, on a grid of ``spacing_um``.

    Attributes
    ----------
    contrast
        (h, w) float32, square root of the mean optical density, at least 0.
    scanned
        (h, w) float32, 1 where the scanner looked, 0 elsewhere.
    tissue
        (h, w) float32, 0 or 1: stained tissue and the holes that it surrounds closely.
    spacing_um
        Pixel size of these grids.
    origin_um
        (x, y) of the grids' corner on the section: glass round the tissue is cut off.
    """

    contrast: Image
    scanned: Image
    tissue: Image
    spacing_um: float
    origin_um: tuple[float, float]

    @cached_property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.contrast.shape[0], self.contrast.shape[1]

    @property
    def size_um(self) -> tuple[float, float]:
        """Width and height of the grids, µm."""
        return self.shape[1] * self.spacing_um, self.shape[0] * self.spacing_um

    def centres_um(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Coordinates on the section of the columns' and of the rows' centres."""
        x = self.origin_um[0] + (np.arange(self.shape[1]) + 0.5) * self.spacing_um
        y = self.origin_um[1] + (np.arange(self.shape[0]) + 0.5) * self.spacing_um
        return x.astype(np.float64), y.astype(np.float64)

    def cropped(self) -> Evidence:
        """Without the glass round the tissue, but for a margin of a fiftieth."""
        rows, columns = (
            np.nonzero(self.tissue.any(axis=1))[0],
            np.nonzero(self.tissue.any(axis=0))[0],
        )
        margin = max(self.shape) // 50
        top, left = max(0, int(rows[0]) - margin), max(0, int(columns[0]) - margin)
        box = np.s_[top : int(rows[-1]) + 1 + margin, left : int(columns[-1]) + 1 + margin]
        return Evidence(
            contrast=np.ascontiguousarray(self.contrast[box]),
            scanned=np.ascontiguousarray(self.scanned[box]),
            tissue=np.ascontiguousarray(self.tissue[box]),
            spacing_um=self.spacing_um,
            origin_um=(
                self.origin_um[0] + left * self.spacing_um,
                self.origin_um[1] + top * self.spacing_um,
            ),
        )

    def at(self, spacing_um: float) -> Evidence:
        """The same, averaged onto a coarser grid."""
        factor = self.spacing_um / spacing_um
        if factor >= 1:
            return self
        size = tuple(max(8, round(n * factor)) for n in self.shape[::-1])

        def shrink(image: Image) -> Image:
            return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.float32)

        return Evidence(
            contrast=shrink(self.contrast),
            scanned=(shrink(self.scanned) > 0.5).astype(np.float32),
            tissue=(shrink(self.tissue) > 0.5).astype(np.float32),
            spacing_um=self.spacing_um * self.shape[1] / size[0],
            origin_um=self.origin_um,
        )


def evidence(section: Section, spacing_um: float) -> Evidence:
    """Find what is compared of a section, on a grid of about ``spacing_um`` (never a finer one).

    Raises
    ------
    AlignmentError
        There is next to no tissue in the image.
    """
    rgb = section.rgb
    factor = section.mpp / spacing_um
    size = tuple(max(8, round(n * min(factor, 1.0))) for n in rgb.shape[1::-1])
    spacing = section.mpp * rgb.shape[1] / size[0]
    glass = background_colour(rgb)
    density = np.maximum(optical_density(rgb, glass).mean(axis=2), 0.0)
    unscanned = (rgb.max(axis=2) <= _NOT_SCANNED).astype(np.uint8)
    # single black pixels are pigment or carbon; a scanner leaves out whole strips
    unscanned = cv2.morphologyEx(unscanned, cv2.MORPH_OPEN, np.ones((5, 5), np.uint8))
    density[unscanned > 0] = 0.0
    contrast = np.sqrt(density, dtype=np.float32)
    scanned = 1.0 - unscanned.astype(np.float32)
    thumbnail = rgb
    if factor < 1:
        contrast = np.asarray(cv2.resize(contrast, size, interpolation=cv2.INTER_AREA))
        scanned = np.asarray(cv2.resize(scanned, size, interpolation=cv2.INTER_AREA))
        thumbnail = np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA))
    tissue = _tissue(thumbnail, spacing, glass) * (scanned > 0.5)
    if tissue.mean() < 0.005:
        raise AlignmentError(
            "next to no tissue is seen",
            where=section.name,
            value=f"{100 * float(tissue.mean()):.2f} % of the image",
            remedy="Check that the image shows the section",
        )
    return Evidence(
        contrast=contrast,
        scanned=(scanned > 0.5).astype(np.float32),
        tissue=tissue,
        spacing_um=spacing,
        origin_um=(0.0, 0.0),
    ).cropped()


def _tissue(rgb: Rgb, spacing_um: float, background: NDArray[np.float64]) -> Image:
    """Stained tissue and the small holes that it surrounds: alveoli and fat are tissue here."""
    seen = tissue_mask(rgb, spacing_um, background).astype(np.float32)
    around = cv2.GaussianBlur(seen, (0, 0), max(rgb.shape) / 80)
    return ((seen > 0) & (around > 0.1) | (around > 0.5)).astype(np.float32)
