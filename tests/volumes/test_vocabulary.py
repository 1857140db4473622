"""Words of the field are shown; whatever else stands in a file is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metasight.volumes import vocabulary
from metasight.volumes.vocabulary import NOT_SHOWN


@pytest.mark.parametrize("text", ["CT", "PT", "SR", "RTSTRUCT", "SEG"])
def test_modalities_are_shown(text: str) -> None:
    assert vocabulary.modality(text) == text


@pytest.mark.parametrize("text", ["B30f", "Br40d\\3", "I31f/3", "STANDARD", "FC51", "B", "YB"])
def test_kernels_are_shown(text: str) -> None:
    assert vocabulary.kernel(text) == text


@pytest.mark.parametrize("text", ["GTV-1", "Lung_Left", "Tumour 2", "gtvp", "GTV p 1", "nodule2"])
def test_names_of_tumours_and_organs_are_shown(text: str) -> None:
    assert vocabulary.region(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "Meier^Anna",
        "GTV Meier",
        "GTV 17.03.1952",
        "GTV 19520317",
        "GTV 17 03 52",
        "777772",
        "7",
        "GTV\x1b[31m",
        "GTV-1\u200b",
        "",
        "GTV" * 20,
    ],
)
def test_no_name_date_or_number_of_a_patient_is_shown(text: str) -> None:
    assert vocabulary.region(text) == ""


@pytest.mark.parametrize("show", [vocabulary.modality, vocabulary.kernel, vocabulary.code])
@pytest.mark.parametrize(
    "text", ["MEIER", "CTPN", "CT\x00\x10PN", "Anna", "19520317", "B30f Meier"]
)
def test_other_texts_are_replaced(show, text: str) -> None:
    assert show(text) == NOT_SHOWN


def test_what_is_not_said_is_called_that() -> None:
    assert vocabulary.kernel("") == vocabulary.code("") == "not said"
    assert vocabulary.codes([]) == "not said"
    assert vocabulary.codes(["GML", "BQML", "GML", "Meier"]) == f"BQML, GML, {NOT_SHOWN}"


def test_encodings_are_those_of_the_standard() -> None:
    assert vocabulary.encoding("1.2.840.10008.1.2.4.50") == "1.2.840.10008.1.2.4.50"
    assert vocabulary.encoding("1.2.826.0.1.3680043.8.498.1") == NOT_SHOWN


@given(st.text(min_size=1, max_size=40))
def test_whatever_is_shown_holds_no_control_character_and_no_long_number(text: str) -> None:
    for show in (vocabulary.modality, vocabulary.kernel, vocabulary.code, vocabulary.region):
        shown = show(text)
        assert shown.isprintable()
        if shown == text:
            assert sum(c.isdigit() for c in shown) <= 5
