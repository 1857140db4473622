"""A bundle's models applied to patients of whom no outcome is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from metasight import bundle
from metasight.bundle.alike import differences
from metasight.bundle.content import DISCLAIMER, Bundle, Parent
from metasight.bundle.predict import PatientPrediction, patient_features, predict
from metasight.cohort.eligibility import STAGE
from metasight.engine.step import Inputs, StepKind
from metasight.features.bags import MODALITY as EMBEDDING_MODALITY
from metasight.features.columns import CENTRE, Feature, FeatureTable, Kind
from metasight.features.crops import MODALITY as CROP_MODALITY
from metasight.ledger import Fate, Ledger
from metasight.models.registry import features_of
from metasight.protocol.study import Protocol
from metasight.steps import artefacts
from metasight.steps.cohort.data import build_features, read_acquired
from metasight.steps.risk.fitting import images_of
from metasight.study.file import (
    GENERATED_MODALITY,
    RADIOMICS_MODALITY,
    SCAN_MODALITY,
    SLIDE_MODALITY,
)

FORMAT = 2
OF_SCANS = frozenset({SCAN_MODALITY, RADIOMICS_MODALITY, CROP_MODALITY})
OF_SLIDES = frozenset({SLIDE_MODALITY, GENERATED_MODALITY, EMBEDDING_MODALITY})


@dataclass(frozen=True, kw_only=True)
class PredictArgument:
    """What is applied.

    Attributes
    ----------
    bundle
        Folder of the locked models.
    weights
        sha256 → file of a pretrained backbone.
    """

    bundle: Path
    weights: Mapping[str, Path] = field(default_factory=dict)


def predict_patients(inputs: Inputs, out: Path, argument: PredictArgument) -> None:
    """Write ``predictions.json``: every patient's risk with what it rests on, or why none."""
    locked = bundle.read(argument.bundle)
    cohort = inputs.only(StepKind.SCREEN)
    table = _features(locked, cohort)
    patients = [str(p) for p in table.values.index]
    verdicts = _verdicts(cohort, locked.protocol)
    otherwise = measured_otherwise(locked, cohort, patients)
    refused = {
        p: (*(f"not eligible: {v}" for v in verdicts[Fate.EXCLUDED].get(p, ())), *otherwise[p])
        for p in patients
    }
    told = predict(
        locked,
        patient_features(locked, table),
        images_of(inputs, argument.weights),
        refused=refused,
        unassessed=verdicts[Fate.UNKNOWN],
    )
    artefacts.NEW_PREDICTIONS.write(out, to_json(locked, told))


def _features(locked: Bundle, cohort: Path) -> FeatureTable:
    """Features of all patients in the cohort's tables."""
    values = pd.read_parquet(artefacts.PATIENT_TABLE.path(cohort))
    modalities = artefacts.COHORT.read(cohort)["modalities"]
    features = build_features(cohort, modalities, locked.protocol, [str(p) for p in values.index])
    centre = next((f for f in locked.features if f.name == CENTRE), None)
    if centre is None or CENTRE not in values:
        return features
    told = values.loc[features.values.index, CENTRE].astype(object)
    about = Feature(
        name=CENTRE, kind=Kind.CATEGORICAL, modality=centre.modality, levels=centre.levels
    )
    return FeatureTable(features.values.assign(**{CENTRE: told}), (*features.features, about))


def measured_otherwise(
    locked: Bundle, cohort: Path, patients: Sequence[str]
) -> dict[str, tuple[str, ...]]:
    """Pseudonym → what was measured otherwise than in training, of what the models read."""
    about = {f.name: f.modality for f in locked.features}
    read = {about[n] for n in features_of(dict(locked.states[locked.headline_model])) if n in about}
    acquired = read_acquired(cohort)
    return {
        p: differences(
            locked.acquired,
            acquired.get(p, {}),
            scans=bool(read & OF_SCANS),
            slides=bool(read & OF_SLIDES),
        )
        for p in patients
    }


def _verdicts(cohort: Path, protocol: Protocol) -> dict[Fate, dict[str, list[str]]]:
    """Criteria by verdict and patient, in words.

    Criteria that ask for an outcome or select on the future say nothing of a patient who has none
    yet, and do not count.
    """
    outcomes = {v.name for v in protocol.variable if v.role == "outcome"}
    found: dict[Fate, dict[str, list[str]]] = {Fate.EXCLUDED: {}, Fate.UNKNOWN: {}}
    for entry in Ledger.from_parquet(artefacts.LEDGER.path(cohort)).entries:
        criterion = protocol.criteria.get(entry.criterion)
        if entry.stage != STAGE or criterion is None or criterion.selects_on_future:
            continue
        if outcomes & set(criterion.condition.variables()):
            continue
        if entry.verdict in found:
            said = f"{criterion.id}, {criterion.text}"
            found[entry.verdict].setdefault(entry.patient, []).append(said)
    return found


def to_json(locked: Bundle, told: Sequence[PatientPrediction]) -> dict[str, Any]:
    """What others read; described by ``docs/schema/predictions.json``."""
    return {
        "format": FORMAT,
        "disclaimer": DISCLAIMER,
        "demonstration": locked.settings.demonstration,
        "protocol": {"id": locked.protocol.id, "version": locked.protocol.version},
        "endpoint": locked.endpoint,
        "model": locked.headline_model,
        "trained_on": {
            "run": locked.training.run,
            "patients": locked.training.patients,
            "events": locked.training.events,
            "centres": locked.training.centres,
        },
        "recalibrated": _recalibrated(locked.parent),
        "refits": _refits(locked),
        "interval": "true risk" if locked.intervals is not None else "refits",
        "patients": [_patient(p) for p in told],
    }


def _recalibrated(parent: Parent | None) -> dict[str, Any] | None:
    """How the model's risks were changed after its training, and on whom."""
    if parent is None:
        return None
    return {"method": parent.method, "patients": parent.patients, "events": parent.events}


def _refits(locked: Bundle) -> int:
    """How many refits intervals come from."""
    intervals = locked.patient_intervals()
    if intervals is None:
        return len(locked.refits)
    return max((len(b) for b in intervals.refits.values()), default=0)


def _patient(told: PatientPrediction) -> dict[str, Any]:
    return {
        "patient": told.patient,
        "risks": [
            {"target": r.target, "risk": r.risk.to_json(), "percentile": r.percentile}
            for r in told.risks
        ],
        "why_none": list(told.why_none),
        "not_assessed": list(told.unassessed),
        "contributions": [asdict(c) for c in told.contributions],
        "by_modality": [asdict(c) for c in told.by_modality],
        "missing": list(told.missing),
        "distance": told.distance,
    }
