"""Coded entries in the standard's words."""

from __future__ import annotations

import pytest
from pydicom.dataset import Dataset

from metasight.deidentify.codes import NOT_KEPT, reword


def coded(value: str, scheme: str, meaning: str = "Herr Kanarius") -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, scheme, meaning
    return code


@pytest.mark.parametrize(
    ("value", "scheme", "said"),
    [
        ("39607008", "SCT", "Lung"),
        ("mm", "UCUM", "mm"),
        ("0000001", "SCT", NOT_KEPT),
        ("113100", "DCM", "Basic Application Confidentiality Profile"),
    ],
)
def test_of_a_public_scheme(value, scheme, said):
    code = coded(value, scheme)
    reword(code)
    assert (code.CodeValue, code.CodingSchemeDesignator) == (value, scheme)
    assert code.CodeMeaning.startswith(said)


def test_of_a_hospital_s_own_scheme_nothing_stays():
    code = coded("MRN4711", "99KLINIKUM")
    reword(code)
    assert "MRN4711" not in str(code)
    assert "KLINIKUM" not in str(code)
    assert "Kanarius" not in str(code)
