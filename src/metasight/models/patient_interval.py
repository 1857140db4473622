"""A patient's interval: where the true risk may lie, given what was observed of the patient.

Centre and spread come from one procedure: penalised logistic regressions of the event by a horizon
(or of a stage) on the columns that the study's model reads, refitted so that they differ by all
that is not known (:mod:`metasight.models.perturbed_refits`). A straight effect is a choice, and
what it hides is an error too: each continuous column may bend, its square being a further column
with a spread of its own whose values are small. Where the outcomes show no bend the interval is
wider by what they cannot exclude. Interactions are not covered, nor is what differs in another
hospital.

A patient who was censored before the horizon is represented by those followed longer (inverse
probability of censoring weights, scaled to their effective number).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import norm

from metasight.cohort.outcome import CENSORED, EVENT, NodalOutcome, Outcome, SurvivalOutcome
from metasight.errors import FitError
from metasight.features.columns import FeatureTable
from metasight.models.base import State
from metasight.models.perturbed_refits import (
    BENT,
    STRAIGHT,
    Floats,
    Grouped,
    perturbed_refits,
    with_intercept,
)
from metasight.models.preparation import FittedPreparation, Preparation, canonical, observed_only
from metasight.predictions import NODAL_LABELS

FEWEST_EVENTS = 10
"""Patients with, and without, the event below which there is no interval."""
FEWEST_REFITS = 100
MOST_BENDS = 60
"""Columns that may bend; those of the first modality before others."""

_FURTHEST = 2.5
"""Standard deviations beyond which a bend goes on flat: a square would rule the tails."""


@dataclass(frozen=True, kw_only=True)
class Band:
    """Intervals of n patients at one target, in [0, 1].

    Attributes
    ----------
    lower, centre, upper
        Shape (n,).
    """

    lower: Floats
    centre: Floats
    upper: Floats


@dataclass(frozen=True)
class Bends:
    """Which columns may bend, and the scale of their squares in training.

    Attributes
    ----------
    columns
        Positions, shape (q,).
    mean, sd
        Of the squares, shape (q,).
    """

    columns: NDArray[np.intp]
    mean: Floats
    sd: Floats

    @classmethod
    def of(cls, matrix: Floats, group: NDArray[np.intp]) -> Bends:
        """Learn from training rows; a column of two values has no bend."""
        order = np.argsort(group, kind="stable")
        many = [j for j in order if len(np.unique(matrix[:, j])) > 2]
        squares = _squares(matrix[:, many])
        kept = np.flatnonzero(squares.std(axis=0) > 0)[:MOST_BENDS]
        columns = np.array(many, dtype=np.intp)[kept]
        return cls(columns, squares[:, kept].mean(axis=0), squares[:, kept].std(axis=0))

    def added(self, matrix: Floats) -> Floats:
        """The matrix with the standardised squares behind it."""
        return np.column_stack([matrix, (_squares(matrix[:, self.columns]) - self.mean) / self.sd])

    @property
    def state(self) -> State:
        """Plain JSON."""
        return {
            "columns": self.columns.tolist(),
            "mean": self.mean.tolist(),
            "sd": self.sd.tolist(),
        }

    @classmethod
    def from_state(cls, state: State, width: int) -> Bends:
        """Inverse of :attr:`state`, for a matrix of ``width`` columns.

        Raises
        ------
        FitError
            It is not what a fit leaves.
        """
        columns = np.array(state["columns"], dtype=np.intp)
        mean, sd = (np.array(state[k], dtype=np.float64) for k in ("mean", "sd"))
        inside = bool(((columns >= 0) & (columns < width)).all())
        if not columns.shape == mean.shape == sd.shape or not inside:
            raise _damaged("bends")
        if not bool(np.isfinite(mean).all() and np.isfinite(sd).all() and (sd > 0).all()):
            raise _damaged("bends")
        return cls(columns, mean, sd)


def _squares(matrix: Floats) -> Floats:
    return np.asarray(np.minimum(np.abs(matrix), _FURTHEST) ** 2)


@dataclass(frozen=True)
class FittedIntervals:
    """What the refits learnt.

    Attributes
    ----------
    reader, bends
        Features to columns, and columns to those that bend.
    refits
        Target (horizon in days, or stage) → intercept and coefficients of each refit, shape
        (refits, 1 + p + q); targets with too few events are absent.
    """

    reader: FittedPreparation
    bends: Bends
    refits: Mapping[str, Floats]

    @property
    def state(self) -> State:
        """Plain JSON."""
        return {
            "kind": "patient intervals",
            "reader": self.reader.state,
            "bends": self.bends.state,
            "refits": {target: b.tolist() for target, b in self.refits.items()},
        }

    @classmethod
    def from_state(cls, state: State) -> FittedIntervals:
        """Inverse of :attr:`state`.

        Raises
        ------
        FitError
            It is not what a fit leaves.
        """
        try:
            reader = FittedPreparation.from_state(state["reader"])
            bends = Bends.from_state(state["bends"], len(reader.columns))
            refits = {str(t): np.array(b, dtype=np.float64) for t, b in state["refits"].items()}
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            raise _damaged(type(error).__name__) from error
        width = 1 + len(reader.columns) + len(bends.columns)
        for target, b in refits.items():
            if b.ndim != 2 or b.shape[1] != width or len(b) < FEWEST_REFITS:
                raise _damaged(f"{target}: {b.shape}")
            if not bool(np.isfinite(b).all()):
                raise _damaged(f"{target}: not finite")
        return cls(reader, bends, refits)

    def bands(self, table: FeatureTable, *, confidence: float = 0.95) -> dict[str, Band]:
        """Intervals at each target, normal on the scale of log odds.

        Parameters
        ----------
        table
            Must hold every feature that was read; values may be missing.
        confidence
            Level.
        """
        columns = with_intercept(self.bends.added(self.reader.matrix(table)))
        reach = float(norm.ppf(0.5 + confidence / 2))
        found = {}
        for target, b in self.refits.items():
            odds = columns @ b.T
            centre, half = odds.mean(axis=1), reach * odds.std(axis=1, ddof=1)
            found[target] = Band(
                lower=expit(centre - half), centre=expit(centre), upper=expit(centre + half)
            )
        return found


def _damaged(value: str) -> FitError:
    return FitError(
        "the refits for a patient's interval are damaged",
        where="model state",
        value=value,
        remedy="Copy the model again from its source",
    )


@dataclass(frozen=True, kw_only=True)
class IntervalModel:
    """What is refitted, and how often.

    Attributes
    ----------
    name
        Of the model whose patients get intervals; in errors.
    preparation
        Features, imputation and design, as that model has them.
    refits
        At least 100.
    """

    name: str
    preparation: Preparation
    refits: int

    def __post_init__(self) -> None:
        if self.refits < FEWEST_REFITS:
            raise FitError(
                "too few refits for a patient's interval",
                where=self.name,
                value=str(self.refits),
                remedy=f"Ask for {FEWEST_REFITS} or more",
            )

    def fit(
        self, table: FeatureTable, outcome: Outcome, horizons_days: NDArray[np.int64], *, seed: int
    ) -> FittedIntervals:
        """Learn from the rows of ``table``.

        Raises
        ------
        FitError
            The model reads images, or a refit does not converge.
        """
        if isinstance(outcome, NodalOutcome):
            table, outcome = observed_only(*canonical(table, outcome))
        else:
            table, outcome = canonical(table, outcome)
        reader = self.preparation.fit(table, outcome)
        matrix = reader.matrix(table)
        first = self.preparation.modalities[0]
        group = np.array([int(m != first) for m in reader.modalities], dtype=np.intp)
        bends = Bends.of(matrix, group)
        told = _grouped(bends.added(matrix), group, len(bends.columns))
        rng = np.random.default_rng([seed, 0x6976])
        refits = {}
        for target, (event, weight) in seen_by(outcome, horizons_days).items():
            seen = weight > 0
            if min(event[seen].sum(), (~event[seen]).sum()) < FEWEST_EVENTS:
                continue
            y, w = event[seen].astype(np.float64), weight[seen]
            refits[target] = perturbed_refits(
                Grouped(matrix=told.matrix[seen], group=told.group, spreads=told.spreads),
                y,
                w * w.sum() / (w**2).sum(),
                refits=self.refits,
                rng=rng,
                model=self.name,
            )
        return FittedIntervals(reader, bends, refits)


def seen_by(
    outcome: Outcome, horizons_days: NDArray[np.int64]
) -> dict[str, tuple[NDArray[np.bool_], Floats]]:
    """Whether each patient had the event by each horizon (or the stage), and the weight of it.

    A patient whose event is not known by the horizon has weight 0. Weights are 1/G(T−) of an
    event or a competing one, 1/G(h) of who was followed beyond the horizon, with G the
    Kaplan–Meier estimate of being uncensored (an event on a day leaves before those censored on
    it).
    """
    if isinstance(outcome, NodalOutcome):
        return {
            label: (outcome.stage == k, np.ones(len(outcome)))
            for k, label in enumerate(NODAL_LABELS)
        }
    days, before, after = _uncensored(outcome)
    found = {}
    for horizon in horizons_days:
        early = outcome.time_days <= horizon
        known = ~early | (outcome.status != CENSORED)
        free = before[np.searchsorted(days, outcome.time_days)]
        last = int(np.searchsorted(days, horizon, side="right"))
        beyond = after[last - 1] if last > 0 else 1.0
        g = np.where(early, free, beyond)
        weight = np.divide(1.0, g, out=np.zeros(len(g)), where=known & (g > 0))
        found[str(int(horizon))] = (early & (outcome.status == EVENT), weight)
    return found


def _uncensored(outcome: SurvivalOutcome) -> tuple[Floats, Floats, Floats]:
    """Distinct days, and G before and after each."""
    days, own = np.unique(outcome.time_days, return_inverse=True)
    censored = np.bincount(own, outcome.status == CENSORED)
    left = np.bincount(own) - censored
    at_risk = np.cumsum(np.bincount(own)[::-1])[::-1] - left
    after = np.cumprod(1 - np.divide(censored, at_risk, out=np.zeros(len(days)), where=at_risk > 0))
    return days, np.concatenate([[1.0], after[:-1]]), after


def _grouped(matrix: Floats, group: NDArray[np.intp], bent: int) -> Grouped:
    """Columns of the first modality, of all others, and the bent ones; empty groups left out."""
    every = np.concatenate([group, np.full(bent, 2, dtype=np.intp)])
    there, number = np.unique(every, return_inverse=True)
    spreads: Sequence[tuple[float, ...]] = (STRAIGHT, STRAIGHT, BENT)
    return Grouped(
        matrix=matrix, group=number.astype(np.intp), spreads=tuple(spreads[k] for k in there)
    )
