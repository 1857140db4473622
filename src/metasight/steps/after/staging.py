"""The guideline's rule and the model's risk, for each patient and over all who were examined."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from metasight.cohort.outcome import NodalOutcome
from metasight.decisions.centrality import Centrality
from metasight.decisions.nodal_staging import (
    NodalRisks,
    StagingLimits,
    after_negative_ebus,
    ebus_needed,
    guideline,
    staging_view,
)
from metasight.decisions.refit_interval import (
    FEWEST_REFITS,
    around,
    refit_interval,
    unseen_spread,
)
from metasight.decisions.staging_table import staging_cells
from metasight.engine.step import Inputs, StepKind
from metasight.errors import EvaluationError, StudyError
from metasight.estimate import Estimate
from metasight.predictions import NODAL_LABELS
from metasight.steps import artefacts
from metasight.steps.cohort.data import load_data
from metasight.steps.files import number
from metasight.steps.risk.out_of_fold import out_of_fold_stages
from metasight.validation.abstention import is_silent
from metasight.validation.gain_over_rule import gain_over_rule

Found = dict[str, Any]
Floats = NDArray[np.float64]

STAGING = "nodal staging"

_INTERVALS = {"true risk": "95 % interval", "refits": "spread over refits"}
"""What is said of a patient's interval, by what it is of."""
_SHOWN_RISKS = (0.05, 0.10, 0.15, 0.20, 0.30)


@dataclass(frozen=True, kw_only=True)
class StagingArgument:
    """What is held against what.

    Attributes
    ----------
    data, judged
        Names of the analysis' data and evaluation steps.
    model
        Headline model.
    limits
        Of the protocol.
    resamples, seed
        Of the bootstrap of patients.
    demonstration
        What the study is, where it is a demonstration or simulated; said with every risk.
    central
        What the protocol calls central.
    """

    data: str
    judged: str
    model: str
    limits: StagingLimits
    resamples: int
    seed: int
    demonstration: str = ""
    central: str = ""


def stage_patients(inputs: Inputs, out: Path, argument: StagingArgument) -> None:
    """Write ``staging.json``: each patient's view, and what rule and risk do in the examined."""
    data, _, _ = load_data(inputs[argument.data])
    why, risk = "", None
    if not isinstance(data.outcome, NodalOutcome):
        why = "the study has no nodal stage endpoint"
    else:
        risk = out_of_fold_stages(inputs, argument.model)
        why = "" if risk is not None else "the headline model could not be fitted"
    intervals = None if risk is None else _intervals(inputs, data.patients, risk)
    if not why and intervals is None:
        why = (
            "a risk is not shown without its interval, for which interval_refits or, of a model "
            f"that reads images, at least {FEWEST_REFITS} instability_resamples are needed "
            "([analysis])"
        )
    if why or risk is None or intervals is None or not isinstance(data.outcome, NodalOutcome):
        artefacts.STAGING.write(out, {"model": argument.model, "skipped": why})
        return
    table = pd.read_parquet(artefacts.PATIENT_TABLE.path(inputs["cohort"]))
    stage = pd.Series(np.asarray(data.outcome.stage), index=list(data.patients))
    silent = silent_patients(inputs[argument.judged])
    evidence = _evidence(inputs, argument, data.centre, stage)
    places = _places(inputs)
    rows = [
        _patient(
            str(p),
            table.loc[p],
            intervals.of.get(str(p)),
            silent.get(str(p), ""),
            argument.limits,
            evidence=evidence,
            interval=_INTERVALS[intervals.kind],
            definition=argument.central,
            place=places.get(str(p)),
        )
        for p in data.patients
        if p in risk.index
    ]
    told = pd.DataFrame(rows).set_index("patient")
    examined = [p for p in told.index if stage[p] >= 0]
    mediastinal = (stage.loc[examined] == len(NODAL_LABELS) - 1).to_numpy()
    artefacts.STAGING.write(
        out,
        {
            "model": argument.model,
            "limits": asdict(argument.limits),
            "evidence": evidence,
            "interval": intervals.kind,
            "patients": rows,
            "centrality": _centrality(argument.central, list(places.values())),
            "cells": _cells(told, stage, argument.limits),
            "benefit": _benefit(told.loc[examined], mediastinal, argument),
            "ebus": [_after(r, argument.limits) for r in _SHOWN_RISKS],
        },
    )


@dataclass(frozen=True, kw_only=True)
class _Intervals:
    """Patients' risks with their intervals.

    Attributes
    ----------
    kind
        ``true risk``, or ``refits`` where only the spread of the model's own refits is known.
    of
        By pseudonym; None where it is not known.
    """

    kind: str
    of: dict[str, NodalRisks | None]


def _intervals(inputs: Inputs, patients: Sequence[str], risk: pd.DataFrame) -> _Intervals | None:
    """Every patient's intervals; None where there are none at all.

    Parameters
    ----------
    risk
        Probability of each nodal stage, a row a patient.
    """
    none, first, second = NODAL_LABELS
    any_node = 1 - risk[none]
    for found in inputs.with_file(StepKind.FIT_INTERVALS, artefacts.OWN_INTERVALS.name):
        table = pd.read_parquet(artefacts.OWN_INTERVALS.path(found.folder))
        table = table[table["patient"].isin(risk.index)]
        ends = {
            (str(p), str(t)): (float(low), float(up))
            for p, t, low, up in zip(
                table["patient"], table["target"], table["lower"], table["upper"], strict=True
            )
        }
        known = [p for p, target in ends if target == none]
        if known:
            return _Intervals(
                kind="true risk",
                of={
                    p: NodalRisks(
                        any_node=around(
                            float(any_node[p]), 1 - ends[p, none][1], 1 - ends[p, none][0]
                        ),
                        n1=_around(risk, ends, p, first),
                        n2=_around(risk, ends, p, second),
                    )
                    for p in known
                },
            )
    spreads = _spreads(inputs)
    if spreads is None:
        return None
    of: dict[str, NodalRisks | None] = {}
    for row, patient in enumerate(patients):
        if patient not in risk.index:
            continue
        points = [float(of_all[patient]) for of_all in (any_node, risk[first], risk[second])]
        shown = [
            refit_interval(point, float(spread[row]))
            for point, spread in zip(points, spreads, strict=True)
        ]
        of[str(patient)] = (
            None if shown[0] is None else NodalRisks(any_node=shown[0], n1=shown[1], n2=shown[2])
        )
    return _Intervals(kind="refits", of=of)


def _around(
    risk: pd.DataFrame, ends: dict[tuple[str, str], tuple[float, float]], patient: str, stage: str
) -> Estimate | None:
    if (patient, stage) not in ends:
        return None
    return around(float(risk[stage][patient]), *ends[patient, stage])


def _spreads(inputs: Inputs) -> tuple[Floats, Floats, Floats] | None:
    """SDs of each patient's log-odds of any node, N1 and N2 over refits without the patient.

    None with too few refits.
    """
    folders = [i.folder for i in inputs.with_file(StepKind.FIT_RESAMPLE, artefacts.RISK.name)]
    if len(folders) < FEWEST_REFITS:
        return None
    stages = np.stack([np.load(artefacts.RISK.path(f)) for f in folders])
    drawn = np.stack([np.load(artefacts.RESAMPLE_INDEX.path(f)) for f in folders])
    asked = (1 - stages[:, :, 0], stages[:, :, 1], stages[:, :, 2])
    any_node, first, second = (unseen_spread(p, drawn) for p in asked)
    return any_node, first, second


def _places(inputs: Inputs) -> dict[str, Centrality]:
    """Centrality of the patients whose lesion was measured on a scan."""
    found = {}
    for own in inputs.of(StepKind.MEASURE_SCANS):
        told = artefacts.SCAN.read(own.folder)
        place = Centrality.of(told["measured"])
        if place is not None:
            found[str(told["patient"])] = place
    return found


def _centrality(definition: str, places: Sequence[Centrality]) -> Found:
    """How many of the measured lesions are central, and of how many definitions disagree."""
    known = [p for p in places if p.central is not None]
    return {
        "definition": definition,
        "measured": len(known),
        "central": sum(bool(p.central) for p in known),
        "disagree": sum(p.disagree for p in known),
    }


def silent_patients(judged: Path) -> dict[str, str]:
    """Patients about whom the model is silent, each with the reason."""
    told = artefacts.ABSTENTION.read_if_there(judged)
    if told is None:
        return {}
    found = {}
    for patient, distance in told["distances"].items():
        if distance is None:
            found[patient] = (
                "the measurements needed to compare a patient with the training patients are "
                "missing"
            )
        elif is_silent(distance):
            found[patient] = (
                "the patient differs from the training patients (distance "
                f"{distance:.1f} of the limit)"
            )
    return found


def _evidence(inputs: Inputs, argument: StagingArgument, centre: Any, stage: Any) -> str:
    """What the risks rest on, in words."""
    info = artefacts.EVALUATION.read(inputs[argument.judged])
    targets = info["models"][argument.model]["targets"]
    auc = targets[0]["auc"]
    examined = stage[stage >= 0]
    centres = centre[examined.index].nunique()
    text = (
        f"{len(examined)} patients with examined nodes ({int((examined > 0).sum())} positive) "
        f"of {centres} {'centre' if centres == 1 else 'centres'}, each predicted by a model "
        "that had not seen them"
    )
    if auc.get("lower") is not None:
        text += f", AUC {auc['value']:.2f} ({auc['lower']:.2f} to {auc['upper']:.2f})"
    if argument.demonstration:
        text += f". {argument.demonstration.rstrip('.')}"
    return text


def _patient(
    patient: str,
    row: Any,
    risks: NodalRisks | None,
    silent: str,
    limits: StagingLimits,
    *,
    evidence: str,
    interval: str,
    definition: str = "",
    place: Centrality | None = None,
) -> Found:
    """One patient's view; cN0 after PET/CT means that no node is positive on it."""
    size, central = _known(row.get("tumour_size_mm")), _known(row.get("central"))
    rule_central = None if central is None else bool(central)
    pet = _known(row.get("pet_ct"))
    rule = guideline(
        None if size is None else float(size),
        rule_central,
        False if pet else None,
        limits,
        central_means=definition,
    )
    if not silent and risks is None:
        silent = "its interval is unknown: too few refits excluded this patient"
    shown = None if silent else risks
    view = staging_view(
        rule,
        shown,
        limits,
        evidence=evidence,
        pet_negative=True if pet else None,
        abstains=silent,
        interval=interval,
        centrality="" if place is None else place.sentence(rule_central),
    )
    told = asdict(view)
    told["patient"] = patient
    told["verdict"] = rule.verdict
    told["value"] = None if shown is None else shown.any_node.value
    told["central_value"] = None if place is None else place.value
    told["n2"] = None if shown is None or shown.n2 is None else shown.n2.value
    return told


def _known(value: Any) -> Any:
    return None if value is None or pd.isna(value) else value


# ------------------------------------------------------------------ over all who were examined


def _cells(told: pd.DataFrame, stage: pd.Series, limits: StagingLimits) -> list[Found]:
    cells = staging_cells(
        list(told["verdict"]),
        told["value"].to_numpy(dtype=np.float64),
        stage.loc[told.index].to_numpy(),
        limits.thresholds,
    )
    return [
        {
            "rule": c.rule,
            "from": c.low,
            "to": c.high,
            "patients": c.patients,
            "examined": c.examined,
            "positive": c.positive,
        }
        for c in cells
    ]


def _benefit(told: pd.DataFrame, positive: NDArray[np.bool_], argument: StagingArgument) -> Found:
    """Net benefit among the examined patients of whom both rule and risk of N2 say something.

    Invasive staging of the mediastinum finds N2: that is what both are judged by.
    """
    if told["n2"].isna().all():
        return {"skipped": "no patient's risk of N2 is known with an interval"}
    here = (told["n2"].notna() & (told["verdict"] != "unknown")).to_numpy()
    try:
        rows = gain_over_rule(
            told.loc[here, "n2"].to_numpy(dtype=np.float64),
            (told.loc[here, "verdict"] == "indicated").to_numpy(),
            positive[here],
            argument.limits.thresholds,
            resamples=argument.resamples,
            seed=argument.seed,
        )
    except EvaluationError as error:
        return {"skipped": error.problem}
    return {
        "patients": int(here.sum()),
        "positive": int(positive[here].sum()),
        "rows": [{**asdict(row), "gain": row.gain.to_json()} for row in rows],
    }


def _after(risk: float, limits: StagingLimits) -> Found:
    """What a negative EBUS leaves of a risk, and the sensitivity it needs to reach the lowest."""
    rest = after_negative_ebus(Estimate(value=risk, lower=risk, upper=risk), limits)
    return {
        "risk": risk,
        "after": rest.to_json(),
        "needed": number(ebus_needed(risk, limits.thresholds[0], limits)),
    }


# ------------------------------------------------------------------ one patient, for the clinician


def staging_of(folder: Path, patient: str) -> tuple[str, ...]:
    """What the last run says of one patient, in sentences.

    Parameters
    ----------
    folder
        Of the study.
    patient
        Study pseudonym.

    Raises
    ------
    StudyError
        There are no such results, or the patient is not among them.
    """
    latest = folder / "results" / "latest"
    told = artefacts.STAGING.read_if_there(latest)
    if told is None:
        raise StudyError(
            "there are no results on staging",
            where="results/latest",
            remedy="Run the study first: `metasight run FOLDER`; its protocol must have "
            "[nodal_staging]",
        )
    if "skipped" in told:
        raise StudyError(f"no risk is given: {told['skipped']}", where=artefacts.STAGING.name)
    found = next((p for p in told["patients"] if p["patient"] == patient), None)
    if found is None:
        raise StudyError(
            "the patient is not among those with a prediction",
            where=artefacts.STAGING.name,
            remedy="Give the id as in the patient table; the ledger lists who was excluded and why",
        )
    return tuple(found["text"])
