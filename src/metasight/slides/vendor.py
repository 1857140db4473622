"""Slides that OpenSlide reads: NDPI, MRXS, SCN, BIF, Philips, DICOM WSI, and SVS as a reference."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import openslide

from metasight.errors import SlideError
from metasight.slides.reader import (
    RGB,
    Pixels,
    PyramidReader,
    ReadAs,
    Region,
    checked_mpp,
    level_downsamples,
    mpp_note,
    stated_number,
)

_EXPORT_AGAIN = "Copy the slide again with all its files, or export it again from the scanner"
_OPAQUE = 255


class OpenSlideReader(PyramidReader):
    """A slide through OpenSlide; see `SlideReader`.

    Where the scanner saw nothing, OpenSlide gives transparent pixels; here they are white.

    Parameters
    ----------
    path
        The slide's main file; for DICOM any file of the series.
    name, mpp, read_as
        As for `TiffReader`.

    Raises
    ------
    SlideError
        OpenSlide doesn't know the file, or a part of it is missing or damaged.
    """

    def __init__(
        self, path: Path, *, name: str, mpp: float | None = None, read_as: ReadAs | None = None
    ) -> None:
        asked = read_as or ReadAs(mpp=mpp)
        try:
            self._slide = openslide.OpenSlide(str(path))
        except openslide.OpenSlideUnsupportedFormatError as error:
            raise SlideError(
                "the file is no slide that OpenSlide knows", where=name, remedy=_EXPORT_AGAIN
            ) from error
        except (openslide.OpenSlideError, OSError) as error:
            raise SlideError(
                "the slide, or a file that belongs to it, is missing or damaged",
                where=name,
                value=type(error).__name__,
                remedy=_EXPORT_AGAIN,
            ) from error
        properties = self._slide.properties
        # OpenSlide itself does not understand a decimal comma
        x, y = (
            stated_number(properties.get(f"openslide.mpp-{axis}", properties.get("aperio.MPP")))
            for axis in "xy"
        )
        try:
            levels = level_downsamples(self._slide.level_dimensions, name=name)
            resolution = checked_mpp(
                x,
                y,
                name=name,
                override=asked.mpp if asked.replaces_mpp else None,
                default=asked.mpp,
            )
        except SlideError:
            self._slide.close()
            raise
        vendor = properties.get("openslide.vendor", "unknown")
        found = {"format": f"{vendor} through OpenSlide"}
        if "openslide.objective-power" in properties:
            found["AppMag"] = properties["openslide.objective-power"]
        super().__init__(
            name=name,
            software=f"OpenSlide {openslide.__library_version__}",
            levels=levels,
            mpp=resolution,
            channels=RGB,
            dtype=np.dtype(np.uint8),
            properties=found,
            notes=[mpp_note(x, y, asked)],
        )

    def close(self) -> None:
        """Let go of the file."""
        self._slide.close()

    def read_level(self, level: int, region: Region, reduction: int) -> Pixels:
        """Pixels of one level; OpenSlide has no smaller decoding, so ``reduction`` is 1."""
        # OpenSlide's own factor, a mean of both sides' ratios: it divides by it again
        downsample = self._slide.level_downsamples[level]
        corner = round(region.x * downsample), round(region.y * downsample)
        try:
            image = self._slide.read_region(corner, level, (region.width, region.height))
        except openslide.OpenSlideError as error:
            raise SlideError(
                f"a tile of level {level} cannot be decoded",
                where=self.name,
                value=type(error).__name__,
                remedy=_EXPORT_AGAIN,
            ) from error
        rgba = np.asarray(image)
        rgb = rgba[..., :3]
        if (rgba[..., 3] == _OPAQUE).all():
            return rgb.copy()
        alpha = rgba[..., 3:].astype(np.uint16)
        white = (rgb.astype(np.uint16) * alpha + _OPAQUE * (_OPAQUE - alpha)) // _OPAQUE
        return white.astype(np.uint8)
