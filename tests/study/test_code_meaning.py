"""Codes mean what is usual, or nothing is proposed."""

from __future__ import annotations

import pytest

from metasight.protocol.load import read_protocol
from metasight.study.code_meaning import is_ambiguous, looks_missing, meaning_of_codes

BREAST, LUNG = read_protocol("breast-dmfs"), read_protocol("nsclc-occult-node")


def of(name, *texts, protocol=BREAST):
    return meaning_of_codes(protocol.variables[name], texts)


@pytest.mark.parametrize(
    ("name", "codes", "unknown"),
    [
        ("sex", {"1": "male", "2": "female"}, ()),
        ("sex", {"W": "female", "M": "male"}, ("D",)),
        ("grade", {"Well diff": 1, "Intermediate": 2, "Poorly diff": 3}, ()),
        ("grade", {"G1": 1, "G3": 3}, ("GX",)),
        ("er_positive", {"0": False, "1": True}, ("7", "9")),
        ("er_positive", {"P": True, "N": False}, ("U",)),
        ("her2_positive", {"0": False, "1+": False, "3+": True}, ("2+",)),
        ("her2_positive", {"0": False, "1": False, "3": True}, ("2",)),
        ("her2_positive", {"0": False, "1": True}, ("2",)),
        ("chemotherapy", {"00": False, "01": True, "02": True, "82": False}, ("88", "99")),
        ("postmenopausal", {"Pre": False, "Peri": False, "Post": True}, ()),
        ("death", {"0:LIVING": False, "1:DECEASED": True}, ()),
        ("death", {"Living": False, "Died of Disease": True}, ()),
        ("death", {"1": False, "2": True}, ()),
        ("surgery", {"20": "breast-conserving", "41": "mastectomy", "00": "none"}, ("99",)),
        ("pt_stage", {"pT1c": "T1", "T2": "T2", "3": "T3"}, ("TX",)),
        ("pt_stage", {"<=20": "T1", "20-50": "T2", ">50": "T3"}, ()),
        ("pn_stage", {"pN0(sn)": "N0", "N1mi": "N1", "ypN2a": "N2"}, ()),
        ("histological_type", {"IDC": "no special type", "NST (ductal)": "no special type"}, ()),
    ],
)
def test_codes_and_what_they_mean(name, codes, unknown):
    assert of(name, *codes, *unknown) == (codes, unknown)


def test_of_the_lung_study():
    found = of("adenocarcinoma", "8140/3", "8560/3", "Adenosquamous", protocol=LUNG)
    assert found == ({"8140/3": True, "8560/3": False, "Adenosquamous": False}, ())
    found = of("clinical_t", "cT1b", "2a", protocol=LUNG)
    assert found == ({"cT1b": "T1b", "2a": "T2a"}, ())


@pytest.mark.parametrize(
    ("name", "codes"),
    [
        ("er_positive", ("1", "2", "3")),
        ("pt_stage", ("<=2cm", ">2cm")),  # T2 or T3
        ("surgery", ("0", "1")),
        ("grade", ("good", "bad")),
        ("er_positive", ()),
    ],
)
def test_codes_that_may_mean_anything_have_no_meaning(name, codes):
    assert of(name, *codes) is None


def test_sex_as_0_and_1_is_used_either_way():
    assert of("female", "0", "1", protocol=LUNG) is None
    assert is_ambiguous(LUNG.variables["female"], ["0.0", "1.0"])
    assert of("female", "1", "2", protocol=LUNG) == ({"1": False, "2": True}, ())


def test_all_else_is_no_only_where_something_is_yes():
    assert of("adenocarcinoma", "squamous", "large cell", protocol=LUNG) is None


@pytest.mark.parametrize(
    "text", ["NA", "Not Collected", "-99.0", "k.A.", "nicht erhoben", "9999-99-99", "00.00.0000"]
)
def test_what_says_that_nothing_is_known(text):
    assert looks_missing(text)


@pytest.mark.parametrize("text", ["No", "No/Unknown", "0", "2019-09-09", "20160301", "99"])
def test_what_says_something(text):
    assert not looks_missing(text)
