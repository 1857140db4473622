"""DICOM files as pydicom writes them, byte for byte, with what slices share encoded once.

A series of 200 slices repeats some eighty elements; writing each anew takes longer than drawing the
patient.
"""

from __future__ import annotations

from pathlib import Path
from typing import cast

from pydicom.charset import convert_encodings
from pydicom.dataelem import DataElement
from pydicom.dataset import FileDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import (
    correct_ambiguous_vr_element,
    write_data_element,
    write_file_meta_info,
)
from pydicom.valuerep import AMBIGUOUS_VR, BYTES_VR, VR

_LARGEST_KEPT = 256
_MOST_KEPT = 20_000
_ENCODED: dict[tuple[int, str, str], bytes] = {}
_CHARACTERS = convert_encodings(["ISO_IR 192"])


def write(ds: FileDataset, path: Path) -> None:
    """Write a data set in explicit little endian, as ``ds.save_as`` would.

    Parameters
    ----------
    ds
        With its file meta information; texts in UTF-8.
    path
        Replaced if it is there.
    """
    head = DicomBytesIO()
    head.write(b"\0" * 128 + b"DICM")
    write_file_meta_info(head, ds.file_meta, enforce_standard=True)
    path.write_bytes(head.getvalue() + b"".join(_encoded(ds[tag], ds) for tag in sorted(ds.keys())))


def _encoded(element: DataElement, ds: FileDataset) -> bytes:
    if element.VR == VR.SQ or element.VR in AMBIGUOUS_VR or element.VR in BYTES_VR:
        settled = correct_ambiguous_vr_element(element, ds, is_little_endian=True)
        return _written(cast(DataElement, settled))
    key = (int(element.tag), str(element.VR), repr(element.value))
    if key not in _ENCODED:
        if len(_ENCODED) > _MOST_KEPT:
            _ENCODED.clear()
        found = _written(element)
        if len(found) > _LARGEST_KEPT:
            return found
        _ENCODED[key] = found
    return _ENCODED[key]


def _written(element: DataElement) -> bytes:
    out = DicomBytesIO()
    out.is_little_endian, out.is_implicit_VR = True, False
    write_data_element(out, element, _CHARACTERS)
    return bytes(out.getvalue())
