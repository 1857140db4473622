"""What a slice says of itself: a DICOM header read once, checked, without its pixels.

Nothing that names a patient is kept: whether two files are of one patient is told by a digest with
a key that dies with the process. A multi-frame object (enhanced CT or PET) gives one header a
frame. A file that is no image, or an image that has no place in space, is not an error here:
:func:`read_headers` says what it is, and the choice of series counts it.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import secrets
import struct
import warnings
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import IO, Any

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.sequence import Sequence as DicomSequence

from metasight.errors import VolumeError
from metasight.volumes import vocabulary
from metasight.volumes.grid import directions
from metasight.volumes.sources import Item

_DEFLATED = b"1.2.840.10008.1.2.1.99"
_META_BYTES = 4096
_DATA_FROM = 144  # behind preamble, DICM and the group's length, which stands just before
_MOST_INFLATED = 600_000_000
_TAGS = [
    "SOPClassUID",
    "SOPInstanceUID",
    "SeriesInstanceUID",
    "Modality",
    "ImageType",
    "Rows",
    "Columns",
    "PixelSpacing",
    "ImageOrientationPatient",
    "ImagePositionPatient",
    "SliceThickness",
    "ConvolutionKernel",
    "AcquisitionNumber",
    "RescaleSlope",
    "RescaleIntercept",
    "RescaleType",
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
    "Manufacturer",
    "ManufacturerModelName",
    "KVP",
    "ContrastBolusAgent",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "SamplesPerPixel",
    "NumberOfFrames",
    "FrameOfReferenceUID",
    "LossyImageCompression",
    "CorrectedImage",
    "Units",
    "SeriesNumber",
    "StudyInstanceUID",
    "StudyDate",
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
]


FARTHEST_MM = 10_000.0
"""No scanner's coordinates reach farther: a position beyond is damaged."""
AGAIN = "Copy or export the series again, or take the file out of the folder"
_KEY = secrets.token_bytes(16)

DAMAGE = (
    EOFError,
    ValueError,
    KeyError,
    OSError,
    AttributeError,
    NotImplementedError,
    TypeError,
    IndexError,
    RecursionError,
    BytesLengthException,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)
"""What pydicom and zipfile raise on bytes that make no sense, some only when a value is looked at.
Their texts may quote a file's name or a value, so no message of ours does."""


@dataclass(frozen=True, kw_only=True)
class SliceHeader:
    """One slice's header.

    Attributes
    ----------
    item
        The file.
    frame
        Which frame of it, from 0.
    series_uid, series_number, sop_class, sop_uid, modality, image_type, acquisition
        As DICOM names them; ``acquisition`` is its number as text. UIDs are not printed.
    rows, columns
        Pixels.
    spacing_mm
        Distance of rows, then of columns (DICOM's order).
    orientation
        Direction cosines of a row, then of a column.
    position_mm
        Centre of the first pixel.
    thickness_mm, kernel, kilovolts, contrast, manufacturer, model, frame_of_reference
        Of the scan; None or empty if not said.
    slope, intercept
        Stored value to unit; None if not said.
    padding
        Lowest and highest stored value that means "outside the reconstruction"; None if not said.
    bits_allocated, bits_stored, high_bit, signed, samples
        How a stored value is written.
    transfer_syntax
        UID of the encoding.
    lossy
        Whether the pixels were ever compressed with loss.
    corrections, units
        Of PET: corrections applied, and unit of the rescaled value.
    study, study_date
        UID and date of the examination, to tell two in one folder apart; never printed.
    patient
        Whether two files are of one patient: a digest under a key of this process, empty where
        the file does not say. Never kept.
    """

    item: Item
    frame: int
    series_uid: str
    series_number: str
    sop_class: str
    sop_uid: str
    modality: str
    image_type: tuple[str, ...]
    acquisition: str
    rows: int
    columns: int
    spacing_mm: tuple[float, float]
    orientation: tuple[float, ...]
    position_mm: tuple[float, float, float]
    thickness_mm: float | None
    kernel: str
    kilovolts: float | None
    contrast: bool | None
    manufacturer: str
    model: str
    frame_of_reference: str
    slope: float | None
    intercept: float | None
    padding: tuple[int, int] | None
    bits_allocated: int
    bits_stored: int
    high_bit: int
    signed: bool
    samples: int
    transfer_syntax: str
    lossy: bool
    corrections: tuple[str, ...]
    units: str
    study: str = field(default="", repr=False)
    study_date: dt.date | None = field(default=None, repr=False)
    patient: str = field(default="", repr=False)


@dataclass(frozen=True, kw_only=True)
class NotASlice:
    """A file that gives no slice, and why."""

    item: Item
    reason: str


def read_headers(item: Item) -> tuple[SliceHeader, ...] | NotASlice:
    """Headers of a file's frames, or why there is none.

    Raises
    ------
    VolumeError
        The file is a DICOM image whose header contradicts itself.
    """
    data = read_dataset(item, pixels=False, tags=_TAGS)
    if isinstance(data, NotASlice):
        return data
    if "Rows" not in data:
        if item.path.name.upper() == "DICOMDIR" and item.member is None:
            return NotASlice(item=item, reason="DICOMDIR; give the folder that it lists")
        shown = vocabulary.modality(_modality(data))
        return NotASlice(item=item, reason=f"DICOM without an image ({shown})")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of odd but readable values; ours are checked below
        try:
            n_frames = int(_text(data, "NumberOfFrames") or 1)
            if not 1 <= n_frames <= 100_000:
                raise VolumeError(
                    "the image claims an impossible number of frames",
                    where=str(item),
                    value=f"{n_frames:,}",
                    remedy=AGAIN,
                )
            _check_places(data, item, n_frames)
            return tuple(_header(data, item, frame) for frame in range(n_frames))
        except _NoPlaceError as error:
            return NotASlice(item=item, reason=str(error))
        except (*DAMAGE, OverflowError) as error:
            modality = _modality(data)
            if modality not in ("CT", "PT", ""):  # of another kind, and nobody asked to read it
                shown = vocabulary.modality(modality)
                return NotASlice(item=item, reason=f"image of another kind ({shown})")
            raise VolumeError(
                "the DICOM header cannot be understood",
                where=str(item),
                value=type(error).__name__,
                remedy=AGAIN,
            ) from error


def read_dataset(
    item: Item, *, pixels: bool, tags: Sequence[str] | None = None
) -> Dataset | NotASlice:
    """Read a DICOM file, or say why it is none.

    Without ``pixels`` the file is read up to them; with ``tags``, only these are kept.

    Raises
    ------
    VolumeError
        It begins as DICOM and cannot be read on.
    """
    if item.n_bytes == 0:
        return NotASlice(item=item, reason="empty file")
    try:
        # a packed file is read to its end, where its checksum is: a damaged header is not believed
        whole = pixels or item.member is not None
        with item.read() if whole else item.open() as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _require_bounded(file, item)
            return dcmread(
                file,
                stop_before_pixels=not pixels,
                specific_tags=None if tags is None else list(tags),
            )
    except InvalidDicomError:
        return NotASlice(item=item, reason="not DICOM")
    except DAMAGE as error:
        raise VolumeError(
            "a DICOM file is damaged",
            where=str(item),
            value=type(error).__name__,
            remedy=AGAIN,
        ) from error


def _require_bounded(file: IO[bytes], item: Item) -> None:
    """Refuse a deflated data set that inflates beyond what an image takes, before it is inflated.

    Leaves the file at its start.

    Raises
    ------
    VolumeError
        As said, or it cannot be told where the deflated part begins.
    """
    head = file.read(_META_BYTES)
    file.seek(0)
    if _DEFLATED not in head:
        return
    begin = _DATA_FROM + int.from_bytes(head[_DATA_FROM - 4 : _DATA_FROM], "little")
    file.seek(begin)
    inflating, length = zlib.decompressobj(-zlib.MAX_WBITS), 0
    try:
        while (packed := file.read(1 << 20)) and length <= _MOST_INFLATED:
            while packed and length <= _MOST_INFLATED:
                length += len(inflating.decompress(packed, 1 << 24))
                packed = inflating.unconsumed_tail
    except zlib.error as error:
        raise VolumeError(
            "a deflated DICOM file is damaged", where=str(item), remedy=AGAIN
        ) from error
    file.seek(0)
    if length > _MOST_INFLATED:
        raise VolumeError(
            "a deflated DICOM file is longer than any image",
            where=str(item),
            value=f"more than {_MOST_INFLATED:,} bytes",
            remedy="Check where the file comes from",
        )


def _check_places(data: Dataset, item: Item, n_frames: int) -> None:
    """Refuse a CT or PET of several frames that does not give each of them its place."""
    places = len(data.get("PerFrameFunctionalGroupsSequence") or [])
    if n_frames == places or (n_frames == 1 and places == 0):
        return
    if _modality(data) in ("CT", "PT") and (places or "ImagePositionPatient" in data):
        raise VolumeError(
            "the image does not give each of its frames a place",
            where=str(item),
            value=f"{n_frames:,} frames, places for {places:,}",
            remedy=AGAIN,
        )


class _NoPlaceError(Exception):
    """An image that is not a slice in space."""


def _header(data: Dataset, item: Item, frame: int) -> SliceHeader:
    groups = _functional_groups(data, frame)
    spacing = _floats(_first(groups, "PixelSpacing"), 2)
    orientation = _floats(_first(groups, "ImageOrientationPatient"), 6)
    position = _floats(_first(groups, "ImagePositionPatient"), 3)
    if spacing is None or orientation is None or position is None:
        raise _NoPlaceError("the image has no position, orientation or pixel spacing")
    try:
        directions(orientation)
    except VolumeError as error:
        raise _NoPlaceError("image whose rows and columns are not at right angles") from error
    if max(abs(v) for v in position) > FARTHEST_MM and _modality(data) in ("CT", "PT"):
        raise VolumeError(
            "a slice has an impossible position",
            where=str(item),
            value=f"more than {FARTHEST_MM / 1000:g} m from the origin",
            remedy=AGAIN,
        )
    rows, columns = int(data.Rows), int(data.Columns)
    contrast = data.get("ContrastBolusAgent")
    return SliceHeader(
        item=item,
        frame=frame,
        series_uid=_text(data, "SeriesInstanceUID"),
        series_number=_text(data, "SeriesNumber"),
        sop_class=_text(data, "SOPClassUID"),
        sop_uid=_text(data, "SOPInstanceUID"),
        modality=_text(data, "Modality"),
        image_type=tuple(str(v).upper() for v in _values(data.get("ImageType"))),
        acquisition=_text(data, "AcquisitionNumber"),
        rows=rows,
        columns=columns,
        spacing_mm=(spacing[0], spacing[1]),
        orientation=orientation,
        position_mm=(position[0], position[1], position[2]),
        thickness_mm=_positive(_first(groups, "SliceThickness")),
        kernel="/".join(str(v) for v in _values(_first(groups, "ConvolutionKernel"))).strip(),
        kilovolts=_positive(_first(groups, "KVP")),
        contrast=None if contrast is None else bool(str(contrast).strip()),
        manufacturer=_text(data, "Manufacturer"),
        model=_text(data, "ManufacturerModelName"),
        frame_of_reference=_text(data, "FrameOfReferenceUID"),
        slope=_number(_first(groups, "RescaleSlope")),
        intercept=_number(_first(groups, "RescaleIntercept")),
        padding=_padding(data),
        bits_allocated=int(data.BitsAllocated),
        bits_stored=int(data.BitsStored),
        high_bit=int(data.get("HighBit", int(data.BitsStored) - 1)),
        signed=int(data.PixelRepresentation) == 1,
        samples=int(data.get("SamplesPerPixel", 1)),
        transfer_syntax=str(data.file_meta.get("TransferSyntaxUID", "")),
        lossy=_text(data, "LossyImageCompression") == "01",
        corrections=tuple(str(v) for v in _values(data.get("CorrectedImage"))),
        units=_text(data, "Units"),
        study=_text(data, "StudyInstanceUID"),
        study_date=_date(data),
        patient=_patient(data),
    )


def _date(data: Dataset) -> dt.date | None:
    """Day of the examination; None if not said or not a day."""
    text = _text(data, "StudyDate").replace(".", "")
    try:
        return dt.datetime.strptime(text, "%Y%m%d").date()
    except ValueError:
        return None


def _patient(data: Dataset) -> str:
    """A digest of the hospital's number, or of name and birth where there is no number."""
    said = _text(data, "PatientID")
    if not said:
        name = [part for part in _text(data, "PatientName").casefold().split("^") if part.strip()]
        said = "^".join(name) and "^".join([*name, _text(data, "PatientBirthDate")])
    if not said:
        return ""
    return hashlib.blake2b(said.casefold().encode(), key=_KEY, digest_size=16).hexdigest()


def _functional_groups(data: Dataset, frame: int) -> list[Dataset]:
    """Where a value may stand: the frame's groups, the shared groups, the object itself."""
    found: list[Dataset] = []
    per_frame = data.get("PerFrameFunctionalGroupsSequence") or []
    shared = data.get("SharedFunctionalGroupsSequence") or []
    places = ([per_frame[frame]] if frame < len(per_frame) else []) + list(shared)
    for place in places:
        found += [e.value[0] for e in place if isinstance(e.value, DicomSequence) and e.value]
    return [*found, data]


def _first(groups: list[Dataset], keyword: str) -> Any:
    for group in groups:
        value = group.get(keyword)
        if value is not None and value != "":
            return value
    return None


def _values(value: Any) -> list[Any]:
    if value is None or value == "":
        return []
    return [value] if isinstance(value, str) or not hasattr(value, "__iter__") else list(value)


def _text(data: Dataset, keyword: str) -> str:
    value = data.get(keyword)
    return "" if value is None else str(value).strip()


def _modality(data: Dataset) -> str:
    """The modality; empty if it is damaged or not said."""
    try:
        return _text(data, "Modality")
    except DAMAGE:
        return ""


def _number(value: Any) -> float | None:
    return None if value is None else float(_values(value)[0])


def _positive(value: Any) -> float | None:
    number = _number(value)
    return number if number is not None and np.isfinite(number) and number > 0 else None


def _floats(value: Any, n: int) -> tuple[float, ...] | None:
    numbers = tuple(float(v) for v in _values(value))
    if len(numbers) != n or not np.all(np.isfinite(numbers)):
        return None
    return numbers


def _padding(data: Dataset) -> tuple[int, int] | None:
    value = data.get("PixelPaddingValue")
    if value is None:
        return None
    low = int(value)
    limit = data.get("PixelPaddingRangeLimit")
    high = low if limit is None else int(limit)
    return min(low, high), max(low, high)
