"""Names that a message may show: markers, dyes and words of microscopy, nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metasight.slides.vocabulary import channel, is_beside_the_slide, is_known


@pytest.mark.parametrize(
    "text",
    [
        *("DAPI", "Pan-CK", "panCK", "AE1/AE3", "CD3 (Opal 520)", "CD45RO", "Ki-67", "PD-L1"),
        *("FOXP3", "Alexa Fluor 647", "Cy5", "AF488", "Sample AF", "Autofluorescence", "CK7"),
        *("Opal 690", "Hoechst 33342", "channel_3", "Tumor", "CD3: CD20", "αSMA", "HLA-DR"),
    ],
)
def test_the_fields_own_words_are_shown(text: str) -> None:
    assert is_known(text)
    assert channel(text, 2) == text


@pytest.mark.parametrize(
    "text",
    ["Meier", "Meier CD3", "1952", "CD3 03.04.1952", "H-2019-123456", "", "12", "x" * 60],
)
def test_anything_else_is_told_by_its_number(text: str) -> None:
    assert not is_known(text)
    assert channel(text, 2) == "channel_2"


@given(st.text(alphabet="ghijmouvxz", min_size=5, max_size=12))
def test_a_name_of_letters_is_not_shown(name: str) -> None:
    assert channel(f"CD3 {name}", 1) == "channel_1"


@pytest.mark.parametrize(
    ("text", "beside"),
    [
        ("label image", True),
        ("macro image", True),
        ("Overview", True),
        ("Thumbnail", True),
        ("20x_BF_01", False),
        ("", False),
    ],
)
def test_what_lies_beside_the_slide(text: str, beside: bool) -> None:
    assert is_beside_the_slide(text) is beside
