"""DICOM whole-slide images before OpenSlide opens them: one slide, of a kind that it reads."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import dcmread
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.uid import UID

from metasight.bounded import open_bounded
from metasight.errors import SlideError

_MAGIC = b"DICM"
_TAGS = [
    "ImageType",
    "Modality",
    "SeriesInstanceUID",
    "SamplesPerPixel",
    "BitsAllocated",
    "TotalPixelMatrixColumns",
    "TotalPixelMatrixRows",
    "TotalPixelMatrixFocalPlanes",
    "NumberOfOpticalPaths",
]
_READ_BY_OPENSLIDE = {
    "1.2.840.10008.1.2": "implicit VR",
    "1.2.840.10008.1.2.1": "explicit VR",
    "1.2.840.10008.1.2.4.50": "JPEG",
    "1.2.840.10008.1.2.4.90": "JPEG 2000",
    "1.2.840.10008.1.2.4.91": "JPEG 2000",
}
# what pydicom raises on damage
_UNREADABLE = (
    BytesLengthException,
    InvalidDicomError,
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    NotImplementedError,
    OSError,
    TypeError,
    ValueError,
    struct.error,
)
_PIXEL_DATA, _ITEM = b"\xe0\x7f\x10\x00", b"\xfe\xff\x00\xe0"
_LISTED = 8
_CONVERT = "Convert it to a colour OME-TIFF or to DICOM with JPEG tiles"


@dataclass(frozen=True, kw_only=True)
class _Head:
    path: Path
    uid: str
    volume: bool
    width: int
    height: int


def is_dicom(path: Path) -> bool:
    """Whether the file begins as DICOM does."""
    with path.open("rb") as file:
        return file.read(132)[128:] == _MAGIC


def slide_in_folder(folder: Path, name: str) -> Path:
    """A file of the one whole-slide series of a folder.

    Labels and overviews of the series, and objects that are no pictures, do not count.

    Raises
    ------
    SlideError
        There is none, or there are several.
    """
    files = [p for p in sorted(folder.iterdir()) if p.is_file() and is_dicom(p)]
    heads = [h for p in files if (h := _head(p)) is not None]
    slides: dict[str, _Head] = {}
    for head in heads:
        known = slides.get(head.uid)
        if head.volume and (known is None or head.width > known.width):
            slides[head.uid] = head
    if not files:
        raise SlideError(
            "the folder holds no DICOM file",
            where=name,
            remedy="Give a slide's file, or the folder of one DICOM series",
        )
    if not slides:
        raise SlideError(
            "the folder holds DICOM files but no whole-slide image",
            where=name,
            value=f"{len(files)} DICOM file{'s' * (len(files) > 1)}",
            remedy="Give the folder of one whole-slide series (modality SM, image type VOLUME)",
        )
    if len(slides) > 1:
        sizes = sorted(f"{h.width} × {h.height} pixels" for h in slides.values())
        raise SlideError(
            f"the folder holds {len(slides)} DICOM slides",
            where=name,
            value="; ".join(sizes[:_LISTED]),
            remedy="Give each slide a folder of its own, or name one file of the series to read",
        )
    return next(iter(slides.values())).path


def check_supported(path: Path, name: str) -> None:
    """Refuse a valid file of a kind that OpenSlide does not read, and say which kind.

    Raises
    ------
    SlideError
        Grey, of more than 8 bits, compressed in another way, of several focal planes or optical
        paths, or no whole-slide image.
    """
    data = _read(path)
    if data is None:
        return  # damaged: OpenSlide says so
    width = _number(data, "TotalPixelMatrixColumns", 0)
    kinds = {
        "is no whole-slide image": not width,
        "is greyscale": _number(data, "SamplesPerPixel", 3) != 3,
        "has more than 8 bits a channel": _number(data, "BitsAllocated", 8) > 8,
        "holds several focal planes": _number(data, "TotalPixelMatrixFocalPlanes", 1) > 1,
        "holds several optical paths": _number(data, "NumberOfOpticalPaths", 1) > 1,
        "is compressed in a way that is not read here": _syntax(data) not in _READ_BY_OPENSLIDE,
    }
    for kind, it_is in kinds.items():
        if it_is:
            raise SlideError(
                f"this DICOM file is valid but not supported: it {kind}",
                where=name,
                value=_shown_syntax(data) if "compressed" in kind else "",
                remedy=_CONVERT if width else "Give a whole-slide image",
            )


def files_of_series(path: Path) -> list[Path]:
    """The file and those beside it of its series: OpenSlide opens them all."""
    own = _head(path)
    beside = (p for p in sorted(path.parent.iterdir()) if p != path and p.is_file())
    heads = (h for p in beside if own is not None and is_dicom(p) if (h := _head(p)) is not None)
    return [path, *(h.path for h in heads if own is not None and h.uid == own.uid)]


def check_frames(path: Path, name: str) -> None:
    """Refuse a table of tiles that points to where no tile is: OpenSlide follows it unchecked.

    Raises
    ------
    SlideError
        An offset of the table does not lead to a tile, or a tile reaches into the next.
    """
    with open_bounded(path) as file:
        try:
            data = dcmread(file, stop_before_pixels=True, specific_tags=["NumberOfFrames"])
            frames = _number(data, "NumberOfFrames", 1)
        except _UNREADABLE:
            return  # OpenSlide says so
        head = file.read(20)
        base = file.tell()
        if head[:4] != _PIXEL_DATA or head[12:16] != _ITEM:
            return  # not in items, or no table: there is nothing to follow
        count = int.from_bytes(head[16:20], "little") // 4
        offsets = np.frombuffer(file.read(4 * count), dtype="<u4").astype(np.int64)
        base += 4 * count
        if count == 0:
            return
        size = path.stat().st_size
        ends = np.append(offsets[1:], size - base)
        fits = count == frames == len(offsets)
        for offset, end in zip(offsets.tolist(), ends.tolist(), strict=True):
            if not fits:
                break
            item = os.pread(file.fileno(), 8, base + offset)
            length = int.from_bytes(item[4:], "little")
            fits = item[:4] == _ITEM and offset + 8 + length <= end
    if not fits:
        raise SlideError(
            "the table of tiles is wrong: it leads to where no tile is",
            where=name,
            remedy="Copy the slide again, or export it again from the scanner",
        )


def _number(data: Any, tag: str, default: int) -> int:
    value = data.get(tag)
    return default if value is None or value == "" else int(value)


def _syntax(data: Any) -> str:
    return str(getattr(data.file_meta, "TransferSyntaxUID", ""))


def _shown_syntax(data: Any) -> str:
    """A name of the standard's own list, so no text of the file."""
    uid = UID(_syntax(data))
    return uid.name if uid.name != str(uid) else "not one of the standard's"


def _read(path: Path) -> Any:
    try:
        with open_bounded(path) as file:
            data = dcmread(file, stop_before_pixels=True, specific_tags=_TAGS)
        # every value is read: damage shows here, not later
        several = [e.VM > 1 for e in data if e.keyword not in {"ImageType", "SeriesInstanceUID"}]
        return data if data.get("SeriesInstanceUID") and not any(several) else None
    except _UNREADABLE:
        return None


def _head(path: Path) -> _Head | None:
    data = _read(path)
    if data is None:
        return None
    width, height = (_number(data, f"TotalPixelMatrix{s}", 0) for s in ("Columns", "Rows"))
    said = data.get("ImageType") or ()
    kind = [str(word).upper() for word in ([said] if isinstance(said, str) else said)]
    beside = bool({"LABEL", "OVERVIEW", "THUMBNAIL"} & set(kind)) and "VOLUME" not in kind
    return _Head(
        path=path,
        uid=str(data.get("SeriesInstanceUID", "")),
        volume=width > 0 and height > 0 and not beside,
        width=width,
        height=height,
    )
