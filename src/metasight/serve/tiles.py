"""Tiles of slides for deep zoom, from the product's own reader, in bounded memory.

Levels are those of Deep Zoom: the last shows the slide at full resolution, each before it half as
large. A tile's pixels are the reader's own for that resolution.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from metasight.alignment.transform import Transform
from metasight.cohort.slide_table import SlideRow
from metasight.errors import SlideError
from metasight.slides.cache import MEBIBYTE, TileCache
from metasight.slides.opening import open_slide
from metasight.slides.reader import RGB, PyramidReader, ReadAs, Region

TILE_PX = 256
MOST_OPEN = 8
"""Slides that are kept open at once."""
MOST_DECODED = 64 * MEBIBYTE
MOST_ENCODED = 64 * MEBIBYTE
_QUALITY = 85
_LOOK_PX = 512  # the overview by which the windows of fluorescence are set
_COLOURS = ((90, 90, 255), (0, 220, 0), (255, 60, 60), (255, 220, 0), (255, 0, 255), (0, 220, 220))

Rgb = npt.NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Pyramid:
    """Deep Zoom levels of a slide.

    Attributes
    ----------
    width, height
        Level-0 pixels of the slide, at least 1.
    mpp
        µm to one of them.
    """

    width: int
    height: int
    mpp: float

    @property
    def max_level(self) -> int:
        """The level of full resolution."""
        return math.ceil(math.log2(max(self.width, self.height, 1)))

    def size(self, level: int) -> tuple[int, int]:
        """Width and height in pixels of a level."""
        scale = 2 ** (self.max_level - level)
        return math.ceil(self.width / scale), math.ceil(self.height / scale)

    def region(self, level: int, column: int, row: int) -> tuple[Region, float]:
        """A tile's pixels on the grid of its level, and the µm to one of them.

        Raises
        ------
        SlideError
            There is no such tile.
        """
        if not 0 <= level <= self.max_level:
            raise _no_tile()
        width, height = self.size(level)
        x, y = column * TILE_PX, row * TILE_PX
        if column < 0 or row < 0 or x >= width or y >= height:
            raise _no_tile()
        region = Region(x=x, y=y, width=min(TILE_PX, width - x), height=min(TILE_PX, height - y))
        return region, self.mpp * 2 ** (self.max_level - level)


def _no_tile() -> SlideError:
    return SlideError("the slide has no such tile", remedy="Open the slide's page again")


class OpenSlide:
    """A slide that is open, read by one thread at a time."""

    def __init__(self, reader: PyramidReader) -> None:
        self.lock = threading.Lock()
        self.reader = reader
        full = reader.levels[0]
        self.pyramid = Pyramid(width=full.width, height=full.height, mpp=reader.mpp)
        self.is_brightfield = reader.channels == RGB
        self._windows: npt.NDArray[np.float32] | None = None

    def tile(self, level: int, column: int, row: int, channel: int | None = None) -> Rgb:
        """(height, width, 3) of a tile; of fluorescence, one channel or all in colours."""
        region, mpp = self.pyramid.region(level, column, row)
        with self.lock:
            return self._read(region, mpp, channel)

    def box(self, box_um: tuple[float, float, float, float], mpp: float) -> Rgb:
        """A box (x, y, width, height in µm) at a resolution; white where there is no slide."""
        x, y, width, height = box_um
        region = Region(
            x=round(x / mpp),
            y=round(y / mpp),
            width=max(1, round(width / mpp)),
            height=max(1, round(height / mpp)),
        )
        at = max(mpp, self.pyramid.mpp)
        with self.lock:
            try:
                return self._read(region, at, None)
            except SlideError:  # all of it lies beside the slide
                fill = 255 if self.is_brightfield else 0
                return np.full((region.height, region.width, 3), fill, np.uint8)

    def _read(self, region: Region, mpp: float, channel: int | None) -> Rgb:
        pixels = self.reader.read(region, mpp)
        if self.is_brightfield:
            return np.ascontiguousarray(pixels)
        return self._in_colours(pixels, channel)

    def _in_colours(self, pixels: npt.NDArray[np.generic], channel: int | None) -> Rgb:
        """Each channel in its colour between its window's ends, added up."""
        if self._windows is None:
            self._windows = self._looked()
        out = np.zeros((*pixels.shape[:2], 3), np.float32)
        shown = range(pixels.shape[2]) if channel is None else [channel]
        for n in shown:
            dark, bright = self._windows[n]
            light = np.clip((pixels[..., n].astype(np.float32) - dark) / (bright - dark), 0, 1)
            out += light[..., None] * np.array(self.colour(n), np.float32)
        return np.clip(out, 0, 255).astype(np.uint8)

    def colour(self, channel: int) -> tuple[int, int, int]:
        """In which a channel is drawn (red, green, blue)."""
        return _COLOURS[channel % len(_COLOURS)]

    def _looked(self) -> npt.NDArray[np.float32]:
        """Ends of each channel's window: its 1st and 99.8th percentile on an overview."""
        pyramid = self.pyramid
        mpp = pyramid.mpp * max(1.0, max(pyramid.width, pyramid.height) / _LOOK_PX)
        width, height = self.reader.size_at(mpp)
        small = self.reader.read(Region(x=0, y=0, width=width, height=height), mpp)
        ends = np.percentile(small.reshape(-1, small.shape[2]), [1, 99.8], axis=0).T
        ends[:, 1] = np.maximum(ends[:, 1], ends[:, 0] + 1)
        return np.asarray(ends, np.float32)


class OpenSlides:
    """Slides that were asked for last, kept open; tiles that were made last, kept encoded."""

    def __init__(
        self,
        most_open: int = MOST_OPEN,
        most_encoded: int = MOST_ENCODED,
        opener: Callable[[SlideRow, TileCache], PyramidReader] | None = None,
    ) -> None:
        self._most_open = most_open
        self._opener = opener or _opened
        self._decoded = TileCache(MOST_DECODED)
        self._encoded = _Encoded(most_encoded)
        self._open: OrderedDict[str, OpenSlide] = OrderedDict()
        self._in_use: dict[str, int] = {}
        self._lock = threading.Lock()

    @contextmanager
    def slide(self, row: SlideRow) -> Iterator[OpenSlide]:
        """A slide, open as long as it is used."""
        with self._lock:
            found = self._open.get(row.name)
            if found is None:
                found = self._open[row.name] = OpenSlide(self._opener(row, self._decoded))
            self._open.move_to_end(row.name)
            self._in_use[row.name] = self._in_use.get(row.name, 0) + 1
        try:
            yield found
        finally:
            with self._lock:
                self._in_use[row.name] -= 1
                self._close_some()

    def tile(self, row: SlideRow, place: tuple[int, int, int], channel: int | None) -> bytes:
        """A tile as JPEG.

        Raises
        ------
        SlideError
            The slide cannot be read, or has no such tile.
        """
        key = (row.name, place, channel)
        found = self._encoded.get(key)
        if found is None:
            with self.slide(row) as slide:
                if channel is not None and not 0 <= channel < len(slide.reader.channels):
                    raise _no_tile()
                found = jpeg(slide.tile(*place, channel))
            self._encoded.put(key, found)
        return found

    def aligned_tile(
        self,
        fixed: SlideRow,
        moving: SlideRow,
        transform: Transform,
        place: tuple[int, int, int],
    ) -> bytes:
        """A tile of the H&E's pyramid with the aligned section in it, as JPEG."""
        key = (fixed.name, moving.name, place)
        found = self._encoded.get(key)
        if found is None:
            with self.slide(fixed) as below, self.slide(moving) as above:
                region, mpp = below.pyramid.region(*place)
                if mpp < above.pyramid.mpp:
                    # finer than the section was scanned: its own pixels, enlarged
                    found = jpeg(_enlarged(region, mpp, above, transform))
                else:
                    box = _in_um(region, mpp)
                    fill = 255 if above.is_brightfield else 0
                    found = jpeg(transform.warp_region(above.box, box, mpp, fill=fill))
            self._encoded.put(key, found)
        return found

    def _close_some(self) -> None:
        for name in list(self._open):
            if len(self._open) <= self._most_open:
                return
            if not self._in_use.get(name):
                self._open.pop(name).reader.close()
                self._in_use.pop(name, None)

    def forget(self) -> None:
        """Open every slide anew when it is next asked for: files or alignments may be others."""
        with self._lock:
            for name, slide in self._open.items():
                if not self._in_use.get(name):  # else whoever reads it lets go of it
                    slide.reader.close()
            self._open.clear()
            self._encoded.clear()

    def close(self) -> None:
        """Close every slide."""
        with self._lock:
            for slide in self._open.values():
                slide.reader.close()
            self._open.clear()


def _in_um(region: Region, mpp: float) -> tuple[float, float, float, float]:
    return region.x * mpp, region.y * mpp, region.width * mpp, region.height * mpp


def _enlarged(region: Region, mpp: float, above: OpenSlide, transform: Transform) -> Rgb:
    coarse = above.pyramid.mpp
    box = _in_um(region, mpp)
    wide = (box[0], box[1], max(box[2], coarse), max(box[3], coarse))
    fill = 255 if above.is_brightfield else 0
    small = transform.warp_region(above.box, wide, coarse, fill=fill)
    size = (region.width, region.height)
    return np.asarray(cv2.resize(small, size, interpolation=cv2.INTER_LINEAR), np.uint8)


class _Encoded:
    """Tiles as JPEG, those used last, up to a number of bytes."""

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._bytes = 0
        self._tiles: OrderedDict[Hashable, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> bytes | None:
        with self._lock:
            found = self._tiles.get(key)
            if found is not None:
                self._tiles.move_to_end(key)
            return found

    def clear(self) -> None:
        with self._lock:
            self._tiles.clear()
            self._bytes = 0

    def put(self, key: Hashable, tile: bytes) -> None:
        with self._lock:
            old = self._tiles.pop(key, b"")
            self._tiles[key] = tile
            self._bytes += len(tile) - len(old)
            while self._bytes > self._most and self._tiles:
                _, dropped = self._tiles.popitem(last=False)
                self._bytes -= len(dropped)


def jpeg(rgb: Rgb) -> bytes:
    """A picture as JPEG."""
    bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
    return bytes(cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1])


def _opened(row: SlideRow, cache: TileCache) -> PyramidReader:
    return open_slide(
        Path(row.path),
        name=row.name,
        read_as=ReadAs(mpp=row.mpp, replaces_mpp=row.replaces_mpp, picture=row.picture),
        cache=cache,
    )
