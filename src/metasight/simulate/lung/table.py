"""Tables of a simulated lung cohort: as a hospital records them, and features without pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from metasight.simulate.lung.outcome import Outcome, draw_outcome
from metasight.simulate.lung.patients import (
    Flags,
    Floats,
    Ints,
    Patients,
    clinical_probabilities,
    draw_patients,
    draw_pet_and_staging,
    draw_sbrt,
    draw_stage,
    sbrt_probability,
    spread_over_centres,
    stage_probabilities,
)
from metasight.simulate.lung.settings import LungSettings
from metasight.validation.binary import binary_auc

CLINICAL_COLUMNS = (
    "centre",
    "arm",
    "treatment_date",
    "ct_date",
    "age_years",
    "female",
    "ever_smoker",
    "pathological_nsclc",
    "adenocarcinoma",
    "clinical_t",
    "clinical_n",
    "clinical_m",
    "kps",
    "radical_treatment",
    "complete_imaging",
    "pet_ct",
    "invasive_staging",
    "followup_agreed",
    "informed_consent",
    "neuropsychiatric",
    "lost_to_followup",
    "tumour_size_mm",
    "solid_size_mm",
    "ctr",
    "suvmax",
    "central",
    "upper_lobe",
    "pure_ground_glass",
    "pathological_n",
    "regional_recurrence",
    "regional_recurrence_days",
    "death",
    "death_days",
    "followup_days",
)
"""Names of the protocol's data dictionary; ``patient`` comes before them."""

PREDICTORS = (
    "age_years",
    "female",
    "ever_smoker",
    "tumour_size_mm",
    "adenocarcinoma",
    "central",
    "upper_lobe",
)
"""The protocol's clinical predictors."""

IMAGE_COLUMNS = (
    "solid_size_mm",
    "ctr",
    "suvmax",
    "sphericity",
    "surface_irregularity",
    "glcm_contrast",
    "run_entropy",
    "mean_hu",
)

_STAGES = np.array(["N0", "N1", "N2"])
_INELIGIBLE = ("pathological_nsclc", "clinical_n", "kps", "informed_consent", "neuropsychiatric")


@dataclass(frozen=True, kw_only=True)
class Course:
    """What became of patients; arrays of shape ``(n,)``.

    Attributes
    ----------
    stage
        True N stage, in both arms.
    sbrt
        Treated with SBRT: the stage is never seen.
    pet, staged
        Had PET; had invasive mediastinal staging.
    outcome
        Times.
    """

    stage: Ints
    sbrt: Flags
    pet: Flags
    staged: Flags
    outcome: Outcome


def draw_course(settings: LungSettings, people: Patients, rng: np.random.Generator) -> Course:
    """Stage, arm, staging and outcome."""
    stage = draw_stage(settings, people)
    sbrt = draw_sbrt(settings, people, stage)
    pet, staged = draw_pet_and_staging(settings, people)
    return Course(
        stage=stage,
        sbrt=sbrt,
        pet=pet,
        staged=staged,
        outcome=draw_outcome(rng, people, stage, sbrt),
    )


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What radiologists wrote down; arrays of shape ``(n,)``, mm.

    Attributes
    ----------
    size_mm, solid_mm
        Longest axial diameters, whole and solid.
    suvmax
        NaN without PET.
    upper_lobe
        Whether.
    """

    size_mm: Floats
    solid_mm: Floats
    suvmax: Floats
    upper_lobe: Flags


def read_by_radiologist(
    settings: LungSettings, shown: Reading, pet: Flags, rng: np.random.Generator
) -> Reading:
    """Sizes to 0.1 mm with an error of twice `measurement_error` mm, SUVmax with one of 6 %.

    Parameters
    ----------
    settings
        Of the cohort.
    shown
        What the images show.
    pet
        Who has a PET.
    rng
        Of the errors.
    """
    n = len(shown.size_mm)
    error = 2 * settings.measurement_error * rng.standard_normal((3, n))
    size = np.clip(shown.size_mm + error[0], 4, 40)
    solid = np.where(
        shown.solid_mm >= 0.995 * shown.size_mm,
        size,
        np.where(shown.solid_mm == 0, 0.0, shown.solid_mm + error[1]),
    )
    suvmax = np.where(pet, shown.suvmax * np.exp(0.085 * error[2]), np.float64(np.nan))
    return Reading(
        size_mm=np.round(size, 1),
        solid_mm=np.round(np.clip(solid, 0, size), 1),
        suvmax=np.asarray(np.round(suvmax, 2), dtype=np.float64),
        upper_lobe=shown.upper_lobe,
    )


def shown_of(people: Patients) -> Reading:
    """What images of these patients would show, without drawing them.

    The longest axial diameter is 0.95 of that in three dimensions (mean of drawn lesions).
    """
    return Reading(
        size_mm=0.95 * people.size_mm,
        solid_mm=0.95 * people.solid_mm,
        suvmax=people.suv,
        upper_lobe=np.isin(people.lobe, (1, 4)),
    )


def clinical_table(  # noqa: PLR0917
    settings: LungSettings,
    seed: int,
    people: Patients,
    course: Course,
    reading: Reading,
    names: Sequence[str],
    centres: Sequence[str],
) -> pd.DataFrame:
    """One row a patient with ``patient`` and `CLINICAL_COLUMNS`, in the protocol's codes.

    A share `ineligible_fraction` breaks one criterion each, in turn.
    """
    n = len(people)
    drawn = np.stack([np.random.default_rng([seed, 6, i]).random(6) for i in range(n)])
    broken = np.where(
        drawn[:, 0] < settings.ineligible_fraction, (drawn[:, 1] * len(_INELIGIBLE)).astype(int), -1
    )
    outcome = course.outcome
    start = pd.Timestamp("2018-01-01") + pd.to_timedelta(outcome.treatment_day, unit="D")
    scanned = start - pd.to_timedelta((5 + drawn[:, 2] * 35).astype(int), unit="D")
    size = reading.size_mm
    regional = np.isfinite(outcome.regional_days)
    death = np.isfinite(outcome.death_days)
    ctr = np.where(size > 0, reading.solid_mm / size, 0.0)
    truth = np.ones(n, dtype=bool)
    table = {
        "centre": np.array(centres)[people.centre],
        "arm": np.where(course.sbrt, "sbrt", "surgery"),
        "treatment_date": _dates(start),
        "ct_date": _dates(scanned),
        "age_years": people.age_years,
        "female": _yes(people.female),
        "ever_smoker": _yes(people.smoker),
        "pathological_nsclc": _yes(broken != 0),
        "adenocarcinoma": _yes(people.adenocarcinoma),
        "clinical_t": np.select([size <= 10, size <= 20, size <= 30], ["T1a", "T1b", "T1c"], "T2a"),
        "clinical_n": np.where(broken == 1, "N1", "N0"),
        "clinical_m": np.full(n, "M0"),
        "kps": np.where(broken == 2, 60, people.kps),
        "radical_treatment": _yes(truth),
        "complete_imaging": _yes(truth),
        "pet_ct": _yes(course.pet),
        "invasive_staging": _yes(course.staged),
        "followup_agreed": _yes(truth),
        "informed_consent": _yes(broken != 3),
        "neuropsychiatric": _yes(broken == 4),
        "lost_to_followup": _yes(~truth),
        "tumour_size_mm": size,
        "solid_size_mm": reading.solid_mm,
        "ctr": np.round(ctr, 3),
        "suvmax": ["" if np.isnan(v) else f"{v:.2f}" for v in reading.suvmax],
        "central": _yes(people.central),
        "upper_lobe": _yes(reading.upper_lobe),
        "pure_ground_glass": _yes(people.ctr == 0),
        "pathological_n": np.where(course.sbrt, "", _STAGES[course.stage]),
        "regional_recurrence": _yes(regional),
        "regional_recurrence_days": _days(outcome.regional_days),
        "death": _yes(death),
        "death_days": _days(outcome.death_days),
        "followup_days": outcome.followup_days.astype(int),
    }
    frame = pd.DataFrame({"patient": list(names), **table})[["patient", *CLINICAL_COLUMNS]]
    for k, column in enumerate(("ever_smoker", "adenocarcinoma")):
        lost = drawn[:, 3 + k] < settings.missing_fraction
        frame[column] = frame[column].astype(object).where(~lost, "")
    return frame


def _yes(flags: Flags) -> npt.NDArray[np.str_]:
    return np.where(flags, "yes", "no")


def _days(days: Floats) -> list[str]:
    return ["" if np.isnan(d) else f"{d:.0f}" for d in days]


def _dates(days: pd.DatetimeIndex) -> list[str]:
    return [str(d) for d in days.strftime("%Y-%m-%d")]


# ------------------------------------------------------------------ without pixels


@dataclass(frozen=True, kw_only=True)
class NodalOracle:
    """AUC for any nodal metastasis of who knows the truth, on one cohort.

    Attributes
    ----------
    clinical, full
        Of the table with its true weights; of table and image. NaN where nobody, or everybody,
        has a metastasis.
    """

    clinical: float
    full: float

    @property
    def increment(self) -> float:
        """What a perfect image model adds."""
        return self.full - self.clinical


def oracle_of(settings: LungSettings, people: Patients, stage: Ints) -> NodalOracle:
    """The oracle on these patients, verified or not."""
    positive = stage > 0
    if min(positive.sum(), (~positive).sum()) < 2:
        return NodalOracle(clinical=float("nan"), full=float("nan"))
    clinical = 1 - clinical_probabilities(settings, people)[:, 0]
    full = 1 - stage_probabilities(settings, people)[:, 0]
    return NodalOracle(
        clinical=binary_auc(clinical, positive).auc, full=binary_auc(full, positive).auc
    )


@dataclass(frozen=True, kw_only=True)
class SimulatedNodalTable:
    """A cohort at feature level.

    Attributes
    ----------
    clinical
        `PREDICTORS`, numeric, a row a patient; NaN where missing.
    image
        `IMAGE_COLUMNS`: measured with error; SUVmax NaN without PET.
    stage
        0, 1, 2 where nodes were examined; −1 in the SBRT arm.
    true_stage
        In both arms.
    sbrt, centre
        Arm; number of the hospital.
    regional_days, regional_status
        Time of the first event or censoring; 0 censored, 1 regional recurrence, 2 death before.
    verification_probability
        True probability of surgery.
    probabilities, clinical_probabilities
        ``(n, 3)``: true stage probabilities, with and without the image's part.
    oracle
        AUC of the truth on all these patients.
    """

    clinical: pd.DataFrame
    image: pd.DataFrame
    stage: Ints
    true_stage: Ints
    sbrt: Flags
    centre: Ints
    regional_days: Floats
    regional_status: Ints
    verification_probability: Floats
    probabilities: Floats
    clinical_probabilities: Floats
    oracle: NodalOracle


def simulate_nodal_table(settings: LungSettings, seed: int) -> SimulatedNodalTable:
    """Draw a cohort with the biology, stages and outcome of the scans', without pixels.

    Pure ground-glass nodules are left out, as E2 does. A feature is what it measures of the
    latents plus a normal error of `measurement_error` standard deviations.
    """
    rng = np.random.default_rng([seed, 8])
    people = draw_patients(
        rng,
        settings.model_copy(update={"ground_glass_fraction": 0.0}),
        spread_over_centres(settings, settings.patients),
    )
    settings = settings.model_copy(update={"ground_glass_fraction": 0.0})
    course = draw_course(settings, people, rng)
    reading = read_by_radiologist(settings, shown_of(people), course.pet, rng)
    outcome = course.outcome
    regional = np.isfinite(outcome.regional_days)
    status = np.where(regional, 1, np.where(np.isfinite(outcome.death_days), 2, 0))
    clinical = pd.DataFrame(
        {
            "age_years": people.age_years,
            "female": people.female,
            "ever_smoker": people.smoker,
            "tumour_size_mm": reading.size_mm,
            "adenocarcinoma": people.adenocarcinoma,
            "central": people.central,
            "upper_lobe": reading.upper_lobe,
        }
    ).astype(np.float64)
    lost = rng.random((2, len(people))) < settings.missing_fraction
    clinical.loc[lost[0], "ever_smoker"] = np.nan
    clinical.loc[lost[1], "adenocarcinoma"] = np.nan
    return SimulatedNodalTable(
        clinical=clinical,
        image=_image_features(settings, people, reading, rng),
        stage=np.where(course.sbrt, -1, course.stage),
        true_stage=course.stage,
        sbrt=course.sbrt,
        centre=people.centre,
        regional_days=np.where(regional, outcome.regional_days, outcome.followup_days),
        regional_status=status.astype(np.int64),
        verification_probability=1 - sbrt_probability(settings, people, course.stage),
        probabilities=stage_probabilities(settings, people),
        clinical_probabilities=clinical_probabilities(settings, people),
        oracle=oracle_of(settings, people, course.stage),
    )


def _image_features(
    settings: LungSettings, p: Patients, reading: Reading, rng: np.random.Generator
) -> pd.DataFrame:
    e = settings.measurement_error * rng.standard_normal((5, len(p)))
    return pd.DataFrame(
        {
            "solid_size_mm": reading.solid_mm,
            "ctr": reading.solid_mm / reading.size_mm,
            "suvmax": reading.suvmax,
            "sphericity": 0.72 - 0.06 * (p.spiculation + e[0]),
            "surface_irregularity": np.exp(0.4 * (p.spiculation + e[1])),
            "glcm_contrast": 30 * np.exp(0.45 * (p.heterogeneity + e[2])),
            "run_entropy": 4.6 + 0.3 * (p.heterogeneity + e[3]),
            "mean_hu": -260 + 230 * (p.solid_term + e[4]),
        }
    )
