"""Risk sets of a Cox model at given coefficients: means of the columns, and information.

What the intervals of coefficients and the test of proportional hazards share. Ties by Efron
(JASA 1977;72:557): of d tied events the one in place r sees a risk set that is short of r/d of
the tied.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metasight.models.partial_likelihood import PartialLikelihood

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class RiskSets:
    """Follow-up in order of time, and what each event sees at risk.

    Attributes
    ----------
    matrix
        Shape (n, p), sorted by follow-up.
    weight
        Shape (n,): hazard ratios against the largest.
    event
        Shape (n,): whether follow-up ended with the event.
    times
        Shape (n,): sorted follow-up, days.
    rows
        Shape (E,): rows of the events, in order of time.
    of_time
        Shape (E,): which distinct event time each event belongs to.
    share
        Shape (E,): r/d, by how much of the tied the event's risk set is short, in [0, 1).
    size
        Shape (E,): sum of weights in the event's risk set.
    mean
        Shape (E, p): weighted means of the columns in it.
    """

    matrix: Floats
    weight: Floats
    event: NDArray[np.bool_]
    times: Floats
    rows: NDArray[np.intp]
    of_time: NDArray[np.intp]
    share: Floats
    size: Floats
    mean: Floats

    @classmethod
    def of(
        cls,
        matrix: Floats,
        time_days: Floats,
        event: NDArray[np.bool_],
        coefficients: Floats,
    ) -> RiskSets:
        """From columns (n, p), follow-up and events (n,), and coefficients (p,)."""
        likelihood = PartialLikelihood.of(time_days, event)
        x = matrix[likelihood.order]
        time, had = likelihood.time, likelihood.event > 0
        eta = x @ coefficients
        weight = np.exp(eta - eta.max())
        rows = np.flatnonzero(had)
        _, first, of_time, tied = np.unique(
            time[rows], return_index=True, return_inverse=True, return_counts=True
        )
        share = (np.arange(len(rows)) - first[of_time]) / tied[of_time]
        heavy = np.column_stack([weight, weight[:, None] * x])
        at_risk = np.cumsum(heavy[::-1], axis=0)[::-1]
        start = np.searchsorted(time, time[rows], side="left")
        dying = np.add.reduceat(heavy[rows], first, axis=0)[of_time]
        sums = at_risk[start] - share[:, None] * dying
        return cls(
            matrix=x,
            weight=weight,
            event=had,
            times=time,
            rows=rows,
            of_time=of_time,
            share=share,
            size=sums[:, 0],
            mean=sums[:, 1:] / sums[:, :1],
        )

    def information(self, each: Floats | None = None) -> Floats:
        """Σ over events of ``each`` × variance of the columns in the event's risk set.

        Parameters
        ----------
        each
            Shape (E,), any sign; 1 for every event unless given, which makes it the information
            of the partial likelihood.

        Returns
        -------
        Shape (p, p), symmetric.
        """
        factor = np.ones(len(self.rows)) if each is None else each
        step = factor / self.size
        until = np.searchsorted(self.times[self.rows], self.times, side="right")
        total = np.concatenate([[0.0], np.cumsum(step)])[until]
        tied = np.bincount(self.of_time, weights=step * self.share)[self.of_time]
        total[self.rows] -= tied
        mass = self.weight * total
        return np.asarray(
            (self.matrix * mass[:, None]).T @ self.matrix
            - (self.mean * factor[:, None]).T @ self.mean
        )

    @property
    def residuals(self) -> Floats:
        """Schoenfeld residuals: each event's columns less their mean at risk, shape (E, p)."""
        return np.asarray(self.matrix[self.rows] - self.mean)
