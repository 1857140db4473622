"""The first half of every model: which features, how gaps are filled, which columns result.

A *reader* turns a feature table into the matrix that a model's *head* (hazards, class
probabilities, forest) works on. Both are fitted on training rows only and live in one state.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from metasight.cohort.outcome import NodalOutcome, Outcome
from metasight.errors import FitError
from metasight.features.clinical import Design, FittedDesign
from metasight.features.columns import FeatureTable
from metasight.features.missing import FittedImputer, Imputer
from metasight.models.base import State


class Reader(Protocol):
    """Turns a feature table into a matrix, with what it learnt from training rows."""

    @property
    def state(self) -> State:
        """Plain JSON; ``kind`` names the class."""
        ...

    @property
    def columns(self) -> list[str]:
        """Names of the matrix's columns."""
        ...

    def matrix(self, table: FeatureTable) -> NDArray[np.float64]:
        """Shape (n, p), no value missing."""
        ...


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """Which features a model reads and how.

    Attributes
    ----------
    modalities
        Modalities kept.
    features
        Explicit names within those modalities; ``None`` keeps all.
    imputer, design
        See :mod:`metasight.features.missing` and :mod:`metasight.features.clinical`.
    """

    modalities: Sequence[str]
    features: Sequence[str] | None = None
    imputer: Imputer = field(default_factory=Imputer)
    design: Design = field(default_factory=Design)

    def select(self, table: FeatureTable) -> FeatureTable:
        """Pick the model's own features, by name in alphabetical order.

        Raises
        ------
        FitError
            A feature asked for is absent, or none is left.
        """
        own = table.of_modality(self.modalities)
        if self.features is not None:
            absent = sorted(set(self.features) - {f.name for f in own.features})
            if absent:
                raise FitError(
                    "a feature that the model asks for is not in the table",
                    where="model features",
                    value=", ".join(absent),
                    remedy="Correct the model's feature list or its modalities",
                )
        wanted = None if self.features is None else set(self.features)
        kept = sorted(
            (f for f in own.features if wanted is None or f.name in wanted), key=lambda f: f.name
        )
        if not kept:
            raise FitError(
                "the model has no feature to read",
                where="model features",
                value=", ".join(self.modalities),
                remedy="Add a table with these modalities or change the model's modalities",
            )
        return FeatureTable(own.values[[f.name for f in kept]], tuple(kept))

    def fit(self, table: FeatureTable, *, effective_n: int) -> FittedPreparation:
        """Learn fills and columns from the rows of ``table``."""
        own = self.select(table)
        imputer = self.imputer.fit(own)
        design = self.design.fit(imputer.transform(own), effective_n=effective_n)
        return FittedPreparation(imputer, design)


@dataclass(frozen=True)
class FittedPreparation:
    """Imputation and design matrix learnt from training rows."""

    imputer: FittedImputer
    design: FittedDesign

    @property
    def state(self) -> State:
        """``imputer``, ``design`` and the notes of both."""
        return {
            "kind": "preparation",
            "imputer": self.imputer.state,
            "design": self.design.state,
            "notes": [*self.imputer.state["notes"], *self.design.state["notes"]],
        }

    @classmethod
    def from_state(cls, state: State) -> FittedPreparation:
        """Inverse of :attr:`state`."""
        return cls(FittedImputer(state["imputer"]), FittedDesign(state["design"]))

    @property
    def columns(self) -> list[str]:
        """Names of the matrix's columns."""
        return self.design.columns

    @property
    def modalities(self) -> list[str]:
        """Modality of each column."""
        return list(self.design.state["modalities"])

    def matrix(self, table: FeatureTable) -> NDArray[np.float64]:
        """Standardised columns, shape (n, p)."""
        return self.design.transform(self.imputer.transform(table))


def canonical(table: FeatureTable, outcome: Outcome) -> tuple[FeatureTable, Outcome]:
    """Rows sorted by patient, so that a fit does not depend on the order of a table.

    Raises
    ------
    FitError
        Table and outcome differ in length.
    """
    if len(table.values) != len(outcome):
        raise FitError("features and outcome differ in length", where="model")
    order = np.argsort(table.values.index.to_numpy(dtype=str), kind="stable")
    return FeatureTable(table.values.iloc[order], table.features), outcome.take(order)


def observed_only(table: FeatureTable, outcome: NodalOutcome) -> tuple[FeatureTable, NodalOutcome]:
    """Keep the patients whose nodes were examined; the others are never taken for N0."""
    rows = np.flatnonzero(outcome.observed)
    return FeatureTable(table.values.iloc[rows], table.features), outcome.take(rows)
