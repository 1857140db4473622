"""The sample size that a model of this study would have needed, before anything was known of it.

Riley's criteria at an R² that is a fixed share of the largest possible one, since no earlier model
says what to expect (Riley et al., BMJ 2020;368:m441).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from metasight.errors import EvaluationError
from metasight.units import DAYS_PER_YEAR
from metasight.validation.sample_size import (
    DevelopmentSize,
    development_binary,
    development_survival,
    largest_r2_binary,
    largest_r2_survival,
)

R2_SHARE = 0.15
"""Share of the largest possible Cox–Snell R² that a model is expected to reach when nothing is
known beforehand (Riley et al., BMJ 2020;368:m441)."""


@dataclass(frozen=True, kw_only=True)
class AnticipatedSize:
    """What was required and what that rests on.

    Attributes
    ----------
    size
        By Riley's criteria; None where they cannot be computed.
    assumptions
        In words, or why there is no size.
    """

    size: DevelopmentSize | None
    assumptions: str


def anticipated_survival_size(
    time_days: npt.NDArray[np.float64], events: int, *, horizon_days: float, parameters: int
) -> AnticipatedSize:
    """For a time-to-event model.

    Parameters
    ----------
    time_days
        Follow-up of every patient, shape (n,).
    events
        Events of interest among them.
    horizon_days
        Of the predictions.
    parameters
        Candidate parameters.
    """
    years = time_days / DAYS_PER_YEAR
    mean = float(years.mean())
    rate = events / float(years.sum())
    horizon = horizon_days / DAYS_PER_YEAR
    try:
        r2 = R2_SHARE * largest_r2_survival(rate, mean)
        size = development_survival(
            r2_cox_snell=r2,
            parameters=parameters,
            rate=rate,
            timepoint=horizon,
            mean_follow_up=mean,
        )
    except EvaluationError as error:
        return AnticipatedSize(size=None, assumptions=str(error))
    basis = (
        f"{rate:.3f} events a year, mean follow-up {mean:.1f} years, horizon {horizon:.3g} years"
    )
    return AnticipatedSize(size=size, assumptions=_words(r2, basis))


def anticipated_binary_size(events: int, observed: int, *, parameters: int) -> AnticipatedSize:
    """For a model of a class: ``events`` of ``observed`` patients have it."""
    prevalence = events / observed
    try:
        r2 = R2_SHARE * largest_r2_binary(prevalence)
        size = development_binary(r2_cox_snell=r2, parameters=parameters, prevalence=prevalence)
    except EvaluationError as error:
        return AnticipatedSize(size=None, assumptions=str(error))
    return AnticipatedSize(size=size, assumptions=_words(r2, f"prevalence {prevalence:.2f}"))


def _words(r2: float, basis: str) -> str:
    return f"R² at {R2_SHARE:.0%} of its largest possible value ({r2:.3f}); {basis}"
