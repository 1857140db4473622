"""A patient's interval from refits of the model to resamples that left the patient out.

It shows how stable a risk is, not where the true one lies: a penalty moves no refit. It is what
there is for models that read images themselves; others have that of
:mod:`metasight.models.patient_interval`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit
from scipy.stats import norm

from metasight.estimate import Estimate

Floats = npt.NDArray[np.float64]

FEWEST_REFITS = 20
"""Refits below which no patient's interval is known."""
FEWEST_UNSEEN = 5
"""Refits without a patient below which the patient's spread is not known."""

_CERTAIN = 1e-6


def unseen_spread(risk: Floats, drawn: npt.NDArray[np.integer]) -> Floats:
    """Standard deviation of each patient's log-odds over the refits that did not see the patient.

    Parameters
    ----------
    risk
        By each refit for every patient, shape (refits, n).
    drawn
        Row numbers of the patients that each refit was fitted to, shape (refits, m); one may be
        drawn several times.

    Returns
    -------
    ndarray of shape (n,)
        NaN where fewer than five refits left the patient out.
    """
    refits, n = risk.shape
    odds = np.full((refits, n), np.nan)
    for row in range(refits):
        unseen = ~np.isin(np.arange(n), drawn[row])
        odds[row, unseen] = logit(np.clip(risk[row, unseen], _CERTAIN, 1 - _CERTAIN))
    known = np.isfinite(odds).sum(axis=0)
    spread = np.full(n, np.nan)
    enough = known >= FEWEST_UNSEEN
    spread[enough] = np.nanstd(odds[:, enough], axis=0, ddof=1)
    return spread


def refit_interval(risk: float, spread: float, *, confidence: float = 0.95) -> Estimate | None:
    """A risk with what refitting to other patients would have said.

    Symmetric on the log-odds scale, so that it keeps within (0, 1).

    Parameters
    ----------
    risk
        In [0, 1].
    spread
        Standard deviation of its log-odds over refits; NaN gives no interval.

    Returns
    -------
    Estimate, or None where the spread is not known.
    """
    if not np.isfinite(spread):
        return None
    p = float(np.clip(risk, _CERTAIN, 1 - _CERTAIN))
    half = float(norm.ppf((1 + confidence) / 2)) * spread
    return Estimate(
        value=p, lower=float(expit(logit(p) - half)), upper=float(expit(logit(p) + half))
    )


def around(risk: float, lower: float, upper: float) -> Estimate:
    """A risk with an interval that another procedure gave, made to reach to the risk.

    Where the two do not agree the interval is the wider one, and holds the truth as often or more.

    Examples
    --------
    >>> around(0.10, 0.12, 0.20).ends
    (0.1, 0.2)
    """
    return Estimate(value=risk, lower=min(risk, lower), upper=max(risk, upper))
