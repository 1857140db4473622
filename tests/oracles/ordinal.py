"""Order and thresholds of an ordinal stage."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from metasight.errors import EvaluationError
from metasight.validation.binary import BinaryAuc, binary_auc
from metasight.validation.ordering import as_vector


@dataclass(frozen=True, kw_only=True)
class OrdinalDiscrimination:
    """Order and thresholds of an ordinal stage.

    Attributes
    ----------
    c
        Generalised c-index: of pairs with different stages, how often the higher stage has the
        higher expected stage (ties half).
    thresholds
        AUC of the probability of stage ≥ k for the class stage ≥ k, keyed by k = 1, 2, …; a
        threshold with fewer than two patients on a side is left out.
    """

    c: float
    thresholds: dict[int, BinaryAuc]


def ordinal_discrimination(
    probability: npt.ArrayLike, stage: npt.ArrayLike
) -> OrdinalDiscrimination:
    """Discrimination of predicted stage probabilities.

    Parameters
    ----------
    probability
        Shape ``(n, k)``; rows add to 1.
    stage
        Observed stage 0 … k − 1, shape ``(n,)``.

    Raises
    ------
    EvaluationError
        One stage only.

    References
    ----------
    Harrell 2015, section 10.8; Van Calster 2012.
    """
    p = np.asarray(probability, dtype=np.float64)
    observed = np.asarray(stage, dtype=np.int64)
    expected = p @ np.arange(p.shape[1])
    c = generalised_c(expected, observed)
    thresholds = {}
    for k in range(1, p.shape[1]):
        above = (observed >= k).astype(int)
        if min(above.sum(), above.size - above.sum()) >= 2:
            thresholds[k] = binary_auc(p[:, k:].sum(axis=1), above)
    return OrdinalDiscrimination(c=c, thresholds=thresholds)


def generalised_c(
    score: npt.ArrayLike, stage: npt.ArrayLike, *, weights: npt.ArrayLike | None = None
) -> float:
    """Concordance of a score with an ordinal stage over pairs of different stages.

    Raises
    ------
    EvaluationError
        One stage only.
    """
    observed = np.asarray(stage, dtype=np.int64)
    s = as_vector(score, observed.size, "score")
    w = np.ones(s.size) if weights is None else np.asarray(weights, dtype=np.float64)
    above = pairs = 0.0
    values, rank = np.unique(s, return_inverse=True)
    lower = np.zeros(values.size)
    for k in np.unique(observed):
        here = np.bincount(rank, w * (observed == k), values.size)
        below = np.cumsum(lower) - lower / 2
        above += float((here * below).sum())
        pairs += float(here.sum() * lower.sum())
        lower += here
    if pairs <= 0:
        raise EvaluationError(
            "one stage only",
            value=f"{observed.size} patients",
            remedy="The c-index needs patients of different stages",
        )
    return above / pairs
