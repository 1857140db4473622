"""Penalised logistic regression of any positive node."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from metasight.cohort.outcome import NodalOutcome, Outcome
from metasight.features.columns import FeatureTable
from metasight.models.base import State
from metasight.models.elastic_net import LOGISTIC, Problem
from metasight.models.fitted import ReaderHeadModel, require_nodal
from metasight.models.penalised_cox import Penalty
from metasight.models.preparation import Preparation, canonical, observed_only
from metasight.models.tuning import tune

SPLIT_NOTE = "N1 and N2 are split by their share among node-positive training patients"


@dataclass(frozen=True, kw_only=True)
class LogisticHead:
    """Probability of any positive node, split into N1 and N2 by the training share.

    Attributes
    ----------
    intercept, coefficients
        Of the reader's columns, log odds.
    n2_share
        Share of N2 among node-positive training patients, in [0, 1]; the model itself says
        nothing on N1 against N2.
    fit
        How the fit went (JSON data).
    """

    intercept: float
    coefficients: NDArray[np.float64]
    n2_share: float
    fit: dict[str, Any]

    @property
    def state(self) -> State:
        """Plain JSON."""
        return {
            "kind": "logistic",
            "intercept": self.intercept,
            "coefficients": self.coefficients.tolist(),
            "n2_share": self.n2_share,
            "split": SPLIT_NOTE,
            "fit": self.fit,
        }

    @classmethod
    def from_state(cls, state: State) -> LogisticHead:
        """Inverse of :attr:`state`."""
        return cls(
            intercept=state["intercept"],
            coefficients=np.array(state["coefficients"], dtype=np.float64),
            n2_share=state["n2_share"],
            fit=state["fit"],
        )

    def score(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        """Log odds of a positive node, shape (n, 1)."""
        return np.asarray((self.intercept + matrix @ self.coefficients)[:, None])

    def risk(
        self, matrix: NDArray[np.float64], horizons_days: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Probabilities of N0, N1, N2, shape (n, 3); horizons are ignored."""
        positive = expit(self.score(matrix)[:, 0])
        return np.column_stack(
            [1.0 - positive, positive * (1.0 - self.n2_share), positive * self.n2_share]
        )


@dataclass(frozen=True, kw_only=True)
class LogisticModel:
    """Elastic-net logistic regression of any positive node, tuned by inner cross-validation.

    Fitted to examined patients only; the others enter nothing, not even the imputation.

    Attributes
    ----------
    name
        As it appears in predictions and report.
    preparation
        Features, imputation and design.
    penalty
        Penalty by modality and what is tried.
    """

    name: str
    preparation: Preparation
    penalty: Penalty = field(default_factory=Penalty)

    def fit(self, table: FeatureTable, outcome: Outcome, *, seed: int) -> ReaderHeadModel:
        """Fit and tune; ``seed`` draws the inner folds.

        Raises
        ------
        FitError
            Nobody examined, one class only, or fewer than three patients in the rarer class.
        """
        table, stage = observed_only(*canonical(table, require_nodal(outcome, self.name)))
        reader = self.preparation.fit(table, stage)
        head = fit_logistic(
            reader.matrix(table),
            stage,
            factor=self.penalty.of_columns(reader.modalities),
            penalty=self.penalty,
            seed=seed,
            model=self.name,
            patient=table.patient_number,
        )
        head.fit["coefficients_per_unit"] = reader.per_unit(head.coefficients)
        notes = (*reader.notes, SPLIT_NOTE)
        return ReaderHeadModel("logistic", self.name, reader, head, notes)


def n2_share(stage: NodalOutcome) -> float:
    """Share of N2 among node-positive patients."""
    return float((stage.stage == 2).sum() / stage.n_events)


def fit_logistic(
    matrix: NDArray[np.float64],
    stage: NodalOutcome,
    *,
    factor: NDArray[np.float64],
    penalty: Penalty,
    seed: int,
    model: str,
    patient: NDArray[np.int64] | None = None,
) -> LogisticHead:
    """Fit the log odds of a positive node, intercept unpenalised.

    Parameters
    ----------
    matrix
        Shape (n, p), standardised.
    stage
        Of the same n patients, all examined.
    factor
        Shape (p,): relative penalties.
    penalty
        Mixes and folds.
    seed
        Of the inner folds.
    model
        Named in errors.
    patient
        Rows with one number are copies that inner folds keep together.
    """
    n = len(matrix)
    problem = Problem(
        family=LOGISTIC,
        matrix=np.asfortranarray(np.column_stack([np.ones(n), matrix])),
        time=np.zeros(n),
        label=(stage.stage > 0).astype(np.float64),
        factor=np.concatenate([[0.0], factor]),
        patient=patient,
    )
    tuned = tune(
        problem,
        l1_ratios=penalty.l1_ratios,
        n_folds=penalty.inner_folds,
        seed=seed,
        model=model,
    )
    return LogisticHead(
        intercept=float(tuned.coefficients[0]),
        coefficients=tuned.coefficients[1:],
        n2_share=n2_share(stage),
        fit={
            "n": n,
            "positive": stage.n_events,
            "factors": factor.tolist(),
            "tuning": [tuned.summary],
        },
    )
