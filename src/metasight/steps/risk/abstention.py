"""Patients about whom the headline model is silent, and how it does in those it speaks of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from metasight.ledger import Entry, Fate
from metasight.predictions import Predictions
from metasight.steps import artefacts
from metasight.steps.files import number
from metasight.steps.risk.out_of_fold import unseen_folders
from metasight.validation.abstention import (
    headline_figures,
    is_silent,
    median_distance,
    silence_by_centre,
)
from metasight.validation.results import EvaluationPlan

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
    silent = pd.Series(is_silent(told["distance"]), index=told.index)
    rows = [asdict(c) for c in silence_by_centre(silent, centre[told.index])]
    speaking = [str(p) for p in told.index[~silent]]
    artefacts.ABSTENTION.write(
        out,
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
    file = artefacts.LIKENESS.name
    parts = [pd.read_parquet(f / file) for f in unseen_folders(fits.values(), model, file)]
    if not parts:
        return None
    return median_distance(pd.concat(parts))


def _figures(predictions: Predictions, plan: EvaluationPlan) -> Found:
    found = headline_figures(predictions, plan)
    if found.skipped:
        return {"patients": found.patients, "skipped": found.skipped}
    measures = {name: m.to_json() for name, m in found.measures.items()}
    return {"patients": found.patients, "measures": measures}


def _row(patient: str, told: Any, plan: EvaluationPlan) -> Found:
    measured = bool(np.isfinite(told["distance"]))
    entry = Entry(
        patient=patient,
        item=f"model {plan.headline_model}",
        stage=STAGE,
        verdict=Fate.UNKNOWN,
        criterion=plan.endpoint,
        value=f"{told['distance']:.2f} of the limit" if measured else "not measured",
        reason=f"unlike the training patients, furthest in {told['furthest']}: no risk is given"
        if measured
        else "the measurements needed to compare the patient with the training patients are "
        "missing: no risk is given",
    )
    return {k: str(v) for k, v in asdict(entry).items()}
