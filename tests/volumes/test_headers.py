"""Headers of slices: where a value may stand, what is no slice, and what contradicts itself."""

from __future__ import annotations

import datetime as dt
import re
import zlib

import pytest
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import CTImageStorage, DeflatedExplicitVRLittleEndian, generate_uid

from metasight.errors import VolumeError
from metasight.volumes.headers import NotASlice, SliceHeader, read_dataset, read_headers
from metasight.volumes.sources import items_of


@pytest.fixture
def headers(write_ct, ct_slices):
    """Headers of the first file of a series with some tags set, or taken away (None)."""

    def of(**tags):
        slices = ct_slices()
        for name, value in tags.items():
            if value is None:
                delattr(slices[0], name)
            else:
                setattr(slices[0], name, value)
        return read_headers(items_of(write_ct(slices[:1]))[0])

    return of


def test_a_slice_says_where_it_lies_and_how_it_is_written(headers):
    (told,) = headers()
    assert isinstance(told, SliceHeader)
    assert (told.rows, told.columns) == (24, 20)
    assert told.spacing_mm == (0.9, 0.8)  # of rows, then of columns
    assert told.position_mm == (-10.0, -12.0, 100.0)
    assert told.orientation == (1, 0, 0, 0, 1, 0)
    assert (told.slope, told.intercept) == (1, -1024)
    assert (told.bits_allocated, told.bits_stored, told.high_bit, told.signed) == (
        16,
        12,
        11,
        False,
    )
    assert (told.thickness_mm, told.kernel, told.frame) == (2.0, "B30f", 0)
    assert told.padding is None
    assert told.lossy is False


def test_nothing_that_names_a_patient_is_read(headers):
    (told,) = headers()
    assert "Secret" not in repr(told)
    assert "4711" not in repr(told)


@pytest.mark.filterwarnings("ignore:Invalid value")
@pytest.mark.parametrize(
    ("tags", "name", "value"),
    [
        ({"ContrastBolusAgent": "Iomeprol"}, "contrast", True),
        ({"ContrastBolusAgent": " "}, "contrast", False),
        ({}, "contrast", None),
        ({"LossyImageCompression": "01"}, "lossy", True),
        ({"LossyImageCompression": "00"}, "lossy", False),
        ({"SliceThickness": "0"}, "thickness_mm", None),
        ({"SliceThickness": None}, "thickness_mm", None),
        ({"KVP": "120"}, "kilovolts", 120.0),
        ({"ConvolutionKernel": ["Br40d", "3"]}, "kernel", "Br40d/3"),
        ({"ConvolutionKernel": None}, "kernel", ""),
        ({"ImageType": ["original", "Primary"]}, "image_type", ("ORIGINAL", "PRIMARY")),
        ({"HighBit": None}, "high_bit", 11),
        ({"PixelRepresentation": 1}, "signed", True),
        ({"RescaleSlope": None}, "slope", None),
    ],
)
def test_what_is_said_and_what_is_not(headers, tags, name, value):
    (told,) = headers(**tags)
    assert getattr(told, name) == value


def test_padding_is_a_range_in_either_order(headers):
    (one,) = headers(PixelPaddingValue=0)
    assert one.padding == (0, 0)
    (two,) = headers(PixelPaddingValue=63, PixelPaddingRangeLimit=10)
    assert two.padding == (10, 63)


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ({"ImagePositionPatient": None}, "the image has no position"),
        ({"PixelSpacing": None}, "the image has no position"),
        ({"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]}, "not at right angles"),
        ({"Rows": None}, r"DICOM without an image \(CT\)"),
    ],
)
def test_an_image_without_a_place_is_no_slice(headers, tags, reason):
    told = headers(**tags)
    assert isinstance(told, NotASlice)
    assert re.search(reason, told.reason)


def test_a_header_that_cannot_be_understood_is_an_error_in_ct_and_nothing_in_others(headers):
    with pytest.raises(VolumeError, match="cannot be understood") as error:
        headers(BitsStored=None, HighBit=None)
    assert "take the file out of the folder" in error.value.remedy
    told = headers(BitsStored=None, HighBit=None, Modality="MR")
    assert isinstance(told, NotASlice)
    assert told.reason == "image of another kind (MR)"


@pytest.mark.parametrize("frames", [2_000_000, 0, -5])
def test_impossible_numbers_of_frames_are_refused_before_one_is_looked_at(headers, frames):
    with pytest.raises(VolumeError, match="impossible number of frames"):
        headers(NumberOfFrames=frames)


@pytest.mark.parametrize(("frames", "places"), [(2, 0), (99_999, 0), (3, 2), (1, 2), (99_999, 2)])
def test_frames_without_a_place_of_their_own_are_refused_at_once(headers, frames, places):
    groups = Sequence([Dataset() for _ in range(places)])
    given = {"PerFrameFunctionalGroupsSequence": groups} if places else {}
    with pytest.raises(VolumeError, match="each of its frames a place") as error:
        headers(NumberOfFrames=frames, **given)
    assert error.value.value == f"{frames:,} frames, places for {places:,}"
    assert headers(NumberOfFrames=2, Modality="MR")  # of another kind: nobody reads it


@pytest.mark.parametrize("z", [1e30, -1e30, 10_001.0])
def test_a_slice_outside_any_scanner_is_refused(headers, z):
    with pytest.raises(VolumeError, match="impossible position") as error:
        headers(ImagePositionPatient=[0.0, 0.0, z])
    assert "e+30" not in str(error.value)
    assert isinstance(headers(ImagePositionPatient=[0.0, 0.0, z], Modality="MR"), tuple)


def test_patients_are_compared_and_not_kept(headers):
    def patient(**tags: str) -> str:
        return headers(**tags)[0].patient

    one = patient(PatientID="MRN-1", PatientName="Meier^Anna")
    assert one and "MRN" not in one and "Meier" not in repr(headers(PatientName="Meier^Anna"))
    assert patient(PatientID="mrn-1 ", PatientName="MEIER^ANNA^^") == one
    assert patient(PatientID="MRN-2", PatientName="Meier^Anna") != one
    named = patient(PatientID="", PatientName="Meier^Anna^^", PatientBirthDate="19520317")
    assert named == patient(PatientID="", PatientName="MEIER^ANNA", PatientBirthDate="19520317")
    assert named != patient(PatientID="", PatientName="Meier^Anna", PatientBirthDate="19520318")
    assert patient(PatientID="", PatientName="") == ""


@pytest.mark.filterwarnings("ignore:Invalid value")
def test_the_day_of_the_examination(headers):
    assert headers(StudyDate="20200229")[0].study_date == dt.date(2020, 2, 29)
    assert headers(StudyDate="2020.02.29")[0].study_date == dt.date(2020, 2, 29)
    assert headers(StudyDate="")[0].study_date is None


def test_texts_of_odd_objects_are_not_repeated(headers):
    told = headers(Modality="MEIER", BitsStored=None, HighBit=None)
    assert told.reason == "image of another kind (text of the file, not shown)"


def groups(**sequences) -> Dataset:
    data = Dataset()
    for name, values in sequences.items():
        entry = Dataset()
        for keyword, value in values.items():
            setattr(entry, keyword, value)
        setattr(data, name, Sequence([entry]))
    return data


def test_a_frame_goes_before_what_frames_share_and_that_before_the_object(headers):
    """Enhanced CT: three frames of one file, each with its own position."""
    shared = groups(
        PixelMeasuresSequence={"PixelSpacing": [0.5, 0.5], "SliceThickness": "1"},
        PlaneOrientationSequence={"ImageOrientationPatient": [1, 0, 0, 0, 1, 0]},
        PixelValueTransformationSequence={"RescaleSlope": "2", "RescaleIntercept": "-7"},
    )
    frames = [
        groups(PlanePositionSequence={"ImagePositionPatient": [0, 0, 3.0 * k]}) for k in range(3)
    ]
    frames[2].PixelMeasuresSequence = groups(
        PixelMeasuresSequence={"PixelSpacing": [0.6, 0.6]}
    ).PixelMeasuresSequence
    told = headers(
        NumberOfFrames=3,
        SharedFunctionalGroupsSequence=Sequence([shared]),
        PerFrameFunctionalGroupsSequence=Sequence(frames),
    )
    assert [h.frame for h in told] == [0, 1, 2]
    assert [h.position_mm[2] for h in told] == [0, 3, 6]
    assert [h.spacing_mm[0] for h in told] == [0.5, 0.5, 0.6]
    assert {(h.slope, h.intercept) for h in told} == {(2.0, -7.0)}
    assert {h.kernel for h in told} == {"B30f"}  # only the object says it


def test_files_that_are_no_dicom(tmp_path):
    (tmp_path / "empty.dcm").write_bytes(b"")
    (tmp_path / "text.txt").write_text("nothing of the kind " * 50)
    empty, text = (read_headers(i) for i in items_of(tmp_path))
    assert (empty.reason, text.reason) == ("empty file", "not DICOM")


@pytest.mark.parametrize(
    ("n_bytes", "problem"), [(142, "a DICOM file is damaged"), (850, "cannot be understood")]
)
def test_a_file_that_breaks_off_in_its_header(write_ct, ct_slices, n_bytes, problem):
    folder = write_ct(ct_slices()[:1])
    file = next(folder.glob("*.dcm"))
    file.write_bytes(file.read_bytes()[:n_bytes])
    with pytest.raises(VolumeError, match=problem) as error:
        read_headers(items_of(folder)[0])
    assert "xport" in error.value.remedy


def test_pixels_are_read_only_where_asked_for(write_ct, ct_slices):
    item = items_of(write_ct(ct_slices()[:1]))[0]
    assert "PixelData" not in read_dataset(item, pixels=False)
    assert len(read_dataset(item, pixels=True).PixelData) == 24 * 20 * 2
    assert set(read_dataset(item, pixels=False, tags=["Rows"]).dir()) == {"Rows"}


def deflated(path, megabytes):
    """A deflated DICOM header with so many megabytes of zeros behind it."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CTImageStorage, generate_uid()
    meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    data = FileDataset("x", {}, file_meta=meta, preamble=b"\0" * 128)
    data.Modality = "CT"
    data.save_as(path, enforce_file_format=True)
    whole = path.read_bytes()
    begin = 144 + int.from_bytes(whole[140:144], "little")
    packing = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed = packing.compress(zlib.decompress(whole[begin:], -zlib.MAX_WBITS))
    packed += b"".join(packing.compress(bytes(1 << 20)) for _ in range(megabytes))
    path.write_bytes(whole[:begin] + packed + packing.flush())
    return items_of(path)[0]


def test_a_deflated_file_is_inflated_up_to_what_an_image_takes(tmp_path, monkeypatch):
    assert read_dataset(deflated(tmp_path / "a.dcm", 0), pixels=False).Modality == "CT"
    monkeypatch.setattr("metasight.volumes.headers._MOST_INFLATED", 8 << 20)
    with pytest.raises(VolumeError, match="longer than any image"):
        read_dataset(deflated(tmp_path / "b.dcm", 12), pixels=False)
