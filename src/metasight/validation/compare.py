"""Two models on the same patients: the difference with its interval over shared resamples."""

from __future__ import annotations

import numpy as np

from metasight.validation.ordering import Floats
from metasight.validation.results import Contrast, ContrastMetric, NotEstimable


def bootstrap_contrast(
    difference: float, resampled: Floats, *, confidence: float, higher_is_better: bool
) -> ContrastMetric:
    """Difference of two models with a percentile interval over shared resamples.

    Parameters
    ----------
    difference
        Model minus reference on the patients as they are.
    resampled
        The same difference in each resample, shape ``(B,)``; NaN where it could not be computed.
    confidence
        Level of the interval.
    higher_is_better
        Whether a positive difference favours the model.

    Returns
    -------
    Contrast or NotEstimable
        Not estimable where the difference itself, or more than a tenth of the resamples, is NaN.
    """
    finite = resampled[np.isfinite(resampled)]
    if not np.isfinite(difference):
        return NotEstimable(not_estimable="one of the two models has no estimate")
    if finite.size < 0.9 * resampled.size:
        lost = resampled.size - finite.size
        return NotEstimable(not_estimable=f"{lost} of {resampled.size} resamples had no estimate")
    tail = (1 - confidence) / 2
    lower, upper = np.quantile(finite, [tail, 1 - tail])
    better = finite > 0 if higher_is_better else finite < 0
    return Contrast(
        difference=float(difference),
        lower=float(lower),
        upper=float(upper),
        probability_better=float((better + (finite == 0) / 2).mean()),
    )
