"""Tables of a simulated cohort: as a hospital records them, and image features without pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from metasight.simulate.breast.outcome import (
    Oracle,
    Outcome,
    clinical_oracle_risk,
    draw_outcome,
    oracle_of,
    risk_of,
)
from metasight.simulate.breast.patients import Patients, draw_patients, spread_over_centres
from metasight.simulate.breast.settings import BreastSettings

Floats = npt.NDArray[np.float64]

CLINICAL_COLUMNS = (
    "centre",
    "sex",
    "age_years",
    "surgery_date",
    "pathology_date",
    "tumour_board_date",
    "invasive_carcinoma",
    "pure_dcis",
    "histological_type",
    "surgery",
    "curative_resection",
    "neoadjuvant",
    "pretreatment_specimen",
    "prior_malignancy",
    "tumour_size_mm",
    "positive_nodes",
    "pt_stage",
    "grade",
    "er_positive",
    "pr_positive",
    "her2_positive",
    "postmenopausal",
    "endocrine_therapy",
    "chemotherapy",
    "distant_metastasis",
    "distant_metastasis_days",
    "death",
    "death_days",
    "followup_days",
)
"""Names of the protocol's data dictionary; ``patient`` comes before them."""

EMBEDDING_COLUMNS = tuple(f"embedding_{k}" for k in range(8))

_INELIGIBLE = ("pure_dcis", "histological_type", "prior_malignancy", "surgery_date", "neoadjuvant")
_MISSING_IN = ("grade", "er_positive", "pr_positive", "her2_positive")


def clinical_table(  # noqa: PLR0917
    settings: BreastSettings,
    seed: int,
    patients: Patients,
    outcome: Outcome,
    names: Sequence[str],
    centres: Sequence[str],
) -> pd.DataFrame:
    """One row a patient with ``patient`` and `CLINICAL_COLUMNS`, in the protocol's codes.

    A share `ineligible_fraction` breaks one criterion each, in turn: pure DCIS, a special type, a
    prior malignancy, surgery before 2015, neoadjuvant treatment without a specimen.
    """
    n = len(patients)
    drawn = np.stack([np.random.default_rng([seed, 6, i]).random(10) for i in range(n)])
    start = pd.Timestamp("2015-01-01") + pd.to_timedelta(outcome.surgery_day, unit="D")
    broken = np.where(
        drawn[:, 0] < settings.ineligible_fraction, (drawn[:, 1] * len(_INELIGIBLE)).astype(int), -1
    )
    start = start.where(
        broken != _INELIGIBLE.index("surgery_date"), start - pd.Timedelta(days=9 * 365)
    )
    metastasis = np.isfinite(outcome.metastasis_days)
    death = np.isfinite(outcome.death_days)
    size, nodes = patients.tumour_size_mm, patients.positive_nodes
    dcis = broken == _INELIGIBLE.index("pure_dcis")
    neoadjuvant = broken == _INELIGIBLE.index("neoadjuvant")
    types = np.where(drawn[:, 2] < 0.12, "lobular", "no special type")
    table = {
        "centre": np.array(centres)[patients.centre],
        "sex": np.full(n, "female"),
        "age_years": patients.age_years,
        "surgery_date": _dates(start),
        "pathology_date": _dates(start + pd.Timedelta(days=8)),
        "tumour_board_date": _dates(start + pd.Timedelta(days=15)),
        "invasive_carcinoma": _yes(~dcis),
        "pure_dcis": _yes(dcis),
        "histological_type": np.where(broken == 1, "metaplastic", types),
        "surgery": np.where(drawn[:, 3] < 0.35, "mastectomy", "breast-conserving"),
        "curative_resection": _yes(np.ones(n, dtype=bool)),
        "neoadjuvant": _yes(neoadjuvant),
        "pretreatment_specimen": _yes(~neoadjuvant),
        "prior_malignancy": _yes(broken == _INELIGIBLE.index("prior_malignancy")),
        "tumour_size_mm": size,
        "positive_nodes": nodes,
        "pt_stage": np.select([size <= 20, size <= 50], ["T1", "T2"], "T3"),
        "grade": patients.grade,
        "er_positive": _yes(patients.er_positive),
        "pr_positive": _yes(patients.pr_positive),
        "her2_positive": _yes(patients.her2_positive),
        "postmenopausal": _yes(patients.age_years >= 51),
        "endocrine_therapy": _yes(patients.er_positive),
        "chemotherapy": _yes((nodes > 0) | (patients.grade == 3)),
        "distant_metastasis": _yes(metastasis),
        "distant_metastasis_days": _days(outcome.metastasis_days),
        "death": _yes(death),
        "death_days": _days(outcome.death_days),
        "followup_days": outcome.followup_days.astype(int),
    }
    frame = pd.DataFrame({"patient": list(names), **table})[["patient", *CLINICAL_COLUMNS]]
    for k, column in enumerate(_MISSING_IN):
        lost = drawn[:, 5 + k] < settings.missing_fraction
        frame[column] = frame[column].astype(object).where(~lost, "")
    return frame


def _yes(flags: npt.NDArray[np.bool_]) -> npt.NDArray[np.str_]:
    return np.where(flags, "yes", "no")


def _days(days: Floats) -> list[str]:
    return ["" if np.isnan(d) else f"{d:.0f}" for d in days]


def _dates(days: pd.DatetimeIndex) -> list[str]:
    return [str(d) for d in days.strftime("%Y-%m-%d")]


# ------------------------------------------------------------------ without pixels


@dataclass(frozen=True, kw_only=True)
class SimulatedTable:
    """A cohort at feature level.

    Attributes
    ----------
    clinical
        Numeric predictors of the protocol, a row a patient, NaN where missing.
    spatial, embeddings
        Image features measured with error; rows of NaN for patients without the modality.
    time_days, status
        DMFS: days, and 1 for distant metastasis or death.
    cause
        0 censored, 1 distant metastasis, 2 death without one.
    centre
        Number of each patient's centre.
    oracle
        C of the truth on these patients.
    oracle_risk, oracle_clinical_risk
        True five-year risks, with and without the image's part.
    """

    clinical: pd.DataFrame
    spatial: pd.DataFrame
    embeddings: pd.DataFrame
    time_days: Floats
    status: npt.NDArray[np.int64]
    cause: npt.NDArray[np.int64]
    centre: npt.NDArray[np.int64]
    oracle: Oracle
    oracle_risk: Floats
    oracle_clinical_risk: Floats


def simulate_table(settings: BreastSettings, seed: int) -> SimulatedTable:
    """Draw a cohort with the same latent biology and outcome as the slides', without pixels.

    A spatial biomarker is its latent, seen with a normal error of `measurement_error` standard
    deviations, on the scale a section would give. The embedding's eight numbers mix the planted
    latents with others that have no effect, with twice that error.

    Raises
    ------
    EvaluationError
        Nobody had an event while another patient was followed.
    """
    n = settings.patients
    rng = np.random.default_rng([seed, 8])
    patients = draw_patients(rng, spread_over_centres(settings, n))
    risk = risk_of(settings, patients)
    outcome = draw_outcome(rng, risk)
    lost = rng.random((2, n)) < settings.missing_fraction
    unknown = rng.random((len(_MISSING_IN), n)) < settings.missing_fraction
    spatial, embeddings = _spatial(settings, patients, rng), _embeddings(settings, patients, rng)
    spatial.loc[lost[0]] = np.nan
    embeddings.loc[lost[1]] = np.nan
    event = outcome.dmfs_event
    cause = np.where(np.isfinite(outcome.metastasis_days), 1, np.where(event, 2, 0))
    return SimulatedTable(
        clinical=_clinical(patients, unknown),
        spatial=spatial,
        embeddings=embeddings,
        time_days=outcome.dmfs_days,
        status=event.astype(np.int64),
        cause=cause.astype(np.int64),
        centre=patients.centre,
        oracle=oracle_of(settings, patients, risk, outcome),
        oracle_risk=risk.risk(),
        oracle_clinical_risk=clinical_oracle_risk(settings, patients, risk),
    )


def _clinical(p: Patients, lost: npt.NDArray[np.bool_]) -> pd.DataFrame:
    columns = {
        "age_years": p.age_years,
        "tumour_size_mm": p.tumour_size_mm,
        "positive_nodes": p.positive_nodes,
        "grade": p.grade,
        "er_positive": p.er_positive,
        "pr_positive": p.pr_positive,
        "her2_positive": p.her2_positive,
    }
    frame = pd.DataFrame({k: np.asarray(v, dtype=np.float64) for k, v in columns.items()})
    for k, column in enumerate(_MISSING_IN):
        frame.loc[lost[k], column] = np.nan
    return frame


def _spatial(settings: BreastSettings, p: Patients, rng: np.random.Generator) -> pd.DataFrame:
    error = settings.measurement_error * rng.standard_normal((6, len(p)))
    tls, t_cells, mixing = (p.image_terms() + error[:3].T).T
    return pd.DataFrame(
        {
            "tls_per_mm2": 0.9 * np.exp(0.85 * tls),
            "t_cells_per_mm2": 420 * np.exp(0.8 * t_cells),
            "stroma_t_cells_per_mm2": 520 * np.exp(0.75 * (t_cells + 0.3 * error[3])),
            "mixing_score_ratio": 0.35 * np.exp(0.4 * mixing),
            "tumour_area_percent": 100 / (1 + np.exp(-0.5 * (p.tumour + error[4]))),
            "b_cells_per_mm2": 90 * np.exp(0.6 * tls + 0.3 * t_cells + 0.3 * error[5]),
        }
    )


def _embeddings(settings: BreastSettings, p: Patients, rng: np.random.Generator) -> pd.DataFrame:
    n_out = len(EMBEDDING_COLUMNS)
    latents = np.column_stack([p.image_terms(), p.exclusion, p.tumour, p.fat])
    # one mixture for every cohort, as one encoder
    mixture = np.random.default_rng(77).standard_normal((latents.shape[1], n_out))
    mixture /= np.linalg.norm(mixture, axis=0)
    noise = 2 * settings.measurement_error * rng.standard_normal((len(p), n_out))
    return pd.DataFrame(latents @ mixture + noise, columns=list(EMBEDDING_COLUMNS))
