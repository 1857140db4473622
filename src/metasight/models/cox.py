"""Cox proportional hazards model (Cox, JRSS B 1972;34:187), ties and baseline by Efron."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metasight.cohort.outcome import EVENT, Outcome
from metasight.errors import FitError
from metasight.features.columns import FeatureTable
from metasight.models.fitted import ReaderHeadModel, require_survival
from metasight.models.hazards import CauseHazard, HazardHead
from metasight.models.partial_likelihood import PartialLikelihood
from metasight.models.preparation import Preparation, canonical

_GRADIENT = 1e-6
"""Score per patient, in columns of variance 1, below which the likelihood is at its maximum."""
_DIVERGED = 12.0
"""Log hazard ratio against the average patient, from one column, that only separation gives."""


@dataclass(frozen=True, kw_only=True)
class CoxModel:
    """Unpenalised Cox regression of a single event.

    Assumes proportional hazards and censoring independent of the event given the features.

    Attributes
    ----------
    name
        As it appears in predictions and report.
    preparation
        Features, imputation and design; the design drops aliased columns.
    """

    name: str
    preparation: Preparation

    def fit(self, table: FeatureTable, outcome: Outcome, *, seed: int) -> ReaderHeadModel:
        """Fit by maximum partial likelihood; ``seed`` is not used.

        Raises
        ------
        FitError
            No event, competing events in the outcome, more parameters than events, or a
            likelihood without a maximum (a column separates events from non-events).
        """
        follow_up = require_survival(outcome, self.name)
        refuse_competing(follow_up.competing, self.name)
        table, follow_up = canonical(table, follow_up)
        reader = self.preparation.fit(table, follow_up)
        matrix = reader.matrix(table)
        event = follow_up.status == EVENT
        hazard = fit_hazard(matrix, follow_up.time_days, event, model=self.name)
        head = HazardHead(
            scale="survival",
            causes=(hazard,),
            fit=fit_summary(matrix, event, reader.per_unit(hazard.coefficients)),
        )
        return ReaderHeadModel("cox", self.name, reader, head, reader.notes)


def refuse_competing(competing: bool, model: str) -> None:
    """Refuse an outcome with competing events.

    Raises
    ------
    FitError
        Censoring a competing event would turn 1 − S into an overestimate of risk.
    """
    if competing:
        raise FitError(
            "the outcome has competing events, which this model would censor",
            where=model,
            remedy="Choose cause_specific_cox, fine_gray, elastic_net_cox or forest",
        )


def fit_hazard(
    matrix: NDArray[np.float64],
    time_days: NDArray[np.float64],
    event: NDArray[np.bool_],
    *,
    model: str,
) -> CauseHazard:
    """Coefficients by greenwood's Cox regression, Efron baseline.

    Parameters
    ----------
    matrix
        Shape (n, p), standardised columns of full rank.
    time_days, event
        Shape (n,).
    model
        Named in errors.

    Raises
    ------
    FitError
        More parameters than events, or no maximum.
    """
    import greenwood

    refuse_too_many(matrix.shape[1], int(event.sum()), model)
    basis, back = orthonormal(matrix)
    try:
        fit = greenwood.CoxPH(ties="efron").fit(
            greenwood.Surv(time_days, event), basis, max_iter=50, tol=1e-12
        )
    except np.linalg.LinAlgError as error:
        raise no_maximum(model) from error
    along = np.asarray(fit.coef_, dtype=np.float64)
    likelihood = PartialLikelihood.of(time_days, event)
    _, gradient, _ = likelihood.terms(basis[likelihood.order] @ along)
    score = np.abs(basis[likelihood.order].T @ gradient)
    if not bool((score < _GRADIENT * len(basis)).all()) or diverged(basis, along):
        raise no_maximum(model)
    coefficients = back @ along
    times, steps = likelihood.baseline(matrix[likelihood.order] @ coefficients)
    return CauseHazard(coefficients=coefficients, times=times, increments=steps)


def orthonormal(
    matrix: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Replace columns by uncorrelated ones of the same span, of variance about 1.

    Spline terms of one variable are nearly collinear; a Newton step is exact in either basis but
    only safe in this one.

    Returns
    -------
    The basis, shape (n, p), and the (p, p) matrix that takes its coefficients back.
    """
    q, r = np.linalg.qr(matrix)
    scale = np.sqrt(len(matrix))
    return q * scale, np.linalg.inv(r) * scale


def diverged(basis: NDArray[np.float64], along: NDArray[np.float64]) -> bool:
    """Whether one column alone moves somebody's log hazard further than data ever do."""
    return bool((np.abs(basis * along) > _DIVERGED).any())


def refuse_too_many(parameters: int, events: int, model: str) -> None:
    """Refuse an unpenalised fit of more parameters than events.

    Raises
    ------
    FitError
        As said.
    """
    if parameters > events:
        raise FitError(
            f"{parameters} parameters cannot be estimated from {events} events without a penalty",
            where=model,
            remedy="Choose a penalised model (elastic_net_cox, logistic or ordinal), set top_k, "
            "or name fewer features",
        )


def fit_summary(
    matrix: NDArray[np.float64], event: NDArray[np.bool_], per_unit: dict[str, float]
) -> dict[str, Any]:
    """Size of a fit and its coefficients per unit of each column."""
    return {"n": len(matrix), "events": int(event.sum()), "coefficients_per_unit": per_unit}


def no_maximum(model: str) -> FitError:
    """Return the error of a fit that separation drives to infinity."""
    return FitError(
        "the likelihood has no reliable maximum: a column (nearly) separates patients with and "
        "without the event",
        where=model,
        remedy="Choose a penalised model (elastic_net_cox), or drop the rare level or feature",
    )
