"""Two models on the same patients: differences with their standard errors, NRI and IDI."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from metasight.errors import EvaluationError
from metasight.validation.binary import PairedTest, wald_test
from metasight.validation.brier import as_risk
from metasight.validation.dynamic_auc import InfluenceEstimate
from metasight.validation.ordering import Floats
from metasight.validation.recalibration import as_outcome
from metasight.validation.results import Contrast, ContrastMetric, NotEstimable


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


@dataclass(frozen=True, kw_only=True)
class Reclassification:
    """Continuous net reclassification and integrated discrimination improvement.

    Attributes
    ----------
    nri, nri_se
        Category-free NRI, in [−2, 2].
    idi, idi_se
        Difference in mean risk of cases less that of controls, in [−2, 2].
    """

    nri: float
    nri_se: float
    idi: float
    idi_se: float


def reclassification(new: npt.ArrayLike, old: npt.ArrayLike, y: npt.ArrayLike) -> Reclassification:
    """NRI and IDI of a new risk over an old one.

    Both reward miscalibrated models: they are given for comparison with the literature, beside
    the difference in AUC and net benefit, never in their place.

    Parameters
    ----------
    new, old
        Risks, shape ``(n,)``.
    y
        0 or 1.

    Raises
    ------
    EvaluationError
        One class only.

    References
    ----------
    Pencina 2008 and 2011; Hmisc::improveProb; Hilden and Gerds 2014 (the caution).
    """
    outcome = as_outcome(y)
    change = as_risk(new, outcome.size) - as_risk(old, outcome.size)
    nri = variance = 0.0
    spread = 0.0
    means = []
    for label, sign in ((1.0, 1.0), (0.0, -1.0)):
        d = change[outcome == label]
        up, down, n = float((d > 0).sum()), float((d < 0).sum()), d.size
        nri += sign * (up - down) / n
        variance += (up + down) / n**2 - (up - down) ** 2 / n**3
        spread += float(d.var(ddof=1)) / n
        means.append(float(d.mean()))
    return Reclassification(
        nri=nri, nri_se=variance**0.5, idi=means[0] - means[1], idi_se=spread**0.5
    )
