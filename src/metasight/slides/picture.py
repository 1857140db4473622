"""A section in a plain picture (PNG or JPEG): small, and its resolution has to be said."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from metasight.errors import SlideError
from metasight.slides.reader import RGB, Level, Pixels, PyramidReader, Region, checked_mpp

_MOST_BYTES = 200_000_000


class PictureReader(PyramidReader):
    """A PNG or JPEG, held in memory; see `SlideReader`.

    Parameters
    ----------
    path, name
        As for `TiffReader`.
    mpp
        Micrometres a pixel. A picture's own dots per inch say nothing of a microscope.

    Raises
    ------
    SlideError
        It cannot be decoded, is too large to be a picture, or ``mpp`` is None.
    """

    def __init__(self, path: Path, *, name: str, mpp: float | None = None) -> None:
        resolution = checked_mpp(None, None, name=name, override=mpp)
        data = path.read_bytes() if path.stat().st_size <= _MOST_BYTES else b""
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
        if image is None:
            raise SlideError(
                "the picture is damaged, or larger than a picture may be", where=name,
                value=f"{path.stat().st_size:,} bytes",
                remedy="Export the section as a pyramidal TIFF",
            )  # fmt: skip
        self._pixels = np.ascontiguousarray(image[..., ::-1])
        height, width = image.shape[:2]
        super().__init__(
            name=name,
            software=f"OpenCV {cv2.__version__}",
            levels=[Level(width=width, height=height, downsample=1.0)],
            mpp=resolution,
            channels=RGB,
            dtype=np.dtype(np.uint8),
            properties={"format": "picture"},
        )

    def close(self) -> None:
        """Nothing is held open."""

    def read_level(self, level: int, region: Region, reduction: int) -> Pixels:
        """A copy of the pixels of ``region``."""
        rows = slice(region.y, region.y + region.height)
        return self._pixels[rows, region.x : region.x + region.width].copy()
