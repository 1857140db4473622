"""Nodal status that nobody looked at: accuracy with it in, and what became of those patients.

The patients of the arm in which nodes are not examined have out-of-fold risks like the others.
Accuracy is corrected for them in three ways and under departures from missing at random; and since
their nodes are never seen, regional recurrence by risk group, death competing, says whether the
risk means anything there.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from metasight.cohort.covariates import complete_covariates
from metasight.cohort.outcome import NodalOutcome, SurvivalOutcome, build_outcome
from metasight.engine.step import Inputs
from metasight.errors import EvaluationError, StudyError
from metasight.protocol.study import Protocol
from metasight.steps import artefacts
from metasight.steps.cohort.data import load_data
from metasight.steps.files import number
from metasight.steps.risk.out_of_fold import out_of_fold_risks
from metasight.units import years_to_days
from metasight.validation.risk_groups import RiskGroup, incidence_by_risk_group
from metasight.validation.verification import (
    METHODS,
    Verified,
    corrected_accuracy,
    tipping_curve,
)

Floats = npt.NDArray[np.float64]
Found = dict[str, Any]

VERIFICATION = "verification"
_BEYOND = ("kps", "age_years")
"""What decides between surgery and SBRT, whether or not a model reads it."""


@dataclass(frozen=True, kw_only=True)
class VerificationArgument:
    """What is corrected.

    Attributes
    ----------
    data
        Name of the step of the analysis data.
    model
        Headline model.
    protocol, not_recorded
        Of the study.
    thresholds
        Risks of any nodal disease.
    resamples, seed
        Of the bootstrap.
    """

    data: str
    model: str
    protocol: Protocol
    not_recorded: dict[str, str]
    thresholds: tuple[float, ...]
    resamples: int
    seed: int


def verify(inputs: Inputs, out: Path, argument: VerificationArgument) -> None:
    """Write ``verification.json``: corrected accuracy, tipping curves, recurrence by risk group."""
    data, _, _ = load_data(inputs[argument.data])
    if not isinstance(data.outcome, NodalOutcome):
        artefacts.VERIFICATION.write(out, {"skipped": "the study has no nodal stage endpoint"})
        return
    stage = pd.Series(np.asarray(data.outcome.stage), index=list(data.features.values.index))
    found = out_of_fold_risks(inputs, argument.model)
    if found is None:
        why = "the headline model could not be fitted"
        artefacts.VERIFICATION.write(out, {"model": argument.model, "skipped": why})
        return
    risk = found.reindex(stage.index)
    known = risk.notna()
    stage, risk = stage[known], risk[known]
    told: Found = {
        "model": argument.model,
        "patients": len(stage),
        "examined": int((stage >= 0).sum()),
        "thresholds": list(argument.thresholds),
    }
    table = pd.read_parquet(artefacts.PATIENT_TABLE.path(inputs["cohort"]))
    names, covariates = complete_covariates(
        table.loc[stage.index], (*argument.protocol.clinical_predictors, *_BEYOND)
    )
    told["covariates"] = names
    told |= _corrected(argument, risk, stage, covariates)
    told["recurrence"] = _recurrence(argument, table, risk)
    artefacts.VERIFICATION.write(out, told)


def _corrected(
    argument: VerificationArgument, risk: pd.Series, stage: pd.Series, covariates: Floats
) -> Found:
    disease = np.where(stage >= 0, (stage > 0).astype(float), np.nan)
    if np.isfinite(disease).all():
        return {"skipped": "every patient’s nodes were examined"}
    try:
        data = Verified(
            risk=risk.to_numpy(dtype=np.float64), disease=disease, covariates=covariates
        )
    except EvaluationError as error:
        return {"skipped": str(error)}
    rows: list[Found] = []
    refused: list[str] = []
    for method in METHODS:
        for threshold in argument.thresholds:
            try:
                found = corrected_accuracy(
                    data, threshold, method, seed=argument.seed, resamples=argument.resamples
                )
            except EvaluationError as error:
                refused.append(f"{method.replace('_', ' ')}: {error}")
                break
            rows.append(_plain(asdict(found)))
    middle = argument.thresholds[len(argument.thresholds) // 2 - 1]
    curve = tipping_curve(data, middle, seed=argument.seed, resamples=argument.resamples)
    return {"rows": rows, "refused": refused, "tipping": _plain(asdict(curve))}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, np.ndarray):
        return [number(float(v)) for v in value]
    return number(value) if isinstance(value, float) else value


# ------------------------------------------------------------------ the arm itself


def _recurrence(
    argument: VerificationArgument, table: pd.DataFrame, risk: pd.Series
) -> list[Found]:
    """Cumulative incidence of regional recurrence by risk group, for each survival endpoint."""
    found: list[Found] = []
    for endpoint in argument.protocol.endpoint:
        if endpoint.type != "survival":
            continue
        try:
            told = build_outcome(
                endpoint,
                table,
                list(risk.index),
                argument.not_recorded,
                landmark_days=argument.protocol.landmark_days,
            )
        except StudyError as error:
            found.append({"endpoint": endpoint.label, "skipped": str(error)})
            continue
        if not isinstance(told.outcome, SurvivalOutcome) or not told.patients:
            continue
        own = risk.reindex(list(told.patients)).to_numpy(dtype=np.float64)
        horizons = [float(h) for h in endpoint.horizons_days]
        groups = incidence_by_risk_group(
            own,
            told.outcome.time_days,
            told.outcome.status,
            edges=(argument.thresholds[0], argument.thresholds[-1]),
            horizons_days=horizons,
            shown_days=years_to_days(10),
        )
        found.append(
            {
                "endpoint": endpoint.label,
                "horizons_days": horizons,
                "patients": len(own),
                "groups": [_plain_group(g) for g in groups],
            }
        )
    return found


def _plain_group(group: RiskGroup) -> Found:
    row: Found = {
        "from": group.low,
        "to": group.high,
        "patients": group.patients,
        "events": group.events,
    }
    if group.followed_to is not None:
        row["at"] = [None if e is None else e.to_json() for e in group.at]
        row["curve"] = {"days": _plain(group.days), "incidence": _plain(group.incidence)}
        row["followed_to"] = group.followed_to
    return row
