"""How much of a measurement's spread over patients is error, and how much is the hospital's.

Two intraclass correlations, each by the estimator that its data allow: from the error of a single
measurement, and from groups of unequal size.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

FEWEST = 3
"""Values below which no share is estimated."""


def reliability(values: Floats, error: Floats) -> float:
    """Share of the variance over patients that is not error of measuring.

    An intraclass correlation of single measurements: 1 less the mean squared error over the
    variance, at least 0.

    Parameters
    ----------
    values
        One a patient, shape (n,); NaN where none was measured.
    error
        Standard deviation of a value's error, shape (n,); NaN where it is not known.

    Returns
    -------
    float
        In [0, 1]; NaN with fewer than three patients of whom both are known, or without variance.
    """
    both = np.isfinite(values) & np.isfinite(error)
    variance = float(values[both].var(ddof=1)) if both.sum() >= FEWEST else 0.0
    if variance <= 0:
        return float("nan")
    return max(1 - float((error[both] ** 2).mean()) / variance, 0.0)


def share_between(values: Floats, group: npt.NDArray[np.object_]) -> float:
    """Share of the variance that lies between groups.

    ANOVA estimator of the one-way intraclass correlation, with the mean size that groups of
    unequal size are worth, at least 0.

    Parameters
    ----------
    values
        Finite, shape (n,).
    group
        Each value's, as text, shape (n,).

    Returns
    -------
    float
        In [0, 1]; NaN with one group, with no more values than groups, or without variance.

    References
    ----------
    Donner, Int Stat Rev 1986;54:67.
    """
    names, which = np.unique(group.astype(str), return_inverse=True)
    n, k = len(values), len(names)
    if k < 2 or n <= k or float(np.ptp(values)) == 0:
        return float("nan")
    counts = np.bincount(which).astype(float)
    means = np.bincount(which, weights=values) / counts
    between = float((counts * (means - values.mean()) ** 2).sum()) / (k - 1)
    within = float(((values - means[which]) ** 2).sum()) / (n - k)
    size = (n - float((counts**2).sum()) / n) / (k - 1)
    return max((between - within) / (between + (size - 1) * within), 0.0)
