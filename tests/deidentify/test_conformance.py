"""Elements that are not as the table says, each told."""

from __future__ import annotations

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from metasight.deidentify.batch import deidentify_folder
from metasight.deidentify.conformance import departures
from metasight.deidentify.originals import originals_of
from planted import CANARIES, write_planted


@pytest.fixture
def made(tmp_path, key):
    write_planted(tmp_path / "source", n=2)
    deidentify_folder(tmp_path / "source", tmp_path / "out", key)
    path = sorted((tmp_path / "out").rglob("*.dcm"))[0]
    return dcmread(path), originals_of(tmp_path / "source")


def test_what_was_made_has_none(made):
    assert list(departures(*made)) == []


def _nested(data):
    item = Dataset()
    item.PatientComments = "quiet"
    data.ReferencedSeriesSequence[0].AnatomicRegionSequence[0].SpecimenPreparationSequence = None
    data.ReferencedSeriesSequence[0].AnatomicRegionSequence.append(item)


LEAKS = {
    "to be removed": lambda d: setattr(d, "StudyDescription", "anything"),
    "to be removed ": _nested,
    "to be empty": lambda d: setattr(d, "AccessionNumber", "ACC/77"),
    "its old value": lambda d: setattr(d, "DeviceSerialNumber", CANARIES["serial"]),
    "not replaced": lambda d: setattr(d, "FrameOfReferenceUID", "1.2.3.4.5"),
    "not on the list": lambda d: d.private_block(0x0013, "CTP", create=True).add_new(1, "LO", "x"),
    "not on the list ": lambda d: d.private_block(0x19, "GEMS_ACQU_01").add_new(0x77, "LO", "x"),
    "does not know": lambda d: d.add_new(0x00080FFE, "LO", "x"),
    "an overlay": lambda d: d.add_new(0x60000010, "US", 3),
    "a sequence": lambda d: setattr(d, "RequestAttributesSequence", Sequence([Dataset()])),
    "is not YES": lambda d: delattr(d, "PatientIdentityRemoved"),
    "is not MODIFIED": lambda d: delattr(d, "LongitudinalTemporalInformationModified"),
    "does not say how": lambda d: delattr(d, "DeidentificationMethod"),
    "not zero": lambda d: setattr(d, "preamble", b"x" * 128),
    "another SOPInstanceUID": lambda d: setattr(
        d.file_meta, "MediaStorageSOPInstanceUID", "2.25.1"
    ),
    "to be removed  ": lambda d: setattr(d.file_meta, "SourceApplicationEntityTitle", "PACS"),
}


@pytest.mark.parametrize("said", LEAKS)
def test_a_planted_departure_is_found(said, made):
    data, originals = made
    LEAKS[said](data)
    told = list(departures(data, originals))
    assert any(said.strip() in d.what for d in told), told
    assert not any(text in d.what for d in told for text in CANARIES.values())
