"""Measurements and risk of a patient as a FHIR R4B bundle of preliminary, research-only results.

The patient is referred to by the study's pseudonym and is no resource of the bundle: the system
that reads it puts its own in place. Every interval is a component (of an observation) or an
extension (of a prediction) with its ends and what it is.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from metasight.errors import StudyError
from metasight.exchange.codes import OWN_SCHEME, SYSTEMS, Code
from metasight.exchange.contents import (
    Algorithm,
    Finding,
    Interval,
    Measurement,
    PatientResults,
    Risk,
)
from metasight.provenance import hash_json

PSEUDONYM = "urn:x-metasight:pseudonym"
INTERVAL = "urn:x-metasight:interval"
LOCKED_MODELS = "urn:x-metasight:locked-models-sha256"
_OBSERVATION_CATEGORY = {
    "system": "http://terminology.hl7.org/CodeSystem/observation-category",
    "code": "imaging",
}
Resource = dict[str, Any]


def require_fhir() -> None:
    """Refuse to write FHIR that cannot be validated.

    Raises
    ------
    StudyError
        fhir.resources is not installed.
    """
    if find_spec("fhir") is None:
        raise StudyError(
            "FHIR is written with fhir.resources, which is not installed",
            remedy="pip install 'metasight[exchange]'",
        )


def patient_bundle(results: PatientResults, *, made: dt.datetime) -> Resource:
    """The bundle as plain data, not yet validated.

    Parameters
    ----------
    results
        Of the patient; with a measurement or a risk.
    made
        When, with its time zone.
    """
    stamp = made.isoformat()
    device = _device(results.algorithm)
    subject = {
        "type": "Patient",
        "identifier": {"system": PSEUDONYM, "value": results.patient},
        "display": results.patient,
    }
    common = {"status": "preliminary", "subject": subject}
    by = _reference(device)
    observed = [
        *(_measured(m, results) for m in results.measurements),
        *(_found(f, results) for f in results.findings),
    ]
    observations = [
        _resource("Observation", results, {**common, "device": by, "issued": stamp, **o})
        for o in observed
    ]
    risks = _risk_assessment(results, common, by, observations)
    report = {
        **common,
        "code": {"text": "metasight measurements and predicted risk, research only"},
        "issued": stamp,
        "result": [_reference(o) for o in observations],
        "conclusion": _conclusion(results),
    }
    if not observations:
        del report["result"]
    resources = [device, *observations, *risks, _resource("DiagnosticReport", results, report)]
    return {
        "resourceType": "Bundle",
        "type": "collection",
        "timestamp": stamp,
        "entry": [{"fullUrl": f"urn:uuid:{r['id']}", "resource": r} for r in resources],
    }


def write_patient_bundle(results: PatientResults, path: Path, *, made: dt.datetime) -> None:
    """Write a bundle, validate the file and compare what it states with the study's results.

    Raises
    ------
    StudyError
        The validator refuses it, a value does not read back as written, or fhir.resources is not
        installed.
    """
    require_fhir()
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(patient_bundle(results, made=made), ensure_ascii=False, indent=1)
    path.write_text(text + "\n", "utf-8")
    stated = values_in(path)
    wanted = {m.name: (m.value, m.interval) for m in results.measurements}
    wanted |= {r.name: (r.value, r.interval) for r in results.risks}
    expected = {n: (v, None if i is None else (i.lower, i.upper)) for n, (v, i) in wanted.items()}
    if stated != expected:
        raise StudyError(
            "the FHIR bundle does not read back as it was written",
            where=results.patient,
            remedy="Report this: it is a fault in metasight",
        )


def values_in(path: Path) -> dict[str, tuple[float, tuple[float, float] | None]]:
    """Measurements and risks of a bundle by the study's name: value, and ends of the interval.

    Raises
    ------
    StudyError
        It is no valid FHIR R4B bundle.
    """
    from fhir.resources.R4B.bundle import Bundle
    from pydantic import ValidationError

    try:
        bundle: Any = Bundle.model_validate_json(path.read_text("utf-8"))
    except ValidationError as error:
        first = error.errors()[0]
        raise StudyError(
            "the FHIR bundle is not valid",
            where=path.name,
            value=".".join(map(str, first["loc"])),
            remedy="Report this: it is a fault in metasight",
        ) from error
    found: dict[str, tuple[float, tuple[float, float] | None]] = {}
    for entry in bundle.entry:
        resource = entry.resource
        if resource.get_resource_type() == "Observation" and resource.valueQuantity is not None:
            ranges = [c.valueRange for c in resource.component or ()]
            name = resource.identifier[0].value
            found[name] = float(resource.valueQuantity.value), _ends(ranges)
        if resource.get_resource_type() == "RiskAssessment":
            for prediction in resource.prediction:
                ranges = [x.valueRange for x in prediction.extension if x.url == INTERVAL]
                name = prediction.outcome.coding[0].code
                found[name] = float(prediction.probabilityDecimal), _ends(ranges)
    return found


def _ends(ranges: Sequence[Any]) -> tuple[float, float] | None:
    return (float(ranges[0].low.value), float(ranges[0].high.value)) if ranges else None


# ------------------------------------------------------------------ resources


def _device(algorithm: Algorithm) -> Resource:
    """The software, its version, and which locked models."""
    told = {"software": algorithm.version, "protocol": algorithm.protocol, "run": algorithm.run}
    told["model"] = algorithm.model
    body: Resource = {
        "status": "active",
        "deviceName": [{"name": Algorithm.NAME, "type": "manufacturer-name"}],
        "type": {"text": "Research software, not a medical device"},
        "version": [{"type": {"text": k}, "value": v} for k, v in told.items() if v],
    }
    if algorithm.bundle:
        body["identifier"] = [{"system": LOCKED_MODELS, "value": algorithm.bundle}]
    return {"resourceType": "Device", "id": _id("Device", body), **body}


def _resource(kind: str, results: PatientResults, body: Resource) -> Resource:
    return {"resourceType": kind, "id": _id(kind, [results.patient, body]), **body}


def _measured(found: Measurement, results: PatientResults) -> Resource:
    about = found.code
    body: Resource = {
        "identifier": [{"system": SYSTEMS[OWN_SCHEME], "value": found.name}],
        "category": [{"coding": [_OBSERVATION_CATEGORY]}],
        "code": {"coding": [_coding(about.concept)], "text": found.name},
        "valueQuantity": _quantity(found.value, about.unit),
        **_site(results.findings),
    }
    if about.derivation is not None:
        body["method"] = {"coding": [_coding(about.derivation)]}
    if found.interval is not None:
        code = {"text": found.interval.kind}
        body["component"] = [{"code": code, "valueRange": _range(found.interval, about.unit)}]
    return body


def _found(finding: Finding, results: PatientResults) -> Resource:
    return {
        "identifier": [{"system": SYSTEMS[OWN_SCHEME], "value": finding.name}],
        "category": [{"coding": [_OBSERVATION_CATEGORY]}],
        "code": {"text": finding.name.replace("_", " ")},
        "valueString": finding.value,
        **_site(results.findings),
    }


def _risk_assessment(
    results: PatientResults,
    common: Resource,
    by: Resource,
    observations: Sequence[Resource],
) -> list[Resource]:
    """One assessment with a prediction for each stage or horizon; none where no risk is given."""
    if not results.risks:
        return []
    body = {
        **common,
        "method": {"text": "; ".join(results.algorithm.parameters)},
        "performer": by,
        "prediction": [_prediction(r) for r in results.risks],
        "note": [
            {"text": t} for t in (results.notice, results.algorithm.evidence, *results.notes) if t
        ],
    }
    if observations:
        body["basis"] = [_reference(o) for o in observations]
    return [_resource("RiskAssessment", results, body)]


def _prediction(risk: Risk) -> Resource:
    code = {"system": SYSTEMS[OWN_SCHEME], "code": risk.name, "display": risk.words}
    unit = risk.code.unit
    ends = f"{risk.interval.lower:.3g} to {risk.interval.upper:.3g}"
    told: Resource = {
        "extension": [
            {"url": INTERVAL, "valueRange": _range(risk.interval, unit)},
        ],
        "outcome": {"coding": [code], "text": risk.words},
        "probabilityDecimal": risk.value,
        "rationale": f"{risk.interval.kind}: {ends}. For research only.",
    }
    if risk.horizon_days is not None:
        day = Code(value="d", scheme="UCUM", meaning="day")
        told["whenRange"] = {
            "low": _quantity(0, day),
            "high": _quantity(risk.horizon_days, day),
        }
    return told


def _conclusion(results: PatientResults) -> str:
    lines = [results.notice]
    for risk in results.risks:
        low, high = risk.interval.lower, risk.interval.upper
        lines.append(
            f"{risk.words}: {100 * risk.value:.1f} % ({risk.interval.kind} {100 * low:.1f} % to "
            f"{100 * high:.1f} %)."
        )
    lines += results.notes
    if results.why_no_risk:
        lines.append(f"No risk is given: {results.why_no_risk}.")
    return "\n".join(lines)


def _site(findings: Iterable[Finding]) -> Mapping[str, Any]:
    told = {f.name: f.value for f in findings}
    where = f"{told['lobe']} lobe of lung" if "lobe" in told else "Lung"
    coding = {"system": SYSTEMS["SCT"], "code": "39607008", "display": "Lung"}
    return {"bodySite": {"coding": [coding], "text": where}}


def _range(interval: Interval, unit: Code) -> Resource:
    return {"low": _quantity(interval.lower, unit), "high": _quantity(interval.upper, unit)}


def _quantity(value: float, unit: Code) -> Resource:
    return {"value": value, "unit": unit.meaning, "system": unit.system, "code": unit.value}


def _coding(code: Code) -> Resource:
    return {"system": code.system, "code": code.value, "display": code.meaning}


def _reference(resource: Resource) -> Resource:
    return {"reference": f"urn:uuid:{resource['id']}", "type": resource["resourceType"]}


def _id(kind: str, body: Any) -> str:
    """A UUID of the content (version 8 of RFC 9562: made of a hash)."""
    digest = hash_json([kind, body])
    return f"{digest[:8]}-{digest[8:12]}-8{digest[13:16]}-a{digest[17:20]}-{digest[20:32]}"
