"""Is a log hazard linear in a continuous predictor? A likelihood-ratio test of its spline."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from metasight.errors import FitError
from metasight.features.clinical import independent, restricted_cubic_spline, spline_knots
from metasight.models.cox import fit_hazard
from metasight.models.partial_likelihood import PartialLikelihood
from metasight.models.proportional_hazards import ChiSquare

Floats = NDArray[np.float64]


def linearity(
    values: Floats,
    others: Floats,
    time_days: Floats,
    event: NDArray[np.bool_],
    *,
    name: str,
    knots: Sequence[float] | None = None,
) -> ChiSquare | None:
    """Twice the gain in log partial likelihood by bending one predictor (restricted cubic spline).

    Parameters
    ----------
    values
        Shape (n,): the predictor, no value missing.
    others
        Shape (n, p): the model's other columns, standardised.
    time_days, event
        Shape (n,).
    name
        Of the predictor.
    knots
        Of its spline; unless given, Harrell's quantiles in the number that the events carry.

    Returns
    -------
    None where the predictor has too few distinct values for a spline, the other columns determine
    it, or either of the two fits has no reliable maximum.

    References
    ----------
    Harrell, Regression Modeling Strategies, 2nd ed., §2.4.5–2.4.6.
    """
    at = np.asarray(knots if knots else spline_knots(values, int(event.sum())), dtype=np.float64)
    if not at.size:
        return None
    basis = restricted_cubic_spline(values, at)
    basis = (basis - basis.mean(axis=0)) / basis.std(axis=0)
    if len(independent(np.column_stack([others, basis]))) < others.shape[1] + basis.shape[1]:
        return None
    try:
        straight = _log_likelihood(np.column_stack([basis[:, :1], others]), time_days, event, name)
        bent = _log_likelihood(np.column_stack([basis, others]), time_days, event, name)
    except FitError:
        return None
    return ChiSquare.of(name, max(0.0, 2 * (bent - straight)), at.size - 2)


def _log_likelihood(
    matrix: Floats, time_days: Floats, event: NDArray[np.bool_], name: str
) -> float:
    found = fit_hazard(matrix, time_days, event, model=name)
    likelihood = PartialLikelihood.of(time_days, event)
    value, _, _ = likelihood.terms(matrix[likelihood.order] @ found.coefficients)
    return value
