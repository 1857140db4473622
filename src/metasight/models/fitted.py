"""A fitted model: a reader (features to columns) and a head (columns to risk)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from metasight.cohort.outcome import NodalOutcome, Outcome, SurvivalOutcome
from metasight.errors import FitError
from metasight.features.columns import FeatureTable
from metasight.models.base import RiskModel, State
from metasight.models.likeness import Likeness
from metasight.models.preparation import Reader

STATE_VERSION = 3


class Head(Protocol):
    """Turns a matrix into risk."""

    @property
    def state(self) -> State:
        """Plain JSON; ``kind`` names the class."""
        ...

    def risk(
        self, matrix: NDArray[np.float64], horizons_days: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """As :meth:`metasight.models.base.FittedModel.predict`, from the reader's matrix."""
        ...

    def score(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        """One number a patient and head, shape (n, n_scores): the linear predictors.

        Used by stacking; on the scale of a log hazard or log odds.
        """
        ...


@dataclass(frozen=True)
class ReaderHeadModel:
    """A reader and a head that have seen training data.

    Attributes
    ----------
    kind, name
        Of the model that was fitted.
    reader, head
        The two halves.
    notes
        What a reader of the report should know of this fit (dropped columns, refitted baselines).
    likeness
        By which the model abstains; None if it never does. Risks are given all the same, so that
        all models can be judged on the same patients: who shows one asks :meth:`unlike` first.
    """

    kind: str
    name: str
    reader: Reader
    head: Head
    notes: tuple[str, ...] = field(default=())
    likeness: Likeness | None = None

    @property
    def state(self) -> State:
        """All that was learnt, as JSON-able data."""
        return {
            "version": STATE_VERSION,
            "kind": self.kind,
            "name": self.name,
            "reader": self.reader.state,
            "head": self.head.state,
            "notes": list(self.notes),
            "likeness": None if self.likeness is None else self.likeness.state,
        }

    def unlike(self, table: FeatureTable) -> NDArray[np.float64] | None:
        """Distance to the training patients, above 1 beyond the limit; None if never judged.

        Shape (n,); NaN where nothing was measured, for whom the model abstains as well.
        """
        return None if self.likeness is None else self.likeness.distances(table)

    def predict(self, table: FeatureTable, horizons_days: NDArray[np.int64]) -> NDArray[np.float64]:
        """Predicted risk, see :class:`metasight.models.base.FittedModel`."""
        horizons = np.asarray(horizons_days)
        if horizons.ndim != 1 or bool((np.diff(horizons) < 0).any()):
            raise FitError("horizons must ascend", where="prediction")
        return self.head.risk(self.reader.matrix(table), horizons)

    def score(self, table: FeatureTable) -> NDArray[np.float64]:
        """Linear predictors, shape (n, n_scores)."""
        return self.head.score(self.reader.matrix(table))


def require_survival(outcome: Outcome, model: str) -> SurvivalOutcome:
    """Check that ``outcome`` is follow-up with at least one event.

    Raises
    ------
    FitError
        It is a nodal stage, has no event, or is the same for every patient.
    """
    if not isinstance(outcome, SurvivalOutcome):
        raise FitError(
            "this model needs follow-up, the outcome is a nodal stage",
            where=model,
            remedy="Choose logistic, ordinal or forest for nodal stage",
        )
    if outcome.n_events == 0:
        raise FitError(
            "no patient has the event",
            where=model,
            remedy="Check the coding of status, or wait for events: no risk can be estimated",
        )
    if len(np.unique(outcome.time_days)) == 1:
        raise FitError("every patient has the same follow-up time", where=model)
    return outcome


def require_nodal(outcome: Outcome, model: str) -> NodalOutcome:
    """Check that ``outcome`` is a nodal stage with and without positive nodes.

    Raises
    ------
    FitError
        It is follow-up, nodes were examined in nobody, or all examined patients are alike.
    """
    if not isinstance(outcome, NodalOutcome):
        raise FitError(
            "this model needs a nodal stage, the outcome is follow-up",
            where=model,
            remedy="Choose a Cox, competing-risks or forest model for follow-up",
        )
    seen = np.unique((outcome.stage[outcome.observed] > 0).astype(int))
    if len(seen) < 2:
        raise FitError(
            "examined patients must include both negative and positive nodes",
            where=model,
            value=f"{int(outcome.observed.sum())} examined, {outcome.n_events} positive",
            remedy="Check the coding of nodal stage; at least two classes are needed",
        )
    return outcome


@dataclass(frozen=True, kw_only=True)
class AbstainingModel:
    """A model that is silent about patients unlike those it learnt from.

    Attributes
    ----------
    model
        What is fitted.
    modalities
        By which likeness is judged.
    """

    model: RiskModel
    modalities: tuple[str, ...]

    @property
    def name(self) -> str:
        """Of the model."""
        return self.model.name

    def fit(self, table: FeatureTable, outcome: Outcome, *, seed: int) -> ReaderHeadModel:
        """Fit the model, and learn from the same rows what is usual.

        Raises
        ------
        FitError
            As the model, or too few patients have what likeness is judged by.
        """
        likeness = Likeness.of(table, self.modalities, model=self.name)
        fitted = self.model.fit(table, outcome, seed=seed)
        if not isinstance(fitted, ReaderHeadModel):
            raise FitError("this kind of model cannot abstain", where=self.name)
        return replace(fitted, likeness=likeness)
