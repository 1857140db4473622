"""Restricted cubic splines, the smoothers behind calibration curves."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from metasight.errors import EvaluationError
from metasight.validation.ordering import Floats

KNOT_QUANTILES = {
    3: (0.10, 0.50, 0.90),
    4: (0.05, 0.35, 0.65, 0.95),
    5: (0.05, 0.275, 0.50, 0.725, 0.95),
}


def spline_knots(x: npt.ArrayLike, k: int) -> Floats:
    """Knots of a restricted cubic spline at Harrell's quantiles of ``x``.

    Below 100 values the outer knots are the fifth smallest and the fifth largest.

    Parameters
    ----------
    x
        Values, shape ``(n,)``.
    k
        3, 4 or 5.

    Raises
    ------
    EvaluationError
        Two knots coincide: ``x`` has too few distinct values.

    References
    ----------
    Harrell, Regression Modeling Strategies, 2.4.6.
    """
    values = np.sort(np.asarray(x, dtype=np.float64))
    knots = np.quantile(values, KNOT_QUANTILES[k])
    if 10 <= values.size < 100:
        knots[0], knots[-1] = values[4], values[-5]
    if (np.diff(knots) <= 0).any():
        raise EvaluationError(
            "too few distinct risks for a smooth calibration curve",
            value=f"{np.unique(np.asarray(x)).size} distinct values",
            remedy="Report grouped calibration instead",
        )
    return np.asarray(knots, dtype=np.float64)


def spline_basis(x: npt.ArrayLike, knots: Floats) -> Floats:
    """Restricted cubic spline: ``x`` and k − 2 terms, linear beyond the outer knots.

    Returns
    -------
    ndarray of shape (n, k − 1)
        Terms divided by the squared span of the knots.
    """
    v = np.asarray(x, dtype=np.float64)
    first, before_last, last = knots[0], knots[-2], knots[-1]
    columns = [v]
    for knot in knots[:-2]:
        term = (
            (v - knot).clip(0) ** 3
            - (v - before_last).clip(0) ** 3 * (last - knot) / (last - before_last)
            + (v - last).clip(0) ** 3 * (before_last - knot) / (last - before_last)
        )
        columns.append(term / (last - first) ** 2)
    return np.column_stack(columns)
