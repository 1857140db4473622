"""The two protocols that every model meets.

A *model* is an immutable specification. ``fit`` returns a *fitted model*, which predicts and
whose ``state`` is everything it learnt as plain JSON data: the state is what a bundle stores,
what the corrupt-test-rows check compares byte for byte, and what ``load`` (in
:mod:`metasight.models.registry`) turns back into the same predictions without running any code
from a file.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from metasight.cohort.outcome import Outcome
from metasight.features.columns import FeatureTable

State = dict[str, Any]
"""JSON-able: dicts, lists, text, bools, ints and floats only. ``state["kind"]`` names the class."""


class FittedModel(Protocol):
    """A model that has seen training data."""

    @property
    def state(self) -> State:
        """All that was learnt, as JSON-able data; complete and deterministic."""
        ...

    def predict(self, table: FeatureTable, horizons_days: NDArray[np.int64]) -> NDArray[np.float64]:
        """Predicted risk.

        Parameters
        ----------
        table
            Must hold every feature the model was fitted on (others are ignored); values may be
            missing.
        horizons_days
            Ascending; ignored by nodal-stage models.

        Returns
        -------
        Survival models: shape (n, n_horizons), the probability of the event by each horizon
        (cumulative incidence where there are competing events), non-decreasing along a row.
        Nodal models: shape (n, 3), probabilities of N0, N1, N2, rows sum to 1.
        """
        ...


class RiskModel(Protocol):
    """A specification: what to fit and how, but nothing learnt."""

    @property
    def name(self) -> str:
        """As it appears in predictions and report."""
        ...

    def fit(self, table: FeatureTable, outcome: Outcome, *, seed: int) -> FittedModel:
        """Fit to the rows of ``table``; everything learnt is learnt from these rows.

        Raises
        ------
        FitError
            The data cannot support the model (no events, more parameters than events in an
            unpenalised model, a constant outcome).
        """
        ...
