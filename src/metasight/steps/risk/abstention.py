"""Patients about whom the headline model is silent, and how it does in those it speaks of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from metasight.errors import EvaluationError
from metasight.estimate import Estimate
from metasight.ledger import Entry, Fate
from metasight.predictions import Predictions
from metasight.steps.files import number, read_json, write_json
from metasight.validation.evaluate import evaluate
from metasight.validation.results import EvaluationPlan, Metric

Found = dict[str, Any]
STAGE = "likeness to training"


def judge_abstention(
    told: pd.DataFrame | None, out: Path, cross: Predictions, plan: EvaluationPlan
) -> list[Found]:
    """Write ``abstention.json`` where the headline model may abstain.

    Parameters
    ----------
    told
        Of :func:`unseen_distances`, or of a locked model; None: it never abstains.

    Returns
    -------
    A ledger row for every patient about whom it is silent: the distance is beyond the limit, or
    nothing was measured.
    """
    if told is None:
        return []
    centre = cross.table.drop_duplicates("patient").set_index("patient")["centre"]
    told = told.loc[told.index.intersection(centre.index)]
    silent = ~(told["distance"] <= 1)
    rows = [
        {
            "centre": str(name),
            "patients": int((centre[told.index] == name).sum()),
            "silent": int(silent[centre[told.index] == name].sum()),
        }
        for name in sorted(centre[told.index].unique())
    ]
    speaking = [str(p) for p in told.index[~silent]]
    write_json(
        out / "abstention.json",
        {
            "model": plan.headline_model,
            "patients": len(told),
            "silent": int(silent.sum()),
            "unmeasured": int(told["distance"].isna().sum()),
            "centres": rows,
            "distances": {str(p): number(float(d)) for p, d in told["distance"].items()},
            "all": _figures(cross, plan),
            "speaking": _figures(cross.select(patients=speaking), plan)
            if speaking and silent.any()
            else None,
        },
    )
    return [_row(str(p), r, plan) for p, r in told[silent].iterrows()]


def unseen_distances(fits: Mapping[str, Path], model: str) -> pd.DataFrame | None:
    """Median distance of each patient over repeats, each from a model that did not see him.

    Index patient; columns ``distance`` and ``furthest``. None where the model never abstains.
    """
    parts = []
    for folder in fits.values():
        if not (folder / "likeness.parquet").is_file():
            continue
        audit = read_json(folder / "audit.json")
        if (audit["model"], audit["scheme"]) == (model, "kfold"):
            parts.append(pd.read_parquet(folder / "likeness.parquet"))
    if not parts:
        return None
    rows = pd.concat(parts)
    by_patient = rows.groupby(level=0, sort=True)
    # A patient who was measured in no fold has no distance; who has one in some has all.
    return pd.DataFrame(
        {
            "distance": by_patient["distance"].median(),
            "furthest": by_patient["furthest"].first(),
        }
    )


def _figures(predictions: Predictions, plan: EvaluationPlan) -> Found:
    """What the headline model reaches in some patients: one figure with its interval a measure."""
    names = {plan.headline_model, plan.reference_model}
    own = Predictions(predictions.table[predictions.table["model"].isin(names)])
    patients = int(own.table["patient"].nunique())
    try:
        model = evaluate(own, replace(plan, subgroups={})).models[plan.headline_model]
    except EvaluationError as error:
        return {"patients": patients, "skipped": str(error)}
    measures: dict[str, Metric] = {"Harrell’s C": model.harrell_c, "Ordinal C": model.ordinal_c}
    for target in model.targets:
        measures[f"AUC, {target.target}"] = target.auc
        measures[f"Brier score, {target.target}"] = target.brier
    return {
        "patients": patients,
        "measures": {
            name: [number(m.value), number(m.lower), number(m.upper)]
            for name, m in measures.items()
            if isinstance(m, Estimate)
        },
    }


def _row(patient: str, told: Any, plan: EvaluationPlan) -> Found:
    measured = bool(np.isfinite(told["distance"]))
    entry = Entry(
        patient=patient,
        item=f"model {plan.headline_model}",
        stage=STAGE,
        verdict=Fate.UNKNOWN,
        criterion=plan.endpoint,
        value=f"{told['distance']:.2f} of the limit" if measured else "not measured",
        reason=f"unlike the training patients, furthest in {told['furthest']}: the model is silent"
        if measured
        else "nothing by which likeness is judged was measured: the model is silent",
    )
    return {k: str(v) for k, v in asdict(entry).items()}
