"""What a finished study says of each patient, gathered for export: measurements, risks, by what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from metasight.bundle.lock import LISTING
from metasight.decisions.refit_interval import around
from metasight.engine.step import Inputs, StepKind
from metasight.exchange.contents import (
    Algorithm,
    Interval,
    PatientResults,
    Risk,
    lesion_findings,
    lesion_measurements,
)
from metasight.predictions import Predictions
from metasight.protocol.study import Protocol
from metasight.provenance import hash_file
from metasight.steps import artefacts
from metasight.steps.after.staging import silent_patients
from metasight.steps.results import AnalysisNames, ResultsArgument
from metasight.units import DAYS_PER_YEAR

_KIND = "95 % interval of the true risk"
NO_INTERVAL = (
    "a risk is not exported without its interval, for which interval_refits is needed ([analysis])"
)
"""Why a patient has no risk, where the run has no intervals at all."""


@dataclass(frozen=True, kw_only=True)
class ShownRisks:
    """Risks that may be shown.

    Attributes
    ----------
    of
        Pseudonym → risks.
    why_none
        Pseudonym → why none is given.
    notes
        Pseudonym → what else must be known of them.
    """

    of: Mapping[str, tuple[Risk, ...]]
    why_none: Mapping[str, str]
    notes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def shown_risks(inputs: Inputs, argument: ResultsArgument) -> ShownRisks:
    """Every analysed patient's risks by the headline model's fits that did not see the patient.

    Parameters
    ----------
    inputs, argument
        Of the step that collects a run's results.
    """
    return risks_of(
        inputs,
        argument.analyses[0],
        argument.settings.analysis.headline_model,
        argument.protocol,
    )


def risks_of(inputs: Inputs, headline: AnalysisNames, model: str, protocol: Protocol) -> ShownRisks:
    """Every analysed patient's risks by the fits of one model that did not see the patient.

    Parameters
    ----------
    inputs
        Of the step that collects a run's results.
    headline
        The analysis.
    model
        Its name.
    protocol
        Of the study.
    """
    judged = inputs[headline.judged]
    own = _of_model(judged, headline, model)
    asked = artefacts.DATA.read(inputs[headline.data])["horizons_days"]
    own = own[own["label"].notna() | own["horizon_days"].isin(asked)]  # not each day of the curve
    target = own["label"].where(own["label"].notna(), own["horizon_days"].astype("string"))
    mean = own.groupby([own["patient"], target])["risk"].mean()
    ends, silent = _ends(inputs), silent_patients(judged)
    of: dict[str, tuple[Risk, ...]] = {}
    why: dict[str, str] = {}
    for patient in map(str, mean.index.get_level_values(0).unique()):
        found = {str(t): float(v) for t, v in mean.loc[patient].items()}
        if patient in silent:
            why[patient] = silent[patient]
        elif any((patient, t) not in ends for t in found):
            why[patient] = NO_INTERVAL if not ends else "its interval is unknown"
        else:
            of[patient] = tuple(
                _risk(headline.endpoint, t, v, ends[patient, t], protocol)
                for t, v in sorted(found.items(), key=_in_order)
            )
    return ShownRisks(of=of, why_none=why)


def _of_model(judged: Path, headline: AnalysisNames, model: str) -> pd.DataFrame:
    table = Predictions.from_parquet(artefacts.PREDICTIONS.path(judged)).table
    return table[(table["model"] == model) & (table["endpoint"] == headline.endpoint)]


def risk_curves(
    inputs: Inputs, headline: AnalysisNames, model: str
) -> dict[str, tuple[tuple[int, float], ...]]:
    """Each analysed patient's risk by day, the mean over fits that did not see the patient.

    Parameters
    ----------
    inputs, headline, model
        As in :func:`risks_of`.

    Returns
    -------
    Pseudonym → (day, risk) in the order of days; empty for an endpoint without time.
    """
    own = _of_model(inputs[headline.judged], headline, model)
    own = own[own["label"].isna() & own["horizon_days"].notna()]
    mean = own.groupby(["patient", "horizon_days"])["risk"].mean().reset_index()
    columns = (mean[c] for c in ("patient", "horizon_days", "risk"))
    found: dict[str, list[tuple[int, float]]] = {}
    for patient, day, risk in zip(*columns, strict=True):
        found.setdefault(str(patient), []).append((int(day), float(risk)))
    return {p: tuple(sorted(points)) for p, points in found.items()}


def algorithm_of(inputs: Inputs, argument: ResultsArgument, locked: Path | None) -> Algorithm:
    """What found a run's results.

    Parameters
    ----------
    inputs, argument
        Of the step that collects a run's results.
    locked
        Folder of the step that locked the models; None where there is none.
    """
    protocol, provenance = argument.protocol, argument.provenance
    data = artefacts.DATA.read(inputs[argument.analyses[0].data])
    evidence = (
        "A patient's risk is the mean over fits that did not see the patient, in a study of "
        f"{data['n']} patients. The locked models are fitted to all of them"
    )
    if protocol.landmark_days and data["horizons_days"]:
        evidence += (
            f". The risk is that of a patient without an event by day {protocol.landmark_days} "
            f"after the {protocol.time_zero}"
        )
    return Algorithm(
        version=provenance.versions.get("metasight", ""),
        protocol=f"{protocol.id} {protocol.version}",
        run=provenance.run,
        model=argument.settings.analysis.headline_model,
        bundle="" if locked is None else hash_file(locked / "bundle" / LISTING),
        evidence=f"{evidence}.",
    )


def predicted_risks(found: Mapping[str, Any], protocol: Protocol) -> ShownRisks:
    """New patients' risks by locked models.

    Parameters
    ----------
    found
        Content of ``predictions.json``.
    protocol
        Of the bundle.
    """
    kind = _KIND if found["interval"] == "true risk" else "95 % spread over refits of the model"
    of: dict[str, tuple[Risk, ...]] = {}
    why: dict[str, str] = {}
    notes: dict[str, tuple[str, ...]] = {}
    for told in found["patients"]:
        patient = str(told["patient"])
        if told["not_assessed"]:
            criteria = "; ".join(told["not_assessed"])
            notes[patient] = (f"Not assessed, the risk holds if they are met: {criteria}.",)
        if told["why_none"]:
            why[patient] = "; ".join(told["why_none"])
        elif any(r["risk"]["lower"] is None for r in told["risks"]):
            why[patient] = "its interval is unknown"
        else:
            of[patient] = tuple(
                _risk(
                    found["endpoint"],
                    str(r["target"]),
                    r["risk"]["value"],
                    (r["risk"]["lower"], r["risk"]["upper"]),
                    protocol,
                    kind=kind,
                )
                for r in told["risks"]
            )
    return ShownRisks(of=of, why_none=why, notes=notes)


def locked_algorithm(found: Mapping[str, Any], version: str, identity: str) -> Algorithm:
    """The locked models that predicted new patients.

    Parameters
    ----------
    found
        Content of ``predictions.json``.
    version
        Of metasight that predicted.
    identity
        sha256 of the bundle's list of hashes.
    """
    training = found["trained_on"]
    evidence = (
        f"Locked models of run {training['run']}, fitted to {training['patients']} patients "
        f"with {training['events']} events"
    )
    if found["recalibrated"] is not None:
        evidence += f", recalibrated in {found['recalibrated']['patients']} external patients"
    return Algorithm(
        version=version,
        protocol=f"{found['protocol']['id']} {found['protocol']['version']}",
        run=training["run"],
        model=found["model"],
        bundle=identity,
        evidence=f"{evidence}.",
    )


def patient_results(
    patient: str,
    scan: Mapping[str, Any] | None,
    risks: ShownRisks,
    algorithm: Algorithm,
    demonstration: str = "",
) -> PatientResults:
    """All of one patient.

    Parameters
    ----------
    patient
        Pseudonym.
    scan
        Content of the patient's ``scan.json``; None where no scan was measured.
    risks, algorithm
        Of the run.
    demonstration
        What the study is, where it is a demonstration or simulated.
    """
    measured = scan if scan is not None and scan["measured"] else None
    return PatientResults(
        patient=patient,
        algorithm=algorithm,
        measurements=() if measured is None else lesion_measurements(measured),
        findings=() if measured is None else lesion_findings(measured),
        risks=risks.of.get(patient, ()),
        why_no_risk=""
        if patient in risks.of
        else risks.why_none.get(patient, "the patient is not analysed; the ledger says why"),
        notes=risks.notes.get(patient, ()),
        demonstration=demonstration,
    )


def _ends(inputs: Inputs) -> dict[tuple[str, str], tuple[float, float]]:
    """(pseudonym, target) → ends of the interval of the headline model's risk."""
    found = {}
    for own in inputs.with_file(StepKind.FIT_INTERVALS, artefacts.OWN_INTERVALS.name):
        table = pd.read_parquet(artefacts.OWN_INTERVALS.path(own.folder))
        columns = (table[c] for c in ("patient", "target", "lower", "upper"))
        for patient, target, lower, upper in zip(*columns, strict=True):
            found[str(patient), str(target)] = float(lower), float(upper)
    return found


def _risk(
    endpoint: str,
    target: str,
    value: float,
    ends: tuple[float, float],
    protocol: Protocol,
    *,
    kind: str = _KIND,
) -> Risk:
    shown = around(value, *ends)
    label = next(e.label for e in protocol.endpoint if e.name == endpoint)
    lower, upper = shown.ends
    interval = Interval(lower=lower, upper=upper, kind=kind)
    if not target.isdigit():
        return Risk(
            endpoint=endpoint, label=label, target=target, value=shown.value, interval=interval
        )
    return Risk(
        endpoint=endpoint,
        label=label,
        target=f"{int(target) / DAYS_PER_YEAR:.3g} years",
        value=shown.value,
        interval=interval,
        horizon_days=int(target),
        counted_from=f"the {protocol.time_zero}",
    )


def _in_order(item: tuple[str, float]) -> tuple[int, str]:
    """Horizons by their length, stages by their name."""
    return (int(item[0]) if item[0].isdigit() else 0, item[0])
