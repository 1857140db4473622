"""What a TIFF slide says of itself: its levels, where their tiles lie, its channels and its mpp.

tifffile reads the index and takes damage lightly; here what does not fit is refused, so that
`metasight.slides.tiff` decodes nothing that is not where and what it is said to be.
"""

from __future__ import annotations

import logging
import math
import struct
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from metasight.errors import SlideError
from metasight.slides.channels import (
    imagej_channels,
    named_channels,
    ome_channels,
    qptiff_channels,
)
from metasight.slides.reader import RGB, ReadAs, stated_number

# What tifffile, and a look at what it read, raise on an index with wrong bytes in it.
DAMAGED = (
    tifffile.TiffFileError,
    OSError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,
    RuntimeError,
    TypeError,
    ValueError,
    ET.ParseError,
    struct.error,
)
EXPORT_AGAIN = "Copy the file again, or export it again from the scanner"

_LARGEST_STRIP_PIXELS = 64_000_000
_MOST_PLANES = 10_000  # a hundred channels of a hundred depths
# A JPEG tile of empty glass takes about a byte for 80 pixels, deflated zeros one for 1000: a
# file that claims more does not hold what it claims.
_MOST_PIXELS_A_BYTE = 2000
# Zeros, as of the corners of a stitched scan, take next to nothing with these.
_MOST_PIXELS_A_BYTE_OF = {34925: 20_000, 34926: 20_000, 50000: 20_000}  # LZMA, Zstandard
_MICROMETRES = {"µm": 1.0, "um": 1.0, "μm": 1.0, "nm": 1e-3, "mm": 1e3, "cm": 1e4, "m": 1e6}
_IMAGEJ_UNITS = _MICROMETRES | {"micron": 1.0, "microns": 1.0, "\\u00B5m": 1.0, "inch": 25_400.0}

_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _YCBCR = 0, 1, 2, 3, 6
# Their decoders turn luminance and chrominance into red, green and blue; no other does.
_DECODED_TO_RGB = {6, 7, 34892, 50001}
_APERIO_YCBCR = 33003

# tifffile tells of a damaged file in its log and goes on; here a damaged file is refused.
logging.getLogger("tifffile").setLevel(logging.CRITICAL)


@dataclass(frozen=True, kw_only=True)
class Plane:
    """One channel, or three interleaved, of one level: where its tiles are."""

    page: Any
    handle: int
    first: int
    samples: int


@dataclass(frozen=True, kw_only=True)
class Tiles:
    """How a level is cut, and the planes that make up its channels."""

    width: int
    height: int
    tile_width: int
    tile_height: int
    planes: tuple[Plane, ...]

    @property
    def across(self) -> int:
        """Tiles in a row."""
        return -(-self.width // self.tile_width)

    @property
    def down(self) -> int:
        """Rows of tiles."""
        return -(-self.height // self.tile_height)


def is_tiff_slide(path: Path) -> bool:
    """Whether `TiffReader` reads this kind: not the TIFF dialects that only OpenSlide knows.

    NDPI keeps one JPEG of the whole slide, BIF tiles that overlap, SCN and Philips their own XML;
    one of Aperio's two kinds of JPEG 2000 keeps luminance and chrominance without saying so.
    """
    try:
        with tifffile.TiffFile(path) as file:
            if int(file.pages.first.compression) == _APERIO_YCBCR:
                return False
            return not (file.is_ndpi or file.is_bif or file.is_scn or file.is_philips)
    except DAMAGED:
        return False


def opened(path: Path, name: str) -> Any:
    """The file with its index read."""
    try:
        file = tifffile.TiffFile(path)
    except FileNotFoundError as error:
        raise SlideError("the file is not there", where=name, remedy="Check its path") from error
    except DAMAGED as error:
        raise SlideError(
            "the file is not a TIFF slide, or is cut off before its index",
            where=name,
            value=type(error).__name__,
            remedy=EXPORT_AGAIN,
        ) from error
    try:
        _require_possible_planes(file, name)
    except BaseException:
        file.close()
        raise
    return file


def _require_possible_planes(file: Any, name: str) -> None:
    """Refuse an OME-TIFF that claims more planes than a file can hold, before they are listed."""
    if not file.is_ome:
        return
    try:
        elements = list(_ome(file).iter())
        claimed = [
            math.prod(int(e.get(f"Size{axis}", "1")) for axis in "CZT")
            for e in elements
            if e.tag.endswith("}Pixels")
        ]
        claimed += [int(e.get("PlaneCount", "1")) for e in elements if e.tag.endswith("}TiffData")]
    except (ET.ParseError, ValueError) as error:
        raise SlideError(
            "the file's OME description cannot be read",
            where=name,
            value=type(error).__name__,
            remedy=EXPORT_AGAIN,
        ) from error
    if max(claimed, default=1) > _MOST_PLANES:
        raise SlideError(
            "the file's OME description claims more planes than a slide has",
            where=name,
            value=f"{max(claimed):,}",
            remedy=EXPORT_AGAIN,
        )


def check_chain(file: Any, name: str) -> None:
    """Refuse a file whose last page points to one that is not there; tifffile drops it silently."""
    file.pages.get(len(file.pages) - 1)
    file.filehandle.seek(file.pages.next_page_offset)
    if any(file.filehandle.read(file.tiff.offsetsize)):
        raise SlideError(
            "the file is cut off: a level or picture that it speaks of is not in it",
            where=name,
            value=f"{file.filehandle.size:,} bytes",
            remedy=EXPORT_AGAIN,
        )


def series_of(file: Any, name: str, index: int = 0) -> Any:
    """One picture of the file, which must be one plane; `chosen_picture` says which."""
    try:
        series = file.series[index]
        axes, shape = series.axes, series.shape
    except DAMAGED as error:
        raise SlideError(
            "the file's index is damaged",
            where=name,
            value=type(error).__name__,
            remedy=EXPORT_AGAIN,
        ) from error
    stacked = [f"{a} = {n}" for a, n in zip(axes, shape, strict=True) if a not in "YXSC" and n > 1]
    if stacked or "Y" not in axes or "X" not in axes:
        raise SlideError(
            "the file is a stack, not one plane",
            where=name,
            value=", ".join(stacked) or axes,
            remedy="Export one focal plane and one time point; if the planes are channels, export "
            "an OME-TIFF that says so",
        )
    return series


def pages_of(level: Any, name: str) -> list[Any]:
    """The planes of a level; for several channels there is one each."""
    try:
        pages = list(level.pages)
    except (tifffile.TiffFileError, OSError, FileNotFoundError) as error:
        raise SlideError(
            "a part of the slide is missing", where=name, remedy=EXPORT_AGAIN
        ) from error
    if not pages or any(page is None for page in pages):
        raise SlideError(
            "a part of the slide is missing",
            where=name,
            value=f"{sum(page is not None for page in pages)} of {len(pages)} planes",
            remedy="Copy all files of the slide into one folder",
        )
    return pages


def tiles_of(pages: Sequence[Any], name: str) -> Tiles:
    """How a level is cut, after a check that its tiles are in the file."""
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
            "the slide is not tiled: it would have to be decoded as a whole",
            where=name,
            value=f"pieces of {tile_width} × {tile_height} pixels",
            remedy="Export it as a tiled pyramid",
        )
    separate = keyframe.planarconfig == 2
    tiles = Tiles(
        width=keyframe.imagewidth,
        height=keyframe.imagelength,
        tile_width=tile_width,
        tile_height=tile_height,
        planes=(),
    )
    count = tiles.across * tiles.down
    planes = [
        Plane(
            page=page,
            handle=page.parent.filehandle.fileno(),
            first=sample * count,
            samples=1 if separate else keyframe.samplesperpixel,
        )
        for page in pages
        for sample in range(keyframe.samplesperpixel if separate else 1)
    ]
    for page in pages:
        _check_index(page, count * (keyframe.samplesperpixel if separate else 1), tiles, name)
    return Tiles(
        width=tiles.width,
        height=tiles.height,
        tile_width=tile_width,
        tile_height=tile_height,
        planes=tuple(planes),
    )


def _check_index(page: Any, count: int, tiles: Tiles, name: str) -> None:
    """Refuse a tile table that does not fit the image or the file."""
    offsets = np.asarray(page.dataoffsets, dtype=np.int64)
    counts = np.asarray(page.databytecounts, dtype=np.int64)
    size = page.parent.filehandle.size
    if len(offsets) != count or len(counts) != count:
        raise SlideError(
            "the tile table does not fit the image",
            where=name,
            value=f"{len(offsets)} tiles for {tiles.width} × {tiles.height} pixels, not {count}",
            remedy=EXPORT_AGAIN,
        )
    held = counts > 0
    beyond = held & ((offsets + counts > size) | (offsets <= 0))
    if beyond.any():
        raise SlideError(
            "the file is cut off, or its tile table is wrong: tiles lie beyond its end",
            where=name,
            value=f"{int(beyond.sum())} of {count} tiles",
            remedy=EXPORT_AGAIN,
        )
    start = np.sort(offsets[held])
    length = counts[held][np.argsort(offsets[held], kind="stable")]
    if (np.diff(start) < length[:-1]).any():
        raise SlideError(
            "the tile table is wrong: tiles overlap in the file", where=name, remedy=EXPORT_AGAIN
        )
    most = _MOST_PIXELS_A_BYTE_OF.get(int(page.keyframe.compression), _MOST_PIXELS_A_BYTE)
    if not held.any() or tiles.width * tiles.height > most * size:
        raise SlideError(
            "the file is too small for the pixels that it claims",
            where=name,
            value=f"{tiles.width} × {tiles.height} pixels in {size:,} bytes",
            remedy=EXPORT_AGAIN,
        )


def channels_of(
    file: Any,
    series: Any,
    keyframe: Any,
    name: str,
    *,
    index: int = 0,
    read_as: ReadAs | None = None,
) -> tuple[str, ...]:
    """Red, green and blue, or what the study calls a fluorescence slide's channels.

    Parameters
    ----------
    file, series, keyframe
        Of tifffile.
    name
        Of the slide, for messages.
    index
        Of the series in the file.
    read_as
        What the study calls channels.
    """
    dtype = np.dtype(keyframe.dtype) if keyframe.dtype is not None else None
    if dtype not in (np.dtype(np.uint8), np.dtype(np.uint16)):
        raise SlideError(
            "pixels must have 8 or 16 bits",
            where=name,
            value=str(dtype),
            remedy="Export the slide with 8 or 16 bits a channel",
        )
    if series.axes.endswith("S") or keyframe.samplesperpixel == 3:
        if keyframe.samplesperpixel != 3 or dtype != np.uint8:
            raise SlideError(
                "a colour slide must have red, green and blue of 8 bits",
                where=name,
                value=f"{keyframe.samplesperpixel} samples of {dtype}",
                remedy="Export it as 8-bit RGB without a transparency channel",
            )
        return RGB
    count = dict(zip(series.axes, series.shape, strict=True)).get("C", 1)
    names = _names_of_channels(file, series, index)
    found = names if len(names) == count else [""] * count
    return named_channels(found, read_as or ReadAs())


def _names_of_channels(file: Any, series: Any, index: int) -> list[str]:
    """As the file has them; empty where it has none."""
    if file.is_ome:
        pixels = _ome_pixels(file, index)
        return [] if pixels is None else ome_channels(pixels)
    if file.is_qpi:
        return qptiff_channels([page.description for page in series.levels[0].pages])
    return imagej_channels(file.imagej_metadata or {}) if file.is_imagej else []


_AS_RGB = "Read it with OpenSlide (reader openslide), or export it as 8-bit RGB"
_OTHER_COLOURS = {
    _PALETTE: "It keeps colours in a palette: export it as 8-bit RGB, or each channel in grey",
    _WHITE_IS_ZERO: "It keeps white as 0: invert its look-up table and export it again",
}


def check_levels(levels: Sequence[Sequence[Any]], channels: Sequence[str], name: str) -> None:
    """Refuse levels whose pixels do not mean the same, or mean something else than light."""
    first = levels[0][0].keyframe
    for pages in levels:
        keyframe = pages[0].keyframe
        samples = len(pages) * keyframe.samplesperpixel
        if np.dtype(keyframe.dtype) != np.dtype(first.dtype) or samples != len(channels):
            raise SlideError(
                "a level of the slide has other channels than it says it has",
                where=name,
                value=f"{samples} of {keyframe.dtype}, not {len(channels)} of {first.dtype}",
                remedy="Export one colour picture, or one plane for each channel",
            )
        said = int(keyframe.tags.valueof(262, _RGB if channels == RGB else _BLACK_IS_ZERO))
        compression = int(keyframe.compression)
        known = {_RGB, _BLACK_IS_ZERO}
        if compression in _DECODED_TO_RGB:
            known.add(_YCBCR)
        if said not in known or compression == _APERIO_YCBCR:
            raise SlideError(
                "the slide's colours are kept in a way that is not read here",
                where=name,
                value=f"photometric interpretation {said}, compression {compression}",
                remedy=_OTHER_COLOURS.get(said, _AS_RGB),
            )


def _ome(file: Any) -> Any:
    return ET.fromstring(file.ome_metadata)  # noqa: S314  no entities: expat refuses external ones


def _ome_pixels(file: Any, index: int) -> Any:
    """The ``Pixels`` of one picture; None where they cannot be told from another's."""
    found = [e for e in _ome(file).iter() if e.tag.rpartition("}")[2] == "Pixels"]
    # tifffile leaves out a picture that it cannot read: then places no longer agree
    if len(found) != len(file.series) and len(found) != 1:
        return None
    return found[min(index, len(found) - 1)]


def stated_mpp(file: Any, keyframe: Any, index: int = 0) -> tuple[float | None, float | None]:
    """Micrometres a pixel across and down of one picture, None where the file does not say."""
    if file.is_svs:
        given = _svs_fields(keyframe.description).get("MPP")
        value = stated_number(given)
        return value, value
    if file.is_ome:
        return _ome_mpp(file, index)
    unit = {2: 25_400.0, 3: 10_000.0}.get(int(keyframe.resolutionunit or 1))
    if file.is_imagej:  # its unit stands in its own words, and the tag says "none"
        unit = _IMAGEJ_UNITS.get(str((file.imagej_metadata or {}).get("unit", "")), unit)
    resolution = [_tag_ratio(keyframe, tag) for tag in ("XResolution", "YResolution")]
    if unit is None or None in resolution:
        return None, None
    x, y = (unit / r if r else float("inf") for r in resolution)
    return x, y


def _ome_mpp(file: Any, index: int) -> tuple[float | None, float | None]:
    pixels = _ome_pixels(file, index)
    if pixels is None or not pixels.get("PhysicalSizeX"):
        return None, None
    found = []
    for axis in "XY":
        unit = _MICROMETRES.get(pixels.get(f"PhysicalSize{axis}Unit", "µm"))
        value = stated_number(pixels.get(f"PhysicalSize{axis}"))
        found.append(None if unit is None or value is None else value * unit)
    return found[0], found[1]


def _tag_ratio(keyframe: Any, tag: str) -> float | None:
    value = keyframe.tags.valueof(tag)
    if value is None:
        return None
    numerator, denominator = value
    return float(numerator / denominator) if denominator else 0.0


def _svs_fields(description: str) -> dict[str, str]:
    pairs = (part.partition("=") for part in description.split("|")[1:])
    return {key.strip(): value.strip() for key, _, value in pairs}


# Numbers that describe the scan. Everything else, the date and the file's name among it, may name
# a patient and is left behind.
_SAID_OF_THE_SCAN = ("AppMag", "Exposure Time", "DisplayColor")


def properties_of(file: Any, keyframe: Any) -> Mapping[str, str]:
    """What is kept of what the file says of the scan."""
    kinds = {
        "Aperio SVS": file.is_svs,
        "OME-TIFF": file.is_ome,
        "QPTIFF": file.is_qpi,
        "ImageJ TIFF": file.is_imagej,
    }
    kind = next((name for name, it_is in kinds.items() if it_is), "TIFF")
    # a file without the tag is not compressed, and tifffile then gives a plain number
    compression = tifffile.COMPRESSION(int(keyframe.compression)).name
    found = {"format": kind, "compression": str(compression)}
    if file.is_svs:
        fields = _svs_fields(keyframe.description)
        found |= {
            key: fields[key]
            for key in _SAID_OF_THE_SCAN
            if key in fields and stated_number(fields[key]) is not None
        }
    return found


def orientation_note(keyframe: Any) -> str:
    """What the ledger says of a picture that asks to be shown turned or mirrored."""
    turned = int(keyframe.tags.valueof(274, 1))
    if turned == 1:
        return ""
    return (
        f"the file asks to be shown turned or mirrored (Orientation {turned}); it is read as kept"
    )
