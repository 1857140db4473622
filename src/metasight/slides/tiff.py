"""TIFF-based slides (Aperio SVS, OME-TIFF, any pyramidal TIFF), decoded without a detour.

tifffile reads the file's index; tiles are then fetched by offset and decoded by imagecodecs, each
once for all the regions that share it. A JPEG tile wanted at half its size is decoded at half
its size (in the DCT domain), which is quicker than decoding and averaging.
"""

from __future__ import annotations

import itertools
import logging
import os
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import imagecodecs
import numpy as np
import numpy.typing as npt
import tifffile

from metasight.errors import SlideError
from metasight.slides.cache import TileCache
from metasight.slides.reader import (
    RGB,
    Pixels,
    PyramidReader,
    Region,
    checked_mpp,
    level_downsamples,
)

_REDUCED = {
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}
_LARGEST_STRIP_PIXELS = 64_000_000
# A JPEG tile of empty glass takes about a byte for 80 pixels, deflated zeros one for 1000: a
# file that claims more does not hold what it claims.
_MOST_PIXELS_A_BYTE = 2000
_MICROMETRES = {"µm": 1.0, "um": 1.0, "μm": 1.0, "nm": 1e-3, "mm": 1e3, "cm": 1e4, "m": 1e6}
_EXPORT_AGAIN = "Copy the file again, or export it again from the scanner"
_shared_cache = TileCache()
_serial = itertools.count()

# tifffile tells of a damaged file in its log and goes on; here a damaged file is refused.
logging.getLogger("tifffile").setLevel(logging.CRITICAL)


@dataclass(frozen=True, kw_only=True)
class _Plane:
    """One channel, or three interleaved, of one level: where its tiles are."""

    page: Any
    handle: int
    first: int
    samples: int


@dataclass(frozen=True, kw_only=True)
class _Tiles:
    """How a level is cut, and the planes that make up its channels."""

    width: int
    height: int
    tile_width: int
    tile_height: int
    planes: tuple[_Plane, ...]

    @property
    def across(self) -> int:
        return -(-self.width // self.tile_width)

    @property
    def down(self) -> int:
        return -(-self.height // self.tile_height)


class TiffReader(PyramidReader):
    """A slide in a TIFF file; see `SlideReader`.

    Parameters
    ----------
    path
        SVS, OME-TIFF (one file or several) or pyramidal TIFF; tiled, or in small strips.
    name
        How messages call it.
    mpp
        Overrides what the file says.
    cache
        Where decoded tiles are kept; one for the process where it is None.

    Raises
    ------
    SlideError
        Truncated, damaged, without its parts, of a kind that is not a slide, or without mpp.
    """

    def __init__(
        self,
        path: Path,
        *,
        name: str,
        mpp: float | None = None,
        cache: TileCache | None = None,
    ) -> None:
        self._cache = cache if cache is not None else _shared_cache
        self._id = next(_serial)
        self._file = _opened(path, name)
        try:
            _check_chain(self._file, name)
            series = _series(self._file, name)
            pages = [_pages(level, name) for level in series.levels]
            keyframe = pages[0][0].keyframe
            channels = _channels(self._file, series, keyframe, name)
            self._levels_tiles = [_tiles(p, name) for p in pages]
            jpeg = all(t.planes[0].page.keyframe.compression == 7 for t in self._levels_tiles)
            super().__init__(
                name=name,
                software=f"tifffile {tifffile.__version__}, imagecodecs {imagecodecs.__version__}",
                levels=level_downsamples([(t.width, t.height) for t in self._levels_tiles]),
                mpp=checked_mpp(*_mpp(self._file, keyframe), name=name, override=mpp),
                channels=channels,
                dtype=np.dtype(keyframe.dtype),
                properties=_properties(self._file, keyframe),
                reductions=(1, 2, 4, 8) if jpeg and channels == RGB else (1,),
            )
        except BaseException:
            self._file.close()
            raise

    def close(self) -> None:
        """Let go of the file and of its tiles."""
        self._cache.forget(self._id)
        for tiles in self._levels_tiles:
            for plane in tiles.planes:
                plane.page.parent.filehandle.close()
        self._file.close()

    def read_level(self, level: int, region: Region, reduction: int) -> Pixels:
        """Pixels of one level, decoded ``reduction`` times smaller; inside the level."""
        tiles = self._levels_tiles[level]
        width, height = tiles.tile_width // reduction, tiles.tile_height // reduction
        first_column, first_row = region.x // width, region.y // height
        last_column = (region.x + region.width - 1) // width
        last_row = (region.y + region.height - 1) // height
        if first_column == last_column and first_row == last_row:
            index = first_row * tiles.across + first_column
            row, column = region.y - first_row * height, region.x - first_column * width
            if region.width == width and region.height == height:
                return self._whole(level, index, reduction)
            tile = self._tile(level, index, reduction)
            return tile[row : row + region.height, column : column + region.width].copy()
        out = np.empty((region.height, region.width, len(self.channels)), dtype=self.dtype)
        for row in range(first_row, last_row + 1):
            for column in range(first_column, last_column + 1):
                tile = self._tile(level, row * tiles.across + column, reduction)
                _paste(out, tile, row * height - region.y, column * width - region.x)
        return out

    def _whole(self, level: int, index: int, reduction: int) -> Pixels:
        """A tile for a caller that takes all of it: no other will ask for a part of it."""
        tile = self._cache.get((self._id, level, index, reduction))
        return tile.copy() if tile is not None else self._joined(level, index, reduction)

    def _tile(self, level: int, index: int, reduction: int) -> Pixels:
        key = (self._id, level, index, reduction)
        tile = self._cache.get(key)
        if tile is None:
            tile = self._joined(level, index, reduction)
            self._cache.put(key, tile)
        return tile

    def _joined(self, level: int, index: int, reduction: int) -> Pixels:
        planes = self._levels_tiles[level].planes
        parts = [self._decoded(level, plane, index, reduction) for plane in planes]
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=2)

    def _decoded(self, level: int, plane: _Plane, index: int, reduction: int) -> Pixels:
        page, tiles = plane.page, self._levels_tiles[level]
        at = plane.first + index
        count = page.databytecounts[at]
        shape = (tiles.tile_height // reduction, tiles.tile_width // reduction, plane.samples)
        if count == 0:  # sparse: the scanner left out a tile of glass
            return np.full(shape, self._empty, dtype=self.dtype)
        try:
            data = os.pread(plane.handle, count, page.dataoffsets[at])
            if page.keyframe.compression == 7 and self.channels == RGB:
                tile = _jpeg(page.keyframe, data, reduction)
            else:
                tile = page.keyframe.decode(data, at, jpegtables=page.keyframe.jpegtables)[0][0]
        except (imagecodecs.DelayedImportError, ImportError) as error:
            raise self._damaged(level, at, f"no decoder: {type(error).__name__}") from error
        except (RuntimeError, ValueError, cv2.error, tifffile.TiffFileError) as error:
            raise self._damaged(level, at, type(error).__name__) from error
        if tile.shape[2] != plane.samples or tile.shape[0] > shape[0] or tile.shape[1] > shape[1]:
            raise self._damaged(level, at, f"{tile.shape[1]} × {tile.shape[0]} pixels")
        return np.asarray(tile)

    def _damaged(self, level: int, tile: int, value: str) -> SlideError:
        return SlideError(
            f"tile {tile} of level {level} cannot be decoded", where=self.name, value=value,
            remedy=_EXPORT_AGAIN,
        )  # fmt: skip


def is_tiff_slide(path: Path) -> bool:
    """Whether `TiffReader` reads this kind: not the TIFF dialects that only OpenSlide knows.

    NDPI keeps one JPEG of the whole slide, BIF tiles that overlap, SCN and Philips their own XML.
    """
    try:
        with tifffile.TiffFile(path) as file:
            return not (file.is_ndpi or file.is_bif or file.is_scn or file.is_philips)
    except (tifffile.TiffFileError, OSError, ValueError, IndexError, KeyError):
        return False


def _opened(path: Path, name: str) -> Any:
    try:
        return tifffile.TiffFile(path)
    except FileNotFoundError as error:
        raise SlideError("the file is not there", where=name, remedy="Check its path") from error
    except (tifffile.TiffFileError, OSError, ValueError, IndexError, KeyError) as error:
        raise SlideError(
            "the file is not a TIFF slide, or is cut off before its index", where=name,
            value=type(error).__name__, remedy=_EXPORT_AGAIN,
        ) from error  # fmt: skip


def _check_chain(file: Any, name: str) -> None:
    """Refuse a file whose last page points to one that is not there; tifffile drops it silently."""
    file.pages.get(len(file.pages) - 1)
    file.filehandle.seek(file.pages.next_page_offset)
    if any(file.filehandle.read(file.tiff.offsetsize)):
        raise SlideError(
            "the file is cut off: a level or picture that it speaks of is not in it", where=name,
            value=f"{file.filehandle.size:,} bytes", remedy=_EXPORT_AGAIN,
        )  # fmt: skip


def _series(file: Any, name: str) -> Any:
    """The slide itself: the first series; labels and overviews come after it."""
    try:
        series = file.series[0]
        axes, shape = series.axes, series.shape
    except (tifffile.TiffFileError, IndexError, ValueError, KeyError, ET.ParseError) as error:
        raise SlideError(
            "the file's index is damaged", where=name, value=type(error).__name__,
            remedy=_EXPORT_AGAIN,
        ) from error  # fmt: skip
    stacked = [f"{a} = {n}" for a, n in zip(axes, shape, strict=True) if a not in "YXSC" and n > 1]
    if stacked or "Y" not in axes or "X" not in axes:
        raise SlideError(
            "the file is a stack, not one plane", where=name, value=", ".join(stacked) or axes,
            remedy="Export one focal plane and one time point",
        )  # fmt: skip
    return series


def _pages(level: Any, name: str) -> list[Any]:
    try:
        pages = list(level.pages)
    except (tifffile.TiffFileError, OSError, FileNotFoundError) as error:
        raise SlideError(
            "a part of the slide is missing", where=name, remedy=_EXPORT_AGAIN
        ) from error
    if not pages or any(page is None for page in pages):
        raise SlideError(
            "a part of the slide is missing", where=name,
            value=f"{sum(page is not None for page in pages)} of {len(pages)} planes",
            remedy="Copy all files of the slide into one folder",
        )  # fmt: skip
    return pages


def _tiles(pages: Sequence[Any], name: str) -> _Tiles:
    keyframe = pages[0].keyframe
    for page in pages:
        page.parent.filehandle.open()  # tifffile closes the other files of a slide after a look
    if keyframe.is_tiled:
        tile_width, tile_height = keyframe.tilewidth, keyframe.tilelength
    else:
        tile_width, tile_height = (
            keyframe.imagewidth,
            min(keyframe.rowsperstrip, keyframe.imagelength),
        )
    if tile_width < 1 or tile_height < 1 or tile_width * tile_height > _LARGEST_STRIP_PIXELS:
        raise SlideError(
            "the slide is not tiled: it would have to be decoded as a whole", where=name,
            value=f"pieces of {tile_width} × {tile_height} pixels",
            remedy="Export it as a tiled pyramid",
        )  # fmt: skip
    separate = keyframe.planarconfig == 2
    tiles = _Tiles(
        width=keyframe.imagewidth, height=keyframe.imagelength,
        tile_width=tile_width, tile_height=tile_height, planes=(),
    )  # fmt: skip
    count = tiles.across * tiles.down
    planes = [
        _Plane(
            page=page, handle=page.parent.filehandle.fileno(), first=sample * count,
            samples=1 if separate else keyframe.samplesperpixel,
        )
        for page in pages
        for sample in range(keyframe.samplesperpixel if separate else 1)
    ]  # fmt: skip
    for page in pages:
        _check_index(page, count * (keyframe.samplesperpixel if separate else 1), tiles, name)
    return _Tiles(
        width=tiles.width, height=tiles.height, tile_width=tile_width, tile_height=tile_height,
        planes=tuple(planes),
    )  # fmt: skip


def _check_index(page: Any, count: int, tiles: _Tiles, name: str) -> None:
    """Refuse a tile table that does not fit the image or the file."""
    offsets = np.asarray(page.dataoffsets, dtype=np.int64)
    counts = np.asarray(page.databytecounts, dtype=np.int64)
    size = page.parent.filehandle.size
    if len(offsets) != count or len(counts) != count:
        raise SlideError(
            "the tile table does not fit the image", where=name,
            value=f"{len(offsets)} tiles for {tiles.width} × {tiles.height} pixels, not {count}",
            remedy=_EXPORT_AGAIN,
        )  # fmt: skip
    held = counts > 0
    beyond = held & ((offsets + counts > size) | (offsets <= 0))
    if beyond.any():
        raise SlideError(
            "the file is cut off, or its tile table is wrong: tiles lie beyond its end",
            where=name, value=f"{int(beyond.sum())} of {count} tiles", remedy=_EXPORT_AGAIN,
        )  # fmt: skip
    start = np.sort(offsets[held])
    length = counts[held][np.argsort(offsets[held], kind="stable")]
    if (np.diff(start) < length[:-1]).any():
        raise SlideError(
            "the tile table is wrong: tiles overlap in the file", where=name, remedy=_EXPORT_AGAIN
        )
    if not held.any() or tiles.width * tiles.height > _MOST_PIXELS_A_BYTE * size:
        raise SlideError(
            "the file is too small for the pixels that it claims", where=name,
            value=f"{tiles.width} × {tiles.height} pixels in {size:,} bytes",
            remedy=_EXPORT_AGAIN,
        )  # fmt: skip


def _channels(file: Any, series: Any, keyframe: Any, name: str) -> tuple[str, ...]:
    """Red, green and blue, or the names of a fluorescence slide's channels."""
    dtype = np.dtype(keyframe.dtype) if keyframe.dtype is not None else None
    if dtype not in (np.dtype(np.uint8), np.dtype(np.uint16)):
        raise SlideError(
            "pixels must have 8 or 16 bits", where=name, value=str(dtype),
            remedy="Export the slide with 8 or 16 bits a channel",
        )  # fmt: skip
    if series.axes.endswith("S") or keyframe.samplesperpixel == 3:
        if keyframe.samplesperpixel != 3 or dtype != np.uint8:
            raise SlideError(
                "a colour slide must have red, green and blue of 8 bits", where=name,
                value=f"{keyframe.samplesperpixel} samples of {dtype}",
                remedy="Export it as 8-bit RGB without a transparency channel",
            )  # fmt: skip
        return RGB
    count = dict(zip(series.axes, series.shape, strict=True)).get("C", 1)
    names = _ome_channels(file) if file.is_ome else []
    if len(names) != count:
        names = [f"channel_{i + 1}" for i in range(count)]
    return tuple(names)


def _ome(file: Any) -> Any:
    return ET.fromstring(file.ome_metadata)  # noqa: S314  no entities: expat refuses external ones


def _ome_channels(file: Any) -> list[str]:
    pixels = _first(_ome(file), "Pixels")
    if pixels is None:
        return []
    channels = [e for e in pixels if e.tag.rpartition("}")[2] == "Channel"]
    return [c.get("Name") or f"channel_{i + 1}" for i, c in enumerate(channels)]


def _first(root: Any, tag: str) -> Any:
    return next((e for e in root.iter() if e.tag.rpartition("}")[2] == tag), None)


def _mpp(file: Any, keyframe: Any) -> tuple[float | None, float | None]:
    if file.is_svs:
        given = _svs_fields(keyframe.description).get("MPP")
        value = _number(given)
        return value, value
    if file.is_ome:
        pixels = _first(_ome(file), "Pixels")
        if pixels is not None and pixels.get("PhysicalSizeX"):
            found = []
            for axis in "XY":
                unit = _MICROMETRES.get(pixels.get(f"PhysicalSize{axis}Unit", "µm"))
                value = _number(pixels.get(f"PhysicalSize{axis}"))
                found.append(None if unit is None or value is None else value * unit)
            return found[0], found[1]
        return None, None
    unit = {2: 25_400.0, 3: 10_000.0}.get(int(keyframe.resolutionunit or 1))
    resolution = [_tag_ratio(keyframe, tag) for tag in ("XResolution", "YResolution")]
    if unit is None or None in resolution:
        return None, None
    x, y = (unit / r if r else float("inf") for r in resolution)
    return x, y


def _tag_ratio(keyframe: Any, tag: str) -> float | None:
    value = keyframe.tags.valueof(tag)
    if value is None:
        return None
    numerator, denominator = value
    return float(numerator / denominator) if denominator else 0.0


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None


def _svs_fields(description: str) -> dict[str, str]:
    pairs = (part.partition("=") for part in description.split("|")[1:])
    return {key.strip(): value.strip() for key, _, value in pairs}


# Names that describe the scan. Everything else, the date and the file's name among it, may name
# a patient and is left behind.
_SAID_OF_THE_SCAN = ("AppMag", "ICC Profile", "Exposure Time", "DisplayColor")


def _properties(file: Any, keyframe: Any) -> Mapping[str, str]:
    kind = "Aperio SVS" if file.is_svs else "OME-TIFF" if file.is_ome else "TIFF"
    found = {"format": kind, "compression": str(keyframe.compression.name)}
    if file.is_svs:
        fields = _svs_fields(keyframe.description)
        found |= {key: fields[key] for key in _SAID_OF_THE_SCAN if key in fields}
    return found


def _jpeg(keyframe: Any, data: bytes, reduction: int) -> npt.NDArray[np.uint8]:
    if reduction == 1:
        # As tifffile reads it: Aperio keeps red, green and blue without a word of it in the JPEG.
        is_rgb = keyframe.photometric == 2 and not keyframe.is_jfif
        return np.asarray(
            imagecodecs.jpeg8_decode(
                data,
                tables=keyframe.jpegtables,
                colorspace=2 if is_rgb else None,
                outcolorspace=2,
            )
        )
    whole = _with_tables(keyframe, data)
    image = cv2.imdecode(np.frombuffer(whole, np.uint8), _REDUCED[reduction])
    if image is None:
        raise ValueError("not a JPEG")
    return np.asarray(image[..., ::-1])


def _with_tables(keyframe: Any, data: bytes) -> bytes:
    """A JPEG that stands alone: the file's shared tables and its colour space put before it."""
    transform = 0 if keyframe.photometric == 2 and not keyframe.is_jfif else 1
    adobe = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00" + bytes([transform])
    tables = keyframe.jpegtables or b"\xff\xd8\xff\xd9"
    return b"\xff\xd8" + adobe + tables[2:-2] + data[2:]


def _paste(out: Pixels, tile: Pixels, row: int, column: int) -> None:
    """Copy what of ``tile``, whose corner lies at (row, column), falls on ``out``."""
    top, left = max(row, 0), max(column, 0)
    bottom = min(row + tile.shape[0], out.shape[0])
    right = min(column + tile.shape[1], out.shape[1])
    out[top:bottom, left:right] = tile[top - row : bottom - row, left - column : right - column]
