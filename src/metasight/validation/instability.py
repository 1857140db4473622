"""How much predictions and performance depend on the patients a model happened to learn from.

Both work on what bootstrap models predict for the original patients: the models themselves are
fitted elsewhere (:func:`metasight.models.crossfit.fit_resample`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from metasight.errors import EvaluationError
from metasight.validation.discrimination import harrell_c
from metasight.validation.ordering import Floats


@dataclass(frozen=True, kw_only=True)
class Optimism:
    """Harrell's optimism of an apparent performance.

    Attributes
    ----------
    apparent
        Of the model on the patients it was fitted to.
    optimism
        Mean over resamples of performance in the resample less that in the original patients.
    corrected
        apparent − optimism.
    """

    apparent: float
    optimism: float
    corrected: float


def optimism(apparent: float, in_resample: npt.ArrayLike, in_original: npt.ArrayLike) -> Optimism:
    """Correct an apparent performance for optimism.

    Parameters
    ----------
    apparent
        Performance of the model in its own patients.
    in_resample, in_original
        Of each bootstrap model in its resample and in the original patients, shape ``(B,)``.

    Raises
    ------
    EvaluationError
        Shapes differ, or a value is missing.

    References
    ----------
    Efron 1983; Harrell 1996.
    """
    a, b = np.asarray(in_resample, dtype=float), np.asarray(in_original, dtype=float)
    if a.shape != b.shape or a.ndim != 1 or not np.isfinite(a - b).all():
        raise EvaluationError(
            "optimism needs two finite values a resample",
            value=f"{a.shape} and {b.shape}",
            remedy="Leave out a resample in which the model could not be fitted, and say so",
        )
    gap = float((a - b).mean())
    return Optimism(apparent=apparent, optimism=gap, corrected=apparent - gap)


def optimism_of_c(
    time: Floats,
    status: npt.NDArray[np.int64],
    own: Floats,
    resampled: Floats,
    drawn: npt.NDArray[np.intp],
    *,
    judged: npt.NDArray[np.bool_] | None = None,
) -> Optimism:
    """Harrell's C of a model, corrected for optimism.

    Parameters
    ----------
    time, status
        Outcome of the patients, shape ``(n,)``; a class is given as times that order it.
    own
        Their risk by the model, shape ``(n,)``.
    resampled
        Their risk by each bootstrap model, shape ``(B, n)``.
    drawn
        Rows that each bootstrap model was fitted to, shape ``(B, n)``.
    judged
        Patients whose outcome is known; all unless given.
    """
    seen = np.ones(len(own), dtype=bool) if judged is None else judged

    def c(rows: npt.NDArray[np.intp], risk: Floats) -> float:
        rows = rows[seen[rows]]
        return harrell_c(time[rows], status[rows], risk[rows]).c

    everyone = np.arange(len(own))
    return optimism(
        c(everyone, own),
        [c(rows, risk) for rows, risk in zip(drawn, resampled, strict=True)],
        [c(everyone, risk) for risk in resampled],
    )


@dataclass(frozen=True, kw_only=True)
class Instability:
    """Spread of a patient's risk over models fitted to resamples.

    Attributes
    ----------
    mape
        Mean absolute difference from the original model's risk, each patient, shape ``(n,)``.
    lower, upper
        Interval of each patient's risk over the resamples.
    """

    mape: Floats
    lower: Floats
    upper: Floats


def instability(
    original: npt.ArrayLike, resampled: npt.ArrayLike, *, confidence: float = 0.95
) -> Instability:
    """Prediction instability.

    Parameters
    ----------
    original
        Risk of each patient by the model, shape ``(n,)``.
    resampled
        Risk by each bootstrap model for the original patients, shape ``(B, n)``.
    confidence
        Level of the intervals.

    Raises
    ------
    EvaluationError
        Shapes do not fit.

    References
    ----------
    Riley and Collins 2023.
    """
    first, boot = _matrices(original, resampled)
    tail = (1 - confidence) / 2
    lower, upper = np.quantile(boot, [tail, 1 - tail], axis=0)
    return Instability(mape=np.abs(boot - first).mean(axis=0), lower=lower, upper=upper)


def _matrices(original: npt.ArrayLike, resampled: npt.ArrayLike) -> tuple[Floats, Floats]:
    first = np.asarray(original, dtype=np.float64)
    boot = np.asarray(resampled, dtype=np.float64)
    if boot.ndim != 2 or boot.shape[1:] != first.shape:
        raise EvaluationError(
            "resampled risks must be one row a resample and one column a patient",
            value=f"{boot.shape} for {first.shape}",
            remedy="Predict the original patients with every bootstrap model",
        )
    return first, boot
