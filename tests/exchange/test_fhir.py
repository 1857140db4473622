"""Bundles are valid R4B, state what the study found, and are preliminary and research only."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal

import pytest

from exchange_made import ALGORITHM, MADE, PATIENT, RESULTS
from metasight.errors import StudyError
from metasight.exchange import fhir
from metasight.exchange.contents import RESEARCH_ONLY, Interval, Risk
from metasight.exchange.fhir import patient_bundle, values_in, write_patient_bundle

bundle_module = pytest.importorskip("fhir.resources.R4B.bundle")
WITHIN = Risk(
    endpoint="dmfs",
    label="Distant metastasis-free survival",
    target="5 years",
    value=1 / 3,
    interval=Interval(lower=0.2, upper=0.5, kind="95 % interval of the true risk"),
    horizon_days=1826,
    counted_from="the day of curative surgery",
)


@pytest.fixture
def path(tmp_path):
    write_patient_bundle(RESULTS, tmp_path / "p.json", made=MADE)
    return tmp_path / "p.json"


def resources(path, kind):
    bundle = bundle_module.Bundle.model_validate_json(path.read_text("utf-8"))
    found = [e.resource for e in bundle.entry]
    return [r for r in found if r.get_resource_type() == kind]


def test_every_value_and_interval_reads_back_to_the_last_bit(path) -> None:
    told = values_in(path)
    assert len(told) == len(RESULTS.measurements) + 3
    for m in RESULTS.measurements:
        ends = None if m.interval is None else (m.interval.lower, m.interval.upper)
        assert told[m.name] == (m.value, ends)
    assert told["risk_pathological_n_N1"] == (0.2, (0.1, 0.4))


def test_codes_and_units_are_the_standards(path) -> None:
    found = {o.identifier[0].value: o for o in resources(path, "Observation")}
    size, suv = found["tumour_size_mm"], found["suvmax"]
    (coding,) = size.code.coding
    assert (coding.system, coding.code) == ("http://snomed.info/sct", "103339001")
    assert (size.valueQuantity.system, size.valueQuantity.code) == (
        "http://unitsofmeasure.org",
        "mm",
    )
    assert suv.valueQuantity.code == "g/ml{SUVbw}" and suv.method.coding[0].code == "56851009"
    assert found["attenuation"].valueString == "part-solid"


def test_all_is_preliminary_of_the_pseudonym_and_by_the_device(path) -> None:
    (device,) = resources(path, "Device")
    assert device.identifier[0].value == ALGORITHM.bundle
    assert {v.type.text: v.value for v in device.version}["model"] == "ordinal"
    (report,) = resources(path, "DiagnosticReport")
    observations = resources(path, "Observation")
    (risk,) = resources(path, "RiskAssessment")
    for found in (report, risk, *observations):
        assert found.status == "preliminary"
        assert found.subject.identifier.value == PATIENT
    assert risk.performer.reference == f"urn:uuid:{device.id}"
    assert len(report.result) == len(observations)
    assert RESEARCH_ONLY in report.conclusion and RESEARCH_ONLY in risk.note[0].text
    assert resources(path, "Patient") == []


def test_a_risk_by_a_horizon_has_its_time_and_a_stage_has_none(tmp_path, path) -> None:
    write_patient_bundle(replace(RESULTS, risks=(WITHIN,)), tmp_path / "q.json", made=MADE)
    (risk,) = resources(tmp_path / "q.json", "RiskAssessment")
    (prediction,) = risk.prediction
    assert prediction.whenRange.high.value == Decimal(1826)
    assert prediction.whenRange.high.code == "d"
    assert float(prediction.probabilityDecimal) == 1 / 3
    assert "curative surgery" in prediction.outcome.text
    assert "research only" in prediction.rationale
    (stages,) = resources(path, "RiskAssessment")
    assert [p.whenRange for p in stages.prediction] == [None] * 3


def test_without_risk_or_without_measurement(tmp_path) -> None:
    silent = replace(RESULTS, risks=(), why_no_risk="its interval is unknown")
    write_patient_bundle(silent, tmp_path / "a.json", made=MADE)
    assert resources(tmp_path / "a.json", "RiskAssessment") == []
    (report,) = resources(tmp_path / "a.json", "DiagnosticReport")
    assert "No risk is given: its interval is unknown." in report.conclusion
    write_patient_bundle(
        replace(RESULTS, measurements=(), findings=()), tmp_path / "b.json", made=MADE
    )
    assert resources(tmp_path / "b.json", "Observation") == []


def test_references_lead_to_resources_and_the_same_has_the_same_bytes(tmp_path, path) -> None:
    data = json.loads(path.read_text("utf-8"))
    known = {e["fullUrl"] for e in data["entry"]}
    assert len(known) == len(data["entry"])
    asked = set(json.dumps(data).split('"reference": "')[1:])
    assert {a.split('"')[0] for a in asked} <= known
    write_patient_bundle(RESULTS, tmp_path / "again.json", made=MADE)
    assert (tmp_path / "again.json").read_bytes() == path.read_bytes()


def test_what_the_validator_refuses_is_refused(tmp_path, monkeypatch) -> None:
    broken = patient_bundle(RESULTS, made=MADE)
    broken["entry"][1]["resource"]["status"] = 7
    monkeypatch.setattr(fhir, "patient_bundle", lambda *_, **__: broken)
    with pytest.raises(StudyError, match="not valid"):
        write_patient_bundle(RESULTS, tmp_path / "c.json", made=MADE)
    broken = patient_bundle(RESULTS, made=MADE)
    broken["entry"][1]["resource"]["valueQuantity"]["value"] += 1e-9
    monkeypatch.setattr(fhir, "patient_bundle", lambda *_, **__: broken)
    with pytest.raises(StudyError, match="does not read back"):
        write_patient_bundle(RESULTS, tmp_path / "d.json", made=MADE)


def test_without_the_library_it_says_what_to_install(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(fhir, "find_spec", lambda _: None)
    with pytest.raises(StudyError, match=r"metasight\[exchange\]"):
        write_patient_bundle(RESULTS, tmp_path / "e.json", made=MADE)
