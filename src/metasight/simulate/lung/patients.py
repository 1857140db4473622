"""Latent tumour biology, clinical data and nodal stage of lung patients, and what tells of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from metasight.simulate.lung.settings import LungSettings, NodalEffects

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

IMAGE_LATENTS = ("solid", "spiculation", "heterogeneity", "uptake")
"""What only images tell; the names are those of `NodalEffects`."""

_REFERENCE_N = 20_000
_REFERENCE_SEED = 80_001
_CTR_MEAN, _CTR_SD = 0.70, 0.33
_LARGEST_MM, _SMALLEST_MM = 39.0, 8.0


@dataclass(frozen=True, kw_only=True)
class Patients:
    """Patients before anybody looked at them; arrays of shape ``(n,)``.

    Attributes
    ----------
    age_years, female, smoker, adenocarcinoma, kps
        Clinical.
    size_mm
        Longest diameter of the whole lesion in three dimensions.
    ctr
        Consolidation-to-tumour ratio of diameters; 0 pure ground glass, 1 solid.
    spiculation, heterogeneity, uptake
        Standard normal latents.
    central, lobe
        Central by every definition, or by none; label 1 to 5.
    centre
        Number of the hospital.
    chance
        ``(n, 4)`` uniform numbers that stage, arm, PET and invasive staging are drawn with.
    """

    age_years: Ints
    female: Flags
    smoker: Flags
    adenocarcinoma: Flags
    kps: Ints
    size_mm: Floats
    ctr: Floats
    spiculation: Floats
    heterogeneity: Floats
    uptake: Floats
    central: Flags
    lobe: Ints
    centre: Ints
    chance: Floats

    def __len__(self) -> int:
        return len(self.size_mm)

    @property
    def solid_mm(self) -> Floats:
        """Longest diameter of the solid part."""
        return self.size_mm * self.ctr

    @property
    def suv(self) -> Floats:
        """True uptake: more in large and solid lesions."""
        log = 0.75 + 0.45 * np.log2(self.size_mm / 20) + 0.55 * self.solid_term + 0.45 * self.uptake
        return np.asarray(np.clip(np.exp(log), 0.4, 30), dtype=np.float64)

    @property
    def solid_term(self) -> Floats:
        """The solid share on the scale of the other latents."""
        return (self.ctr - _CTR_MEAN) / _CTR_SD

    def image_part(self, effects: NodalEffects) -> Floats:
        """Log odds that only images tell of."""
        terms = (self.solid_term, self.spiculation, self.heterogeneity, self.uptake)
        weights = [getattr(effects, name) for name in IMAGE_LATENTS]
        return np.asarray(sum(w * t for w, t in zip(weights, terms, strict=True)))

    def clinical_part(self, effects: NodalEffects) -> Floats:
        """Log odds that the table tells of: clinical and shared."""
        return np.asarray(
            effects.size * np.log2(self.size_mm / 20)
            + effects.central * self.central
            + effects.age * (self.age_years - 66) / 10
            + effects.female * self.female
            + effects.smoker * self.smoker
            + effects.adenocarcinoma * self.adenocarcinoma
        )


def spread_over_centres(settings: LungSettings, n: int) -> Ints:
    """Number of each patient's hospital, in turn."""
    return np.arange(n) % settings.centres


def draw_patients(rng: np.random.Generator, settings: LungSettings, centre: Ints) -> Patients:
    """Draw latents and clinical data of one patient for each entry of ``centre``."""
    n = len(centre)
    female = rng.random(n) < 0.45
    smoker = rng.random(n) < np.where(female, 0.35, 0.80)
    size = np.exp(rng.normal(np.log(20), 0.38, n))
    # one draw decides the class, and within part-solid the share
    kind = rng.random(n)
    glass = kind < settings.ground_glass_fraction
    part = ~glass & (kind < settings.ground_glass_fraction + 0.38)
    share = rng.uniform(0.2, 0.9, n)
    share = np.maximum(share, 4.5 / np.clip(size, _SMALLEST_MM, _LARGEST_MM))
    return Patients(
        age_years=np.clip(np.round(rng.normal(66, 9, n)), 35, 90).astype(np.int64),
        female=female,
        smoker=smoker,
        adenocarcinoma=rng.random(n) < np.where(smoker, 0.58, 0.85),
        kps=np.clip(np.round(rng.normal(86, 8, n) / 10) * 10, 70, 100).astype(np.int64),
        size_mm=np.clip(size, _SMALLEST_MM, _LARGEST_MM),
        ctr=np.where(glass, 0.0, np.where(part, np.minimum(share, 0.92), 1.0)),
        spiculation=rng.standard_normal(n),
        heterogeneity=rng.standard_normal(n),
        uptake=rng.standard_normal(n),
        central=rng.random(n) < 0.2,
        lobe=rng.choice(5, n, p=(0.32, 0.05, 0.20, 0.26, 0.17)) + 1,
        centre=np.asarray(centre),
        chance=rng.random((n, 4)),
    )


# ------------------------------------------------------------------ nodal stage


@lru_cache(maxsize=64)
def _reference(ground_glass_fraction: float) -> Patients:
    settings = LungSettings(ground_glass_fraction=ground_glass_fraction)
    rng = np.random.default_rng(_REFERENCE_SEED)
    return draw_patients(rng, settings, np.zeros(_REFERENCE_N, dtype=np.int64))


@lru_cache(maxsize=64)
def thresholds(
    effects: NodalEffects, n1_share: float, n2_share: float, ground_glass_fraction: float
) -> tuple[float, float]:
    """Cut-points of the proportional-odds model at which N1 and N2 are as frequent as asked."""
    people = _reference(ground_glass_fraction)
    linear = people.clinical_part(effects) + people.image_part(effects)
    return _cut(linear, n1_share + n2_share), _cut(linear, n2_share)


def _cut(linear: Floats, share: float) -> float:
    low, high = -20.0, 20.0
    for _ in range(60):
        middle = (low + high) / 2
        found = float(np.mean(1 / (1 + np.exp(middle - linear))))
        low, high = (middle, high) if found > share else (low, middle)
    return (low + high) / 2


def _cuts(settings: LungSettings) -> tuple[float, float]:
    return thresholds(
        settings.effects, settings.n1_share, settings.n2_share, settings.ground_glass_fraction
    )


def stage_probabilities(settings: LungSettings, people: Patients) -> Floats:
    """``(n, 3)``: true probability of N0, N1, N2."""
    linear = people.clinical_part(settings.effects) + people.image_part(settings.effects)
    return _probabilities(linear, _cuts(settings))


def _probabilities(linear: Floats, cuts: tuple[float, float]) -> Floats:
    any_node, second = (1 / (1 + np.exp(cut - linear)) for cut in cuts)
    return np.stack([1 - any_node, any_node - second, second], axis=-1)


def clinical_probabilities(settings: LungSettings, people: Patients) -> Floats:
    """``(n, 3)``: what is known from the table alone, with true weights.

    The image's part does not depend on clinical data and is averaged over its distribution.
    """
    image = _reference(settings.ground_glass_fraction).image_part(settings.effects)
    # 200 quantiles stand for the distribution
    image = np.quantile(image, (np.arange(200) + 0.5) / 200)
    clinical = people.clinical_part(settings.effects)
    return np.asarray(_probabilities(clinical[:, None] + image, _cuts(settings)).mean(axis=1))


def draw_stage(settings: LungSettings, people: Patients) -> Ints:
    """True N stage: 0, 1 or 2."""
    p = stage_probabilities(settings, people)
    return np.asarray((people.chance[:, :1] > np.cumsum(p, axis=1)[:, :2]).sum(axis=1))


# ------------------------------------------------------------------ arm, PET, staging


def sbrt_probability(settings: LungSettings, people: Patients, stage: Ints) -> Floats:
    """Probability of SBRT: of age and performance status, and of the stage if not at random."""
    if settings.sbrt_share == 0:
        return np.zeros(len(people))
    cut = _sbrt_cut(settings.sbrt_share, settings.ground_glass_fraction)
    linear = _frailty(people) + settings.not_at_random * stage
    return np.asarray(1 / (1 + np.exp(cut - linear)))


def _frailty(people: Patients) -> Floats:
    return np.asarray(0.10 * (people.age_years - 66) - 0.06 * (people.kps - 85.0))


@lru_cache(maxsize=64)
def _sbrt_cut(share: float, ground_glass_fraction: float) -> float:
    return _cut(_frailty(_reference(ground_glass_fraction)), share)


def draw_sbrt(settings: LungSettings, people: Patients, stage: Ints) -> Flags:
    """Who is treated with SBRT and keeps an unverified stage."""
    return np.asarray(people.chance[:, 1] < sbrt_probability(settings, people, stage))


def draw_pet_and_staging(settings: LungSettings, people: Patients) -> tuple[Flags, Flags]:
    """Who has a PET and who invasive staging; a tumour ≥ 3 cm or central has one at least (I6)."""
    needs = (people.size_mm >= 28) | people.central
    pet = people.chance[:, 2] < np.where(
        needs, max(0.9, settings.pet_fraction), settings.pet_fraction
    )
    staged = people.chance[:, 3] < settings.invasive_fraction
    return pet, staged | (needs & ~pet)
