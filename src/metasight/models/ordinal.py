"""Ridge-penalised proportional-odds regression of nodal stage (McCullagh, JRSS B 1980;42:109)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from metasight.cohort.outcome import Outcome
from metasight.errors import FitError
from metasight.features.columns import FeatureTable
from metasight.models.base import State
from metasight.models.fitted import ReaderHeadModel, require_nodal
from metasight.models.preparation import Preparation, canonical, effective_size, observed_only
from metasight.models.ridge import StageLikelihood
from metasight.models.tuning import stratified_folds

RIDGES = tuple(np.geomspace(10.0, 1e-4, 25).tolist())
"""Penalties tried, per patient and squared coefficient of a standardised column."""

_MAX_STEPS = 100
_SETTLED = 1e-9


@dataclass(frozen=True, kw_only=True)
class OrdinalHead:
    """P(stage ≤ k) = 1 / (1 + exp(−(θ_k − xβ))).

    Attributes
    ----------
    classes
        Stages seen in training, ascending; a stage never seen has probability 0.
    thresholds
        Shape (n_classes − 1,), ascending.
    coefficients
        Shape (p,): log odds of a higher stage.
    fit
        How the fit went (JSON data).
    """

    classes: tuple[int, ...]
    thresholds: NDArray[np.float64]
    coefficients: NDArray[np.float64]
    fit: dict[str, Any]

    @property
    def state(self) -> State:
        """Plain JSON."""
        return {
            "kind": "ordinal",
            "classes": list(self.classes),
            "thresholds": self.thresholds.tolist(),
            "coefficients": self.coefficients.tolist(),
            "fit": self.fit,
        }

    @classmethod
    def from_state(cls, state: State) -> OrdinalHead:
        """Inverse of :attr:`state`."""
        return cls(
            classes=tuple(state["classes"]),
            thresholds=np.array(state["thresholds"], dtype=np.float64),
            coefficients=np.array(state["coefficients"], dtype=np.float64),
            fit=state["fit"],
        )

    def score(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        """Log odds of a higher stage, up to the threshold, shape (n, 1)."""
        return np.asarray((matrix @ self.coefficients)[:, None])

    def risk(
        self, matrix: NDArray[np.float64], horizons_days: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Probabilities of N0, N1, N2, shape (n, 3); horizons are ignored."""
        above = expit(self.score(matrix) - self.thresholds[None, :])
        n = len(matrix)
        edges = np.column_stack([np.ones(n), above, np.zeros(n)])
        out = np.zeros((n, 3))
        out[:, list(self.classes)] = edges[:, :-1] - edges[:, 1:]
        return out


@dataclass(frozen=True, kw_only=True)
class OrdinalModel:
    """Proportional odds of N0 < N1 < N2 with a ridge penalty tuned by inner cross-validation.

    Assumes one odds ratio for both cuts. Fitted to examined patients only.

    Attributes
    ----------
    name
        As it appears in predictions and report.
    preparation
        Features, imputation and design.
    inner_folds
        Folds of the inner cross-validation.
    """

    name: str
    preparation: Preparation
    inner_folds: int = 5

    def fit(self, table: FeatureTable, outcome: Outcome, *, seed: int) -> ReaderHeadModel:
        """Fit and tune; ``seed`` draws the inner folds.

        Raises
        ------
        FitError
            Nobody examined, one class only, or fewer than three patients in the rarer class.
        """
        table, stage = observed_only(*canonical(table, require_nodal(outcome, self.name)))
        reader = self.preparation.fit(table, stage)
        head = fit_ordinal(
            reader.matrix(table),
            stage.stage.astype(np.int64),
            n_folds=min(self.inner_folds, effective_size(stage)),
            seed=seed,
            model=self.name,
            patient=table.patient_number,
        )
        head.fit["coefficients_per_unit"] = reader.per_unit(head.coefficients)
        notes = list(reader.notes)
        unseen = sorted({0, 1, 2} - set(head.classes))
        notes += [f"N{k} was not seen in training: its probability is 0" for k in unseen]
        return ReaderHeadModel("ordinal", self.name, reader, head, tuple(notes))


def fit_ordinal(
    matrix: NDArray[np.float64],
    stage: NDArray[np.int64],
    *,
    n_folds: int,
    seed: int,
    model: str,
    patient: NDArray[np.int64] | None = None,
) -> OrdinalHead:
    """Choose the ridge by cross-validated log loss and fit with it.

    Parameters
    ----------
    matrix
        Shape (n, p), standardised.
    stage
        Shape (n,): 0, 1 or 2.
    n_folds
        At least 3.
    seed
        Of the folds.
    model
        Named in errors.
    patient
        Rows with one number are copies that folds keep together.

    Raises
    ------
    FitError
        Fewer than three folds are possible.
    """
    if n_folds < 3:
        raise FitError(
            f"{n_folds} patients in the rarer class are too few to choose a penalty",
            where=model,
            remedy="Collect more node-positive patients",
        )
    classes, level = np.unique(stage, return_inverse=True)
    fold = stratified_folds(stage, n_folds, np.random.default_rng(seed), patient)
    loss = _held_out_loss(matrix, level, fold, model)
    chosen = int(loss.argmin())
    whole = StageLikelihood(matrix, level, len(classes))
    parameters = whole.start()
    for ridge in RIDGES[: chosen + 1]:
        parameters = _newton(whole, ridge, parameters, model)
    cuts = whole.free
    return OrdinalHead(
        classes=tuple(int(c) for c in classes),
        thresholds=parameters[:cuts],
        coefficients=parameters[cuts:],
        fit={
            "n": len(matrix),
            "counts": np.bincount(stage, minlength=3).tolist(),
            "ridge": RIDGES[chosen],
            "ridges": list(RIDGES),
            "log_loss": (loss / len(matrix)).tolist(),
            "folds": n_folds,
        },
    )


def _held_out_loss(
    matrix: NDArray[np.float64], level: NDArray[np.intp], fold: NDArray[np.int64], model: str
) -> NDArray[np.float64]:
    """Summed log loss of held-out patients at each of :data:`RIDGES`."""
    whole = StageLikelihood(matrix, level, int(level.max()) + 1)
    loss = np.zeros(len(RIDGES))
    for k in range(int(fold.max()) + 1):
        train = whole.part(np.flatnonzero(fold != k), None)
        held = whole.part(np.flatnonzero(fold == k), None)
        parameters = train.start()
        for i, ridge in enumerate(RIDGES):
            parameters = _newton(train, ridge, parameters, model)
            loss[i] -= held.value(parameters)
    return loss


def fitted_to_score(
    score: NDArray[np.float64], stage: NDArray[np.int64]
) -> tuple[tuple[int, ...], NDArray[np.float64]]:
    """Thresholds of proportional odds where the log odds of a higher stage are given.

    Parameters
    ----------
    score
        Shape (n,): log odds up to a constant, of patients whom its models did not see.
    stage
        Shape (n,): 0, 1 or 2.

    Returns
    -------
    Stages seen, ascending, and the thresholds between them.
    """
    classes, level = np.unique(stage, return_inverse=True)
    likelihood = StageLikelihood(score[:, None], level, len(classes))
    cuts = likelihood.free
    x = np.append(likelihood.start()[:cuts] + float(score.mean()), 1.0)
    value, gradient, information = likelihood.terms(x)
    for _ in range(_MAX_STEPS):
        step = np.zeros(cuts + 1)
        step[:cuts] = np.linalg.solve(information[:cuts, :cuts], gradient[:cuts])
        while not bool((np.diff((x + step)[:cuts]) > 0).all()):
            step /= 2
        new = likelihood.terms(x + step)
        while new[0] < value - 1e-10 * abs(value):
            step /= 2
            new = likelihood.terms(x + step)
        x, (value, gradient, information) = x + step, new
        if float(np.abs(step).max()) < _SETTLED:
            return tuple(int(c) for c in classes), x[:cuts]
    raise FitError("the thresholds of nodal stage do not converge", where="stacking")


def _newton(
    likelihood: StageLikelihood, ridge: float, start: NDArray[np.float64], model: str
) -> NDArray[np.float64]:
    """Maximise the penalised likelihood from ``start``."""
    cuts = likelihood.free
    n, p = likelihood.matrix.shape
    shrink = np.concatenate([np.full(cuts, 1e-8), np.full(p, ridge)]) * n

    def penalised(x: NDArray[np.float64]) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
        value, gradient, information = likelihood.terms(x)
        return value - 0.5 * float(shrink @ x**2), gradient - shrink * x, information

    x = start
    value, gradient, information = penalised(x)
    for _ in range(_MAX_STEPS):
        step = np.linalg.solve(np.diag(shrink) + information, gradient)
        while True:
            candidate = x + step
            if bool((np.diff(candidate[:cuts]) > 0).all()):
                new, new_gradient, new_information = penalised(candidate)
                if new >= value - 1e-10 * abs(value):
                    break
            step = step / 2
        x, value, gradient, information = candidate, new, new_gradient, new_information
        if float(np.abs(step).max()) < _SETTLED:
            return x
    raise FitError(
        "the ordinal regression does not converge", where=model, value=f"ridge {ridge:.3g}"
    )
