"""One patient's page: the risk with its interval, what it rests on, or why there is none."""

from __future__ import annotations

import copy

import pytest

from metasight.features.columns import Feature, Kind
from metasight.protocol.load import read_protocol
from metasight.report.blocks import Callout, DataTable, Facts, Paragraph
from metasight.report.patient_page import page, write_page

PROTOCOL = read_protocol("breast-dmfs")
FEATURES = {"gene": Feature(name="gene", kind=Kind.CONTINUOUS, unit="log2", modality="genes")}
PATIENT = {
    "patient": "P0123456789",
    "risks": [
        {
            "target": "1826",
            "risk": {"value": 0.123, "lower": 0.05, "upper": 0.25, "se": None},
            "percentile": 61.0,
        }
    ],
    "why_none": [],
    "not_assessed": ["I7, recorded"],
    "contributions": [
        {"name": "tumour_size_mm", "modality": "clinical", "value": "31", "points": 4.25},
        {"name": "gene", "modality": "genes", "value": "1.2", "points": -1.0},
    ],
    "by_modality": [
        {"name": "clinical", "modality": "clinical", "value": "", "points": 4.0},
        {"name": "genes", "modality": "genes", "value": "", "points": -1.0},
    ],
    "missing": ["grade"],
    "distance": 0.4,
}
FOUND = {
    "disclaimer": "x",
    "demonstration": "",
    "endpoint": "dmfs",
    "model": "ours",
    "trained_on": {"run": "abc", "patients": 150, "events": 96, "centres": 2},
    "recalibrated": None,
    "refits": 200,
    "interval": "true risk",
}


def blocks(**changes):
    patient = copy.deepcopy(PATIENT) | changes
    document = page(FOUND, patient, PROTOCOL, FEATURES)
    return [*document.front, *document.blocks]


@pytest.mark.parametrize("method", ["in-the-large", "slope", "refit"])
def test_a_recalibrated_model_is_said_to_be_one(method):
    told = {"method": method, "patients": 120, "events": 31}
    document = page(FOUND | {"recalibrated": told}, copy.deepcopy(PATIENT), PROTOCOL, FEATURES)
    said = text(document.blocks)
    assert "in 120 external patients with 31 events" in said
    assert "has not been validated in any other patients" in said
    assert "external" not in text(blocks())


def text(found) -> str:
    return " ".join(b.text for b in found if isinstance(b, Paragraph) and isinstance(b.text, str))


def test_the_risk_its_interval_and_where_it_stands():
    found = blocks()
    (facts,) = [b for b in found if isinstance(b, Facts)]
    ((name, value),) = facts.items
    assert name == "5 years"
    assert value.replace("\u00a0", " ") == "12.3 % (5.0 to 25.0)"
    assert "61\u00a0% of the training patients had a lower predicted risk at 5 years" in text(found)


def test_features_have_the_protocols_words_and_units_and_a_sign():
    (table,) = [b for b in blocks() if isinstance(b, DataTable)]
    assert [r.cells for r in table.rows] == [
        ("Pathological tumour size (mm)", "31", "+4.2"),
        ("gene (log2)", "1.2", "\u22121.0"),
    ]


def test_what_was_filled_in_and_what_was_not_assessed_is_said():
    told = text(blocks())
    assert "Unknown and imputed as in training: Histological grade." in told
    assert "could not be assessed" in told
    assert "I7, recorded" in told


def test_no_risk_has_its_reasons_and_no_figure():
    found = blocks(risks=[], contributions=[], by_modality=[], why_none=["not eligible: I1"])
    assert not [b for b in found if isinstance(b, Facts)]
    callouts = [b for b in found if isinstance(b, Callout)]
    assert callouts[1].title == "No risk is given for this patient"
    assert callouts[1].paragraphs == ("Not eligible: I1.",)


def test_without_refits_no_interval_is_claimed():
    risks = copy.deepcopy(PATIENT["risks"])
    risks[0]["risk"] |= {"lower": None, "upper": None}
    found = blocks(risks=risks)
    assert "No interval is given because the model has too few refits" in text(found)


@pytest.mark.parametrize(
    ("kind", "said"),
    [("true risk", "where the true risk of patients"), ("refits", "narrower than an interval")],
)
def test_what_the_interval_is_of_is_said(kind, said):
    document = page(FOUND | {"interval": kind}, PATIENT, PROTOCOL, FEATURES)
    assert said in text([*document.front, *document.blocks])


@pytest.mark.parametrize("say", ["Simulated: no patient.", ""])
def test_a_demonstration_says_so_first(say):
    document = page(FOUND | {"demonstration": say}, PATIENT, PROTOCOL, FEATURES)
    warning = document.front[0]
    assert isinstance(warning, Callout)
    assert (say in warning.paragraphs) == bool(say)
    assert "not a medical device" in warning.paragraphs[-1]


def test_it_is_one_page_and_the_same_bytes_each_time(tmp_path):
    from pypdf import PdfReader

    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        write_page(FOUND, PATIENT, PROTOCOL, FEATURES, tmp_path / folder)
    for ending in ("html", "pdf"):
        one, two = (tmp_path / f / f"P0123456789.{ending}" for f in ("a", "b"))
        assert one.read_bytes() == two.read_bytes()
    assert len(PdfReader(tmp_path / "a" / "P0123456789.pdf").pages) == 1


def test_the_risk_is_of_a_patient_who_had_reached_the_landmark():
    assert "predicted risk of a patient without an event by day 120 after the day of" in text(
        blocks()
    )
    from_start = PROTOCOL.model_copy(update={"landmark_days": 0})
    document = page(FOUND, copy.deepcopy(PATIENT), from_start, FEATURES)
    assert "without an event by day" not in text([*document.front, *document.blocks])
