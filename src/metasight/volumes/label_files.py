"""Label maps as NRRD (3D Slicer) and MetaImage: headers that are checked, voxels read to their end.

Both formats let a header leave out where the image lies, and readers then take the first voxel at
0 and a spacing of 1 mm. Here what is left out is an error. A header that names another file for
its voxels is refused: only what lies in one file is known to belong together.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk  # noqa: N813 (the name its manual uses)

from metasight.errors import VolumeError
from metasight.volumes.grid import MAX_VOXELS, SPACING_RANGE_MM, check_size

Floats = npt.NDArray[np.float64]

SUFFIXES = (".nrrd", ".mha")
_HEADER_BYTES = 1 << 20
_TO_LPS = {
    "left-posterior-superior": (1, 1, 1),
    "lps": (1, 1, 1),
    "right-anterior-superior": (-1, -1, 1),
    "ras": (-1, -1, 1),
    "left-anterior-superior": (1, -1, 1),
    "las": (1, -1, 1),
}
_NRRD_KINDS = {
    **dict.fromkeys(("signed char", "int8", "int8_t"), "i1"),
    **dict.fromkeys(("uchar", "unsigned char", "uint8", "uint8_t"), "u1"),
    **dict.fromkeys(("short", "short int", "signed short", "int16", "int16_t"), "i2"),
    **dict.fromkeys(("ushort", "unsigned short", "uint16", "uint16_t"), "u2"),
    **dict.fromkeys(("int", "signed int", "int32", "int32_t"), "i4"),
    **dict.fromkeys(("uint", "unsigned int", "uint32", "uint32_t"), "u4"),
    "float": "f4",
    "double": "f8",
}
_META_KINDS = {
    "MET_CHAR": "i1",
    "MET_UCHAR": "u1",
    "MET_SHORT": "i2",
    "MET_USHORT": "u2",
    "MET_INT": "i4",
    "MET_UINT": "u4",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}
_AGAIN = "Export the label map again as one .nrrd, .mha or .nii.gz file"


@dataclass(frozen=True, kw_only=True)
class LabelFile:
    """A label map.

    Attributes
    ----------
    image
        Oriented LPS, voxels in their stored type.
    names
        Of labels, where the file gives them.
    """

    image: sitk.Image
    names: Mapping[int, str]


def read_label_file(path: Path) -> LabelFile:
    """A label map from ``.nrrd`` or ``.mha``.

    Raises
    ------
    VolumeError
        Not such a file, truncated, longer than its header says, damaged, not three-dimensional,
        its position or orientation not said, its voxels in another file.
    """
    where = "NRRD mask" if path.name.lower().endswith(".nrrd") else "MHA mask"
    try:
        content = path.read_bytes()
    except OSError as error:
        raise VolumeError(
            "the file cannot be read", where=where, value=type(error).__name__, remedy=_AGAIN
        ) from error
    try:
        return _nrrd(content, where) if where.startswith("NRRD") else _meta(content, where)
    except (ValueError, KeyError, IndexError, zlib.error, EOFError, OSError) as error:
        raise VolumeError(
            "the file is damaged or leaves out what is needed",
            where=where,
            value=type(error).__name__,
            remedy=_AGAIN,
        ) from error


def _nrrd(content: bytes, where: str) -> LabelFile:
    end = _end_of(content, (b"\n\n", b"\r\n\r\n"))
    if not content.startswith(b"NRRD000") or end is None:
        raise VolumeError("the file is not NRRD", where=where, remedy=_AGAIN)
    fields: dict[str, str] = {}
    keys: dict[str, str] = {}
    for line in content[:end].decode("utf-8", errors="replace").splitlines()[1:]:
        if line.startswith("#"):
            continue
        key, is_pair, value = line.partition(":=")
        if is_pair:
            keys[key.strip()] = value.strip()
        elif ": " in line:
            name, _, value = line.partition(": ")
            fields[name.strip().lower()] = value.strip()
    if {"data file", "datafile"} & set(fields) or fields.get("byte skip", "0") != "0":
        raise VolumeError("the voxels are in another file", where=where, remedy=_AGAIN)
    sizes = tuple(int(v) for v in fields["sizes"].split())
    _check_three(len(sizes), where)
    signs = _TO_LPS.get(fields.get("space", "").lower())
    if signs is None or "space origin" not in fields or "space directions" not in fields:
        raise _no_place(where)
    flip = np.diag(np.asarray(signs, dtype=np.float64))
    columns = [_vector(v) for v in fields["space directions"].replace(" (", "|(").split("|")]
    matrix = flip @ np.column_stack(columns)
    encoding = fields["encoding"].lower()
    if encoding not in ("raw", "gzip", "gz"):
        raise VolumeError("voxels of this encoding are not read", where=where, remedy=_AGAIN)
    raw = content[end:] if encoding == "raw" else gzip.decompress(content[end:])
    order = ">" if fields.get("endian", "little").lower() == "big" else "<"
    kind = np.dtype(order + _NRRD_KINDS[fields["type"].lower()])
    voxels = _voxels(raw, kind, sizes, where)
    origin = flip @ _vector(fields["space origin"])
    return LabelFile(image=_image(voxels, matrix, origin, where), names=_slicer_names(keys))


def _slicer_names(keys: Mapping[str, str]) -> dict[int, str]:
    """Names of 3D Slicer's segments by the label that each has."""
    found = {}
    for key, value in keys.items():
        if key.startswith("Segment") and key.endswith("_LabelValue"):
            found[int(value)] = keys.get(key.replace("_LabelValue", "_Name"), "")
    return found


def _meta(content: bytes, where: str) -> LabelFile:
    mark = content.find(b"ElementDataFile", 0, _HEADER_BYTES)
    end = content.find(b"\n", mark) + 1
    if mark < 0 or not end:
        raise VolumeError("the file is not MetaImage", where=where, remedy=_AGAIN)
    text = content[:end].decode("utf-8", errors="replace")
    fields = {
        key.strip(): value.strip()
        for key, found, value in (line.partition("=") for line in text.splitlines())
        if found
    }
    if fields["ElementDataFile"] != "LOCAL":
        raise VolumeError("the voxels are in another file", where=where, remedy=_AGAIN)
    sizes = tuple(int(v) for v in fields["DimSize"].split())
    _check_three(len(sizes), where)
    if fields.get("ElementNumberOfChannels", "1") != "1":
        raise VolumeError("a colour image is not a mask", where=where, remedy=_AGAIN)
    spacing, origin, axes = (
        next((_numbers(fields[n]) for n in names if n in fields), None)
        for names in (
            ("ElementSpacing",),
            ("Offset", "Position", "Origin"),
            ("TransformMatrix", "Rotation", "Orientation"),
        )
    )
    if spacing is None or origin is None or axes is None:
        raise _no_place(where)
    # MetaImage writes the axes one after the other
    matrix = axes.reshape(3, 3).T * spacing
    raw = content[end:]
    if fields.get("CompressedData", "False") == "True":
        unpacker = zlib.decompressobj()
        raw = unpacker.decompress(raw)
        if not unpacker.eof or unpacker.unused_data.strip(b"\0"):
            raise VolumeError("the voxels are truncated or too many", where=where, remedy=_AGAIN)
    big = "True" in (fields.get("BinaryDataByteOrderMSB"), fields.get("ElementByteOrderMSB"))
    kind = np.dtype((">" if big else "<") + _META_KINDS[fields["ElementType"]])
    voxels = _voxels(raw, kind, sizes, where)
    return LabelFile(image=_image(voxels, matrix, origin, where), names={})


def _check_three(n_dimensions: int, where: str) -> None:
    if n_dimensions != 3:
        raise VolumeError(
            "the label map is not three-dimensional",
            where=where,
            value=f"{n_dimensions} dimensions",
            remedy="Overlapping segments are stored as a list: export each as its own label map",
        )


def _no_place(where: str) -> VolumeError:
    return VolumeError(
        "the header does not state the position of the image (spacing, position and orientation)",
        where=where,
        remedy=_AGAIN,
    )


def _end_of(content: bytes, marks: tuple[bytes, ...]) -> int | None:
    ends = [content.find(m, 0, _HEADER_BYTES) + len(m) for m in marks if m in content]
    return min((e for e in ends if e > 1), default=None)


def _vector(text: str) -> Floats:
    return np.array([float(v) for v in text.strip().strip("()").split(",")])


def _numbers(text: str) -> Floats:
    return np.array([float(v) for v in text.split()])


def _voxels(
    raw: bytes, kind: np.dtype[Any], sizes: tuple[int, ...], where: str
) -> npt.NDArray[Any]:
    check_size(sizes, where, max_voxels=MAX_VOXELS)
    needed = int(np.prod(sizes, dtype=np.int64)) * kind.itemsize
    if len(raw) != needed:
        raise VolumeError(
            "the file does not hold as many voxels as its header says",
            where=where,
            value=f"{len(raw):,} of {needed:,} bytes",
            remedy=_AGAIN,
        )
    return np.frombuffer(raw, dtype=kind).reshape(sizes[::-1]).astype(kind.newbyteorder("="))


def _image(voxels: npt.NDArray[Any], matrix: Floats, origin: Floats, where: str) -> sitk.Image:
    if matrix.shape != (3, 3) or origin.shape != (3,):
        raise _no_place(where)
    spacing = np.linalg.norm(matrix, axis=0)
    low, high = SPACING_RANGE_MM
    axes = matrix / np.where(spacing > 0, spacing, 1.0)
    if not (np.all(np.isfinite(matrix)) and np.all(np.isfinite(origin))):
        raise _no_place(where)
    if not np.all((spacing >= low) & (spacing <= high)):
        raise VolumeError(
            f"voxel spacing must be {low:g} to {high:g} mm",
            where=where,
            value=" × ".join(f"{s:g}" for s in spacing),
            remedy=_AGAIN,
        )
    if not np.allclose(axes.T @ axes, np.eye(3), atol=1e-3):
        raise VolumeError("the image's axes are not at right angles", where=where, remedy=_AGAIN)
    image = sitk.GetImageFromArray(voxels)
    image.SetSpacing([float(s) for s in spacing])
    image.SetOrigin([float(v) for v in origin])
    u, _, vt = np.linalg.svd(axes)
    image.SetDirection([float(v) for v in (u @ vt).ravel()])
    oriented: sitk.Image = sitk.DICOMOrient(image, "LPS")
    return oriented
