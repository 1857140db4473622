"""Late fusion: one model a modality, their scores combined by a lightly penalised regression.

Stacking (Wolpert, Neural Networks 1992;5:241; Breiman, Machine Learning 1996;24:49): the
combination is fitted to scores that each modality's model gave patients it had not seen, in an
inner cross-validation within the training rows, so a modality that overfits gets the weight its
unseen scores deserve. Weights are never negative.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metasight.cohort.outcome import COMPETING, EVENT, NodalOutcome, Outcome, SurvivalOutcome
from metasight.errors import FitError
from metasight.features.columns import FeatureTable
from metasight.models.base import State
from metasight.models.competing import featureless
from metasight.models.elastic_net import COX, LOGISTIC, Problem
from metasight.models.fitted import ReaderHeadModel, require_nodal, require_survival
from metasight.models.hazards import CauseHazard, HazardHead, Scale
from metasight.models.logistic import LogisticHead, LogisticModel, n2_share
from metasight.models.partial_likelihood import PartialLikelihood
from metasight.models.penalised_cox import FEWEST_COMPETING, ElasticNetCoxModel
from metasight.models.preparation import canonical, effective_size, observed_only
from metasight.models.tuning import stratified_folds

_RIDGE = 0.01
"""Penalty on the combination's weights, of scores with standard deviation 1."""


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
        """Standardised scores, shape (n, n_columns)."""
        scores = [m.score(table) for m in self.models]
        raw = np.column_stack([scores[m][:, s] for m, s in self.positions])
        return np.asarray((raw - self.mean) / self.scale)


@dataclass(frozen=True, kw_only=True)
class StackedModel:
    """Stacking of one penalised model a modality.

    Attributes
    ----------
    name
        As it appears in predictions and report.
    modalities
        In the order of the model lists.
    survival, nodal
        The model of each modality for follow-up and for nodal stage.
    inner_folds
        Folds that give the unseen scores.
    """

    name: str
    modalities: tuple[str, ...]
    survival: tuple[ElasticNetCoxModel, ...]
    nodal: tuple[LogisticModel, ...]
    inner_folds: int = 5

    def fit(self, table: FeatureTable, outcome: Outcome, *, seed: int) -> ReaderHeadModel:
        """Fit every modality's model with and without each inner fold, then the weights.

        Raises
        ------
        FitError
            As the models of the modalities, or too few events for three inner folds.
        """
        ordered: Outcome
        bases: tuple[ElasticNetCoxModel, ...] | tuple[LogisticModel, ...]
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
        models = tuple(base.fit(table, ordered, seed=seed) for base in bases)
        unseen = [_unseen_scores(base, table, ordered, fold, seed) for base in bases]
        width = min(scores.shape[1] for scores in unseen)
        positions = tuple((m, s) for s in range(width) for m in range(len(bases)))
        raw = np.column_stack([unseen[m][:, s] for m, s in positions])
        scale = raw.std(axis=0)
        scale[scale < 1e-10] = 1.0
        mean = raw.mean(axis=0)
        reader = StackReader(
            modalities=self.modalities,
            models=models,
            positions=positions,
            mean=mean,
            scale=scale,
        )
        matrix = (raw - mean) / scale
        head: HazardHead | LogisticHead
        if isinstance(ordered, NodalOutcome):
            head = _nodal_head(matrix, ordered)
        else:
            head = _hazard_head(matrix, ordered, n_models=len(bases))
        head.fit["weights"] = dict(zip(reader.columns, _weights(head), strict=True))
        notes = tuple(
            f"{m}: {n}" for m, f in zip(self.modalities, models, strict=True) for n in f.notes
        )
        return ReaderHeadModel("stacked", self.name, reader, head, notes)


def _unseen_scores(
    base: ElasticNetCoxModel | LogisticModel,
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
    for k in range(int(fold.max()) + 1):
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


def _nonnegative(problem: Problem) -> NDArray[np.float64]:
    """Ridge weights ≥ 0: the most negative is dropped until none is left."""
    free = np.arange(problem.matrix.shape[1])
    penalised = problem.factor > 0
    while True:
        part = Problem(
            family=problem.family,
            matrix=np.asfortranarray(problem.matrix[:, free]),
            time=problem.time,
            label=problem.label,
            factor=problem.factor[free],
        )
        found = part.solve(0.0, np.array([_RIDGE])).coefficients[-1]
        negative = np.where(penalised[free], found, 0.0)
        if not bool((negative < 0).any()):
            break
        free = np.delete(free, int(negative.argmin()))
        if not len(free):
            return np.zeros(problem.matrix.shape[1])
    weights = np.zeros(problem.matrix.shape[1])
    weights[free] = found
    return weights


def _hazard_head(
    matrix: NDArray[np.float64], follow_up: SurvivalOutcome, *, n_models: int
) -> HazardHead:
    """The event's hazard from the event scores, the competing event's from theirs."""
    causes = []
    for position, code in enumerate((EVENT, COMPETING) if follow_up.competing else (EVENT,)):
        cause = follow_up.status == code
        columns = np.arange(position * n_models, (position + 1) * n_models)
        too_few = code == COMPETING and int(cause.sum()) < FEWEST_COMPETING
        if too_few or columns[-1] >= matrix.shape[1]:
            causes.append(featureless(matrix, follow_up.time_days, cause))
            continue
        likelihood = PartialLikelihood.of(follow_up.time_days, cause)
        x = np.asfortranarray(matrix[likelihood.order][:, columns])
        weights = np.zeros(matrix.shape[1])
        weights[columns] = _nonnegative(
            Problem(
                family=COX,
                matrix=x,
                time=likelihood.time,
                label=likelihood.event,
                factor=np.ones(n_models),
            )
        )
        times, steps = likelihood.baseline(x @ weights[columns])
        causes.append(CauseHazard(coefficients=weights, times=times, increments=steps))
    scale: Scale = "product_integral" if len(causes) == 2 else "survival"
    fit: dict[str, Any] = {"n": len(follow_up), "events": follow_up.n_events}
    return HazardHead(scale=scale, causes=tuple(causes), fit=fit)


def _nodal_head(matrix: NDArray[np.float64], stage: NodalOutcome) -> LogisticHead:
    n = len(matrix)
    weights = _nonnegative(
        Problem(
            family=LOGISTIC,
            matrix=np.asfortranarray(np.column_stack([np.ones(n), matrix])),
            time=np.zeros(n),
            label=(stage.stage > 0).astype(np.float64),
            factor=np.concatenate([[0.0], np.ones(matrix.shape[1])]),
        )
    )
    return LogisticHead(
        intercept=float(weights[0]),
        coefficients=weights[1:],
        n2_share=n2_share(stage),
        fit={"n": n, "positive": stage.n_events},
    )


def _weights(head: HazardHead | LogisticHead) -> list[float]:
    if isinstance(head, LogisticHead):
        return list(head.coefficients.tolist())
    return list(np.sum([c.coefficients for c in head.causes], axis=0).tolist())
