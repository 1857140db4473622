"""From coefficients and baseline hazards to absolute risk: one head for all hazard regressions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from metasight.models.base import State

Scale = Literal["survival", "product_integral", "subdistribution"]
_BLOCK = 256
"""Patients whose cumulative incidence is assembled at once."""


@dataclass(frozen=True, kw_only=True)
class CauseHazard:
    """A proportional hazard of one cause.

    Attributes
    ----------
    coefficients
        Shape (p,), of the reader's columns.
    times
        Shape (m,), ascending event times of the cause, days.
    increments
        Shape (m,), ≥ 0: steps of the baseline cumulative hazard at a linear predictor of 0. The
        cumulative hazard is right-continuous and constant after the last event.
    """

    coefficients: NDArray[np.float64]
    times: NDArray[np.float64]
    increments: NDArray[np.float64]

    def linear_predictor(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        """Log hazard ratio against the baseline, shape (n,)."""
        return np.asarray(matrix @ self.coefficients)

    def cumulative(self, horizons_days: NDArray[np.int64]) -> NDArray[np.float64]:
        """Baseline cumulative hazard by each horizon, that day included."""
        total = np.concatenate([[0.0], np.cumsum(self.increments)])
        return np.asarray(total[np.searchsorted(self.times, horizons_days, side="right")])


@dataclass(frozen=True, kw_only=True)
class HazardHead:
    """Absolute risk of cause 1 from the hazards of one or two causes.

    Attributes
    ----------
    scale
        ``survival``: one cause, 1 − exp(−H). ``product_integral``: cause-specific hazards of the
        event and the competing event, cumulative incidence Σ S(u−) dH₁(u) with
        S = Π (1 − dH₁ − dH₂), as ``riskRegression::CSC`` (Ozenne et al., R Journal 2017;9:440).
        ``subdistribution``: Fine–Gray, 1 − exp(−H).
    causes
        The event, then the competing event if the scale needs it.
    fit
        How the fit went, for the report: path, penalty, coefficients per unit (JSON data).
    """

    scale: Scale
    causes: tuple[CauseHazard, ...]
    fit: dict[str, Any]

    @property
    def state(self) -> State:
        """Plain JSON."""
        return {
            "kind": "hazards",
            "scale": self.scale,
            "causes": [
                {
                    "coefficients": c.coefficients.tolist(),
                    "times": c.times.tolist(),
                    "increments": c.increments.tolist(),
                }
                for c in self.causes
            ],
            "fit": self.fit,
        }

    @classmethod
    def from_state(cls, state: State) -> HazardHead:
        """Inverse of :attr:`state`."""
        causes = tuple(
            CauseHazard(
                coefficients=np.array(c["coefficients"], dtype=np.float64),
                times=np.array(c["times"], dtype=np.float64),
                increments=np.array(c["increments"], dtype=np.float64),
            )
            for c in state["causes"]
        )
        return cls(scale=state["scale"], causes=causes, fit=state["fit"])

    def score(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        """Linear predictor of each cause, shape (n, n_causes)."""
        return np.column_stack([c.linear_predictor(matrix) for c in self.causes])

    def risk(
        self, matrix: NDArray[np.float64], horizons_days: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Probability of the event by each horizon, shape (n, n_horizons), non-decreasing."""
        if self.scale == "product_integral":
            return cumulative_incidence(self.causes, self.score(matrix), horizons_days)
        event = self.causes[0]
        hazard = relative_hazard(event.linear_predictor(matrix))[:, None]
        return np.asarray(-np.expm1(-hazard * event.cumulative(horizons_days)[None, :]))


_MOST = 500.0
"""Log hazard ratio beyond which a risk is 0 or 1 to the last digit, and its exponential none."""


def relative_hazard(predictor: NDArray[np.float64]) -> NDArray[np.float64]:
    """Hazard ratio against the baseline; a patient far beyond all others is certain, not NaN."""
    return np.asarray(np.exp(np.clip(predictor, -_MOST, _MOST)))


def cumulative_incidence(
    causes: tuple[CauseHazard, ...],
    predictors: NDArray[np.float64],
    horizons_days: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Cumulative incidence of the first cause by product integration.

    Parameters
    ----------
    causes
        Cause-specific hazards.
    predictors
        Shape (n, n_causes): linear predictors.
    horizons_days
        Shape (h,), ascending.

    Returns
    -------
    Shape (n, h), in [0, 1]. Where the hazards of a patient at one time sum to more than 1, they
    are scaled to 1: nobody can leave more often than once.
    """
    last = horizons_days[-1] if len(horizons_days) else 0
    times = np.unique(np.concatenate([c.times for c in causes]))
    times = times[times <= last]
    steps = np.zeros((len(causes), len(times)))
    for k, cause in enumerate(causes):
        inside = cause.times <= last
        steps[k, np.searchsorted(times, cause.times[inside])] = cause.increments[inside]
    at = np.searchsorted(times, horizons_days, side="right")
    out = np.zeros((len(predictors), len(horizons_days)))
    for start in range(0, len(predictors), _BLOCK):
        rows = slice(start, start + _BLOCK)
        ratio = relative_hazard(predictors[rows])
        each = [ratio[:, [k]] * steps[k][None, :] for k in range(len(causes))]
        total = np.sum(each, axis=0)
        excess = np.maximum(total, 1.0)
        survival = np.cumprod(1.0 - total / excess, axis=1)
        before = np.column_stack([np.ones(len(ratio)), survival[:, :-1]])[:, : len(times)]
        incidence = np.cumsum(before * each[0] / excess, axis=1)
        out[rows] = np.column_stack([np.zeros(len(ratio)), incidence])[:, at]
    return np.clip(out, 0.0, 1.0)
