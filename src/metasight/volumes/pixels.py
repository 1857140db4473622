"""Stored pixels of one frame as numbers: every lossless transfer syntax, checked for length.

JPEG, JPEG-LS and JPEG 2000 are decoded by imagecodecs (libjpeg, CharLS, OpenJPEG; none is GPL),
RLE by pydicom. Tests hold the result against SimpleITK's GDCM.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import imagecodecs
import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame
from pydicom.pixels.utils import pixel_array

from metasight.errors import VolumeError
from metasight.volumes import vocabulary
from metasight.volumes.grid import check_size
from metasight.volumes.headers import DAMAGE, SliceHeader

Stored = npt.NDArray[np.int64] | npt.NDArray[np.int32]

_NATIVE = {
    "1.2.840.10008.1.2": "<",  # implicit little endian
    "1.2.840.10008.1.2.1": "<",  # explicit little endian
    "1.2.840.10008.1.2.1.99": "<",  # deflated; pydicom has inflated it
    "1.2.840.10008.1.2.2": ">",  # explicit big endian
}
_RLE = "1.2.840.10008.1.2.5"
_DECODERS: dict[str, Callable[[bytes], npt.NDArray[np.generic]]] = {
    "1.2.840.10008.1.2.4.57": imagecodecs.jpegsof3_decode,  # JPEG lossless
    "1.2.840.10008.1.2.4.70": imagecodecs.jpegsof3_decode,  # JPEG lossless, first-order
    "1.2.840.10008.1.2.4.80": imagecodecs.jpegls_decode,
    "1.2.840.10008.1.2.4.81": imagecodecs.jpegls_decode,  # near-lossless
    "1.2.840.10008.1.2.4.90": imagecodecs.jpeg2k_decode,
    "1.2.840.10008.1.2.4.91": imagecodecs.jpeg2k_decode,  # may be lossy; the header says
    "1.2.840.10008.1.2.4.201": imagecodecs.jpeg2k_decode,  # high-throughput JPEG 2000
    "1.2.840.10008.1.2.4.202": imagecodecs.jpeg2k_decode,
    "1.2.840.10008.1.2.4.203": imagecodecs.jpeg2k_decode,
}


def stored_pixels(data: Dataset, header: SliceHeader) -> npt.NDArray[np.int32]:
    """(rows, columns) stored values of the header's frame, with their sign, before rescaling.

    Parameters
    ----------
    data
        The file's data set with its pixel data.
    header
        Of the frame.

    Raises
    ------
    VolumeError
        Colour, truncated or damaged pixel data, an encoding that is not read, bits laid out in a
        way that is not described by the header.
    """
    where = str(header.item)
    _check_layout(header, where)
    syntax = header.transfer_syntax
    _check_there(data, where)
    if syntax in _NATIVE:
        raw = _native(data, header, where)
    elif syntax == _RLE or syntax in _DECODERS:
        raw = _compressed(data, header, where)
    else:
        raise VolumeError(
            "pixel data of this encoding are not read",
            where=where,
            value=f"transfer syntax {vocabulary.encoding(syntax)}",
            remedy="Export the series uncompressed or with lossless JPEG, JPEG-LS or JPEG 2000",
        )
    if raw.shape != (header.rows, header.columns):
        raise VolumeError(
            "pixel data have another size than the header says",
            where=where,
            value=f"{raw.shape}, not {(header.rows, header.columns)}",
            remedy="Copy or export the series again",
        )
    return _with_sign(raw, header)


def _check_there(data: Dataset, where: str) -> None:
    try:
        there = isinstance(data.get("PixelData"), bytes)
    except DAMAGE as error:
        raise VolumeError(
            "pixel data are truncated or damaged",
            where=where,
            value=type(error).__name__,
            remedy="Copy or export the series again",
        ) from error
    if not there:
        raise VolumeError(
            "the image has no pixel data",
            where=where,
            remedy="Export the series again with its pixel data",
        )


def _check_layout(header: SliceHeader, where: str) -> None:
    check_size((header.rows, header.columns, 1), where)
    if header.samples != 1:
        raise VolumeError(
            "a colour image is not a scan",
            where=where,
            value=f"{header.samples} samples a pixel",
            remedy="Give the original greyscale series",
        )
    if header.bits_allocated not in (8, 16, 32):
        raise VolumeError(
            "bits allocated must be 8, 16 or 32",
            where=where,
            value=str(header.bits_allocated),
            remedy="Export the series again",
        )
    if not 1 <= header.bits_stored <= header.bits_allocated:
        raise VolumeError(
            "bits stored must be 1 to bits allocated",
            where=where,
            value=str(header.bits_stored),
            remedy="Export the series again",
        )
    if header.high_bit != header.bits_stored - 1:
        raise VolumeError(
            "HighBit is not BitsStored − 1",
            where=where,
            value=f"high bit {header.high_bit}, {header.bits_stored} bits",
            remedy="Export the series again as current DICOM",
        )


def _native(data: Dataset, header: SliceHeader, where: str) -> npt.NDArray[np.int64]:
    kind = np.dtype(f"{_NATIVE[header.transfer_syntax]}u{header.bits_allocated // 8}")
    n_bytes = header.rows * header.columns * kind.itemsize
    said = data.get("NumberOfFrames")
    n_frames = 1 if said is None or said == "" else int(said)
    start = header.frame * n_bytes
    pixels = data.PixelData
    needed = n_frames * n_bytes
    if len(pixels) not in (needed, needed + needed % 2):  # DICOM pads to an even length
        raise VolumeError(
            "pixel data are truncated"
            if len(pixels) < needed
            else "there are more pixel data than the header says",
            where=where,
            value=f"{len(pixels):,} of {needed:,} bytes",
            remedy="Copy or export the series again",
        )
    flat = np.frombuffer(pixels, dtype=kind, count=header.rows * header.columns, offset=start)
    return flat.reshape(header.rows, header.columns).astype(np.int64)


def _compressed(data: Dataset, header: SliceHeader, where: str) -> npt.NDArray[np.int64]:
    try:
        n_frames = int(data.get("NumberOfFrames") or 1)
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # pydicom warns where a stream ends early
            if header.transfer_syntax == _RLE:
                return np.asarray(pixel_array(data, index=header.frame, raw=True), dtype=np.int64)
            code = get_frame(data.PixelData, header.frame, number_of_frames=n_frames)
            return np.asarray(_DECODERS[header.transfer_syntax](code)).astype(np.int64)
    except (*DAMAGE, RuntimeError, UserWarning) as error:
        raise VolumeError(
            "compressed pixel data are truncated or damaged",
            where=where,
            value=type(error).__name__,
            remedy="Copy or export the series again",
        ) from error


def _with_sign(raw: npt.NDArray[np.int64], header: SliceHeader) -> npt.NDArray[np.int32]:
    """Only the stored bits, read with the header's sign.

    Encoders disagree whether a signed value is handed to JPEG as signed or as bare bits, and old
    scanners kept overlays in the bits above; the stored bits are the same in all of them.
    """
    if header.bits_stored == 32:
        return raw.astype(np.uint32).view(np.int32) if header.signed else raw.astype(np.int32)
    bits = raw & ((1 << header.bits_stored) - 1)
    if header.signed:
        half = 1 << (header.bits_stored - 1)
        bits = (bits ^ half) - half
    return bits.astype(np.int32)
