"""NIfTI files: a header that is checked before a voxel is read, and voxels on an orthonormal grid.

NIfTI has two places for an image's position (qform, sform) and files in which they disagree, are
sheared, or hold zeros are common; programs then differ in which they believe. Here both must say
the same, or the file is refused. NIfTI counts x to the right and y to the front; the result is in
DICOM's coordinates, x to the left and y to the back. Source: nifti1.h, nifti2.h (NIH).
"""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk  # noqa: N813 (the name its manual uses)

from metasight.errors import VolumeError
from metasight.volumes.grid import MAX_VOXELS, SPACING_RANGE_MM, check_size
from metasight.volumes.hounsfield import check_hounsfield
from metasight.volumes.volume import Unit, Volume

Floats = npt.NDArray[np.float64]

_KINDS = {
    2: "u1",
    4: "i2",
    8: "i4",
    16: "f4",
    64: "f8",
    256: "i1",
    512: "u2",
    768: "u4",
    1024: "i8",
    1280: "u8",
}
_TO_LPS = np.diag([-1.0, -1.0, 1.0])
_UNIT_TO_MM = {0: 1.0, 2: 1.0}  # not said, millimetres; metres and micrometres are refused
_AGREE_MM = 0.05  # sform and qform are float32: 1e-4 mm at 1 m; programs round to 0.01
_SHEAR = 1e-3
_WHERE = "NIfTI file"


@dataclass(frozen=True, kw_only=True)
class NiftiHeader:
    """What a NIfTI header says, checked.

    Attributes
    ----------
    size
        Voxels along x, y, z.
    kind
        numpy type of a stored voxel, with its byte order.
    offset
        Bytes before the first voxel.
    slope, intercept
        Of stored values; 1 and 0 if the file does not scale.
    affine
        (3, 4) voxel index to mm in NIfTI's coordinates.
    """

    size: tuple[int, int, int]
    kind: np.dtype[Any]
    offset: int
    slope: float
    intercept: float
    affine: Floats


def read_nifti(
    path: Path, *, unit: Unit, max_voxels: int = MAX_VOXELS, check_hu: bool = True
) -> Volume:
    """Read a scan from ``.nii`` or ``.nii.gz``; the file does not say its unit, the caller must.

    Raises
    ------
    VolumeError
        Not NIfTI, truncated, not three-dimensional, a position that is missing, contradictory,
        sheared or not a number, NaN voxels, too large; HU that are none.
    """
    image = read_nifti_image(path, max_voxels=max_voxels)
    volume = Volume(image=sitk.Cast(image, sitk.sitkFloat32), unit=unit)
    if unit == "HU" and check_hu:
        check_hounsfield(volume.array, _WHERE)
    return volume


def read_nifti_image(path: Path, *, max_voxels: int = MAX_VOXELS) -> sitk.Image:
    """Voxels of a NIfTI file in their stored type (float32 if scaled), oriented LPS.

    Raises
    ------
    VolumeError
        As :func:`read_nifti`.
    """
    try:
        with _open(path) as file:
            header = _read_header(file, max_voxels)
            voxels = _read_voxels(file, header)
            _check_end(file)
    except (EOFError, zlib.error, gzip.BadGzipFile, OSError) as error:
        raise VolumeError(
            "the file cannot be read",
            where=_WHERE,
            value=type(error).__name__,
            remedy="Copy or export it again",
        ) from error
    image = sitk.GetImageFromArray(voxels)
    matrix = _TO_LPS @ header.affine[:, :3]
    spacing = np.linalg.norm(matrix, axis=0)
    image.SetSpacing([round(float(s), 6) for s in spacing])  # they were float32
    image.SetOrigin([float(v) for v in _TO_LPS @ header.affine[:, 3]])
    u, _, vt = np.linalg.svd(matrix / spacing)
    image.SetDirection([float(v) for v in (u @ vt).ravel()])
    oriented: sitk.Image = sitk.DICOMOrient(image, "LPS")
    return oriented


def _open(path: Path) -> IO[bytes]:
    if not path.is_file():
        raise VolumeError("there is no such file", where=_WHERE, remedy="Check the path")
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    return cast(IO[bytes], gzip.open(path)) if packed else path.open("rb")


def _read_header(file: IO[bytes], max_voxels: int) -> NiftiHeader:
    start = file.read(4)
    if len(start) < 4:
        raise VolumeError(
            "the file is not NIfTI", where=_WHERE, remedy="Give a .nii or .nii.gz file"
        )
    order = next((o for o in "<>" if struct.unpack(o + "i", start)[0] in (348, 540)), None)
    if order is None:
        raise VolumeError(
            "the file is not NIfTI", where=_WHERE, remedy="Give a .nii or .nii.gz file"
        )
    length = struct.unpack(order + "i", start)[0]
    head = start + file.read(length - 4)
    if len(head) < length:
        raise VolumeError(
            "the file is truncated",
            where=_WHERE,
            value=f"{len(head)} bytes",
            remedy="Copy or export it again",
        )
    fields = _fields_1(head, order) if length == 348 else _fields_2(head, order)
    return _checked(fields, order, max_voxels)


@dataclass(frozen=True, kw_only=True)
class _Fields:
    magic: bytes
    dim: tuple[int, ...]
    datatype: int
    pixdim: tuple[float, ...]
    offset: float
    slope: float
    intercept: float
    units: int
    qform_code: int
    sform_code: int
    quatern: tuple[float, ...]  # b, c, d, x, y, z
    srow: tuple[float, ...]


def _fields_1(head: bytes, order: str) -> _Fields:
    def at(form: str, offset: int) -> tuple[Any, ...]:
        return struct.unpack_from(order + form, head, offset)

    return _Fields(
        magic=head[344:347],
        dim=at("8h", 40),
        datatype=at("h", 70)[0],
        pixdim=at("8f", 76),
        offset=at("f", 108)[0],
        slope=at("f", 112)[0],
        intercept=at("f", 116)[0],
        units=head[123],
        qform_code=at("h", 252)[0],
        sform_code=at("h", 254)[0],
        quatern=at("6f", 256),
        srow=at("12f", 280),
    )


def _fields_2(head: bytes, order: str) -> _Fields:
    def at(form: str, offset: int) -> tuple[Any, ...]:
        return struct.unpack_from(order + form, head, offset)

    return _Fields(
        magic=head[4:7],
        dim=at("8q", 16),
        datatype=at("h", 12)[0],
        pixdim=at("8d", 104),
        offset=float(at("q", 168)[0]),
        slope=at("d", 176)[0],
        intercept=at("d", 184)[0],
        units=at("i", 500)[0],
        qform_code=at("i", 344)[0],
        sform_code=at("i", 348)[0],
        quatern=at("6d", 352),
        srow=at("12d", 400),
    )


def _checked(fields: _Fields, order: str, max_voxels: int) -> NiftiHeader:
    if fields.magic not in (b"n+1", b"n+2"):
        raise VolumeError(
            "the file is not single-file NIfTI", where=_WHERE, remedy="Export it as .nii or .nii.gz"
        )
    n_dim = fields.dim[0]
    if not 3 <= n_dim <= 7 or any(d > 1 for d in fields.dim[4 : n_dim + 1]):
        raise VolumeError(
            "the image is not three-dimensional",
            where=_WHERE,
            value=" × ".join(str(d) for d in fields.dim[1 : max(n_dim, 0) + 1]),
            remedy="Export one volume per file",
        )
    size = (int(fields.dim[1]), int(fields.dim[2]), int(fields.dim[3]))
    check_size(size, _WHERE, max_voxels=max_voxels)
    if fields.datatype not in _KINDS:
        raise VolumeError(
            "voxels of this type are not read",
            where=_WHERE,
            value=f"datatype {fields.datatype}",
            remedy="Convert it to whole numbers or float32",
        )
    if fields.units & 7 not in _UNIT_TO_MM:
        raise VolumeError(
            "the file is not in millimetres",
            where=_WHERE,
            value=f"unit code {fields.units & 7}",
            remedy="Convert it to millimetres",
        )
    if not np.isfinite(fields.offset) or not 348 <= fields.offset < 2**31:
        raise VolumeError(
            "vox_offset in the header is invalid",
            where=_WHERE,
            remedy="Convert it again from DICOM",
        )
    scaled = fields.slope != 0 and np.isfinite(fields.slope)
    if not np.isfinite(fields.slope) or (scaled and not np.isfinite(fields.intercept)):
        raise VolumeError(
            "the header's scaling is not a number",
            where=_WHERE,
            remedy="Convert it again from DICOM",
        )
    return NiftiHeader(
        size=size,
        kind=np.dtype(order + _KINDS[fields.datatype]),
        offset=int(fields.offset),
        slope=fields.slope if scaled else 1.0,
        intercept=fields.intercept if scaled else 0.0,
        affine=_affine(fields, size),
    )


def _affine(fields: _Fields, size: tuple[int, int, int]) -> Floats:
    """The one position that the header states; both if it states two must agree."""
    makers: list[Callable[[_Fields], Floats]] = []
    makers += [_sform] if fields.sform_code > 0 else []
    makers += [_qform] if fields.qform_code > 0 else []
    if not makers:
        raise VolumeError(
            "the file does not state the position of the image (no sform and no qform)",
            where=_WHERE,
            remedy="Convert it again from DICOM with a tool that writes both",
        )
    affines = [make(fields) for make in makers]
    for affine in affines:
        _check_affine(affine)
    if len(affines) == 2:
        corner = np.array([*(n - 1 for n in size), 1.0])
        ends = np.stack([corner * [*bits, 1] for bits in np.ndindex(2, 2, 2)])
        apart = float(np.abs(ends @ (affines[0] - affines[1]).T).max())
        if apart > _AGREE_MM:
            raise VolumeError(
                "sform and qform put the image at different places",
                where=_WHERE,
                value=f"up to {apart:.2f} mm apart",
                remedy="Convert it again from DICOM; programs differ in which of the two they use",
            )
    return affines[0]


def _sform(fields: _Fields) -> Floats:
    return np.reshape(np.asarray(fields.srow, dtype=np.float64), (3, 4))


def _qform(fields: _Fields) -> Floats:
    b, c, d, x, y, z = (float(v) for v in fields.quatern)
    square = b * b + c * c + d * d
    if not np.isfinite(square) or square > 1 + 1e-5:
        raise VolumeError(
            "the qform quaternion is not a rotation",
            where=_WHERE,
            value=f"|bcd|² = {square:g}",
            remedy="Convert it again from DICOM",
        )
    a = float(np.sqrt(max(0.0, 1.0 - square)))
    rotation = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ]
    )
    flip = -1.0 if fields.pixdim[0] < 0 else 1.0
    scale = np.array(fields.pixdim[1:4], dtype=np.float64) * [1.0, 1.0, flip]
    return np.column_stack([rotation * scale, [x, y, z]])


def _check_affine(affine: Floats) -> None:
    if not np.all(np.isfinite(affine)):
        raise VolumeError(
            "the image's position is not a number",
            where=_WHERE,
            remedy="Convert it again from DICOM",
        )
    spacing = np.linalg.norm(affine[:, :3], axis=0)
    low, high = SPACING_RANGE_MM
    if not np.all((spacing >= low) & (spacing <= high)):
        raise VolumeError(
            f"voxel spacing must be {low:g} to {high:g} mm",
            where=_WHERE,
            value=" × ".join(f"{s:g}" for s in spacing),
            remedy="Convert it again from DICOM",
        )
    axes = affine[:, :3] / spacing
    skew = float(np.abs(axes.T @ axes - np.eye(3)).max())
    if skew > _SHEAR:
        raise VolumeError(
            "the image's axes are not at right angles (shear)",
            where=_WHERE,
            value=f"{np.degrees(np.arcsin(min(skew, 1.0))):.2f}°",
            remedy="Undo the gantry tilt or resample it when converting from DICOM",
        )


def _check_end(file: IO[bytes]) -> None:
    """Read on to the end: there a packed file is held against its checksum, and nothing is left."""
    if file.read(1):
        raise VolumeError(
            "the file is longer than its header says",
            where=_WHERE,
            remedy="Copy or export it again",
        )


def _read_voxels(file: IO[bytes], header: NiftiHeader) -> npt.NDArray[np.generic]:
    file.seek(header.offset)
    n_bytes = int(np.prod(header.size, dtype=np.int64)) * header.kind.itemsize
    raw = file.read(n_bytes)
    if len(raw) < n_bytes:
        raise VolumeError(
            "voxels are truncated",
            where=_WHERE,
            value=f"{len(raw):,} of {n_bytes:,} bytes",
            remedy="Copy or export it again",
        )
    stored = np.frombuffer(raw, dtype=header.kind).reshape(header.size[::-1])
    if header.slope == 1.0 and header.intercept == 0.0:
        return stored.astype(header.kind.newbyteorder("="))
    scaled: npt.NDArray[np.float32] = (stored * header.slope + header.intercept).astype(np.float32)
    return scaled
