"""Names of channels: the study's mapping, then the usual spellings, then the file's own words."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metasight.slides.channels import (
    imagej_channels,
    named_channels,
    ome_channels,
    qptiff_channels,
)
from metasight.slides.reader import ReadAs

SPELLINGS = {"CD3": "CD3", "CD3e": "CD3", "AE1/AE3": "Pan-CK", "Pan-CK": "Pan-CK"}


@pytest.mark.parametrize(
    ("found", "mapped", "names"),
    [
        (["DAPI", "panCK"], {}, ("DAPI", "Pan-CK")),
        (["Opal 520", "CD3"], {"opal-520": "CD20"}, ("CD20", "CD3")),
        (["CD3", "CD20"], {"1": "CD20", "2": "CD3"}, ("CD20", "CD3")),
        (["CD3", "CD3e"], {"CD3e": "CD8"}, ("CD3", "CD8")),  # the exact name alone
        (["", ""], {"2": "CD3"}, ("channel_1", "CD3")),
        (["Meier", "Meier"], {"Meier": "CD3"}, ("CD3", "CD3")),
    ],
)
def test_the_mapping_goes_before_spellings(found, mapped, names) -> None:
    assert named_channels(found, ReadAs(channels=mapped, spellings=SPELLINGS)) == names


@given(st.permutations(["DAPI", "CD3e", "AE1/AE3", "Meier", ""]))
def test_a_name_does_not_depend_on_the_others_order(found: list[str]) -> None:
    names = named_channels(found, ReadAs(spellings=SPELLINGS))
    by_name = dict(zip(found, names, strict=True))
    assert by_name["CD3e"] == "CD3"
    assert by_name["AE1/AE3"] == "Pan-CK"
    assert by_name["Meier"] == f"channel_{found.index('Meier') + 1}"


def test_names_in_the_xml_of_a_qptiff() -> None:
    head = '<?xml version="1.0" encoding="utf-16"?>'
    pages = [
        head + "<Q><Name>Opal 520</Name><Biomarker>CD3</Biomarker></Q>",
        "<Q><Name>DAPI</Name><Biomarker></Biomarker></Q>",
        "no XML",
    ]
    assert qptiff_channels(pages) == ["CD3", "DAPI", ""]


def test_labels_of_imagej() -> None:
    assert imagej_channels({"Labels": ["DAPI", "CD3"]}) == ["DAPI", "CD3"]
    assert imagej_channels({"Labels": "DAPI"}) == ["DAPI"]
    assert imagej_channels({}) == []


def test_names_of_ome_xml() -> None:
    pixels = ET.fromstring('<Pixels><Channel Name="CD3"/><Channel Fluor="Cy5"/><Channel/></Pixels>')
    assert ome_channels(pixels) == ["CD3", "Cy5", ""]
