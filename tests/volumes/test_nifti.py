from __future__ import annotations

import gzip
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

from metasight.errors import VolumeError
from metasight.volumes.nifti import read_nifti, read_nifti_image

VOXELS = np.arange(3 * 4 * 5, dtype=np.float32).reshape(3, 4, 5)
SROW = (-0.8, 0, 0, 10, 0, -0.9, 0, 20, 0, 0, 2, 30)  # x runs to the left, y to the back


def nifti(
    voxels: np.ndarray = VOXELS,
    *,
    sform: tuple[float, ...] | None = SROW,
    qform: tuple[float, ...] | None = (0, 0, 1, 10, 20, 30),
    **over: Any,
) -> bytes:
    """A NIfTI-1 file; the default's two forms say the same: half a turn about z."""
    nz, ny, nx = voxels.shape
    fields = {
        "dim": (3, nx, ny, nz, 1, 1, 1, 1),
        "kind": 16,
        "bits": 32,
        "units": 2,
        "slope": 1.0,
        "pixdim": (1.0, 0.8, 0.9, 2.0, 0, 0, 0, 0),
        "intercept": 0.0,
        "magic": b"n+1\0",
    } | over
    head = bytearray(352)
    struct.pack_into("<i", head, 0, 348)
    struct.pack_into("<8h", head, 40, *fields["dim"])
    struct.pack_into("<hh", head, 70, fields["kind"], fields["bits"])
    struct.pack_into("<8f", head, 76, *fields["pixdim"])
    struct.pack_into("<fff", head, 108, 352.0, fields["slope"], fields["intercept"])
    head[123] = fields["units"]
    struct.pack_into("<hh", head, 252, int(qform is not None), int(sform is not None))
    struct.pack_into("<6f", head, 256, *(qform or (0,) * 6))
    struct.pack_into("<12f", head, 280, *(sform or (0,) * 12))
    head[344:348] = fields["magic"]
    return bytes(head) + np.ascontiguousarray(voxels).tobytes()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "scan.nii"


@pytest.mark.parametrize("forms", ["both", "sform", "qform"])
@pytest.mark.parametrize("packed", [False, True])
def test_a_file_reads_as_simpleitk_reads_it(tmp_path: Path, forms: str, packed: bool) -> None:
    over: dict[str, Any] = {"sform": {"qform": None}, "qform": {"sform": None}, "both": {}}[forms]
    file = tmp_path / ("scan.nii.gz" if packed else "scan.nii")
    data = nifti(**over)
    file.write_bytes(gzip.compress(data) if packed else data)
    ours = read_nifti(file, unit="SUVbw")
    theirs = sitk.DICOMOrient(sitk.ReadImage(str(file)), "LPS")
    np.testing.assert_allclose(ours.array, sitk.GetArrayFromImage(theirs))
    np.testing.assert_allclose(ours.grid.origin_mm, theirs.GetOrigin(), atol=1e-5)
    np.testing.assert_allclose(ours.spacing_mm, theirs.GetSpacing(), atol=1e-6)
    np.testing.assert_allclose(ours.grid.direction, theirs.GetDirection(), atol=1e-6)


def test_an_oblique_left_handed_image_keeps_its_places(file: Path) -> None:
    c, s = np.cos(0.2), np.sin(0.2)
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, -1]]) * [0.8, 0.9, 2.0]
    srow = np.column_stack([turn, [1, 2, 3]]).ravel()
    file.write_bytes(nifti(sform=tuple(srow), qform=None))
    ours = read_nifti(file, unit="SUVbw")
    # NIfTI's voxel (4, 1, 2) in its own coordinates, which run to the right and the front
    place = (turn @ [4, 1, 2] + [1, 2, 3]) * [-1, -1, 1]
    x, y, z = np.rint(ours.grid.to_index(place)).astype(int)
    assert ours.array[z, y, x] == VOXELS[2, 1, 4]


def test_stored_integers_are_scaled(file: Path) -> None:
    stored = (VOXELS + 100).astype("<i2")
    file.write_bytes(nifti(stored, kind=4, bits=16, slope=2.0, intercept=-7.0))
    assert sorted(read_nifti(file, unit="SUVbw").array.ravel()) == [
        (v + 100) * 2 - 7 for v in range(60)
    ]


NAN = float("nan")


@pytest.mark.parametrize(
    ("over", "says"),
    [
        ({"sform": (*SROW[:3], 11.0, *SROW[4:])}, "different places"),
        ({"sform": None, "qform": None}, "does not state the position"),
        ({"sform": (0,) * 12, "qform": None}, "spacing"),
        ({"sform": (NAN, *SROW[1:]), "qform": None}, "not a number"),
        ({"sform": (-0.8, 0.3, 0, 10, *SROW[4:]), "qform": None}, "right angles"),
        ({"sform": (80.0, *SROW[1:]), "qform": None}, "spacing"),
        ({"sform": None, "qform": (1, 1, 1, 0, 0, 0)}, "not a rotation"),
        ({"units": 1}, "not in millimetres"),
        ({"dim": (4, 5, 4, 3, 2, 1, 1, 1)}, "three-dimensional"),
        ({"dim": (2, 5, 4, 1, 1, 1, 1, 1)}, "three-dimensional"),
        ({"dim": (3, 5, 4, 0, 1, 1, 1, 1)}, "no voxels"),
        ({"dim": (3, 32767, 32767, 8, 1, 1, 1, 1)}, "claims more"),
        ({"kind": 32}, "type are not read"),
        ({"slope": NAN}, "not a number"),
        ({"magic": b"ni1\0"}, "single-file"),
        ({"dim": (3, 5, 4, 4, 1, 1, 1, 1)}, "truncated"),
        ({"voxels": np.where(VOXELS == 7, np.float32(NAN), VOXELS)}, "NaN"),
    ],
)
def test_a_broken_file_is_refused_by_name(file: Path, over: dict[str, Any], says: str) -> None:
    file.write_bytes(nifti(**over))
    with pytest.raises(VolumeError, match=says):
        read_nifti(file, unit="SUVbw")


def test_files_that_are_no_nifti(file: Path, tmp_path: Path) -> None:
    for content in (b"", b"ab", b"text that is no image" * 50, nifti()[:200]):
        file.write_bytes(content)
        with pytest.raises(VolumeError, match=r"not NIfTI|truncated"):
            read_nifti_image(file)
    packed = tmp_path / "scan.nii.gz"
    packed.write_bytes(gzip.compress(nifti())[:-30])
    with pytest.raises(VolumeError):
        read_nifti_image(packed)
    with pytest.raises(VolumeError, match="no such file"):
        read_nifti_image(tmp_path / "none.nii")


def test_hu_that_are_none_are_refused(file: Path) -> None:
    file.write_bytes(nifti())
    with pytest.raises(VolumeError, match="Hounsfield"):
        read_nifti(file, unit="HU")


@pytest.mark.parametrize("extra", [b"\0", b"more voxels"])
@pytest.mark.parametrize("pack", [lambda b: b, gzip.compress])
def test_a_file_that_goes_on_behind_its_voxels_is_refused(file: Path, extra, pack) -> None:
    file.write_bytes(pack(nifti() + extra))
    with pytest.raises(VolumeError, match="longer than its header says"):
        read_nifti_image(file)


def test_no_flipped_bit_of_a_packed_file_gives_other_voxels(file: Path) -> None:
    """300 flips: the checksum at the end is asked for, so each is refused or changes nothing."""
    noisy = np.random.default_rng(1).normal(size=VOXELS.shape).astype(VOXELS.dtype)
    whole = gzip.compress(nifti(voxels=noisy), mtime=0)
    file.write_bytes(whole)
    expected = sitk.GetArrayFromImage(read_nifti_image(file))
    random = np.random.default_rng(7)
    refused = 0
    for _ in range(300):
        damaged = bytearray(whole)
        damaged[random.integers(len(whole))] ^= 1 << int(random.integers(8))
        file.write_bytes(bytes(damaged))
        try:
            found = sitk.GetArrayFromImage(read_nifti_image(file))
        except VolumeError:
            refused += 1
            continue
        np.testing.assert_array_equal(found, expected)
    assert refused > 250
