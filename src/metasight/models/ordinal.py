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
    parameters = _start(level, len(classes), matrix.shape[1])
    for ridge in RIDGES[: chosen + 1]:
        parameters = _newton(matrix, level, ridge, parameters, model)
    cuts = len(classes) - 1
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
    n_classes = int(level.max()) + 1
    loss = np.zeros(len(RIDGES))
    for k in range(int(fold.max()) + 1):
        train, held = fold != k, fold == k
        parameters = _start(level[train], n_classes, matrix.shape[1])
        for i, ridge in enumerate(RIDGES):
            parameters = _newton(matrix[train], level[train], ridge, parameters, model)
            loss[i] -= _terms(matrix[held], level[held], parameters, n_classes)[0]
    return loss


def _start(level: NDArray[np.intp], n_classes: int, p: int) -> NDArray[np.float64]:
    """Thresholds of the marginal frequencies (half a patient added), coefficients 0."""
    counts = np.bincount(level, minlength=n_classes) + 0.5
    below = np.cumsum(counts)[:-1] / counts.sum()
    return np.concatenate([np.log(below / (1.0 - below)), np.zeros(p)])


def _terms(
    matrix: NDArray[np.float64],
    level: NDArray[np.intp],
    parameters: NDArray[np.float64],
    n_classes: int,
) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
    """Log likelihood, gradient and Hessian in thresholds and coefficients."""
    cuts = n_classes - 1
    n, p = matrix.shape
    eta = matrix @ parameters[cuts:]
    edges = np.concatenate([[-np.inf], parameters[:cuts], [np.inf]])
    upper, lower = edges[level + 1] - eta, edges[level] - eta
    high, low = expit(upper), expit(lower)
    # P(upper) − P(lower) without cancellation: through the tails where both are near 1.
    probability = np.where(lower > 0, expit(-lower) - expit(-upper), high - low)
    probability = np.maximum(probability, 1e-300)
    f_high, f_low = high * (1 - high), low * (1 - low)
    g_high, g_low = f_high / probability, -f_low / probability
    h_high = f_high * (1 - 2 * high) / probability - g_high**2
    h_low = -f_low * (1 - 2 * low) / probability - g_low**2
    h_both = -g_high * g_low
    design_high = np.zeros((n, cuts + p))
    design_low = np.zeros((n, cuts + p))
    rows = np.arange(n)
    top, bottom = level < cuts, level > 0
    design_high[rows[top], level[top]] = 1.0
    design_low[rows[bottom], level[bottom] - 1] = 1.0
    design_high[:, cuts:] = -matrix
    design_low[:, cuts:] = -matrix
    gradient = design_high.T @ g_high + design_low.T @ g_low
    cross = (design_high * h_both[:, None]).T @ design_low
    hessian = (
        (design_high * h_high[:, None]).T @ design_high
        + (design_low * h_low[:, None]).T @ design_low
        + cross
        + cross.T
    )
    return float(np.log(probability).sum()), gradient, hessian


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
    cuts = len(classes) - 1
    x = np.append(_start(level, len(classes), 0) + float(score.mean()), 1.0)
    value, gradient, hessian = _terms(score[:, None], level, x, len(classes))
    for _ in range(_MAX_STEPS):
        step = np.zeros(cuts + 1)
        step[:cuts] = np.linalg.solve(-hessian[:cuts, :cuts], gradient[:cuts])
        while not bool((np.diff((x + step)[:cuts]) > 0).all()):
            step /= 2
        new = _terms(score[:, None], level, x + step, len(classes))
        while new[0] < value - 1e-10 * abs(value):
            step /= 2
            new = _terms(score[:, None], level, x + step, len(classes))
        x, (value, gradient, hessian) = x + step, new
        if float(np.abs(step).max()) < _SETTLED:
            return tuple(int(c) for c in classes), x[:cuts]
    raise FitError("the thresholds of nodal stage do not converge", where="stacking")


def _newton(
    matrix: NDArray[np.float64],
    level: NDArray[np.intp],
    ridge: float,
    start: NDArray[np.float64],
    model: str,
) -> NDArray[np.float64]:
    """Maximise the penalised likelihood from ``start``."""
    cuts = len(start) - matrix.shape[1]
    n = len(matrix)
    shrink = np.concatenate([np.full(cuts, 1e-8), np.full(matrix.shape[1], ridge)]) * n

    def penalised(x: NDArray[np.float64]) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
        value, gradient, hessian = _terms(matrix, level, x, cuts + 1)
        return value - 0.5 * float(shrink @ x**2), gradient - shrink * x, hessian

    x = start
    value, gradient, hessian = penalised(x)
    for _ in range(_MAX_STEPS):
        step = np.linalg.solve(np.diag(shrink) - hessian, gradient)
        while True:
            candidate = x + step
            if bool((np.diff(candidate[:cuts]) > 0).all()):
                new, new_gradient, new_hessian = penalised(candidate)
                if new >= value - 1e-10 * abs(value):
                    break
            step = step / 2
        x, value, gradient, hessian = candidate, new, new_gradient, new_hessian
        if float(np.abs(step).max()) < _SETTLED:
            return x
    raise FitError(
        "the ordinal regression does not converge", where=model, value=f"ridge {ridge:.3g}"
    )
