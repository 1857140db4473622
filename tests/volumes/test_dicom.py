from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, generate_uid

from metasight.errors import VolumeError
from metasight.volumes.dicom import ReadSettings, read_series
from metasight.volumes.series import SeriesRule
from metasight.volumes.volume import Volume

Maker = Callable[..., Any]


def test_a_real_series_equals_what_simpleitk_reads(lung1: Volume, lung1_folder: Path) -> None:
    files = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(
        str(next((lung1_folder / "ct").rglob("*.dcm")).parent)
    )
    theirs = sitk.ReadImage(files)
    assert lung1.grid.size == theirs.GetSize() == (512, 512, 134)
    np.testing.assert_allclose(lung1.grid.origin_mm, theirs.GetOrigin(), atol=1e-6)
    np.testing.assert_allclose(lung1.spacing_mm, theirs.GetSpacing(), atol=1e-6)
    np.testing.assert_array_equal(lung1.array, sitk.GetArrayViewFromImage(theirs))
    assert lung1.facts.kernel == "B19f" and lung1.facts.slice_thickness_mm == 3.0


def test_a_zip_archive_reads_as_its_folder_does(lidc: Volume, lidc_zip: Path) -> None:
    assert lidc.grid.size == (512, 512, 48)
    assert lidc.spacing_mm == (0.78125, 0.78125, 1.0)
    assert lidc.facts.choice[0].startswith("read series 1 (CT, 48 slices of 1 mm, kernel D, 47 mm)")
    assert lidc.array.min() == -1000.0 and lidc.array.max() == 1761.0


def test_voxels_and_places_of_a_made_up_series(write_ct: Maker, chest_like: Maker) -> None:
    volume = read_series(write_ct())
    np.testing.assert_array_equal(volume.array, chest_like())
    assert volume.spacing_mm == (0.8, 0.9, 2.0)  # PixelSpacing is rows first
    assert volume.grid.origin_mm == (-10.0, -12.0, 100.0)
    assert volume.unit == "HU"


def test_files_that_are_no_slices_are_left_and_counted(write_ct: Maker) -> None:
    folder = write_ct()
    (folder / "deep").mkdir()
    (folder / "deep" / "notes.txt").write_text("a note that is long enough to be no DICOM" * 9)
    (folder / "thumbs.db").write_bytes(b"")
    choice = read_series(folder).facts.choice
    assert "1 file left: not DICOM" in choice and "1 file left: empty file" in choice


def test_every_slice_has_its_own_rescale(
    write_ct: Maker, ct_slices: Maker, chest_like: Maker
) -> None:
    slices = ct_slices()
    slices[2].RescaleSlope, slices[2].RescaleIntercept = 2, -1024
    stored = np.frombuffer(slices[2].PixelData, "<u2") // 2
    slices[2].PixelData = stored.astype("<u2").tobytes()
    read = read_series(write_ct(slices)).array
    assert np.abs(read[2] - chest_like()[2]).max() <= 1.0  # half of an odd number is cut off
    np.testing.assert_array_equal(read[3], chest_like()[3])


def test_a_slice_without_rescale_is_refused(write_ct: Maker, ct_slices: Maker) -> None:
    slices = ct_slices()
    del slices[4].RescaleIntercept
    with pytest.raises(VolumeError, match="does not state how stored values become HU") as caught:
        read_series(write_ct(slices))
    assert caught.value.where == "file 5"


@pytest.mark.parametrize("offset", [0, -1500, 400])
def test_a_wrong_hu_offset_is_refused(write_ct: Maker, ct_slices: Maker, offset: int) -> None:
    with pytest.raises(VolumeError, match="not Hounsfield units"):
        read_series(write_ct(ct_slices(RescaleIntercept=offset)))


def test_padding_outside_the_reconstruction_is_air(
    write_ct: Maker, ct_slices: Maker, chest_like: Maker
) -> None:
    hu = chest_like()
    hu[:, 0, :] = -2000
    slices = ct_slices(hu, PixelRepresentation=1, RescaleIntercept=0, BitsStored=16, HighBit=15)
    for data, plane in zip(slices, hu, strict=True):
        data.PixelData = plane.astype("<i2").tobytes()
        data.add_new(0x00280120, "US", 2**16 - 2000)  # as some scanners write a negative value
    volume = read_series(write_ct(slices))
    assert (volume.array[:, 0, :] == -1000).all()
    assert volume.facts.padded_share == pytest.approx(1 / 24)


def test_a_gap_is_refused_or_interpolated_and_recorded(
    write_ct: Maker, ct_slices: Maker, chest_like: Maker
) -> None:
    slices = ct_slices()
    del slices[2]
    folder = write_ct(slices)
    with pytest.raises(VolumeError, match="slices are missing") as caught:
        read_series(folder)
    assert caught.value.value == "1 of 6, the first at 4.0 mm"
    volume = read_series(folder, settings=ReadSettings(max_missing_slices=1))
    assert volume.facts.missing_slices_mm == (4.0,)
    hu = chest_like()
    np.testing.assert_allclose(volume.array[2], (hu[1] + hu[3]) / 2)
    np.testing.assert_array_equal(volume.array[3], hu[3])


def test_in_a_wide_gap_the_nearer_neighbour_counts_more(
    write_ct: Maker, ct_slices: Maker, chest_like: Maker
) -> None:
    """Slices 2 and 3 of 0 to 5 are missing: thirds of the way from slice 1 to slice 4."""
    slices = ct_slices()
    del slices[2:4]
    read = read_series(write_ct(slices), settings=ReadSettings(max_missing_slices=2))
    assert read.facts.missing_slices_mm == (4.0, 6.0)
    low, high = chest_like()[1].astype(float), chest_like()[4].astype(float)
    assert np.abs(low - high).max() > 10
    np.testing.assert_allclose(read.array[2], (2 * low + high) / 3, atol=0.01)
    np.testing.assert_allclose(read.array[3], (low + 2 * high) / 3, atol=0.01)


def test_a_slice_that_is_there_twice_is_refused_unless_copies_are_allowed(
    write_ct: Maker, ct_slices: Maker, chest_like: Maker
) -> None:
    slices = ct_slices()
    folder = write_ct([*slices, slices[3]])
    with pytest.raises(VolumeError, match="there twice") as caught:
        read_series(folder)
    assert caught.value.value == "1 copies"
    volume = read_series(folder, settings=ReadSettings(allow_identical_copies=True))
    assert volume.facts.identical_copies == 1
    np.testing.assert_array_equal(volume.array, chest_like())


def test_two_different_slices_at_one_place_are_refused(write_ct: Maker, ct_slices: Maker) -> None:
    slices = ct_slices()
    other = ct_slices()[2]
    other.PixelData = slices[4].PixelData
    with pytest.raises(VolumeError, match="different slices are at one position"):
        read_series(write_ct([*slices, other]), settings=ReadSettings(allow_identical_copies=True))


def test_one_file_of_a_series_is_refused(write_ct: Maker) -> None:
    with pytest.raises(VolumeError, match="no CT series") as caught:
        read_series(write_ct() / "a000.dcm")
    assert "not one of its files" in caught.value.remedy


def test_truncated_pixels_are_refused_by_the_file_s_number(write_ct: Maker) -> None:
    folder = write_ct()
    file = folder / "a003.dcm"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(VolumeError, match=r"truncated|damaged") as caught:
        read_series(folder)
    assert caught.value.where == "file 4"


def test_a_damaged_header_is_refused(write_ct: Maker) -> None:
    folder = write_ct()
    file = folder / "a003.dcm"
    whole = file.read_bytes()
    file.write_bytes(whole[:400])
    with pytest.raises(VolumeError) as caught:
        read_series(folder)
    assert "file 4" in str(caught.value) or "missing" in str(caught.value)


def test_sixteen_gigabytes_are_refused_before_they_are_read(
    write_ct: Maker, ct_slices: Maker
) -> None:
    slices = ct_slices(Rows=65535, Columns=65535)
    with pytest.raises(VolumeError, match="claims more") as caught:
        read_series(write_ct(slices))
    assert "GB" in caught.value.value


def test_errors_name_neither_patient_nor_path(write_ct: Maker, ct_slices: Maker) -> None:
    slices = ct_slices()
    del slices[2]
    with pytest.raises(VolumeError) as caught:
        read_series(write_ct(slices, name="Secret_Name"))
    assert "Secret" not in str(caught.value) and "4711" not in str(caught.value)


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(VolumeError, match="no such scan"):
        read_series(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(VolumeError, match="holds no file"):
        read_series(tmp_path / "empty")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("not a scan, but long enough" * 20)
    with pytest.raises(VolumeError, match="no CT series") as caught:
        read_series(tmp_path / "notes")
    assert caught.value.value == "1 files: not DICOM"


def test_a_damaged_archive(tmp_path: Path, write_ct: Maker) -> None:
    folder = write_ct()
    packed = tmp_path / "scan.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for file in folder.iterdir():
            archive.write(file, f"Secret/{file.name}")
    assert read_series(packed).grid.size == (20, 24, 6)
    whole = bytearray(packed.read_bytes())
    whole[5000:5100] = bytes(100)
    packed.write_bytes(whole)
    with pytest.raises(VolumeError):
        read_series(packed)


def test_a_tilted_gantry_is_undone(write_ct: Maker, ct_slices: Maker, moved: Maker) -> None:
    # a bar that runs along z in the patient; tilted slices see it wander along their columns
    shape = (12, 48, 40)
    shift_px = 0.5  # a slice
    z, y, _ = np.indices(shape)
    hu = np.where(np.abs(y + z * shift_px - 26) < 6, 40.0, -1000.0)
    slices = ct_slices(hu)
    for k, data in enumerate(slices):
        moved(data, y=k * shift_px * 0.9)
    volume = read_series(write_ct(slices))
    assert volume.facts.tilt_degrees == pytest.approx(np.degrees(np.arctan(0.45 / 2)), abs=1e-3)
    rows = [np.average(np.arange(48), weights=p[:, 20] + 1000) for p in volume.array]
    assert np.ptp(rows) < 0.1  # the bar stands straight: 5.5 pixels before


def test_feet_first_and_prone_come_out_alike(
    write_ct: Maker, ct_slices: Maker, chest_like: Maker
) -> None:
    hu = chest_like()
    slices = ct_slices(hu[:, ::-1, ::-1])  # prone: rows run to the right, columns to the front
    for k, data in enumerate(slices):
        data.ImageOrientationPatient = [-1, 0, 0, 0, -1, 0]
        data.ImagePositionPatient = [-10 + 19 * 0.8, -12 + 23 * 0.9, 100 + 2 * k]
    prone = read_series(write_ct(slices))
    np.testing.assert_array_equal(prone.array, hu)
    np.testing.assert_allclose(prone.grid.origin_mm, (-10, -12, 100), atol=1e-9)


def test_private_tags_do_no_harm(write_ct: Maker, ct_slices: Maker) -> None:
    slices = ct_slices()
    for data in slices:
        block = data.private_block(0x0029, "SOME VENDOR", create=True)
        block.add_new(0x10, "UN", b"\xff\xfe\x00junk" * 30)
        block.add_new(0x11, "OB", bytes(999))
    assert read_series(write_ct(slices)).grid.size == (20, 24, 6)


def multi_frame(slices: list[Any]) -> Dataset:
    """The slices as one enhanced CT."""
    data = slices[0]
    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = UID("1.2.840.10008.5.1.4.1.1.2.1")
    frames = []
    for one in slices:
        frame, place = Dataset(), Dataset()
        place.ImagePositionPatient = one.ImagePositionPatient
        frame.PlanePositionSequence = Sequence([place])
        frames.append(frame)
    shared, measures, turn, rescale = Dataset(), Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = data.PixelSpacing, data.SliceThickness
    turn.ImageOrientationPatient = data.ImageOrientationPatient
    rescale.RescaleSlope, rescale.RescaleIntercept = data.RescaleSlope, data.RescaleIntercept
    shared.PixelMeasuresSequence = Sequence([measures])
    shared.PlaneOrientationSequence = Sequence([turn])
    shared.PixelValueTransformationSequence = Sequence([rescale])
    data.PixelData = b"".join(one.PixelData for one in slices)
    data.NumberOfFrames = len(slices)
    data.PerFrameFunctionalGroupsSequence = Sequence(frames)
    data.SharedFunctionalGroupsSequence = Sequence([shared])
    for tag in (
        "PixelSpacing",
        "SliceThickness",
        "ImageOrientationPatient",
        "ImagePositionPatient",
        "RescaleSlope",
        "RescaleIntercept",
    ):
        delattr(data, tag)
    return data


def test_an_enhanced_multi_frame_file_reads_as_its_slices(
    write_ct: Maker, ct_slices: Maker, chest_like: Maker
) -> None:
    folder = write_ct([multi_frame(ct_slices())])
    for path in (folder, folder / "a000.dcm"):
        volume = read_series(path)
        np.testing.assert_array_equal(volume.array, chest_like())
        assert volume.spacing_mm == (0.8, 0.9, 2.0)
        assert volume.facts.slice_thickness_mm == 2.0


def test_a_second_scan_with_other_copies_in_nested_folders(
    tmp_path: Path, write_ct: Maker, ct_slices: Maker
) -> None:
    write_ct(ct_slices(), name="study/one")
    wide = ct_slices(series="two", step_mm=4.0, ConvolutionKernel="B60f")
    write_ct(wide, name="study/two", prefix="b")
    volume = read_series(tmp_path / "study", rule=SeriesRule(kernel="sharp"))
    assert volume.facts.kernel == "B60f" or "left series" in " ".join(volume.facts.choice)
    with pytest.raises(VolumeError, match="several series are mixed"):
        read_series(tmp_path / "study", rule=SeriesRule(single=True))
    wanted = generate_uid(entropy_srcs=["one"])
    chosen = read_series(tmp_path / "study", rule=SeriesRule(series=str(wanted)))
    assert chosen.facts.kernel == "B30f"
    shutil.rmtree(tmp_path / "study")


def test_random_damage_is_named_or_harmless(write_ct: Maker) -> None:
    """Whatever the bytes of a header become, a reader either reads or says what is wrong."""
    folder = write_ct()
    file = folder / "a002.dcm"
    whole = file.read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(60):
        spoilt = bytearray(whole)
        for place in rng.integers(132, 1300, rng.integers(1, 12)):
            spoilt[place] = rng.integers(256)
        file.write_bytes(spoilt)
        try:
            read_series(folder)
        except VolumeError as error:
            refused += 1
            assert "Secret" not in str(error)
    assert refused > 20


@pytest.mark.parametrize("rows", [23, 12, 25])
@pytest.mark.parametrize("tag", ["Rows", "Columns"])
def test_pixels_are_exactly_as_many_as_the_header_says(write_ct, ct_slices, tag, rows) -> None:
    """One row less would shear every slice."""
    with pytest.raises(VolumeError, match=r"more pixel data than|truncated"):
        read_series(write_ct(ct_slices(**{tag: rows})))


def test_an_odd_length_is_padded(write_ct, chest_like, ct_slices) -> None:
    slices = ct_slices(chest_like((6, 21, 19)))
    for data in slices:
        plane = np.frombuffer(data.PixelData, "<u2") // 16
        data.BitsAllocated = data.BitsStored = 8
        data.HighBit = 7
        data.RescaleSlope = 16
        data.PixelData = plane.astype(np.uint8).tobytes() + b"\0"
    assert read_series(write_ct(slices)).array.shape == (6, 21, 19)


@pytest.mark.parametrize("tag", ["RescaleSlope", "RescaleIntercept"])
@pytest.mark.parametrize("value", ["1e30", "1e9", "-1e9", "50000"])
def test_one_slice_beyond_any_scale_is_refused(write_ct, ct_slices, tag, value) -> None:
    slices = ct_slices()
    setattr(slices[2], tag, value)
    with pytest.raises(VolumeError, match=r"no HU scale has|are impossible|do not fit"):
        read_series(write_ct(slices))


def test_one_slice_of_a_doubled_slope_is_refused(write_ct, ct_slices) -> None:
    slices = ct_slices()
    slices[2].RescaleSlope = 2
    with pytest.raises(VolumeError, match="do not fit its neighbours"):
        read_series(write_ct(slices))


def test_each_slice_by_its_own_slope_is_read(write_ct, ct_slices, chest_like) -> None:
    slices = ct_slices()
    for data in slices[::2]:
        plane = np.frombuffer(data.PixelData, "<u2")
        data.RescaleSlope, data.RescaleIntercept = 0.5, -1024
        data.BitsStored, data.HighBit = 13, 12
        data.PixelData = (plane * 2).astype("<u2").tobytes()
    np.testing.assert_array_equal(read_series(write_ct(slices)).array, chest_like())


def test_a_slice_without_frames_does_not_vanish(write_ct, ct_slices) -> None:
    slices = ct_slices()
    slices[-1].NumberOfFrames = 0
    with pytest.raises(VolumeError, match="impossible number of frames"):
        read_series(write_ct(slices))


@pytest.mark.parametrize("z", [1e30, -1e30, 1e5])
def test_a_slice_at_an_impossible_position_is_named(write_ct, ct_slices, moved, z) -> None:
    slices = ct_slices()
    moved(slices[-1], z=z)
    with pytest.raises(VolumeError, match="impossible position"):
        read_series(write_ct(slices))
