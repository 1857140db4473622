"""Rubin's rules: one estimate and one standard error from several imputed data sets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_LEAST_SHARE = 1e-4
"""Share of variance between imputations below which degrees of freedom are as at this share."""


@dataclass(frozen=True, kw_only=True)
class PooledEstimate:
    """Estimates of any number of quantities, pooled over imputations; all of one shape.

    Attributes
    ----------
    value
        Mean over imputations.
    variance
        Total variance: within imputations plus 1 + 1/m times that between them.
    freedom
        Degrees of freedom of the t distribution of an interval.
    missing_information
        Fraction of missing information, in [0, 1].
    """

    value: Floats
    variance: Floats
    freedom: Floats
    missing_information: Floats


def pool_imputations(
    values: Floats, variances: Floats, *, complete_freedom: float = np.inf
) -> PooledEstimate:
    """Pool estimates of m imputed data sets (Rubin 1987).

    Degrees of freedom are those of Barnard and Rubin (Biometrika 1999;86:948), which never exceed
    those of complete data; as ``mice::pool`` gives them.

    Parameters
    ----------
    values, variances
        Shape (m, …), m ≥ 2: estimates and their squared standard errors in each data set.
    complete_freedom
        Degrees of freedom had nothing been missing, > 0.

    Raises
    ------
    ValueError
        Fewer than two imputations.

    Examples
    --------
    >>> found = pool_imputations(np.array([1.0, 3.0]), np.array([1.0, 1.0]))
    >>> float(found.value), float(found.variance)
    (2.0, 4.0)
    """
    m = len(values)
    if m < 2:
        raise ValueError("Rubin's rules need two imputations or more")
    within = variances.mean(axis=0)
    inflated = (1 + 1 / m) * values.var(axis=0, ddof=1)
    total = within + inflated
    share = np.maximum(inflated / total, _LEAST_SHARE)
    freedom = (m - 1) / share**2
    if np.isfinite(complete_freedom):
        observed = (complete_freedom + 1) / (complete_freedom + 3) * complete_freedom * (1 - share)
        freedom = freedom * observed / (freedom + observed)
    increase = inflated / within
    return PooledEstimate(
        value=np.asarray(values.mean(axis=0)),
        variance=np.asarray(total),
        freedom=np.asarray(freedom),
        missing_information=np.asarray((increase + 2 / (freedom + 3)) / (increase + 1)),
    )
