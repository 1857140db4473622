"""NRRD and MetaImage label maps: as SimpleITK reads its own; refused where they say too little."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from metasight.errors import VolumeError
from metasight.volumes.label_files import read_label_file

LABELS = np.zeros((5, 6, 7), dtype=np.uint8)
LABELS[1:3, 2:5, 1:6] = 1
LABELS[4, 0, 0] = 7


def image(kind: type = np.uint8, *, turned: bool = False) -> sitk.Image:
    found = sitk.GetImageFromArray(LABELS.astype(kind))
    found.SetSpacing((0.7, 0.8, 2.5))
    found.SetOrigin((-12.5, 30.25, -400.0))
    if turned:  # rows run to the right, slices from the head down
        found.SetDirection((-1, 0, 0, 0, 1, 0, 0, 0, -1))
    return found


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("suffix", [".nrrd", ".mha", ".seg.nrrd"])
@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.uint16, np.int32, np.float32])
def test_what_simpleitk_writes(tmp_path: Path, packed, turned, suffix, kind) -> None:
    file = tmp_path / f"m{suffix}"
    sitk.WriteImage(image(kind, turned=turned), str(file), packed)
    found = read_label_file(file).image
    expected = sitk.DICOMOrient(image(kind, turned=turned), "LPS")
    np.testing.assert_array_equal(sitk.GetArrayFromImage(found), sitk.GetArrayFromImage(expected))
    np.testing.assert_allclose(found.GetOrigin(), expected.GetOrigin(), atol=1e-6)
    np.testing.assert_allclose(found.GetSpacing(), expected.GetSpacing(), atol=1e-9)
    np.testing.assert_allclose(found.GetDirection(), expected.GetDirection(), atol=1e-9)


HEADER = """NRRD0004
# Complete NRRD file format specification at:
type: unsigned char
dimension: 3
space: {space}
sizes: 7 6 5
space directions: (-0.7,0,0) (0,-0.8,0) (0,0,2.5)
kinds: domain domain domain
endian: little
encoding: {encoding}
space origin: (12.5,-30.25,-400)
{more}"""


def nrrd(more: str = "", *, space: str = "right-anterior-superior", packed: bool = True) -> bytes:
    head = HEADER.format(space=space, encoding="gzip" if packed else "raw", more=more)
    raw = LABELS.tobytes()
    return (head.rstrip("\n") + "\n\n").encode() + (gzip.compress(raw) if packed else raw)


def test_a_segmentation_of_3d_slicer_has_names(tmp_path: Path) -> None:
    file = tmp_path / "s.seg.nrrd"
    names = "Segment0_LabelValue:=1\nSegment0_Name:=Tumour\nSegment1_LabelValue:=7\n"
    file.write_bytes(nrrd(names + "Segment1_Name:=Node"))
    found = read_label_file(file)
    assert found.names == {1: "Tumour", 7: "Node"}
    # its right-anterior-superior coordinates are turned to ours
    np.testing.assert_allclose(found.image.GetOrigin(), (-12.5, 30.25, -400.0))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(found.image), LABELS)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("space: right-anterior-superior\n", ""), "the position of the image"),
        (("right-anterior-superior", "scanner-xyz"), "the position of the image"),
        (("space origin: (12.5,-30.25,-400)\n", ""), "the position of the image"),
        (("space directions: (-0.7,0,0) (0,-0.8,0) (0,0,2.5)\n", ""), "the position of the image"),
        (("(-0.7,0,0)", "(0,0,0)"), "spacing must be"),
        (("(-0.7,0,0)", "none"), "damaged or leaves out"),
        (("space origin: (12.5,-30.25,-400)", "space origin: (12.5,-30.25)"), "damaged"),
        (("(-0.7,0,0)", "(-0.7,0.3,0)"), "right angles"),
        (("(-0.7,0,0)", "(nan,0,0)"), "the position of the image"),
        (("encoding: gzip", "encoding: bzip2"), "encoding are not read"),
        (("sizes: 7 6 5", "sizes: 7 6 4"), "as many voxels"),
        (("sizes: 7 6 5", "sizes: 7 6 5000000000"), "claims more"),
        (("sizes: 7 6 5", "sizes: 2 7 6 5"), "not three-dimensional"),
        (("type: unsigned char", "type: block"), "damaged or leaves out"),
        (("encoding: gzip", "data file: Meier.raw\nencoding: gzip"), "another file"),
        (("NRRD0004", "JPEG0004"), "not NRRD"),
    ],
)
def test_an_nrrd_that_says_too_little_is_refused(tmp_path: Path, change, says) -> None:
    file = tmp_path / "m.nrrd"
    file.write_bytes(nrrd().replace(change[0].encode(), change[1].encode(), 1))
    with pytest.raises(VolumeError, match=says) as caught:
        read_label_file(file)
    assert caught.value.remedy and "Meier" not in str(caught.value)


@pytest.mark.parametrize("line", ["Offset", "TransformMatrix", "ElementSpacing"])
def test_a_metaimage_that_leaves_out_its_place_is_refused(tmp_path: Path, line: str) -> None:
    file = tmp_path / "m.mha"
    sitk.WriteImage(image(), str(file))
    content = file.read_bytes()
    file.write_bytes(content.replace(line.encode(), b"X" + line.encode()[1:], 1))
    with pytest.raises(VolumeError, match="the position of the image"):
        read_label_file(file)


@pytest.mark.parametrize("origin", ["1 2", "1 2 3 4", "1 2 x"])
def test_a_metaimage_at_no_point_is_refused(tmp_path: Path, origin: str) -> None:
    file = tmp_path / "m.mha"
    sitk.WriteImage(image(), str(file))
    content = file.read_bytes()
    given = next(line for line in content.splitlines() if line.startswith(b"Offset"))
    file.write_bytes(content.replace(given, f"Offset = {origin}".encode(), 1))
    with pytest.raises(VolumeError, match=r"the position of the image|damaged"):
        read_label_file(file)


def test_voxels_in_another_file_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "m.mha"
    sitk.WriteImage(image(), str(file))
    file.write_bytes(file.read_bytes().replace(b"= LOCAL", b"= m.raw"))
    with pytest.raises(VolumeError, match="another file"):
        read_label_file(file)


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
@pytest.mark.parametrize(
    "content", [b"", b"text that is no image" * 50, b"NRRD0004\ntype: int\n\n"]
)
def test_files_that_are_neither(tmp_path: Path, suffix: str, content: bytes) -> None:
    file = tmp_path / f"m{suffix}"
    file.write_bytes(content)
    with pytest.raises(VolumeError):
        read_label_file(file)
    with pytest.raises(VolumeError, match="cannot be read"):
        read_label_file(tmp_path / f"none{suffix}")


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
@pytest.mark.parametrize("cut", [slice(None, -9), slice(None, None)])
def test_too_few_and_too_many_bytes_are_refused(tmp_path: Path, suffix: str, cut: slice) -> None:
    file = tmp_path / f"m{suffix}"
    for packed in (False, True):
        sitk.WriteImage(image(), str(file), packed)
        content = file.read_bytes()[cut]
        file.write_bytes(content if cut.stop else content + b"more")
        with pytest.raises(VolumeError):
            read_label_file(file)


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
def test_no_flipped_bit_of_packed_voxels_gives_others(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"m{suffix}"
    sitk.WriteImage(image(), str(file), True)
    content = file.read_bytes()
    begin = content.index(b"\n\n") + 2 if suffix == ".nrrd" else content.index(b"LOCAL\n") + 6
    random = np.random.default_rng(5)
    for _ in range(200):
        damaged = bytearray(content)
        damaged[random.integers(begin, len(content))] ^= 1 << int(random.integers(8))
        file.write_bytes(bytes(damaged))
        try:
            found = sitk.GetArrayFromImage(read_label_file(file).image)
        except VolumeError:
            continue
        np.testing.assert_array_equal(found, LABELS)
