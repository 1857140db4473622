"""Two models on the same patients: the difference with its standard error in closed form."""

from __future__ import annotations

import numpy as np

from metasight.errors import EvaluationError
from metasight.validation.binary import PairedTest, wald_test
from metasight.validation.dynamic_auc import InfluenceEstimate


def influence_difference(
    first: InfluenceEstimate, second: InfluenceEstimate, *, confidence: float = 0.95
) -> PairedTest:
    """First minus second of two estimates on the same patients, by their influences.

    Parameters
    ----------
    first, second
        AUCs or Brier scores at one horizon, patients in one order.
    confidence
        Level of the interval.

    Raises
    ------
    EvaluationError
        The estimates are of different numbers of patients.

    References
    ----------
    Blanche 2015; R riskRegression::Score contrasts.
    """
    if first.influence.shape != second.influence.shape:
        raise EvaluationError(
            "the two estimates are of different patients",
            value=f"{first.influence.size} and {second.influence.size}",
            remedy="Compare models on the patients that both predict",
        )
    gap = first.influence - second.influence
    se = float(gap.std(ddof=1) / np.sqrt(gap.size))
    return wald_test(first.value - second.value, se, confidence)
