"""Whether a TIFF slide that was written holds its levels, numbers about them, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tifffile

from metasight.slides.tiff_index import DAMAGED
from metasight.slides.vocabulary import is_known

_ALLOWED = frozenset(
    (
        *(254, 256, 257, 258, 259, 262, 266, 270, 273, 274, 277, 278, 279, 282, 283, 284, 296),
        *(317, 322, 323, 324, 325, 330, 338, 339, 347, 529, 530, 532),
    )
)
_APERIO = re.compile(
    r"Aperio Image Library v1\.0\.0\r\n\d+x\d+(?: \(\d+x\d+\))?(?:\|AppMag = [\d.]+)?"
    r"(?:\|MPP = [\d.e-]+)?"
)
_OME = re.compile(
    r'<\?xml version="1\.0" encoding="UTF-8"\?>'
    r'<OME xmlns="http://www\.openmicroscopy\.org/Schemas/OME/2016-06"><Image ID="Image:0">'
    r'<Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="\w+" '
    r'(?:(?:Size[XYCZT]|PhysicalSize[XY])="[\d.e-]+" ?|PhysicalSize[XY]Unit="µm" ?)+>'
    r'(?:<Channel ID="[\w:]+" SamplesPerPixel="\d" Name="[^"<>]*"/>)*'
    r'(?:<TiffData IFD="\d+" FirstC="\d+" FirstZ="0" FirstT="0" PlaneCount="1"/>)*'
    r"</Pixels></Image></OME>"
)
_HEADER = 16


def slide_departures(path: Path) -> Iterator[tuple[str, str]]:
    """Where and what: tags, texts, pictures and bytes that a new slide does not have.

    Parameters
    ----------
    path
        A TIFF of the output.
    """
    try:
        with tifffile.TiffFile(path) as file:
            pages = [s for p in file.pages for s in (p, *(p.pages or ()))]
            names = [s.name for s in file.series]
            if not names:
                yield "file", "cannot be read back"
            yield from _of_pages(pages)
            if len(names) > 1 and names != ["Baseline", "Thumbnail"]:
                yield "pictures", f"{len(names)} pictures: a label or macro image may be among them"
            loose = _loose_bytes(pages, path.stat().st_size)
            if loose:
                yield "file", f"{loose} bytes that belong to no picture"
    except DAMAGED:
        yield "file", "cannot be read back"


def _of_pages(pages: list[Any]) -> Iterator[tuple[str, str]]:
    for number, page in enumerate(pages, start=1):
        strange = sorted({t.code for t in page.tags} - _ALLOWED)
        if strange:
            yield f"page {number}", f"tags that are not written: {', '.join(map(str, strange))}"
        for tag in page.tags:
            if tag.code == 270 and not _is_own(str(tag.value)):
                yield f"page {number}", "a description that is not made of numbers alone"


def _is_own(text: str) -> bool:
    if _APERIO.fullmatch(text):
        return True
    names = re.findall(r'Name="([^"]*)"', text)
    own = all(n == "RGB" or is_known(n) or re.fullmatch(r"channel_\d+", n) for n in names)
    return own and _OME.fullmatch(text) is not None


def _loose_bytes(pages: list[Any], size: int) -> int:
    """Bytes of the file that are part of nothing."""
    parts = [(0, _HEADER)]
    for page in pages:
        parts.append((page.offset, 8 + 20 * len(page.tags) + 8))
        parts.extend((t.valueoffset, t.valuebytecount) for t in page.tags)
        parts.extend(zip(page.dataoffsets, page.databytecounts, strict=True))
    end = loose = 0
    for start, length in sorted(parts):
        loose += max(start - end, 0)
        end = max(end, start + length)
    return loose + max(size - end, 0)
