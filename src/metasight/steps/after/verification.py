"""Nodal status that nobody looked at: accuracy with it in, and what became of those patients.

The patients of the arm in which nodes are not examined have out-of-fold risks like the others.
Accuracy is corrected for them in three ways and under departures from missing at random; and since
their nodes are never seen, regional recurrence by risk group, death competing, says whether the
risk means anything there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import norm

from metasight.cohort.outcome import NodalOutcome, SurvivalOutcome, build_outcome
from metasight.engine.step import Inputs
from metasight.errors import EvaluationError, StudyError
from metasight.predictions import Predictions
from metasight.protocol.study import Protocol
from metasight.steps.cohort.data import load_data
from metasight.steps.files import number, read_json, write_json
from metasight.units import years_to_days
from metasight.validation.curves import aalen_johansen
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
        write_json(out / "verification.json", {"skipped": "no nodal stage is judged"})
        return
    stage = pd.Series(np.asarray(data.outcome.stage), index=list(data.features.values.index))
    found = out_of_fold_risks(inputs, argument.model)
    if found is None:
        why = "the headline model could not be fitted"
        write_json(out / "verification.json", {"model": argument.model, "skipped": why})
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
    table = pd.read_parquet(inputs["cohort"] / "table.parquet")
    names, covariates = _covariates(table.loc[stage.index], argument.protocol)
    told["covariates"] = names
    told |= _corrected(argument, risk, stage, covariates)
    told["recurrence"] = _recurrence(argument, table, risk)
    write_json(out / "verification.json", told)


def out_of_fold_risks(inputs: Inputs, model: str) -> pd.Series | None:
    """Mean out-of-fold risk of any nodal disease over the repeats; None where no fit succeeded."""
    parts = []
    for folder in inputs.values():
        audit = folder / "audit.json"
        if not audit.is_file():
            continue
        of = read_json(audit)
        if of["scheme"] == "kfold" and of["model"] == model:
            parts.append(Predictions.from_parquet(folder / "predictions.parquet").table)
    if not parts:
        return None
    rows = pd.concat(parts)
    free = rows[rows["label"] == "N0"]
    mean: pd.Series = 1 - free.groupby("patient")["risk"].mean()
    return mean


def _covariates(table: pd.DataFrame, protocol: Protocol) -> tuple[list[str], Floats]:
    """Clinical predictors and what decides the arm: numbers, missing ones at their median."""
    names = list(dict.fromkeys((*protocol.clinical_predictors, *_BEYOND)))
    kept, columns = [], []
    for name in names:
        if name not in table:
            continue
        column = pd.to_numeric(table[name], errors="coerce").astype(float)
        if column.notna().sum() == 0 or column.nunique() < 2:
            continue
        kept.append(name)
        columns.append(column.fillna(column.median()).to_numpy())
    return kept, np.column_stack(columns) if columns else np.zeros((len(table), 0))


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
            told = build_outcome(endpoint, table, list(risk.index), argument.not_recorded)
        except StudyError as error:
            found.append({"endpoint": endpoint.label, "skipped": str(error)})
            continue
        if not isinstance(told.outcome, SurvivalOutcome) or not told.patients:
            continue
        own = risk.reindex(list(told.patients)).to_numpy(dtype=np.float64)
        horizons = [float(h) for h in endpoint.horizons_days]
        found.append(
            {
                "endpoint": endpoint.label,
                "horizons_days": horizons,
                "patients": len(own),
                "groups": _groups(own, told.outcome, argument.thresholds, horizons),
            }
        )
    return found


def _groups(
    risk: Floats, outcome: SurvivalOutcome, thresholds: Sequence[float], horizons: Sequence[float]
) -> list[Found]:
    edges = [0.0, thresholds[0], thresholds[-1], 1.0 + 1e-9]
    time, status = outcome.time_days, outcome.status
    rows: list[Found] = []
    z = float(norm.ppf(0.975))
    last = years_to_days(10)
    for low, high in pairwise(edges):
        own = (risk >= low) & (risk < high)
        row: Found = {
            "from": low,
            "to": min(high, 1.0),
            "patients": int(own.sum()),
            "events": int((status[own] == 1).sum()),
        }
        if own.any():
            curve = aalen_johansen(time[own], status[own])
            until = float(time[own].max())
            row["at"] = [
                None if h > until else _band(float(curve.at(h)), float(curve.se_at(h)), z)
                for h in horizons
            ]
            shown = curve.times[curve.times <= last]
            row["curve"] = {"days": _plain(shown), "incidence": _plain(curve.at(shown))}
            row["followed_to"] = until
        rows.append(row)
    return rows


def _band(value: float, se: float, z: float) -> list[float]:
    """Interval on the complementary log-log scale, which keeps within [0, 1]."""
    if not 0 < value < 1 or se == 0:
        return [value, value, value]
    half = z * se / abs((1 - value) * np.log1p(-value))
    level = np.log(-np.log1p(-value))
    lower, upper = (float(-np.expm1(-np.exp(level + s * half))) for s in (-1, 1))
    return [value, lower, upper]
