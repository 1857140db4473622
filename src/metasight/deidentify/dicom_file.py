"""One DICOM file: read, refused or cleaned, and written with a new preamble and file meta."""

from __future__ import annotations

import io
import math
import warnings
from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_file_meta_info
from pydicom.sequence import Sequence
from pydicom.uid import (
    JPEG2000,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
)

from metasight import __version__
from metasight.bounded import open_bounded
from metasight.deidentify.actions import EDITION
from metasight.deidentify.cleaning import Rules, cleaned
from metasight.deidentify.codestream import plain_jpeg, plain_jpeg2000
from metasight.deidentify.identifiers import Names, identifiers_of
from metasight.deidentify.key import Key
from metasight.deidentify.refusal import REPORTS, Refusal, refusal_of
from metasight.errors import VolumeError
from metasight.volumes.headers import DAMAGE

_UNDER = "file"
_JPEG = frozenset((JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1))
_JPEG_2000 = frozenset((JPEG2000, JPEG2000Lossless))
_MOST_BYTES_BY_OFFSET = 2**31
"""Frames beyond are written without a table of offsets, which has 32 bits."""
METHOD_CODES = (
    ("113100", "Basic Application Confidentiality Profile"),
    ("113107", "Retain Longitudinal Temporal Information Modified Dates Option"),
    ("113108", "Retain Patient Characteristics Option"),
    ("113111", "Retain Safe Private Option"),
)
CLEANED_REPORT = ("113104", "Clean Structured Content Option")
IMPLEMENTATION = UID("2.25.173541379163027911093714209215389318377")


@dataclass(frozen=True, kw_only=True)
class NewFile:
    """A cleaned file and where it belongs.

    Attributes
    ----------
    name
        Patient, study, series and instance by their pseudonyms, relative to the output.
    content
        Bytes of the file.
    kind
        Modality.
    """

    name: Path
    content: bytes
    kind: str


def is_dicom(path: Path) -> bool:
    """Whether a file begins as DICOM does (PS3.10 7.1)."""
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def deidentified(path: Path, key: Key) -> NewFile | Refusal:
    """De-identify one file.

    Parameters
    ----------
    path
        Of a file that begins as DICOM does.
    key
        From which pseudonyms, UIDs and the shift derive.

    Raises
    ------
    VolumeError
        It is damaged, or does not say whose it is.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd but readable values
            _check_encoding(path)
            with open_bounded(path) as file:
                data = dcmread(file)
            refused = refusal_of(data)
            return refused or _new_file(data, key)
    except (*DAMAGE, InvalidDicomError) as error:
        raise VolumeError(
            "a DICOM file is damaged",
            where=_UNDER,
            value=type(error).__name__,
            remedy="Export it again",
        ) from error


def _check_encoding(path: Path) -> None:
    """A deflated data set is unpacked whole before anything can be known of it."""
    syntax = read_file_meta_info(path).get("TransferSyntaxUID")
    if syntax in {DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian}:
        raise VolumeError(
            "the data set is deflated or big-endian",
            where=_UNDER,
            remedy="Export it as Explicit VR Little Endian",
        )


def _new_file(data: FileDataset, key: Key) -> NewFile | Refusal:
    patient_id = str(data.get("PatientID") or "").strip()
    if not patient_id:
        raise VolumeError(
            "the file does not say whose it is (PatientID)",
            where=_UNDER,
            remedy="Export it again, or write the patient's id into it",
        )
    _check_pixels(data)
    _plain_frames(data)
    names = Names(identifiers_of(data))
    if "PixelData" in data and names.are_in_bytes(data["PixelData"].value or b""):
        return Refusal(reason="the pixel data hold a text that names the patient")
    new = cleaned(data, Rules(key=key, patient_id=patient_id, names=names))
    _mark(new)
    pixels = data.get("PixelData") is not None and data["PixelData"].is_undefined_length
    if pixels:
        new["PixelData"].is_undefined_length = True
    meta = _meta(data, new)
    buffer = io.BytesIO()
    out = FileDataset(buffer, new, file_meta=meta, preamble=b"\0" * 128)
    out.save_as(buffer, enforce_file_format=True)
    return NewFile(
        name=_place(data, new, key), content=buffer.getvalue(), kind=str(new.get("Modality") or "")
    )


def _place(data: FileDataset, new: Dataset, key: Key) -> Path:
    series = str(data.get("SeriesInstanceUID") or "")
    return Path(
        str(new.PatientID),
        key.text("study", str(data.get("StudyInstanceUID") or "")),
        key.text("series", series),
        key.text("instance", str(data.SOPInstanceUID)) + ".dcm",
    )


def _meta(data: FileDataset, new: Dataset) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = new.SOPClassUID
    meta.MediaStorageSOPInstanceUID = new.SOPInstanceUID
    meta.TransferSyntaxUID = data.file_meta.TransferSyntaxUID
    meta.ImplementationClassUID = IMPLEMENTATION
    meta.ImplementationVersionName = "METASIGHT"
    return meta


def _mark(new: Dataset) -> None:
    """Say in the file that and how it was de-identified (PS3.15 E.1.1)."""
    new.PatientIdentityRemoved = "YES"
    new.LongitudinalTemporalInformationModified = "MODIFIED"
    new.DeidentificationMethod = [f"metasight {__version__}", EDITION]
    codes = list(METHOD_CODES)
    if str(new.SOPClassUID) in REPORTS:
        codes.append(CLEANED_REPORT)
    new.DeidentificationMethodCodeSequence = Sequence(_code(*c) for c in codes)


def _code(value: str, meaning: str) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, "DCM", meaning
    return code


def _plain_frames(data: FileDataset) -> None:
    """Leave comments and application data out of the frames of JPEG and JPEG 2000."""
    syntax = data.file_meta.TransferSyntaxUID
    plain = plain_jpeg if syntax in _JPEG else plain_jpeg2000 if syntax in _JPEG_2000 else None
    if plain is None or "PixelData" not in data:
        return
    n = int(data.get("NumberOfFrames") or 1)
    frames = [plain(f) for f in generate_frames(data.PixelData, number_of_frames=n)]
    for keyword in ("ExtendedOffsetTable", "ExtendedOffsetTableLengths"):
        if keyword in data:
            delattr(data, keyword)
    large = sum(map(len, frames)) > _MOST_BYTES_BY_OFFSET
    data["PixelData"].value = encapsulate(frames, has_bot=not large)


def _check_pixels(data: FileDataset) -> None:
    """Cut what lies behind the pixels; refuse what is short of them."""
    if "PixelData" not in data or data.file_meta.TransferSyntaxUID.is_encapsulated:
        return
    if str(data.get("PhotometricInterpretation") or "").endswith("422"):
        return
    bits = math.prod(
        int(data.get(k) or 1)
        for k in ("Rows", "Columns", "SamplesPerPixel", "NumberOfFrames", "BitsAllocated")
    )
    n_bytes = -(-bits // 8)
    pixels = data.PixelData
    if len(pixels) < n_bytes:
        raise VolumeError(
            "the pixels are cut off", where=_UNDER, remedy="Copy or export the series again"
        )
    data.PixelData = pixels[:n_bytes] + b"\0" * (n_bytes % 2)
