"""JPEG and JPEG 2000 streams without the comments and metadata that their formats allow.

Nothing is decoded: segments of the header that hold no part of the picture are left out, the coded
pixels are copied as they are.
"""

from __future__ import annotations

from metasight.errors import SlideError

_SOI, _EOI, _SOS = 0xD8, 0xD9, 0xDA
_COM = 0xFE
_JFIF, _ADOBE = 0xE0, 0xEE
_SOC, _SOT, _J2K_COM = 0x4F, 0x90, 0x64
_STANDALONE = frozenset((0x01, *range(0xD0, 0xD9)))
_ADOBE_BYTES = 16
_JFIF_BYTES = 18


def plain_jpeg(stream: bytes) -> bytes:
    """A JPEG stream, or tables alone, without comments, application data and what follows its end.

    Of application data JFIF's first segment (without its thumbnail) and Adobe's stay, which say
    what the colours are.

    Raises
    ------
    SlideError
        It is no JPEG stream.
    """
    if stream[:2] != b"\xff\xd8":
        raise _damaged()
    out = bytearray(stream[:2])
    place = 2
    while True:
        if place + 2 > len(stream) or stream[place] != 0xFF:
            raise _damaged()
        marker = stream[place + 1]
        if marker == 0xFF:  # fill
            place += 1
            continue
        if marker == _EOI:
            return bytes(out + b"\xff\xd9")
        if marker in _STANDALONE:
            out += stream[place : place + 2]
            place += 2
            continue
        end = place + 2 + int.from_bytes(stream[place + 2 : place + 4], "big")
        segment = stream[place:end]
        if end > len(stream) or len(segment) < 4:
            raise _damaged()
        if marker == _SOS:
            last = stream.rfind(b"\xff\xd9", place)
            return bytes(out + (stream[place:] if last < 0 else stream[place : last + 2]))
        if not _is_free(marker, segment):
            out += segment
        place = end


def _is_free(marker: int, segment: bytes) -> bool:
    """Whether a segment may hold anything."""
    if marker == _JFIF:
        return not (segment[4:9] == b"JFIF\0" and len(segment) == _JFIF_BYTES)
    if marker == _ADOBE:
        return not (segment[4:9] == b"Adobe" and len(segment) == _ADOBE_BYTES)
    return marker == _COM or 0xE0 <= marker <= 0xEF


def plain_jpeg2000(stream: bytes) -> bytes:
    """A JPEG 2000 codestream without the comments of its main header.

    Raises
    ------
    SlideError
        It is no bare codestream: a file of boxes may hold anything.
    """
    if stream[:2] != bytes((0xFF, _SOC)):
        raise _damaged()
    out = bytearray(stream[:2])
    place = 2
    while True:
        if place + 4 > len(stream) or stream[place] != 0xFF:
            raise _damaged()
        marker = stream[place + 1]
        if marker == _SOT:
            return bytes(out + stream[place:])
        end = place + 2 + int.from_bytes(stream[place + 2 : place + 4], "big")
        if end > len(stream):
            raise _damaged()
        if marker != _J2K_COM:
            out += stream[place:end]
        place = end


def _damaged() -> SlideError:
    return SlideError(
        "a tile or frame is not coded as the file says",
        where="file",
        remedy="Export it again, with JPEG or JPEG 2000 codestreams",
    )
