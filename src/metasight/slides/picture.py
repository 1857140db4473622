"""A section in a plain picture (PNG or JPEG): small, and its resolution has to be said."""

from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from metasight.errors import SlideError
from metasight.slides.reader import RGB, Level, Pixels, PyramidReader, ReadAs, Region, checked_mpp

_MOST_BYTES = 200_000_000
_MOST_PIXELS = 400_000_000  # 1.2 GB: it is held in memory
_JPEG_SIZES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # markers of a frame


class PictureReader(PyramidReader):
    """A PNG or JPEG, held in memory; see `SlideReader`.

    Parameters
    ----------
    path, name
        As for `TiffReader`.
    mpp
        Micrometres a pixel. A picture's own dots per inch say nothing of a microscope.
    read_as
        What the study says of the file, instead of ``mpp``.

    Raises
    ------
    SlideError
        It cannot be decoded, is too large to be a picture, or ``mpp`` is None.
    """

    def __init__(
        self, path: Path, *, name: str, mpp: float | None = None, read_as: ReadAs | None = None
    ) -> None:
        asked = read_as or ReadAs(mpp=mpp)
        resolution = checked_mpp(None, None, name=name, override=asked.mpp)
        image = _decoded(path, name)
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


def _decoded(path: Path, name: str) -> npt.NDArray[np.uint8]:
    """(h, w, 3) blue, green, red; refused before it is decoded where it claims too much."""
    try:
        size = path.stat().st_size
        data = path.read_bytes() if size <= _MOST_BYTES else b""
        width, height = claimed_size(data)
        fits = 0 < width * height <= _MOST_PIXELS
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if fits else None
    except (OSError, cv2.error, struct.error, IndexError) as error:
        raise SlideError(
            "the picture cannot be read",
            where=name,
            value=type(error).__name__,
            remedy="Copy it again",
        ) from error
    if image is None:
        raise SlideError(
            "the picture is damaged, or larger than a picture may be",
            where=name,
            value=f"{width} × {height} pixels in {size:,} bytes",
            remedy="Export the section as a pyramidal TIFF",
        )
    return np.asarray(image, dtype=np.uint8)


def claimed_size(data: bytes) -> tuple[int, int]:
    """Width and height that the head of a PNG or JPEG claims; (0, 0) where it claims none."""
    if data.startswith(b"\x89PNG"):
        width, height = struct.unpack(">II", data[16:24])
        return width, height
    at = 2
    while data.startswith(b"\xff\xd8") and at + 9 <= len(data):
        marker, length = data[at + 1], struct.unpack(">H", data[at + 2 : at + 4])[0]
        if data[at] != 0xFF:
            break
        if marker in _JPEG_SIZES:
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            return width, height
        at += 1 if marker == 0xFF else 2 + length
    return 0, 0
