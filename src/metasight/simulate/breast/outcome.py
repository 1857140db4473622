"""Distant metastasis, death and follow-up, and how well anyone could predict them (the oracle)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from metasight.simulate.breast.patients import (
    IMAGE_LATENTS,
    Patients,
    draw_patients,
    spread_over_centres,
)
from metasight.simulate.breast.settings import BreastSettings, Effects
from metasight.units import DAYS_PER_YEAR
from metasight.validation.discrimination import harrell_c

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

HORIZON_DAYS = 1826
"""Five years: where oracle risks are stated."""

_YEAR = DAYS_PER_YEAR
_SHAPE = 1.3  # distant recurrence rises for some years; Weibull
_DEATH_PER_YEAR = 0.0028  # of other causes at 60 (life tables of women, western Europe)
_DEATH_PER_YEAR_OF_AGE = 0.095
_DROPOUT_PER_YEAR = 0.015
_ACCRUAL_YEARS = (0.0, 6.0)  # surgery from January 2015 to December 2020
_LOCK_YEARS = 11.4  # data of May 2026
_MOST_DAYS = 20_000.0
_FIRST_DAY = 16.0
"""Of an event or the last visit: whoever is in the table lived to see the tumour board."""
_REFERENCE_N = 8000
_REFERENCE_SEED = 90_001


@dataclass(frozen=True, kw_only=True)
class Risk:
    """What drives one cohort's outcome; arrays of shape ``(n,)``.

    Attributes
    ----------
    clinical, image, centre
        Parts of the log hazard of distant metastasis.
    scale_years
        Of the Weibull with shape 1.3, for a log hazard of 0.
    death_per_year
        Hazard of death from other causes.
    """

    clinical: Floats
    image: Floats
    centre: Floats
    scale_years: float
    death_per_year: Floats

    @property
    def log_hazard(self) -> Floats:
        """Of distant metastasis, over the baseline."""
        return self.clinical + self.image + self.centre

    def cumulative(self, days: npt.ArrayLike) -> Floats:
        """Cumulative hazard of distant metastasis or death by ``days``."""
        return np.asarray(_cumulative(self.log_hazard, self, days), dtype=np.float64)

    def risk(self, days: npt.ArrayLike = HORIZON_DAYS) -> Floats:
        """Probability of distant metastasis or death by ``days``."""
        return np.asarray(1 - np.exp(-self.cumulative(days)), dtype=np.float64)


def _cumulative(log_hazard: Floats, risk: Risk, days: npt.ArrayLike) -> Floats:
    years = np.asarray(days, dtype=np.float64) / _YEAR
    metastasis = np.exp(log_hazard) * (years / risk.scale_years) ** _SHAPE
    return np.asarray(metastasis + risk.death_per_year * years, dtype=np.float64)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What happened; arrays of shape ``(n,)``, days from surgery.

    Attributes
    ----------
    metastasis_days, death_days
        NaN where it was not observed.
    followup_days
        Last known alive, or death.
    surgery_day
        Days from 1 January 2015.
    """

    metastasis_days: Floats
    death_days: Floats
    followup_days: Floats
    surgery_day: Ints

    @property
    def dmfs_days(self) -> Floats:
        """Distant metastasis, death, or the end of follow-up."""
        first = np.fmin(np.nan_to_num(self.metastasis_days, nan=np.inf), self.followup_days)
        return np.asarray(first, dtype=np.float64)

    @property
    def dmfs_event(self) -> npt.NDArray[np.bool_]:
        """Whether that is an event."""
        return np.isfinite(self.metastasis_days) | np.isfinite(self.death_days)


def risk_of(settings: BreastSettings, patients: Patients) -> Risk:
    """Hazards of these patients; the baseline is set so that `event_share` holds on average."""
    parts = _parts(settings, patients)
    return Risk(scale_years=_scale_years(*_scale_key(settings)), **parts)


def _parts(settings: BreastSettings, p: Patients) -> dict[str, Floats]:
    e = settings.effects
    n_centres = settings.centres
    score = np.zeros(len(p)) if n_centres == 1 else 2.0 * p.centre / (n_centres - 1) - 1
    return {
        "clinical": p.clinical_terms() @ np.array([e.size, e.nodes, e.grade, e.er]),
        "image": p.image_terms() @ np.array([getattr(e, name) for name in IMAGE_LATENTS]),
        "centre": settings.confounding / 2 * score,
        "death_per_year": _DEATH_PER_YEAR * np.exp(_DEATH_PER_YEAR_OF_AGE * (p.age_years - 60)),
    }


def _scale_key(s: BreastSettings) -> tuple[Effects, float, int, float]:
    return s.effects, s.expected_event_share, s.centres, s.confounding


@lru_cache(maxsize=32)
def _scale_years(effects: Effects, event_share: float, centres: int, confounding: float) -> float:
    """Weibull scale at which the expected share of observed events is ``event_share``.

    Found on a fixed reference population by bisection; death of other causes alone may exceed the
    share, and the scale is then the longest.
    """
    settings = BreastSettings(
        effects=effects, event_share=event_share, centres=centres, confounding=confounding
    )
    rng = np.random.default_rng(_REFERENCE_SEED)
    patients = draw_patients(rng, spread_over_centres(settings, _REFERENCE_N))
    parts = _parts(settings, patients)
    end = _LOCK_YEARS - rng.uniform(*_ACCRUAL_YEARS, _REFERENCE_N)
    end = np.minimum(end, rng.exponential(1 / _DROPOUT_PER_YEAR, _REFERENCE_N)) * _YEAR
    low, high = np.log(0.5), np.log(1e5)
    for _ in range(50):
        middle = (low + high) / 2
        found = Risk(scale_years=float(np.exp(middle)), **parts).risk(end).mean()
        low, high = (middle, high) if found > event_share else (low, middle)
    return float(np.exp(middle))


def draw_outcome(rng: np.random.Generator, risk: Risk) -> Outcome:
    """Times of metastasis, death and follow-up of each patient, in whole days from day 16."""
    n = len(risk.image)
    drawn = rng.exponential(size=(3, n))
    surgery = rng.uniform(*_ACCRUAL_YEARS, n) * _YEAR
    metastasis = risk.scale_years * (drawn[0] * np.exp(-risk.log_hazard)) ** (1 / _SHAPE) * _YEAR
    # after a distant metastasis the median survival is about three years
    after = metastasis + rng.exponential(3.0 / np.log(2), n) * _YEAR
    other = drawn[1] / risk.death_per_year * _YEAR
    death = np.ceil(np.clip(np.minimum(other, after), _FIRST_DAY, _MOST_DAYS))
    metastasis = np.ceil(np.clip(metastasis, _FIRST_DAY, _MOST_DAYS))
    lost = np.minimum(drawn[2] / _DROPOUT_PER_YEAR * _YEAR, _LOCK_YEARS * _YEAR - surgery)
    lost = np.maximum(np.floor(lost), _FIRST_DAY)
    followup = np.minimum(death, lost)
    return Outcome(
        metastasis_days=np.where(
            (metastasis <= followup) & (metastasis < other), metastasis, np.nan
        ),
        death_days=np.where(death <= lost, death, np.nan),
        followup_days=followup,
        surgery_day=np.floor(surgery).astype(np.int64),
    )


# ------------------------------------------------------------------ the oracle


def clinical_oracle_risk(settings: BreastSettings, patients: Patients, risk: Risk) -> Floats:
    """Five-year risk of who knows the truth about clinical data, age included, and no image.

    The image's part given clinical data is taken to be normal about its regression on them
    (exact for the latents drawn here but for the grade's cut-points), and is integrated out.
    """
    slope, spread = _image_given_clinical(*_scale_key(settings))
    terms = np.column_stack([np.ones(len(patients)), patients.clinical_terms()])
    mean = risk.clinical + terms @ np.array(slope)
    nodes, weights = np.polynomial.hermite_e.hermegauss(15)
    out = np.zeros(len(patients))
    for node, weight in zip(nodes, weights / weights.sum(), strict=True):
        out += weight * np.exp(-_cumulative(mean + spread * node, risk, HORIZON_DAYS))
    return np.asarray(1 - out, dtype=np.float64)


@lru_cache(maxsize=32)
def _image_given_clinical(
    effects: Effects, event_share: float, centres: int, confounding: float
) -> tuple[tuple[float, ...], float]:
    settings = BreastSettings(
        effects=effects, event_share=event_share, centres=centres, confounding=confounding
    )
    rng = np.random.default_rng(_REFERENCE_SEED)
    patients = draw_patients(rng, spread_over_centres(settings, 5 * _REFERENCE_N))
    parts = _parts(settings, patients)
    image = parts["image"] + parts["centre"]
    terms = np.column_stack([np.ones(len(patients)), patients.clinical_terms()])
    slope, *_ = np.linalg.lstsq(terms, image, rcond=None)
    spread = float(np.std(image - terms @ slope))
    return tuple(float(v) for v in slope), spread


@dataclass(frozen=True, kw_only=True)
class Oracle:
    """Harrell's C for DMFS of who knows the truth.

    Attributes
    ----------
    clinical, full
        Of clinical data with their true weights; of the true risk.
    """

    clinical: float
    full: float

    @property
    def increment(self) -> float:
        """What a perfect image model adds to a perfect clinical one."""
        return self.full - self.clinical


def oracle_of(
    settings: BreastSettings,
    patients: Patients,
    risk: Risk,
    outcome: Outcome,
    strata: Ints | None = None,
) -> Oracle:
    """The oracle on these patients; with ``strata``, over pairs within a stratum.

    Raises
    ------
    EvaluationError
        No pair can be compared: nobody had an event while another was followed.
    """
    time, event = outcome.dmfs_days, outcome.dmfs_event.astype(np.int64)
    clinical = clinical_oracle_risk(settings, patients, risk)
    return Oracle(
        clinical=harrell_c(time, event, clinical, strata=strata).c,
        full=harrell_c(time, event, risk.risk(), strata=strata).c,
    )


def oracle_in_population(settings: BreastSettings, n: int = 20_000) -> Oracle:
    """The oracle on a large population with the same settings: its expectation."""
    rng = np.random.default_rng(_REFERENCE_SEED + 1)
    patients = draw_patients(rng, spread_over_centres(settings, n))
    risk = risk_of(settings, patients)
    # strata of 1,000: the pairs of all would take their square in time
    strata = np.arange(n) // 1000
    return oracle_of(settings, patients, risk, draw_outcome(rng, risk), strata)
