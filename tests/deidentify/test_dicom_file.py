"""Whole DICOM files: bytes outside the data set, marks, damage."""

from __future__ import annotations

import io
import random

import imagecodecs
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import (
    ComprehensiveSRStorage,
    DeflatedExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    RLELossless,
)

import scan_files
from metasight.deidentify.dicom_file import NewFile, deidentified, is_dicom
from metasight.deidentify.refusal import Refusal
from metasight.errors import VolumeError
from planted import CANARIES, write_planted


def first(folder):
    return sorted(folder.rglob("*.dcm"))[0]


@pytest.fixture
def made(tmp_path, key):
    write_planted(tmp_path)
    new = deidentified(first(tmp_path), key)
    assert isinstance(new, NewFile)
    return new


def test_no_byte_of_the_patient_stays(made):
    low = made.content.lower()
    assert [k for k, t in CANARIES.items() if t.lower().encode() in low] == []
    assert made.content[:128] == b"\0" * 128


def test_it_says_that_and_how(made):
    data = dcmread(io.BytesIO(made.content))
    assert data.PatientIdentityRemoved == "YES"
    assert data.LongitudinalTemporalInformationModified == "MODIFIED"
    codes = [c.CodeValue for c in data.DeidentificationMethodCodeSequence]
    assert codes == ["113100", "113107", "113108", "113111"]
    assert all(len(v) <= 64 for v in data.DeidentificationMethod)
    assert data.file_meta.MediaStorageSOPInstanceUID == data.SOPInstanceUID
    assert "SourceApplicationEntityTitle" not in data.file_meta


def test_pixels_are_the_same(made, tmp_path):
    old, new = dcmread(first(tmp_path)), dcmread(io.BytesIO(made.content))
    assert new.PixelData == old.PixelData[: 2 * old.Rows * old.Columns]
    assert old.PixelData != new.PixelData  # a text stood behind them


def test_its_name_is_made_of_pseudonyms(made, key):
    patient, *rest = made.name.parts
    assert patient == key.patient(CANARIES["id"])
    assert all(len(part.removesuffix(".dcm")) == 13 for part in rest)


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGBaseline8Bit, RLELossless])
def test_packed_pixels_with_a_name_in_them(syntax, tmp_path, key):
    """A comment is left out where the format is known to have them; elsewhere the name is seen."""
    picture = np.arange(96 * 96, dtype=np.uint8).reshape(96, 96)
    marker = {JPEG2000Lossless: b"\xff\x64", JPEGBaseline8Bit: b"\xff\xfe"}.get(syntax)
    if syntax == JPEG2000Lossless:
        frame = imagecodecs.jpeg2k_encode(picture, level=0, codecformat="j2k")
        place = frame.index(b"\xff\x90")
    elif syntax == JPEGBaseline8Bit:
        frame, place = imagecodecs.jpeg8_encode(picture, level=90), 2
    else:
        frame, place = bytes(64) + b"\0" * 200, 264

    def edit(data, k):
        name = CANARIES["name" if k < 2 else "unlisted"].encode()
        data.PatientName = CANARIES["name"]
        comment = name if marker is None else marker + (len(name) + 2).to_bytes(2, "big") + name
        data.PixelData = encapsulate([frame[:place] + (comment if k else b"") + frame[place:]])
        data["PixelData"].is_undefined_length = True
        data["PixelData"].VR = "OB"
        data.file_meta.TransferSyntaxUID = syntax

    scan_files.write_ct(tmp_path, [0.0, 1.0, 2.0], edit=edit)
    plain, named, other = (deidentified(p, key) for p in sorted(tmp_path.iterdir()))
    assert isinstance(plain, NewFile)
    assert isinstance(other, NewFile)
    if marker is None:
        assert isinstance(named, Refusal)
        assert "names the patient" in named.reason
        return
    assert isinstance(named, NewFile)
    data = [dcmread(io.BytesIO(m.content)) for m in (plain, named, other)]
    assert all(d["PixelData"].is_undefined_length for d in data)
    first_frame, *rest = (next(generate_frames(d.PixelData, number_of_frames=1)) for d in data)
    assert rest == [first_frame, first_frame]
    decode = imagecodecs.jpeg2k_decode if syntax == JPEG2000Lossless else imagecodecs.jpeg8_decode
    np.testing.assert_array_equal(decode(first_frame), decode(frame))


@pytest.mark.parametrize(
    ("tags", "problem"),
    [({"PatientID": ""}, "whose it is"), ({"Rows": 4000}, "cut off")],
)
def test_a_file_that_cannot_be_used(tags, problem, tmp_path, key):
    scan_files.write_ct(tmp_path, [0.0, 1.0], **tags)
    with pytest.raises(VolumeError, match=problem):
        deidentified(first(tmp_path), key)


def test_damage_is_named_and_nothing_is_quoted(tmp_path, key):
    write_planted(tmp_path)
    path = first(tmp_path)
    raw = path.read_bytes()
    path.write_bytes(raw[: len(raw) // 3])
    with pytest.raises(VolumeError) as told:
        deidentified(path, key)
    assert "Kanari" not in str(told.value)
    assert is_dicom(path)
    path.write_bytes(b"")
    assert not is_dicom(path)


def test_a_damaged_header_leaks_nothing(tmp_path, key):
    """A wrong length draws a neighbour's text into an element that is kept."""
    write_planted(tmp_path, n=2)
    path = first(tmp_path)
    raw, rng = path.read_bytes(), random.Random(7)
    until = raw.index(b"\xe0\x7f\x10\x00") + 12
    made = 0
    for _ in range(200):
        spoiled = bytearray(raw)
        for _ in range(rng.choice((1, 1, 3))):
            place = rng.randrange(132, until)
            spoiled[place : place + rng.choice((0, 1, 2))] = rng.randbytes(rng.choice((0, 1, 2)))
        path.write_bytes(bytes(spoiled))
        try:
            new = deidentified(path, key)
        except VolumeError as error:
            assert "anari" not in str(error)
            continue
        if isinstance(new, NewFile):
            made += 1
            low = new.content.lower()
            assert [k for k, t in CANARIES.items() if t.lower().encode() in low] == []
    assert made > 40


def test_a_deflated_data_set_is_not_unpacked(tmp_path, key):
    scan_files.write_ct(tmp_path, [0.0, 1.0])
    path = first(tmp_path)
    data = dcmread(path)
    data.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    data.save_as(path)
    with pytest.raises(VolumeError, match="deflated or big-endian"):
        deidentified(path, key)


def test_a_report_says_that_its_content_was_cleaned(tmp_path, key):
    def edit(data, k):
        data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = ComprehensiveSRStorage
        data.Modality = "SR"
        text = Dataset()
        text.ValueType, text.TextValue = "TEXT", "Herr Kanarius"
        data.ContentSequence = [text]

    scan_files.write_ct(tmp_path, [0.0, 1.0], edit=edit)
    new = deidentified(first(tmp_path), key)
    assert isinstance(new, NewFile)
    data = dcmread(io.BytesIO(new.content))
    assert data.DeidentificationMethodCodeSequence[-1].CodeValue == "113104"
    assert data.ContentSequence[0].TextValue == "REMOVED"
