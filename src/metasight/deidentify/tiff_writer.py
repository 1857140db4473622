"""A BigTIFF written from pieces that are already coded, so that it holds these and nothing else.

TIFF 6.0 and the BigTIFF design of 2007. A copy that is edited in place keeps what lay between its
parts; a file written anew has no such bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Literal

TILE_OFFSETS, TILE_COUNTS = 324, 325
STRIP_OFFSETS, STRIP_COUNTS = 273, 279
SUB_IFDS = 330
_LONG8, _IFD8 = 16, 18
_INLINE = 8
ByteOrder = Literal["<", ">"]


@dataclass(frozen=True, kw_only=True)
class Tag:
    """One entry of a page's directory.

    Attributes
    ----------
    code, dtype, count
        As TIFF numbers them.
    value
        Its bytes, in the file's order.
    """

    code: int
    dtype: int
    count: int
    value: bytes


@dataclass(frozen=True, kw_only=True)
class Page:
    """One picture.

    Attributes
    ----------
    tags
        Besides where its pieces lie.
    pieces
        Tiles or strips as they are coded; an empty one is a hole.
    tiled
        Which of the two they are.
    reduced
        Smaller pictures of the same, as SubIFDs.
    """

    tags: Sequence[Tag]
    pieces: Iterable[bytes]
    tiled: bool
    reduced: Sequence[Page] = ()


def text_tag(code: int, text: str) -> Tag:
    """A text (ASCII in TIFF's words; OME's is UTF-8)."""
    value = text.encode("utf-8") + b"\0"
    return Tag(code=code, dtype=2, count=len(value), value=value)


def short_tag(code: int, *numbers: int, order: ByteOrder) -> Tag:
    """Numbers of 16 bits."""
    value = struct.pack(f"{order}{len(numbers)}H", *numbers)
    return Tag(code=code, dtype=3, count=len(numbers), value=value)


def long_tag(code: int, number: int, *, order: ByteOrder) -> Tag:
    """A number of 32 bits."""
    return Tag(code=code, dtype=4, count=1, value=struct.pack(f"{order}I", number))


def rational_tag(code: int, numerator: int, denominator: int, *, order: ByteOrder) -> Tag:
    """A fraction of two numbers of 32 bits."""
    value = struct.pack(f"{order}2I", numerator, denominator)
    return Tag(code=code, dtype=5, count=1, value=value)


def write_tiff(file: BinaryIO, pages: Iterable[Page], *, order: ByteOrder) -> None:
    """Write pages one after another.

    Parameters
    ----------
    file
        Empty, open for writing.
    pages
        In the order of the file.
    order
        Byte order of tags and pixels.
    """
    file.write(b"II" if order == "<" else b"MM")
    file.write(struct.pack(f"{order}HHHQ", 43, 8, 0, 0))
    pointer = 8
    for page in pages:
        start, behind = _write(file, page, order)
        file.seek(pointer)
        file.write(struct.pack(f"{order}Q", start))
        file.seek(0, 2)
        pointer = behind


def _write(file: BinaryIO, page: Page, order: ByteOrder) -> tuple[int, int]:
    """Where the page's directory begins, and where it points to the next."""
    smaller = [_write(file, p, order)[0] for p in page.reduced]
    offsets, counts = [], []
    for piece in page.pieces:
        offsets.append(file.tell() if piece else 0)
        counts.append(len(piece))
        file.write(piece)
    codes = (TILE_OFFSETS, TILE_COUNTS) if page.tiled else (STRIP_OFFSETS, STRIP_COUNTS)
    tags = [
        *page.tags,
        *(_longs(code, v, order) for code, v in zip(codes, (offsets, counts), strict=True)),
    ]
    if smaller:
        tags.append(_longs(SUB_IFDS, smaller, order, dtype=_IFD8))
    entries = bytearray(struct.pack(f"{order}Q", len(tags)))
    for tag in sorted(tags, key=lambda t: t.code):
        value = tag.value
        if len(value) > _INLINE:
            place = file.tell()
            file.write(value)
            value = struct.pack(f"{order}Q", place)
        entries += struct.pack(f"{order}HHQ", tag.code, tag.dtype, tag.count)
        entries += value.ljust(_INLINE, b"\0")
    start = file.tell()
    file.write(entries)
    behind = file.tell()
    file.write(struct.pack(f"{order}Q", 0))
    return start, behind


def _longs(code: int, numbers: Sequence[int], order: ByteOrder, *, dtype: int = _LONG8) -> Tag:
    value = struct.pack(f"{order}{len(numbers)}Q", *numbers)
    return Tag(code=code, dtype=dtype, count=len(numbers), value=value)
