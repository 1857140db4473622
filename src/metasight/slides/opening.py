"""The reader for a file, told from what the file holds and not from how it is called."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import openslide

from metasight.errors import SlideError
from metasight.slides.cache import TileCache
from metasight.slides.dicom import check_frames, check_supported, files_of_series, slide_in_folder
from metasight.slides.picture import PictureReader
from metasight.slides.reader import PyramidReader, ReadAs
from metasight.slides.tiff import TiffReader
from metasight.slides.tiff_index import is_tiff_slide
from metasight.slides.vendor import OpenSlideReader

ReaderName = Literal["tiff", "openslide", "picture"]

_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_PICTURES = {b"\xff\xd8\xff": (".jpg", ".jpeg"), b"\x89PNG": (".png",)}
# Formats that are what they say and that no reader here knows, by their first bytes.
_NOT_SUPPORTED = {
    b"\xda\xce\xbe\x0a": "Nikon ND2",
    b"\x70\0\0\0": "Leica LIF",
    b"\xd0\xcf\x11\xe0": "compound file, as Olympus OIB and Zeiss ZVI are",
    b"\x89HDF": "HDF5, as Imaris files are",
    b"<DataObject": "Philips iSyntax",
    b"PK\x03\x04": "zip archive",
    b"\x1f\x8b": "gzip archive",
    b"%PDF": "PDF",
}
_COPY_AGAIN = "Copy the slide again, or export it again from the scanner"


def open_slide(
    path: Path,
    *,
    name: str | None = None,
    mpp: float | None = None,
    reader: ReaderName | None = None,
    cache: TileCache | None = None,
    read_as: ReadAs | None = None,
) -> PyramidReader:
    """Open a slide.

    Parameters
    ----------
    path
        A file; for DICOM also the folder of its series.
    name
        How messages call it; the file's name where it is None. A study gives its own, since a
        file's name may hold a patient's.
    mpp
        Micrometres a pixel, over what the file says.
    reader
        Which one; None takes the one that `reader_of` names.
    cache
        Where decoded tiles are kept; one for the process where it is None.
    read_as
        What the study says of the file, instead of ``mpp``.

    Raises
    ------
    SlideError
        The file is missing, empty, damaged, not a slide, or does not say its resolution.
    """
    name = path.name if name is None else name
    path = _main_file(path, name)
    kind = reader_of(path, name=name) if reader is None else reader
    asked = read_as or ReadAs(mpp=mpp)
    if reader is not None:
        _check_kind(path, name, reader)
    match kind:
        case "tiff":
            return TiffReader(path, name=name, read_as=asked, cache=cache)
        case "openslide":
            return OpenSlideReader(path, name=name, read_as=asked)
        case "picture":
            return PictureReader(path, name=name, read_as=asked)


def _check_kind(path: Path, name: str, reader: ReaderName) -> None:
    """Say what a file is that the reader of the study's other slides does not read."""
    with path.open("rb") as file:
        head = file.read(4096)
    if head[:4] in _TIFF or not head.strip(b"\0"):
        return
    kind = reader_of(path, name=name)
    if kind == "openslide" and reader == "tiff":
        raise SlideError(
            "this slide is read through OpenSlide alone, and fluorescence or this study's setting "
            "`reader` asks for the TIFF reader",
            where=name,
            remedy="Export it as OME-TIFF, or leave out [slides] reader or --reader",
        )


def reader_of(path: Path, *, name: str | None = None) -> ReaderName:
    """Which reader suits a file best, by its first bytes.

    Raises
    ------
    SlideError
        It is missing, empty, or nothing that a slide may be.
    """
    name = path.name if name is None else name
    path = _main_file(path, name)
    try:
        with path.open("rb") as file:
            head = file.read(4096)  # a DICOM file begins with 128 zeros
    except OSError as error:
        raise _unreadable(name, error) from error
    if not head.strip(b"\0"):
        raise SlideError(
            "the file is empty",
            where=name,
            value=f"{path.stat().st_size:,} bytes",
            remedy=_COPY_AGAIN,
        )
    if head[:4] in _TIFF and is_tiff_slide(path):
        return "tiff"
    if head[128:132] == b"DICM":
        check_supported(path, name)
        for part in files_of_series(path):
            check_frames(part, name)
    if openslide.OpenSlide.detect_format(str(path)) is not None:
        return "openslide"
    if path.suffix.lower() == ".mrxs":  # itself a JPEG: the slide is in the folder beside it
        raise SlideError(
            "the MRXS lacks its folder, or files in it",
            where=name,
            remedy="Copy its folder, with Slidedat.ini and all .dat files, beside it",
        )
    for magic, kind in _NOT_SUPPORTED.items():
        if head.startswith(magic):
            raise SlideError(
                f"this file is not supported: {kind}",
                where=name,
                remedy="Export the slide as pyramidal OME-TIFF, with the scanner's program, "
                "QuPath or bfconvert",
            )
    for magic, suffixes in _PICTURES.items():
        if head.startswith(magic):
            return _picture(path, name, suffixes)
    raise SlideError(
        "the file is not a slide, or lacks the files that belong to it",
        where=name,
        value=f"begins with {head[:4]!r}",
        remedy="Give an SVS, NDPI, MRXS (with its folder), SCN, BIF, DICOM or pyramidal TIFF",
    )


def reader_of_all(paths: Sequence[Path], names: Sequence[str] | None = None) -> ReaderName:
    """One reader for a cohort, so that no difference between slides is one between decoders.

    The TIFF reader where it reads them all, else OpenSlide. A file that no reader knows does not
    take part in the choice: it fails where it is opened.
    """
    kinds = set()
    for path, name in zip(
        paths, names if names is not None else [p.name for p in paths], strict=True
    ):
        try:
            kinds.add(reader_of(path, name=name))
        except SlideError:
            continue  # reported with its name when its turn comes
    if kinds <= {"tiff"}:
        return "tiff"
    return "picture" if kinds == {"picture"} else "openslide"


def _picture(path: Path, name: str, suffixes: tuple[str, ...]) -> ReaderName:
    if path.suffix.lower() in suffixes:
        return "picture"
    raise SlideError(
        f"the file is a plain {suffixes[0][1:].upper()} picture, not a {path.suffix or 'slide'}",
        where=name,
        remedy="Give the scanner's own file; a renamed picture has lost its pyramid and resolution",
    )


def _main_file(path: Path, name: str) -> Path:
    try:
        if path.is_dir():
            return slide_in_folder(path, name)
        is_there = path.is_file()
    except OSError as error:
        raise _unreadable(name, error) from error
    except ValueError as error:  # a zero byte in it
        raise SlideError("the path is no path", where=name, remedy="Correct it") from error
    if not is_there:
        raise SlideError("the file is not there", where=name, remedy="Check its path")
    return path


def _unreadable(name: str, error: OSError) -> SlideError:
    return SlideError(
        "the file cannot be read",
        where=name,
        value=errno.errorcode.get(error.errno or 0, ""),
        remedy="Check that it may be read, and that its disk or network share is there",
    )
