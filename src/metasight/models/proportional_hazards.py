"""Do hazard ratios stay the same over time? The score test of Grambsch and Therneau.

Every column gets a companion, the column times g(t), and the score test asks whether the
companions belong in the model (Grambsch & Therneau, Biometrika 1994;81:515, in the exact form
that ``survival::cox.zph`` has had since version 3: no residual is smoothed, and the information
is that at each event time).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

from metasight.models.risk_sets import RiskSets

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class ChiSquare:
    """A test by chi-square.

    Attributes
    ----------
    term
        Feature that is tested, or ``GLOBAL``.
    chisq
        The statistic, ≥ 0.
    df
        Degrees of freedom.
    p
        Probability of a larger statistic under the hypothesis, in [0, 1].
    """

    term: str
    chisq: float
    df: int
    p: float

    @classmethod
    def of(cls, term: str, statistic: float, df: int) -> ChiSquare:
        """With the p value that belongs to the statistic."""
        return cls(term=term, chisq=statistic, df=df, p=float(chi2.sf(statistic, df)))


GLOBAL = "GLOBAL"
"""Name of the test of all terms together, as R prints it."""


def kaplan_meier_time(time: Floats, event: NDArray[np.bool_]) -> Floats:
    """1 − S(t−) at each follow-up time, S the Kaplan–Meier estimate of all: R's ``km``.

    Parameters
    ----------
    time, event
        Shape (n,), ascending times.

    Returns
    -------
    Shape (n,), in [0, 1): time on a scale on which events are about evenly spread.
    """
    distinct, first = np.unique(time, return_index=True)
    died = np.add.reduceat(event.astype(np.float64), first)
    after = np.cumprod(1.0 - died / (len(time) - first))
    before = np.concatenate([[1.0], after[:-1]])
    return np.asarray(1.0 - before[np.searchsorted(distinct, time)])


def proportional_hazards(
    sets: RiskSets, terms: Sequence[str], *, transform: str = "km"
) -> tuple[ChiSquare, ...]:
    """Score test of hazard ratios that change with g(t), term by term and of all together.

    Parameters
    ----------
    sets
        Of a Cox model at the maximum of its partial likelihood, columns of full rank.
    terms
        Shape (p,): the feature that each column belongs to; columns of one feature (levels,
        splines) are tested together.
    transform
        ``km``: g is 1 − Kaplan–Meier, R's default; ``identity``: g is time in days.

    Returns
    -------
    One test a feature, in the columns' order, then :data:`GLOBAL`; empty where the events are too
    few to tell the companions apart.

    References
    ----------
    Grambsch & Therneau 1994; R ``survival::cox.zph(fit, transform, terms = TRUE)``.
    """
    g = sets.times if transform == "identity" else kaplan_meier_time(sets.times, sets.event)
    at = g[sets.rows] - g[sets.rows].mean()
    at = at / max(float(np.abs(at).max()), 1e-300)  # the test does not depend on the scale
    score = sets.residuals.T @ at
    plain, crossed = sets.information(), sets.information(at)
    twice = sets.information(at**2)
    if not _full_rank(plain):
        return ()
    # the score of the companions, given that the columns themselves are at their maximum
    variance = twice - crossed @ np.linalg.solve(plain, crossed)
    if not _full_rank(variance):
        return ()
    names = list(dict.fromkeys(terms))
    found = []
    for name in names:
        own = np.flatnonzero([t == name for t in terms])
        found.append(ChiSquare.of(name, _quadratic(score[own], variance, own), len(own)))
    everything = np.arange(len(terms))
    return (*found, ChiSquare.of(GLOBAL, _quadratic(score, variance, everything), len(terms)))


def _full_rank(matrix: Floats) -> bool:
    return int(np.linalg.matrix_rank(matrix, hermitian=True)) == len(matrix)


def _quadratic(score: Floats, variance: Floats, own: NDArray[np.intp]) -> float:
    return float(score @ np.linalg.solve(variance[np.ix_(own, own)], score))
