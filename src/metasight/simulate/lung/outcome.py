"""Regional recurrence, death and follow-up in both arms."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from metasight.simulate.lung.patients import Flags, Floats, Ints, Patients
from metasight.units import DAYS_PER_YEAR

_YEAR = DAYS_PER_YEAR
_REGIONAL_PER_YEAR = {"surgery": (0.008, 0.05, 0.09), "sbrt": (0.012, 0.22, 0.30)}
"""Of N0, N1, N2: nodes are dissected in surgery, and stay in SBRT."""

_DEATH_PER_YEAR = 0.035  # at 66, N0, after surgery
_DEATH_OF_AGE = 0.05
_DEATH_OF_STAGE = (1.0, 1.7, 2.4)
_DEATH_OF_SBRT = 1.5
_DROPOUT_PER_YEAR = 0.02
_FOLLOWED_YEARS = (1.5, 7.0)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What happened; arrays of shape ``(n,)``, days from treatment, NaN where not observed.

    Attributes
    ----------
    regional_days, death_days
        Regional recurrence; death of any cause.
    followup_days
        Last known alive, or death.
    treatment_day
        Days from 1 January 2018.
    """

    regional_days: Floats
    death_days: Floats
    followup_days: Floats
    treatment_day: Ints


def draw_outcome(rng: np.random.Generator, people: Patients, stage: Ints, sbrt: Flags) -> Outcome:
    """Times in whole days from 1; death competes with recurrence."""
    n = len(people)
    drawn = rng.exponential(size=(3, n))
    rate = np.where(
        sbrt,
        np.array(_REGIONAL_PER_YEAR["sbrt"])[stage],
        np.array(_REGIONAL_PER_YEAR["surgery"])[stage],
    )
    death_rate = _DEATH_PER_YEAR * np.exp(_DEATH_OF_AGE * (people.age_years - 66.0))
    death_rate *= np.array(_DEATH_OF_STAGE)[stage] * np.where(sbrt, _DEATH_OF_SBRT, 1.0)
    regional = np.ceil(drawn[0] / rate * _YEAR)
    death = np.ceil(drawn[1] / death_rate * _YEAR)
    lock = rng.uniform(*_FOLLOWED_YEARS, n)
    lost = np.maximum(np.floor(np.minimum(drawn[2] / _DROPOUT_PER_YEAR, lock) * _YEAR), 30)
    followup = np.minimum(death, lost)
    return Outcome(
        regional_days=np.where(regional <= followup, regional, np.nan),
        death_days=np.where(death <= lost, death, np.nan),
        followup_days=followup,
        treatment_day=np.floor((7.5 - lock) * _YEAR).astype(np.int64),
    )
