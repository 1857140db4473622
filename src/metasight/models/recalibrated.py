"""A fitted model whose risks are recalibrated, or whose last step is estimated again.

The whole curve of risk, or all stages, at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from metasight.errors import FitError
from metasight.models.base import State
from metasight.models.fitted import Head

Floats = NDArray[np.float64]
Scale = Literal["cloglog", "logit"]
KIND = "recalibrated"


@dataclass(frozen=True, kw_only=True)
class Recalibration:
    """A straight line on the scale of a risk, and what each column adds where it was refitted.

    Without coefficients it leaves the order of patients as it is.

    Attributes
    ----------
    scale
        ``cloglog``: log cumulative hazard of a risk by a horizon; ``logit``: log odds of a stage
        at or above each cut.
    intercept, slope
        Of the line; the slope is above 0.
    horizon_days
        Whose risk the line is for; None for stages.
    coefficients
        What is added for each column that the head reads, per unit; empty for a line alone.

    Notes
    -----
    By other horizons a patient's cumulative hazard H(t) is multiplied by the factor that it has at
    the horizon h of the line: H′(t) = H(t) · exp(intercept + (slope − 1) · log H(h) + z · δ), with
    z the columns and δ the coefficients. So the curve keeps its shape and never falls; of a
    proportional-hazards model it is the slope on the linear predictor with the baseline hazard
    multiplied. With competing events H(t) stands for −log(1 − cumulative incidence). One line for
    all cuts of a stage keeps them ordered.

    Raises
    ------
    FitError
        The slope is not above 0, or a survival line has no horizon.
    """

    scale: Scale
    intercept: float
    slope: float
    horizon_days: int | None
    coefficients: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if not self.slope > 0 or not np.isfinite((self.intercept, *self.coefficients)).all():
            raise FitError(
                "a recalibration must keep the order of the patients",
                value=f"intercept {self.intercept:g}, slope {self.slope:g}",
                remedy="Give a slope above 0; a model of slope 0 or less is not recalibrated",
            )
        if (self.scale == "cloglog") != (self.horizon_days is not None):
            raise FitError("a recalibrated survival model has a horizon, a stage none")

    def added(self, matrix: Floats) -> Floats:
        """What the columns add on the scale of the risk, shape (n,); 0 without coefficients."""
        if not self.coefficients:
            return np.zeros(len(matrix))
        return np.asarray(matrix @ np.array(self.coefficients))

    def curve(self, risk: Floats, at_horizon: Floats, added: Floats | float = 0.0) -> Floats:
        """Recalibrated risks by any times.

        Parameters
        ----------
        risk
            Shape (n, h), in [0, 1].
        at_horizon
            The same patients' risk by :attr:`horizon_days`, shape (n,).
        added
            Of :meth:`added`.
        """
        with np.errstate(divide="ignore"):
            hazard = -np.log1p(-np.clip(risk, 0.0, 1.0))
        factor = np.exp(self.shift(at_horizon) + added)
        return np.asarray(-np.expm1(-hazard * factor[:, None]))

    def shift(self, at_horizon: Floats) -> Floats:
        """What is added to the log cumulative hazard of patients, from their risk by the horizon.

        A risk within 1e-8 of 0 or 1 is taken there, as in the estimation of the line.
        """
        held = np.clip(at_horizon, 1e-8, 1 - 1e-8)
        return np.asarray(self.intercept + (self.slope - 1) * np.log(-np.log1p(-held)))

    def stages(self, risk: Floats, added: Floats | float = 0.0) -> Floats:
        """Recalibrated probabilities of N0, N1, N2, shape (n, 3)."""
        more = np.asarray(added, dtype=np.float64).reshape(-1, 1)
        above = self.odds(np.column_stack([1.0 - risk[:, 0], risk[:, 2]]), more)
        n0, n2 = 1.0 - above[:, 0], above[:, 1]
        return np.column_stack([n0, np.maximum(above[:, 0] - above[:, 1], 0.0), n2])

    def odds(self, above: Floats, added: Floats | float = 0.0) -> Floats:
        """Recalibrated probability of a stage at or above a cut, any shape."""
        with np.errstate(divide="ignore"):
            odds = logit(np.clip(above, 0.0, 1.0))
        return np.asarray(expit(self.intercept + self.slope * odds + added))


@dataclass(frozen=True, kw_only=True)
class RecalibratedHead:
    """A head with a recalibration behind it.

    Attributes
    ----------
    head
        As it was fitted.
    recalibration
        What its risks go through.
    """

    head: Head
    recalibration: Recalibration

    @property
    def state(self) -> State:
        """Plain JSON."""
        return _line_state(self.recalibration, self.head.state)

    @classmethod
    def from_state(cls, state: State, head: Head) -> RecalibratedHead:
        """Inverse of :attr:`state`, around the head restored from its own part."""
        line = Recalibration(
            scale=state["scale"],
            intercept=float(state["intercept"]),
            slope=float(state["slope"]),
            horizon_days=None if state["horizon_days"] is None else int(state["horizon_days"]),
            coefficients=tuple(map(float, state["coefficients"])),
        )
        return cls(head=head, recalibration=line)

    def score(self, matrix: Floats) -> Floats:
        """As the head has it."""
        return self.head.score(matrix)

    def risk(self, matrix: Floats, horizons_days: NDArray[np.int64]) -> Floats:
        """Recalibrated risk; non-decreasing over horizons where the head's is."""
        line = self.recalibration
        risk, added = self.head.risk(matrix, horizons_days), line.added(matrix)
        if line.horizon_days is None:
            return line.stages(risk, added)
        own = np.array([line.horizon_days], dtype=np.int64)
        return line.curve(risk, self.head.risk(matrix, own)[:, 0], added)


def recalibrated_state(state: State, recalibration: Recalibration, note: str) -> dict[str, Any]:
    """A model's state with a recalibration behind its head.

    Parameters
    ----------
    state
        Of a fitted model.
    recalibration
        What its risks go through.
    note
        What a reader should know of it.

    Raises
    ------
    FitError
        The model is recalibrated already.
    """
    head = state["head"]
    if head["kind"] == KIND:
        raise FitError(
            "the model is recalibrated already",
            where=str(state["name"]),
            remedy="Recalibrate the bundle that it was made from",
        )
    return {
        **state,
        "head": _line_state(recalibration, head),
        "notes": [*state["notes"], note],
    }


def _line_state(line: Recalibration, head: State) -> dict[str, Any]:
    return {
        "kind": KIND,
        "scale": line.scale,
        "intercept": line.intercept,
        "slope": line.slope,
        "horizon_days": line.horizon_days,
        "coefficients": list(line.coefficients),
        "head": dict(head),
    }
