"""One data set made anew: nothing of the patient stays, what figures need does."""

from __future__ import annotations

import re

import pytest
from pydicom.datadict import DicomDictionary
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

import scan_files
from metasight.deidentify.actions import Action, action_of
from metasight.deidentify.cleaning import _KEPT_BYTES, _KEPT_TEXT, REMOVED, Rules, cleaned
from metasight.deidentify.dates import shifted
from metasight.deidentify.identifiers import Names, identifiers_of
from planted import CANARIES, STUDY_DATE, edit


def planted() -> Dataset:
    data = scan_files._file(scan_files.CTImageStorage, "one")
    data.PixelData = b""
    edit(data, 0)
    del data.PixelData
    return data


@pytest.fixture
def clean(key):
    def of(data: Dataset) -> Dataset:
        names = Names(identifiers_of(data))
        return cleaned(data, Rules(key=key, patient_id=data.PatientID, names=names))

    return of


def test_no_text_of_the_patient_stays(clean):
    said = str(clean(planted())).casefold()
    left = [k for k, text in CANARIES.items() if text.casefold() in said]
    assert left == []
    assert STUDY_DATE not in said


def test_the_source_is_not_changed(clean):
    data = planted()
    before = str(data)
    clean(data)
    assert str(data) == before


def test_everything_of_the_table_is_as_its_action_says(clean, key):
    old, new = planted(), clean(planted())
    for e in new.iterall():
        action = action_of(int(e.tag), is_sequence=e.VR == "SQ")
        assert action is not Action.REMOVE, e.keyword
        if action is Action.EMPTY and e.keyword not in {"PatientName"}:
            assert not e.value, e.keyword
    assert new.StudyDate == shifted(STUDY_DATE, "DA", key.shift_days(old.PatientID))
    assert new.StudyTime == old.StudyTime
    assert new.PatientName == new.PatientID == key.patient(old.PatientID)
    assert (new.PatientAge, new.PatientSex) == ("069Y", "M")


def test_references_stay_whole(clean, key):
    old, new = planted(), clean(planted())
    pointed = new.ReferencedSeriesSequence[0].ReferencedImageSequence[0]
    assert pointed.ReferencedSOPInstanceUID == new.SOPInstanceUID == key.uid(old.SOPInstanceUID)
    assert pointed.ReferencedSOPClassUID == old.SOPClassUID


def test_private_elements_that_are_safe_and_numbers_stay(clean):
    new = clean(planted())
    block = new.private_block(0x0019, "GEMS_ACQU_01")
    assert float(block[0x23].value) == pytest.approx(39.37)
    assert 0x24 not in block  # safe by its place, and a text stands in it
    assert {e.tag.group for e in new if e.tag.is_private} == {0x0019}


def test_texts_that_scanners_write_stay_unless_they_name_the_patient(clean):
    data = planted()
    data.Manufacturer, data.ManufacturerModelName = "SIEMENS", CANARIES["name"]
    new = clean(data)
    assert new.Manufacturer == "SIEMENS"
    assert CANARIES["name"] not in new.ManufacturerModelName
    assert CANARIES["name"] not in str(new.PositionReferenceIndicator)


@pytest.mark.parametrize(
    ("name", "said"), [("GTV-1", "GTV-1"), ("GTV Kanarius 1952", "region 3"), ("", "region 3")]
)
def test_regions_have_the_field_s_names_or_numbers(name, said, clean):
    data, region = planted(), Dataset()
    region.ROINumber, region.ROIName = 3, name
    data.StructureSetROISequence = Sequence([region])
    assert clean(data).StructureSetROISequence[0].ROIName == said


def test_a_report_keeps_its_numbers_and_codes_and_no_text(clean):
    data, number, text, person = planted(), Dataset(), Dataset(), Dataset()
    measured = Dataset()
    measured.NumericValue = "22.5"
    number.ValueType, number.MeasuredValueSequence = "NUM", Sequence([measured])
    text.ValueType, text.TextValue = "TEXT", "Herr Kanarius kam am 17.3."
    person.ValueType, person.PersonName = "PNAME", "Zeisiger^Otto"
    data.ContentSequence = Sequence([number, text, person])
    new = clean(data).ContentSequence
    assert float(new[0].MeasuredValueSequence[0].NumericValue) == 22.5
    assert new[1].TextValue == REMOVED
    assert new[2].PersonName == REMOVED


@pytest.mark.filterwarnings("ignore:.*Invalid value")
def test_a_date_that_cannot_be_moved_is_emptied(clean):
    data = planted()
    data.add_new("SeriesDate", "DA", "17 March")
    assert not clean(data).SeriesDate


@pytest.mark.filterwarnings("ignore:.*Invalid value")
def test_a_code_string_of_free_text_is_replaced(clean):
    data = planted()
    data.BodyPartExamined = "LUNG"
    data.add_new("ScanOptions", "CS", "Kanarius, Friedolin: Lunge")
    new = clean(data)
    assert (new.BodyPartExamined, new.ScanOptions) == ("LUNG", REMOVED)


@pytest.mark.filterwarnings("ignore")
def test_a_text_of_any_element_of_the_dictionary_is_replaced_unless_it_is_listed(key):
    """1,200 elements with a text each: what stays is on the list of what scanners write."""
    data, names = Dataset(), {}
    for tag, (vr, _, _, _, keyword) in DicomDictionary.items():
        if tag >> 16 not in {0x0000, 0x0002} and vr in TEXTS:
            names[f"Kx,{tag:08X}"] = keyword
            data.add_new(tag, "OB" if vr.startswith("O") else vr, _text(f"Kx,{tag:08X}", vr))
    data.PatientID = "x1"
    new = cleaned(data, Rules(key=key, patient_id="x1", names=Names(())))
    said = " ".join(
        e.value.decode() if isinstance(e.value, bytes) else str(e.value) for e in new.iterall()
    )
    left = {names[c] for c in re.findall(r"Kx,[0-9A-F]{8}", said)}
    assert len(names) > 1500
    assert left == {k for k in _KEPT_TEXT | _KEPT_BYTES if k in names.values()} - {
        "CodingSchemeDesignator"
    }


def _text(text: str, vr: str) -> str | bytes:
    return text.encode() if vr.startswith("O") or vr == "UN" else text


TEXTS = ("AE", "AS", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT", "OB", "UN", "OB or OW")
