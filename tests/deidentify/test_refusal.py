"""What is refused because text may stand in the pixels."""

from __future__ import annotations

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    CTImageStorage,
    EncapsulatedPDFStorage,
    SecondaryCaptureImageStorage,
    UltrasoundImageStorage,
    VLWholeSlideMicroscopyImageStorage,
)

from metasight.deidentify.refusal import refusal_of


def image(kind: str = CTImageStorage, modality: str = "CT", **tags: object) -> Dataset:
    data = Dataset()
    data.SOPClassUID, data.Modality = kind, modality
    data.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    for tag, value in tags.items():
        setattr(data, tag, value)
    return data


def test_a_plain_ct_is_not():
    assert refusal_of(image(BurnedInAnnotation="NO")) is None


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (image(BurnedInAnnotation="YES"), "BurnedInAnnotation"),
        (image(RecognizableVisualFeatures="YES"), "RecognizableVisualFeatures"),
        (image(SecondaryCaptureImageStorage, "OT"), "modality OT"),
        (image(UltrasoundImageStorage, "US"), "modality US"),
        (image(EncapsulatedPDFStorage, "DOC"), "modality DOC"),
        (image(modality="OT"), "modality OT"),
        (image(ImageType=["DERIVED", "SECONDARY", "SCREEN SAVE"]), "screen capture"),
        (image(ConversionType="WSD"), "screen capture"),
        (image(SamplesPerPixel=3), "colour"),
        (image("1.2.3", "KANARIUS"), "not shown"),
        (image(VLWholeSlideMicroscopyImageStorage, "SM", SpecimenLabelInImage="YES"), "label"),
    ],
)
def test_a_picture_with_text_is(data, said):
    refused = refusal_of(data)
    assert refused is not None
    assert said in refused.reason
    assert not refused.on_purpose


@pytest.mark.parametrize("kind", ["LABEL", "OVERVIEW"])
def test_beside_a_slide_it_is_left_out_on_purpose(kind):
    data = image(VLWholeSlideMicroscopyImageStorage, "SM", ImageType=["ORIGINAL", "PRIMARY", kind])
    refused = refusal_of(data)
    assert refused is not None
    assert refused.on_purpose


def test_an_overlay_in_unused_bits_is():
    data = image()
    data.add_new(0x60000102, "US", 12)
    refused = refusal_of(data)
    assert refused is not None
    assert "unused bits" in refused.reason
