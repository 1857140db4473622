"""Scales on which a risk is calibrated: log-odds of a class, log cumulative hazard by a horizon."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import logit

from metasight.validation.ordering import Floats

EDGE = 1e-8
"""Risks are held this far from 0 and 1 before a logarithm."""


def to_logit(risk: npt.ArrayLike) -> Floats:
    """Log-odds of a risk held within [1e-8, 1 − 1e-8]."""
    return np.asarray(logit(np.clip(np.asarray(risk, dtype=float), EDGE, 1 - EDGE)))


def to_cloglog(risk: npt.ArrayLike) -> Floats:
    """log(−log(1 − risk)), the log cumulative hazard, of a risk held within [1e-8, 1 − 1e-8]."""
    held = np.clip(np.asarray(risk, dtype=float), EDGE, 1 - EDGE)
    return np.asarray(np.log(-np.log1p(-held)))
