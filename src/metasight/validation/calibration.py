"""Calibration of a risk by a horizon, censoring and competing events included."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import chi2

from metasight.errors import EvaluationError
from metasight.validation.brier import as_risk
from metasight.validation.ordering import Floats


def risk_groups(risk: npt.ArrayLike, k: int = 5) -> npt.NDArray[np.int64]:
    """Group of each patient by quantiles of the risk, 0 … k − 1; ties stay together."""
    r = np.asarray(risk, dtype=float)
    edges = np.quantile(r, np.arange(1, k) / k)
    return np.searchsorted(edges, r, side="left").astype(np.int64)


@dataclass(frozen=True, kw_only=True)
class DistributionCalibration:
    """D-calibration: counts of predicted survival at the observed time, and their test.

    Attributes
    ----------
    bins
        Expected patients in each bin of survival, 0 to 1; equal counts are ideal.
    chisq, p
        Against equal counts, with the number of bins − 1 degrees of freedom.
    """

    bins: Floats
    chisq: float
    p: float


def d_calibration(
    survival: npt.ArrayLike, event: npt.ArrayLike, *, n_bins: int = 10
) -> DistributionCalibration:
    """Whether predicted survival at the event time is uniform.

    A patient censored at predicted survival s is spread over [0, s], uniformly.

    Parameters
    ----------
    survival
        Predicted probability of no event up to each patient's own time, in [0, 1], ``(n,)``.
    event
        1 event, 0 censored.
    n_bins
        Equal bins of [0, 1].

    Raises
    ------
    EvaluationError
        A survival outside [0, 1], or nobody had the event.

    References
    ----------
    Haider 2020.
    """
    s = as_risk(survival, np.asarray(event).size)
    dead = np.asarray(event).astype(bool)
    if not dead.any():
        raise EvaluationError(
            "every patient is censored",
            value=f"0 events in {s.size} patients",
            remedy="D-calibration needs events",
        )
    own = np.minimum((s * n_bins).astype(np.int64), n_bins - 1)
    bins = np.bincount(own[dead], minlength=n_bins).astype(np.float64)
    lower = np.arange(n_bins) / n_bins
    for value, k in zip(s[~dead], own[~dead], strict=True):
        if value <= 0:
            bins[0] += 1
            continue
        bins[k] += (value - lower[k]) / value
        bins[:k] += 1 / n_bins / value
    even = s.size / n_bins
    chisq = float(((bins - even) ** 2 / even).sum())
    return DistributionCalibration(bins=bins, chisq=chisq, p=float(chi2.sf(chisq, n_bins - 1)))
