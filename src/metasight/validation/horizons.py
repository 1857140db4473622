"""At which horizons some patients can be judged, and at which days their risk is predicted."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from metasight.errors import EvaluationError
from metasight.predictions import Predictions
from metasight.units import DAYS_PER_YEAR, Days, years_to_days
from metasight.validation.ipcw import MIN_CENSORING_SURVIVAL, require_horizon
from metasight.validation.results import EvaluationPlan

_LONGEST_YEARS = 30
"""How far a grid of half years reaches at most."""


def supported_horizons(
    time_days: npt.NDArray[np.float64],
    status: npt.NDArray[np.integer],
    wanted: Sequence[Days],
    *,
    insist: bool,
    min_censoring_survival: float = MIN_CENSORING_SURVIVAL,
) -> tuple[list[Days], list[str]]:
    """The horizons that this follow-up can speak about, rising, and why others are left out.

    Parameters
    ----------
    time_days, status
        Follow-up: 0 censored, 1 event, 2 competing event.
    wanted
        Asked for.
    insist
        Whether one that is not supported is an error.
    min_censoring_survival
        Lowest probability of still being followed at a horizon.

    Raises
    ------
    EvaluationError
        A horizon is not supported and ``insist``, or none is; it speaks of the earliest that fails.
    """
    kept: list[Days] = []
    refused: list[EvaluationError] = []
    for horizon in sorted(wanted):
        try:
            require_horizon(
                time_days, status, horizon, min_censoring_survival=min_censoring_survival
            )
        except EvaluationError as error:
            refused.append(_of_years(error, horizon))
        else:
            kept.append(horizon)
    if refused and (insist or not kept):
        raise refused[0]
    return kept, [str(error) for error in refused]


def _of_years(error: EvaluationError, horizon: Days) -> EvaluationError:
    """The same refusal, begun with the risk that it concerns."""
    said = f"{horizon / DAYS_PER_YEAR:.3g}-year risk is not reported"
    longest = re.search(r"last follow-up (\d+)", error.value)
    if longest is not None:
        days = int(longest[1])
        return EvaluationError(
            f"{said}: the longest follow-up is {days / DAYS_PER_YEAR:.1f} years ({days} days)",
            remedy=error.remedy,
        )
    return EvaluationError(
        f"{said}: {error.problem}",
        value=error.value,
        remedy=error.remedy,
    )


def prediction_days(horizons: Sequence[Days], last: Days) -> list[Days]:
    """Days for which risks are predicted: the horizons, and every half year before ``last``."""
    half_years = (y / 2 for y in range(1, 2 * _LONGEST_YEARS + 1))
    return sorted({*horizons, *(years_to_days(y) for y in half_years if y * DAYS_PER_YEAR < last)})


def supported_plan(
    plan: EvaluationPlan, predictions: Predictions, who: str
) -> tuple[EvaluationPlan, list[str]]:
    """``plan`` at the horizons that these patients' follow-up supports, and notes on the others.

    Raises
    ------
    EvaluationError
        None is supported.
    """
    if not plan.horizons_days:
        return plan, []
    rows = predictions.table.drop_duplicates("patient")
    time, status = rows["time_days"].to_numpy(float), rows["status"].to_numpy(int)
    kept: list[int] = []
    notes: list[str] = []
    for horizon in plan.horizons_days:
        try:
            require_horizon(time, status, horizon)
        except EvaluationError as error:
            notes.append(f"{who} cannot be judged at {horizon} days: {error}")
        else:
            kept.append(horizon)
    if not kept:
        raise EvaluationError(" ".join(notes))
    return replace(
        plan, horizons_days=tuple(kept), tau_days=min(plan.tau_days or kept[-1], kept[-1])
    ), notes
