"""One TIFF slide made anew: its own levels, tile by tile as they are coded, and nothing else.

Label, macro image and every other picture of the file, its texts, its private tags and what lay
between its parts are not copied. What is said of the picture is written from numbers: size,
micrometres a pixel, magnification; of a fluorescence slide the names of its channels, where they
are words of microscopy.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, cast
from xml.sax.saxutils import quoteattr

import numpy as np
import tifffile

from metasight.deidentify.codestream import plain_jpeg, plain_jpeg2000
from metasight.deidentify.tiff_writer import (
    ByteOrder,
    Page,
    Tag,
    long_tag,
    rational_tag,
    short_tag,
    text_tag,
    write_tiff,
)
from metasight.errors import SlideError
from metasight.slides.pictures_in_file import chosen_picture
from metasight.slides.reader import RGB
from metasight.slides.tiff_index import (
    DAMAGED,
    channels_of,
    check_chain,
    is_tiff_slide,
    opened,
    pages_of,
    properties_of,
    series_of,
    stated_mpp,
    tiles_of,
)

_UNDER = "slide"
_COPIED = (256, 257, 258, 259, 262, 266, 274, 277, 278, 284, 317, 322, 323, 338, 339, 529, 530, 532)
"""Tags that say how pixels are coded; values of the source are taken as they are."""
_JPEG_TABLES, _DESCRIPTION, _KIND = 347, 270, 254
_X_RESOLUTION, _Y_RESOLUTION, _UNIT, _CENTIMETRE = 282, 283, 296, 3
_BYTES_OF = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 16: 8}
_PLAIN = frozenset((1, 5, 8, 32773, 32946))  # none, LZW, deflate, PackBits: no room for a text
_DEFLATED = frozenset((8, 32946))
_JPEG, _JPEG2000 = 7, frozenset((33003, 33005, 34712))
_UM_PER_CM = 10_000
_MOST_DECODED = 60_000_000
_THUMBNAIL = 512
_LONGEST_32 = 2**32 - 1


@dataclass(frozen=True, kw_only=True)
class NewSlide:
    """What a new slide is.

    Attributes
    ----------
    kind
        ``SVS``, ``OME-TIFF`` or ``TIFF``.
    left
        Pictures of the source that are not in it.
    """

    kind: str
    left: int


def is_tiff(path: Path) -> bool:
    """Whether a file begins as TIFF does."""
    with path.open("rb") as file:
        return file.read(4) in {b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"}


def new_slide(path: Path, place: Path) -> NewSlide:
    """De-identify one slide.

    Parameters
    ----------
    path
        SVS, OME-TIFF or generic tiled TIFF.
    place
        New file.

    Raises
    ------
    SlideError
        It is damaged, or of a kind whose parts cannot all be told. Nothing of the file is quoted.
    """
    if not is_tiff_slide(path):
        raise SlideError(
            "this dialect of TIFF keeps texts and labels where they cannot all be told",
            where=_UNDER,
            remedy="Convert it to OME-TIFF or DICOM without label and macro image first",
        )
    file = opened(path, _UNDER)
    try:
        return _written(file, place)
    except (*DAMAGED, zlib.error) as error:
        raise SlideError(
            "the file is damaged", where=_UNDER, value=type(error).__name__, remedy="Copy it again"
        ) from error
    finally:
        file.close()


def _written(file: Any, place: Path) -> NewSlide:
    check_chain(file, _UNDER)
    index, _ = chosen_picture(file, _UNDER, None)
    series = series_of(file, _UNDER, index)
    levels = [pages_of(level, _UNDER) for level in series.levels]
    if any(page.parent is not file for pages in levels for page in pages):
        raise SlideError(
            "the slide lies in several files",
            where=_UNDER,
            remedy="Export it as one OME-TIFF",
        )
    for pages in levels:
        tiles_of(pages, _UNDER)
    channels = channels_of(file, series, levels[0][0].keyframe, _UNDER, index=index)
    mpp = stated_mpp(file, levels[0][0].keyframe, index)
    order = cast(ByteOrder, file.byteorder)
    if file.is_svs:
        kind, pages_out = "SVS", _as_svs(file, levels, mpp, order)
    elif file.is_ome or channels != RGB:
        kind, pages_out = "OME-TIFF", _as_ome(levels, channels, mpp, order)
    else:
        kind, pages_out = "TIFF", _as_generic(levels, mpp, order)
    _write(place, pages_out, order)
    return NewSlide(kind=kind, left=len(file.series) - 1)


def _write(target: Path, pages: list[Page], order: ByteOrder) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    try:
        with part.open("wb") as out:
            write_tiff(out, pages, order=order)
        os.replace(part, target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _as_svs(
    file: Any, levels: list[list[Any]], mpp: tuple[float | None, float | None], order: ByteOrder
) -> list[Page]:
    """Levels as Aperio lays them out: the second page is a thumbnail, made of the last level."""
    found = properties_of(file, levels[0][0].keyframe)
    facts = "".join(
        f"|{name} = {value}"
        for name, value in (("AppMag", found.get("AppMag")), ("MPP", mpp[0]))
        if value is not None
    )
    pages = []
    for number, (page,) in enumerate(levels):
        size = f"{page.imagewidth}x{page.imagelength} ({page.tilewidth}x{page.tilelength})"
        said = f"Aperio Image Library v1.0.0\r\n{size}{facts if number == 0 else ''}"
        pages.append(_page(page, order, [text_tag(_DESCRIPTION, said), _kind(0, order)]))
    if len(pages) > 1:
        pages.insert(1, _thumbnail(levels[-1][0], order))
    return pages


def _thumbnail(page: Any, order: ByteOrder) -> Page:
    """A small picture of the smallest level; grey where that is too large to be decoded."""
    shape = (page.imagelength, page.imagewidth)
    if shape[0] * shape[1] > _MOST_DECODED:
        small = np.full((64, 64, 3), 240, np.uint8)
    else:
        step = max(1, -(-max(shape) // _THUMBNAIL))
        small = np.ascontiguousarray(page.asarray()[::step, ::step, :3])
    height, width = small.shape[:2]
    tags = [
        *(long_tag(code, n, order=order) for code, n in ((256, width), (257, height))),
        short_tag(258, 8, 8, 8, order=order),
        *(short_tag(code, n, order=order) for code, n in ((259, 1), (262, 2), (277, 3), (284, 1))),
        long_tag(278, height, order=order),
        text_tag(_DESCRIPTION, f"Aperio Image Library v1.0.0\r\n{width}x{height}"),
        _kind(0, order),
    ]
    return Page(tags=tags, pieces=[small.tobytes()], tiled=False)


def _as_generic(
    levels: list[list[Any]], mpp: tuple[float | None, float | None], order: ByteOrder
) -> list[Page]:
    return [
        _page(pages[0], order, [*_resolution(mpp, levels, number, order), _kind(number > 0, order)])
        for number, pages in enumerate(levels)
    ]


def _resolution(
    mpp: tuple[float | None, float | None], levels: list[list[Any]], number: int, order: ByteOrder
) -> Iterator[Tag]:
    first, own = levels[0][0], levels[number][0]
    sizes = (
        (_X_RESOLUTION, mpp[0], first.imagewidth, own.imagewidth),
        (_Y_RESOLUTION, mpp[1], first.imagelength, own.imagelength),
    )
    for code, um, whole, reduced in sizes:
        if um is None or not 0 < um < _UM_PER_CM:
            return
        exact = Fraction(_UM_PER_CM) / Fraction(repr(um)) * Fraction(reduced, whole)
        while max(exact.numerator, exact.denominator) > _LONGEST_32:
            exact = exact.limit_denominator(max(exact.denominator // 1024, 1))
        yield rational_tag(code, exact.numerator, exact.denominator, order=order)
    yield short_tag(_UNIT, _CENTIMETRE, order=order)


def _as_ome(
    levels: list[list[Any]],
    channels: tuple[str, ...],
    mpp: tuple[float | None, float | None],
    order: ByteOrder,
) -> list[Page]:
    """One page a plane with its levels as SubIFDs; the first says what the planes are."""
    pages = []
    for plane, page in enumerate(levels[0]):
        reduced = [_page(level[plane], order, [_kind(1, order)]) for level in levels[1:]]
        said = [text_tag(_DESCRIPTION, _ome_xml(levels[0], channels, mpp))] if plane == 0 else []
        pages.append(_page(page, order, [*said, _kind(0, order)], reduced))
    return pages


def _ome_xml(
    pages: list[Any], channels: tuple[str, ...], mpp: tuple[float | None, float | None]
) -> str:
    page = pages[0].keyframe
    colour = channels == RGB
    size = "".join(
        f' PhysicalSize{axis}="{um!r}" PhysicalSize{axis}Unit="µm"'
        for axis, um in zip("XY", mpp, strict=True)
        if um is not None
    )
    names = ["RGB"] if colour else list(channels)
    said = "".join(
        f'<Channel ID="Channel:0:{n}" SamplesPerPixel="{3 if colour else 1}" '
        f"Name={quoteattr(name)}/>"
        for n, name in enumerate(names)
    )
    planes = "".join(
        f'<TiffData IFD="{n}" FirstC="{n}" FirstZ="0" FirstT="0" PlaneCount="1"/>'
        for n in range(len(pages))
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0">'
        f'<Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="{np.dtype(page.dtype).name}" '
        f'SizeX="{page.imagewidth}" SizeY="{page.imagelength}" SizeC="{len(channels)}" '
        f'SizeZ="1" SizeT="1"{size}>{said}{planes}</Pixels></Image></OME>'
    )


def _kind(reduced: int, order: ByteOrder) -> Tag:
    return long_tag(_KIND, int(reduced), order=order)


def _page(page: Any, order: ByteOrder, more: list[Tag], reduced: list[Page] | None = None) -> Page:
    keyframe = page.keyframe
    compression = int(keyframe.compression)
    if compression not in _PLAIN and compression != _JPEG and compression not in _JPEG2000:
        raise SlideError(
            "its pixels are coded in a way in which texts cannot be told",
            where=_UNDER,
            value=f"compression {compression}",
            remedy="Export it with JPEG, JPEG 2000, LZW or deflate",
        )
    tags = [_copied(keyframe, code) for code in _COPIED if code in keyframe.tags]
    if _JPEG_TABLES in keyframe.tags:
        tables = plain_jpeg(bytes(keyframe.tags[_JPEG_TABLES].value))
        tags.append(Tag(code=_JPEG_TABLES, dtype=7, count=len(tables), value=tables))
    return Page(
        tags=[*tags, *more],
        pieces=_pieces(page, compression),
        tiled=bool(keyframe.is_tiled),
        reduced=reduced or [],
    )


def _copied(page: Any, code: int) -> Tag:
    tag = page.tags[code]
    handle = page.parent.filehandle
    handle.seek(tag.valueoffset)
    dtype, count = int(tag.dtype), int(tag.count)
    return Tag(code=code, dtype=dtype, count=count, value=handle.read(count * _BYTES_OF[dtype]))


def _pieces(page: Any, compression: int) -> Iterator[bytes]:
    handle = page.parent.filehandle
    whole = _bytes_of_a_piece(page)
    for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True):
        if not count:
            yield b""
            continue
        handle.seek(offset)
        piece = handle.read(count)
        if compression == _JPEG:
            piece = plain_jpeg(piece)
        elif compression in _JPEG2000:
            piece = plain_jpeg2000(piece)
        elif compression in _DEFLATED:
            piece = _without_rest(piece, whole)
        elif compression == 1:
            piece = piece[:whole]
        yield piece


def _without_rest(piece: bytes, whole: int) -> bytes:
    """A deflated piece up to where its stream ends."""
    unpacking = zlib.decompressobj()
    unpacking.decompress(piece, whole + 1)
    return piece[: len(piece) - len(unpacking.unused_data)] if unpacking.eof else piece


def _bytes_of_a_piece(page: Any) -> int:
    keyframe = page.keyframe
    samples = 1 if keyframe.planarconfig == tifffile.PLANARCONFIG.SEPARATE else None
    samples = samples or keyframe.samplesperpixel
    if keyframe.is_tiled:
        pixels = keyframe.tilewidth * keyframe.tilelength
    else:
        pixels = keyframe.imagewidth * min(keyframe.rowsperstrip, keyframe.imagelength)
    return int(pixels * samples * np.dtype(keyframe.dtype).itemsize)
