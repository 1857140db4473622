"""Every lossless encoding gives the same numbers, here and in SimpleITK's GDCM."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import SimpleITK as sitk
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from metasight.errors import VolumeError
from metasight.volumes.dicom import ReadSettings, read_series

Maker = Callable[..., Any]


def jpegls(plane: np.ndarray) -> bytes:
    return imagecodecs.jpegls_encode(plane)


def jpeg2k(plane: np.ndarray) -> bytes:
    return imagecodecs.jpeg2k_encode(plane, level=0, codecformat="j2k", reversible=True)


def ljpeg(plane: np.ndarray) -> bytes:
    return imagecodecs.ljpeg_encode(plane, bitspersample=16)


ENCODERS = {JPEGLSLossless: jpegls, JPEG2000Lossless: jpeg2k, JPEGLosslessSV1: ljpeg}


def encoded(slices: list[Any], syntax: str) -> list[Any]:
    for data in slices:
        plane = np.frombuffer(data.PixelData, "<u2").reshape(data.Rows, data.Columns)
        data.file_meta.TransferSyntaxUID = UID(syntax)
        if syntax == RLELossless:
            kind = "<i2" if data.PixelRepresentation else "<u2"
            data.compress(RLELossless, plane.view(kind), generate_instance_uid=False)
            continue
        data.PixelData = encapsulate([ENCODERS[syntax](plane)])
        data["PixelData"].VR = "OB"
    return slices


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize(
    "syntax", [JPEGLSLossless, JPEG2000Lossless, JPEGLosslessSV1, RLELossless], ids=lambda s: s.name
)
def test_compressed_slices(
    syntax: str, signed: bool, write_ct: Maker, ct_slices: Maker, chest_like: Maker
) -> None:
    hu = chest_like()
    slices = ct_slices(hu, BitsStored=16, HighBit=15)
    if signed:
        slices = ct_slices(hu, BitsStored=16, HighBit=15, PixelRepresentation=1, RescaleIntercept=0)
        for data, plane in zip(slices, hu, strict=True):
            data.PixelData = plane.astype("<i2").tobytes()
    folder = write_ct(encoded(slices, syntax))
    np.testing.assert_array_equal(read_series(folder).array, hu)
    if not (signed and syntax == JPEG2000Lossless):  # GDCM refuses a sign that the code denies
        theirs = sitk.GetArrayFromImage(sitk.ReadImage(str(folder / "a002.dcm")))
        np.testing.assert_array_equal(theirs.squeeze(), hu[2])


@pytest.mark.parametrize(
    "syntax",
    [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian],
    ids=lambda s: s.name,
)
def test_other_byte_orders_and_deflate(
    syntax: str, write_ct: Maker, ct_slices: Maker, chest_like: Maker
) -> None:
    slices = ct_slices()
    for data in slices:
        data.file_meta.TransferSyntaxUID = UID(syntax)
        if syntax == ExplicitVRBigEndian:
            data.PixelData = np.frombuffer(data.PixelData, "<u2").astype(">u2").tobytes()
    np.testing.assert_array_equal(read_series(write_ct(slices)).array, chest_like())


def test_overlays_in_the_upper_bits_are_not_read_as_values(
    write_ct: Maker, ct_slices: Maker, chest_like: Maker
) -> None:
    slices = ct_slices()
    for data in slices:
        data.PixelData = (np.frombuffer(data.PixelData, "<u2") | 0x8000).tobytes()
    np.testing.assert_array_equal(read_series(write_ct(slices)).array, chest_like())


def test_truncated_compressed_pixels_are_refused(write_ct: Maker, ct_slices: Maker) -> None:
    slices = encoded(ct_slices(BitsStored=16, HighBit=15), JPEGLSLossless)
    plane = np.zeros((24, 20), dtype=np.uint16)
    plane[:] = np.random.default_rng(0).integers(0, 2000, plane.shape)
    slices[1].PixelData = encapsulate([jpegls(plane)[:200]])
    with pytest.raises(VolumeError, match="truncated or damaged") as caught:
        read_series(write_ct(slices))
    assert caught.value.where == "file 2"


def test_an_encoding_that_is_not_read_is_named(write_ct: Maker, ct_slices: Maker) -> None:
    slices = encoded(ct_slices(BitsStored=16, HighBit=15), JPEGLSLossless)
    for data in slices:
        data.file_meta.TransferSyntaxUID = UID("1.2.840.10008.1.2.4.51")  # lossy, 12 bit
    with pytest.raises(VolumeError, match=r"encoding are not read") as caught:
        read_series(write_ct(slices))
    assert "1.2.840.10008.1.2.4.51" in caught.value.value


@pytest.mark.parametrize(
    ("tags", "says"),
    [
        ({"SamplesPerPixel": 3}, "no CT series"),
        ({"HighBit": 13}, "HighBit is not"),
        ({"BitsStored": 20, "HighBit": 19}, "bits stored"),
    ],
)
def test_layouts_that_are_not_described_are_refused(
    tags: dict[str, int], says: str, write_ct: Maker, ct_slices: Maker
) -> None:
    with pytest.raises(VolumeError, match=says):
        read_series(write_ct(ct_slices(**tags)), settings=ReadSettings(check_hu=False))


def test_slices_of_different_length_say_which(write_ct: Maker, tmp_path: Path) -> None:
    folder = write_ct()
    longer = folder / "a005.dcm"
    longer.write_bytes(longer.read_bytes()[:-2])
    with pytest.raises(VolumeError) as caught:
        read_series(folder)
    assert caught.value.where == "file 6"
