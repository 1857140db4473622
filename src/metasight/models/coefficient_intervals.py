"""Intervals of the coefficients of a regression that was fitted without a penalty.

They are Wald's: coefficient ± z × standard error on the log scale, model-based for Cox regression
(inverse information), for Fine–Gray by the influence of each patient, for its weights are
estimated. They are of one fit on all its patients and know nothing of how predictors or the model
were chosen. A penalised coefficient is drawn towards zero and has no such interval; every
regression of nodal stage is penalised.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from metasight.cohort.outcome import EVENT, Outcome, SurvivalOutcome
from metasight.estimate import Estimate
from metasight.features.columns import FeatureTable
from metasight.models.fine_gray_variance import subdistribution_covariance
from metasight.models.fitted import ReaderHeadModel
from metasight.models.hazards import HazardHead
from metasight.models.preparation import FittedPreparation, canonical
from metasight.models.risk_sets import RiskSets

Floats = NDArray[np.float64]


def coefficient_intervals(
    fitted: ReaderHeadModel, table: FeatureTable, outcome: Outcome, *, confidence: float = 0.95
) -> dict[str, Estimate]:
    """Log hazard ratio per unit of each column, with standard error and interval.

    Parameters
    ----------
    fitted
        To the rows of ``table`` and ``outcome``.
    table, outcome
        What it was fitted to.
    confidence
        Level of the intervals.

    Returns
    -------
    Column → estimate; empty for a model with a penalty or without coefficients. With competing
    events they are those of the event of interest.
    """
    compute = _COVARIANCE.get(fitted.kind)
    reader = fitted.reader
    if compute is None or not isinstance(reader, FittedPreparation):
        return {}
    found = compute(fitted, table, outcome)
    if found is None:
        return {}
    coefficients, covariance = found
    scale = np.asarray(reader.design.state["scale"])[reader.chosen]
    values, errors = coefficients / scale, np.sqrt(np.diag(covariance)) / scale
    z = float(norm.ppf(0.5 + confidence / 2))
    return {
        name: Estimate(
            value=float(b), lower=float(b - z * se), upper=float(b + z * se), se=float(se)
        )
        for name, b, se in zip(reader.columns, values, errors, strict=True)
    }


def risk_sets_of(fitted: ReaderHeadModel, table: FeatureTable, outcome: Outcome) -> RiskSets | None:
    """Risk sets of the event of interest at the fitted coefficients of a Cox model, else None.

    Columns are the standardised ones of its reader.
    """
    if fitted.kind not in _COX or not isinstance(outcome, SurvivalOutcome):
        return None
    head = fitted.head
    if not isinstance(head, HazardHead):
        return None
    own, follow_up = canonical(table, outcome)
    return RiskSets.of(
        fitted.reader.matrix(own),
        follow_up.time_days,
        follow_up.status == EVENT,
        head.causes[0].coefficients,
    )


_Found = tuple[Floats, Floats] | None
_COX = frozenset({"cox", "cause_specific_cox"})


def _cox(fitted: ReaderHeadModel, table: FeatureTable, outcome: Outcome) -> _Found:
    sets = risk_sets_of(fitted, table, outcome)
    if sets is None or not isinstance(fitted.head, HazardHead):
        return None
    return fitted.head.causes[0].coefficients, np.asarray(
        np.linalg.inv(sets.information()), dtype=np.float64
    )


def _fine_gray(fitted: ReaderHeadModel, table: FeatureTable, outcome: Outcome) -> _Found:
    if not isinstance(outcome, SurvivalOutcome) or not isinstance(fitted.head, HazardHead):
        return None
    own, follow_up = canonical(table, outcome)
    coefficients = fitted.head.causes[0].coefficients
    matrix = fitted.reader.matrix(own)
    return coefficients, subdistribution_covariance(matrix, follow_up, coefficients)


_COVARIANCE: Mapping[str, Callable[[ReaderHeadModel, FeatureTable, Outcome], _Found]] = {
    "cox": _cox,
    "cause_specific_cox": _cox,
    "fine_gray": _fine_gray,
}
"""Kinds that may have been fitted without a penalty."""
