"""Outcomes as arrays: survival with competing events, and nodal stage with unobserved nodes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metasight.errors import FitError

CENSORED, EVENT, COMPETING = 0, 1, 2
UNOBSERVED = -1
"""Nodal status of a patient whose nodes were not examined; never the same as N0."""


@dataclass(frozen=True)
class SurvivalOutcome:
    """Follow-up of n patients from time zero.

    Attributes
    ----------
    time_days
        Shape (n,), > 0: days to the event, the competing event or censoring.
    status
        Shape (n,): 0 censored, 1 event, 2 competing event.
    """

    time_days: NDArray[np.float64]
    status: NDArray[np.int8]

    def __post_init__(self) -> None:
        if self.time_days.shape != self.status.shape or self.time_days.ndim != 1:
            raise FitError("time and status differ in length", where="outcome")
        if not bool((self.time_days > 0).all()):
            raise FitError("follow-up must be positive", where="outcome")
        if not bool(np.isin(self.status, (CENSORED, EVENT, COMPETING)).all()):
            raise FitError("status must be 0, 1 or 2", where="outcome")

    def __len__(self) -> int:
        return len(self.time_days)

    @property
    def competing(self) -> bool:
        """Whether any competing event was seen."""
        return bool((self.status == COMPETING).any())

    @property
    def n_events(self) -> int:
        """Events of interest."""
        return int((self.status == EVENT).sum())

    def take(self, index: NDArray[np.intp]) -> SurvivalOutcome:
        """The patients at ``index``, repeats allowed."""
        return SurvivalOutcome(self.time_days[index], self.status[index])


@dataclass(frozen=True)
class NodalOutcome:
    """Pathological N stage of n patients.

    Attributes
    ----------
    stage
        Shape (n,): 0, 1, 2 for N0, N1, N2; -1 where nodes were not examined.
    """

    stage: NDArray[np.int8]

    def __post_init__(self) -> None:
        if not bool(np.isin(self.stage, (UNOBSERVED, 0, 1, 2)).all()):
            raise FitError("nodal stage must be 0, 1, 2 or -1", where="outcome")

    def __len__(self) -> int:
        return len(self.stage)

    @property
    def observed(self) -> NDArray[np.bool_]:
        """Where nodes were examined, shape (n,)."""
        return np.asarray(self.stage != UNOBSERVED)

    @property
    def n_events(self) -> int:
        """Patients with any positive node."""
        return int((self.stage > 0).sum())

    def take(self, index: NDArray[np.intp]) -> NodalOutcome:
        """The patients at ``index``, repeats allowed."""
        return NodalOutcome(self.stage[index])


Outcome = SurvivalOutcome | NodalOutcome
