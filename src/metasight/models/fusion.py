"""Late fusion: one model a modality, their scores combined by a lightly penalised regression.

Stacking (Wolpert, Neural Networks 1992;5:241; Breiman, Machine Learning 1996;24:49): the
combination is fitted to scores that each modality's model gave patients it had not seen, in an
inner cross-validation within the training rows, so a modality that overfits gets the weight its
unseen scores deserve. Weights are never negative.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from metasight.cohort.outcome import NodalOutcome, Outcome
from metasight.errors import FitError
from metasight.features.columns import FeatureTable
from metasight.models import modality_ridge
from metasight.models.base import State
from metasight.models.combination import combined_hazards, combined_stage
from metasight.models.fitted import ReaderHeadModel, require_nodal, require_survival
from metasight.models.hazards import HazardHead
from metasight.models.ordinal import OrdinalHead
from metasight.models.preparation import (
    FittedPreparation,
    canonical,
    effective_size,
    observed_only,
)
from metasight.models.tuning import stratified_folds

_HALF = 0.5
"""Least weight of the first modality's score, relative to its own linear predictor."""


class Base(Protocol):
    """The model of one modality."""

    def fit(self, table: FeatureTable, outcome: Outcome, *, seed: int) -> ReaderHeadModel:
        """Fit to the rows of ``table``."""
        ...


@runtime_checkable
class Folded(Protocol):
    """A base whose fit gives its unseen scores as well, without fitting anew for each fold."""

    def fit_in_folds(
        self, table: FeatureTable, outcome: Outcome, fold: NDArray[np.int64], *, seed: int
    ) -> tuple[ReaderHeadModel, NDArray[np.float64]]:
        """The fitted model, and scores of every patient by a fit without his fold."""
        ...


@dataclass(frozen=True, kw_only=True)
class StackReader:
    """The scores of one fitted model a modality, standardised.

    Attributes
    ----------
    modalities
        In the order of ``models``.
    models
        Fitted to all training rows.
    positions
        Shape (n_columns, 2): model and score of each column.
    mean, scale
        Shape (n_columns,): of the unseen scores of training patients.
    """

    modalities: tuple[str, ...]
    models: tuple[ReaderHeadModel, ...]
    positions: tuple[tuple[int, int], ...]
    mean: NDArray[np.float64]
    scale: NDArray[np.float64]

    @property
    def state(self) -> State:
        """Plain JSON; holds the state of every model."""
        return {
            "kind": "stack",
            "modalities": list(self.modalities),
            "models": [m.state for m in self.models],
            "positions": [list(p) for p in self.positions],
            "mean": self.mean.tolist(),
            "scale": self.scale.tolist(),
        }

    @classmethod
    def from_state(cls, state: State, load: Callable[[State], ReaderHeadModel]) -> StackReader:
        """Inverse of :attr:`state`; ``load`` restores a model."""
        return cls(
            modalities=tuple(state["modalities"]),
            models=tuple(load(m) for m in state["models"]),
            positions=tuple((m, s) for m, s in state["positions"]),
            mean=np.array(state["mean"], dtype=np.float64),
            scale=np.array(state["scale"], dtype=np.float64),
        )

    @property
    def columns(self) -> list[str]:
        """Modality, and which cause the score is of."""
        return [f"{self.modalities[m]}, cause {s + 1}" for m, s in self.positions]

    def matrix(self, table: FeatureTable) -> NDArray[np.float64]:
        """Standardised scores, shape (n, n_columns).

        A patient who lacks a modality gets its mean score: the others decide.
        """
        scores = [m.score(table) for m in self.models]
        raw = np.column_stack([scores[m][:, s] for m, s in self.positions])
        matrix = np.asarray((raw - self.mean) / self.scale)
        for column, (m, _) in enumerate(self.positions):
            matrix[table.lacking(self.modalities[m]), column] = 0.0
        return matrix


@dataclass(frozen=True, kw_only=True)
class StackedModel:
    """Stacking of one penalised model a modality.

    Attributes
    ----------
    name
        As it appears in predictions and report.
    modalities
        In the order of the model lists. The first is the one that the others are added to: it is
        never left out.
    survival, nodal
        The model of each modality for follow-up and for nodal stage.
    inner_folds
        Folds that give the unseen scores.
    """

    name: str
    modalities: tuple[str, ...]
    survival: tuple[Base, ...]
    nodal: tuple[Base, ...]
    inner_folds: int = 5

    def fit(self, table: FeatureTable, outcome: Outcome, *, seed: int) -> ReaderHeadModel:
        """Fit every modality's model with and without each inner fold, then the weights.

        Raises
        ------
        FitError
            As the models of the modalities, or too few events for three inner folds.
        """
        ordered: Outcome
        bases: tuple[Base, ...]
        if isinstance(outcome, NodalOutcome):
            stage = require_nodal(outcome, self.name)
            table, stage = observed_only(*canonical(table, stage))
            ordered = stage
            stratum, bases = (stage.stage > 0).astype(np.int64), self.nodal
        else:
            table, follow_up = canonical(table, require_survival(outcome, self.name))
            ordered = follow_up
            stratum, bases = follow_up.status.astype(np.int64), self.survival
        n_folds = min(self.inner_folds, effective_size(ordered) // 3)
        if n_folds < 3:
            raise FitError(
                f"{effective_size(ordered)} events are too few to stack models",
                where=self.name,
                remedy="Choose elastic_net_cox or logistic on both modalities",
            )
        fold = stratified_folds(stratum, n_folds, np.random.default_rng(seed), table.patient_number)
        parts = [
            _fit_where_present(base, m, table, ordered, fold, seed=seed)
            for base, m in zip(bases, self.modalities, strict=True)
        ]
        models, unseen = [p[0] for p in parts], [p[1] for p in parts]
        width = min(scores.shape[1] for scores in unseen)
        positions = tuple((m, s) for s in range(width) for m in range(len(bases)))
        raw = np.column_stack([unseen[m][:, s] for m, s in positions])
        scale = np.nanstd(raw, axis=0)
        scale[scale < 1e-10] = 1.0
        mean = np.nanmean(raw, axis=0)
        reader = StackReader(
            modalities=self.modalities,
            models=tuple(models),
            positions=positions,
            mean=mean,
            scale=scale,
        )
        matrix = np.nan_to_num((raw - mean) / scale)  # who lacks a modality: its mean
        # The first modality is what the others are added to: at half its own scale or more.
        floor = np.array(
            [_HALF * scale[c] if m == 0 else 0.0 for c, (m, _) in enumerate(positions)]
        )
        head: HazardHead | OrdinalHead
        if isinstance(ordered, NodalOutcome):
            head = combined_stage(matrix, ordered, floor=floor)
        else:
            head = combined_hazards(matrix, ordered, n_models=len(bases), floor=floor)
        head.fit["weights"] = dict(zip(reader.columns, _weights(head), strict=True))
        notes = tuple(
            f"{m}: {n}" for m, f in zip(self.modalities, models, strict=True) for n in f.notes
        )
        return ReaderHeadModel("stacked", self.name, reader, head, notes)


def _fit_where_present(
    base: Base,
    modality: str,
    table: FeatureTable,
    outcome: Outcome,
    fold: NDArray[np.int64],
    *,
    seed: int,
) -> tuple[ReaderHeadModel, NDArray[np.float64]]:
    """A modality's model from the patients who have it, and their unseen scores (n, n_scores).

    Rows of the others are NaN.
    """
    here = np.flatnonzero(~table.lacking(modality))
    own, known = _take(table, here), outcome.take(here)
    if isinstance(base, Folded):
        fitted, scores = base.fit_in_folds(own, known, fold[here], seed=seed)
    else:
        fitted = base.fit(own, known, seed=seed)
        scores = _unseen_scores(base, own, known, fold[here], seed)
    out = np.full((len(table.values), scores.shape[1]), np.nan)
    out[here] = scores
    return fitted, out


def _unseen_scores(
    base: Base,
    table: FeatureTable,
    outcome: Outcome,
    fold: NDArray[np.int64],
    seed: int,
) -> NDArray[np.float64]:
    """Scores of every patient by a model fitted without his fold, shape (n, n_scores).

    Cox scores of two fits differ by an arbitrary constant; those here are centred at their
    training mean by the design, which makes them comparable.
    """
    parts = []
    for k in np.unique(fold):
        train, held = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
        fitted = base.fit(_take(table, train), outcome.take(train), seed=seed)
        parts.append((held, fitted.score(_take(table, held))))
    width = min(scores.shape[1] for _, scores in parts)
    out = np.empty((len(fold), width))
    for held, scores in parts:
        out[held] = scores[:, :width]
    return out


def _take(table: FeatureTable, rows: NDArray[np.intp]) -> FeatureTable:
    return FeatureTable(table.values.iloc[rows], table.features)


def _weights(head: HazardHead | OrdinalHead) -> list[float]:
    if isinstance(head, OrdinalHead):
        return list(head.coefficients.tolist())
    return list(np.sum([c.coefficients for c in head.causes], axis=0).tolist())


def fuses(model: ReaderHeadModel) -> bool:
    """Whether a model joins modalities in a way that tells what each adds."""
    return isinstance(model.reader, StackReader) or model.kind == modality_ridge.KIND


def contributions(model: ReaderHeadModel, table: FeatureTable) -> dict[str, NDArray[np.float64]]:
    """What each modality adds to the log hazard (or odds) of the event, by modality.

    Shape (n,) each; 0 is a patient at the training mean, or, of a stack, one who lacks the
    modality.

    Raises
    ------
    FitError
        The model does not fuse modalities.
    """
    reader, head = model.reader, model.head
    weights = (
        head.causes[0].coefficients
        if isinstance(head, HazardHead)
        else np.asarray(getattr(head, "coefficients", np.zeros(0)))
    )
    if isinstance(reader, StackReader):
        weights = weights if len(weights) else np.zeros(len(reader.positions))
        owners = [reader.modalities[m] for m, _ in reader.positions]
        names = list(reader.modalities)
    elif isinstance(reader, FittedPreparation) and fuses(model):
        owners = reader.modalities
        names = modality_ridge.modalities_of(model)
    else:
        raise FitError("this model does not tell what each modality adds", where=model.name)
    parts = reader.matrix(table) * weights
    return {
        name: parts[:, [c for c, owner in enumerate(owners) if owner == name]].sum(axis=1)
        for name in names
    }
