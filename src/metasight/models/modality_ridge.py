"""One ridge over all modalities, with a penalty for each modality (IPF ridge).

Early fusion: clinical data and every other modality enter one regression together, so that what
they share is not counted twice and weak signals that complement one another add up. How strongly
the columns of each modality are drawn towards zero, and whether a modality is read at all, is left
to inner cross-validation within the training rows: coefficients are averaged over penalties, the
infinite one included, with weights by held-out likelihood (:mod:`metasight.models.ridge_choice`).
The first modality is the one that the others are added to: it is never left out.

Right-skewed features are read by their logarithm (:mod:`metasight.features.skewness`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metasight.cohort.outcome import COMPETING, EVENT, NodalOutcome, Outcome, SurvivalOutcome
from metasight.errors import FitError
from metasight.features.columns import FeatureTable
from metasight.models.competing import featureless
from metasight.models.fitted import ReaderHeadModel, require_nodal, require_survival
from metasight.models.hazards import CauseHazard, HazardHead, Scale
from metasight.models.ordinal import OrdinalHead, fitted_to_score
from metasight.models.penalised_cox import FEWEST_COMPETING
from metasight.models.preparation import (
    FittedPreparation,
    Preparation,
    canonical,
    effective_size,
    observed_only,
)
from metasight.models.ridge import Floats, HazardLikelihood, Likelihood, StageLikelihood
from metasight.models.ridge_choice import Block, Weighed, weigh
from metasight.models.tuning import stratified_folds

KIND = "modality_ridge"

FEWEST_FOLDS = 3
DIVISIONS = 2
"""Divisions of the training rows into inner folds, over which the held-out deviance is averaged."""
_HALF = 0.5
_FLAT = 1e-10
"""Singular value, relative to the largest, below which a direction does not vary."""


@dataclass(frozen=True, kw_only=True)
class ModalityRidgeModel:
    """Ridge with a penalty by modality: Cox, cause-specific Cox, or proportional odds of a stage.

    With competing events the hazard of each cause has penalties of its own, and the cumulative
    incidence is assembled from both; a competing cause of fewer than ten events gets a hazard
    without features.

    Attributes
    ----------
    name
        As it appears in predictions and report.
    preparation
        Features, logarithms, imputation and design.
    modalities
        In order; the first is never left out.
    unpenalised
        Modalities whose columns have no penalty.
    inner_folds
        Folds of the inner cross-validation; fewer where there are fewer events.
    """

    name: str
    preparation: Preparation
    modalities: tuple[str, ...]
    unpenalised: tuple[str, ...] = ()
    inner_folds: int = 5

    def fit(self, table: FeatureTable, outcome: Outcome, *, seed: int) -> ReaderHeadModel:
        """Fit and tune; ``seed`` draws the inner folds.

        Raises
        ------
        FitError
            Fewer than three events (or patients in the rarer class of nodal stage), or a column of
            an unpenalised modality separates the outcome.
        """
        if isinstance(outcome, NodalOutcome):
            return self._fit_stage(table, outcome, seed)
        table, follow_up = canonical(table, require_survival(outcome, self.name))
        reader = self.preparation.fit(table, follow_up)
        head, notes = self._hazards(reader, table, follow_up, seed)
        return ReaderHeadModel(KIND, self.name, reader, head, (*reader.notes, *notes))

    def _hazards(
        self, reader: FittedPreparation, table: FeatureTable, follow_up: SurvivalOutcome, seed: int
    ) -> tuple[HazardHead, list[str]]:
        matrix = reader.matrix(table)
        causes, notes, tuning = [], [], []
        for code in (EVENT, COMPETING) if follow_up.competing else (EVENT,):
            cause = follow_up.status == code
            if code == COMPETING and int(cause.sum()) < FEWEST_COMPETING:
                notes.append(f"{int(cause.sum())} competing events: their hazard has no features")
                causes.append(featureless(matrix, follow_up.time_days, cause))
                continue
            columns = _Columns.of(matrix, reader.modalities, self)
            whole = HazardLikelihood.of(columns.matrix, follow_up.time_days, cause)
            order = whole.follow_up.order
            weighed = self._weigh(
                whole,
                columns.blocks,
                cause.astype(np.int64)[order],
                table.patient_number[order],
                most=int(cause.sum()),
                seed=seed,
            )
            coefficients = columns.back(weighed.averaged(whole, columns.blocks, model=self.name))
            times, steps = whole.follow_up.baseline(matrix[order] @ coefficients)
            causes.append(CauseHazard(coefficients=coefficients, times=times, increments=steps))
            tuning.append(_summary(columns.blocks, weighed))
            if code == EVENT:
                notes += _little(columns.blocks, weighed)
        fit: dict[str, Any] = {
            "n": len(follow_up),
            "events": follow_up.n_events,
            "tuning": tuning,
            "coefficients_per_unit": reader.per_unit(causes[0].coefficients),
        }
        scale: Scale = "product_integral" if len(causes) == 2 else "survival"
        return HazardHead(scale=scale, causes=tuple(causes), fit=fit), notes

    def _fit_stage(self, table: FeatureTable, outcome: NodalOutcome, seed: int) -> ReaderHeadModel:
        table, stage = observed_only(*canonical(table, require_nodal(outcome, self.name)))
        reader = self.preparation.fit(table, stage)
        matrix = reader.matrix(table)
        columns = _Columns.of(matrix, reader.modalities, self)
        classes, level = np.unique(stage.stage.astype(np.int64), return_inverse=True)
        whole = StageLikelihood(columns.matrix, level, len(classes))
        most = min(self.inner_folds, effective_size(stage))
        # A class that some training part may lack has no threshold there: for the choice of
        # penalties N1 and N2 are then one.
        few = int(np.bincount(level).min()) < most
        judged = StageLikelihood(columns.matrix, np.minimum(level, 1), 2) if few else whole
        weighed = self._weigh(
            judged,
            columns.blocks,
            judged.level.astype(np.int64),
            table.patient_number,
            most=effective_size(stage),
            seed=seed,
        )
        found = weighed.averaged(whole, columns.blocks, model=self.name)
        coefficients = columns.back(found[whole.free :])
        # so that mean probabilities are those of the training rows, as of each ridge
        seen, thresholds = fitted_to_score(matrix @ coefficients, stage.stage.astype(np.int64))
        head = OrdinalHead(
            classes=seen,
            thresholds=thresholds,
            coefficients=coefficients,
            fit={
                "n": len(matrix),
                "counts": np.bincount(stage.stage.astype(np.int64), minlength=3).tolist(),
                "tuning": [_summary(columns.blocks, weighed)],
                "coefficients_per_unit": reader.per_unit(coefficients),
            },
        )
        unseen = sorted({0, 1, 2} - set(head.classes))
        notes = [f"N{k} was not seen in training: its probability is 0" for k in unseen]
        notes += _little(columns.blocks, weighed)
        return ReaderHeadModel(KIND, self.name, reader, head, (*reader.notes, *notes))

    def _weigh(
        self,
        whole: Likelihood,
        blocks: Sequence[Block],
        stratum: NDArray[np.int64],
        patient: NDArray[np.int64],
        *,
        most: int,
        seed: int,
    ) -> Weighed:
        """Weights by inner folds, rows in the order of the likelihood's.

        Raises
        ------
        FitError
            Fewer than three folds are possible.
        """
        n_folds = min(self.inner_folds, most)
        if n_folds < FEWEST_FOLDS:
            raise FitError(
                f"{most} events are too few to choose penalties by cross-validation",
                where=self.name,
                remedy="Collect more events, or report the outcome descriptively",
            )
        rng = np.random.default_rng(seed)
        fold = [stratified_folds(stratum, n_folds, rng, patient) for _ in range(DIVISIONS)]
        return weigh(whole, np.stack(fold), blocks, model=self.name)


def modalities_of(model: ReaderHeadModel) -> list[str]:
    """Modalities that a fitted ridge has columns of, in the model's order."""
    head = model.head
    fit = head.fit if isinstance(head, HazardHead | OrdinalHead) else {}
    return [part["modality"] for part in fit["tuning"][0]["modalities"]] if fit else []


@dataclass(frozen=True, kw_only=True)
class _Columns:
    """The design's columns by modality; of one with more columns than rows its directions.

    A ridge does not change when the columns of a modality are rotated, and columns that are many
    vary in at most as many directions as there are rows: the fit is then on these.

    Attributes
    ----------
    matrix
        Shape (n, q).
    blocks
        In the order of the model's modalities, of those that have a column.
    turns
        Of each block its columns in the design, and None or the rotation (columns, directions).
    width
        Number of columns of the design.
    """

    matrix: Floats
    blocks: tuple[Block, ...]
    turns: tuple[tuple[NDArray[np.intp], Floats | None], ...]
    width: int

    @classmethod
    def of(cls, matrix: Floats, modalities: Sequence[str], model: ModalityRidgeModel) -> _Columns:
        """From the design of the training rows and the modality of each column."""
        named = np.asarray(modalities, dtype=object)
        parts, blocks, turns = [], [], []
        begin = 0
        for modality in model.modalities:
            own = np.flatnonzero(named == modality)
            if not len(own):
                continue
            part, turn = _directions(matrix[:, own])
            blocks.append(
                Block(
                    modality=modality,
                    columns=np.arange(begin, begin + part.shape[1]),
                    width=len(own),
                    penalised=modality not in model.unpenalised,
                )
            )
            begin += part.shape[1]
            parts.append(part)
            turns.append((own, turn))
        return cls(
            matrix=np.ascontiguousarray(np.column_stack(parts)),
            blocks=tuple(blocks),
            turns=tuple(turns),
            width=matrix.shape[1],
        )

    def back(self, coefficients: Floats) -> Floats:
        """Coefficients of the design's columns, shape (width,)."""
        out = np.zeros(self.width)
        for block, (own, turn) in zip(self.blocks, self.turns, strict=True):
            along = coefficients[block.columns]
            out[own] = along if turn is None else turn @ along
        return out


def _directions(part: Floats) -> tuple[Floats, Floats | None]:
    """Columns as they are, or turned into the directions in which more columns than rows vary."""
    if part.shape[1] <= part.shape[0]:
        return part, None
    left, size, right = np.linalg.svd(part, full_matrices=False)
    kept = size > _FLAT * size[0]
    return left[:, kept] * size[kept], right[kept].T


def _summary(blocks: Sequence[Block], weighed: Weighed) -> dict[str, Any]:
    """What inner cross-validation came to, as plain JSON.

    ``weight`` of a modality is that of the ridges that read it; ``ridges`` has the spread of every
    modality (0: left out), the held-out deviance and the weight of each ridge with one.
    """
    return {
        "modalities": [
            {
                "modality": b.modality,
                "columns": b.width,
                "penalised": b.penalised,
                "weight": weighed.reading(k) if b.penalised else 1.0,
            }
            for k, b in enumerate(blocks)
        ],
        "folds": weighed.folds,
        "ridges": [
            {"spreads": list(s), "deviance": float(d), "weight": float(w)}
            for s, d, w in zip(weighed.spreads, weighed.deviance, weighed.weight, strict=True)
            if w > 0
        ],
    }


def _little(blocks: Sequence[Block], weighed: Weighed) -> list[str]:
    """Notes on modalities that most of the weight leaves out."""
    return [
        f"{b.modality}: {100 * weighed.reading(k):.0f} % of the weight is on ridges that read it"
        for k, b in enumerate(blocks)
        if b.penalised and weighed.reading(k) < _HALF
    ]
