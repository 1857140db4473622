"""Patients about whom a model is silent, and how it does in those it speaks of."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from metasight.errors import EvaluationError
from metasight.estimate import Estimate
from metasight.predictions import Predictions
from metasight.validation.evaluate import evaluate
from metasight.validation.results import EvaluationPlan, Metric


def is_silent(distance: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Whether a model gives no risk, by the distance from its training patients.

    Parameters
    ----------
    distance
        In units of the limit: above 1 is unlike. NaN where nothing was measured by which likeness
        is judged; such a patient is not taken to be like the training patients.
    """
    return np.asarray(~(np.asarray(distance, dtype=np.float64) <= 1), dtype=np.bool_)


@dataclass(frozen=True, kw_only=True)
class CentreSilence:
    """Patients of a centre, and those about whom the model is silent."""

    centre: str
    patients: int
    silent: int


def silence_by_centre(silent: pd.Series, centre: pd.Series) -> tuple[CentreSilence, ...]:
    """Counts by centre, in their names' order; both share their index of patients."""
    return tuple(
        CentreSilence(
            centre=str(name),
            patients=int((centre == name).sum()),
            silent=int(silent[centre == name].sum()),
        )
        for name in sorted(centre.unique())
    )


@dataclass(frozen=True, kw_only=True)
class HeadlineFigures:
    """What the headline model reaches in some patients.

    Attributes
    ----------
    patients
        How many.
    measures
        Measure → estimate; those that cannot be estimated are left out.
    skipped
        Why nothing can be said of these patients; empty otherwise.
    """

    patients: int
    measures: dict[str, Estimate]
    skipped: str = ""


def headline_figures(predictions: Predictions, plan: EvaluationPlan) -> HeadlineFigures:
    """Discrimination and Brier score of the headline model, judged as the plan says."""
    names = {plan.headline_model, plan.reference_model}
    own = Predictions(predictions.table[predictions.table["model"].isin(names)])
    patients = int(own.table["patient"].nunique())
    try:
        model = evaluate(own, replace(plan, subgroups={})).models[plan.headline_model]
    except EvaluationError as error:
        return HeadlineFigures(patients=patients, measures={}, skipped=str(error))
    measures: dict[str, Metric] = {"Harrell’s C": model.harrell_c, "Ordinal C": model.ordinal_c}
    for target in model.targets:
        measures[f"AUC, {target.target}"] = target.auc
        measures[f"Brier score, {target.target}"] = target.brier
    known = {name: m for name, m in measures.items() if isinstance(m, Estimate)}
    return HeadlineFigures(patients=patients, measures=known)


def median_distance(rows: pd.DataFrame) -> pd.DataFrame:
    """One distance a patient out of several fits that did not see the patient.

    Parameters
    ----------
    rows
        Index patient; columns ``distance`` and ``furthest``, a row a patient and fit.

    Returns
    -------
    DataFrame
        The median distance, NaN for a patient who was measured in no fit, and the feature that
        was furthest in the first.
    """
    by_patient = rows.groupby(level=0, sort=True)
    return pd.DataFrame(
        {
            "distance": by_patient["distance"].median(),
            "furthest": by_patient["furthest"].first(),
        }
    )
