"""Choice of penalty and mix by inner cross-validation, on training rows only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from metasight.errors import FitError
from metasight.models.elastic_net import COARSE, COX, FINE, Problem

N_PENALTIES = 50


def stratified_folds(
    stratum: NDArray[np.int64],
    n_folds: int,
    rng: np.random.Generator,
    patient: NDArray[np.int64] | None = None,
) -> NDArray[np.int64]:
    """Fold of each row, shape (n,); the folds of every stratum differ by at most one patient.

    The strata follow one another round the folds, so that fold sizes differ by at most one too.
    Rows of one ``patient`` (copies in a bootstrap resample) stay together; without it every row
    is a patient.
    """
    number, first = np.arange(len(stratum)), np.arange(len(stratum))
    if patient is not None:
        number = pd.factorize(patient)[0]
        first = np.unique(number, return_index=True)[1]
    own = stratum[first]
    fold = np.empty(len(own), dtype=np.int64)
    start = 0
    for value in np.unique(own):
        members = rng.permutation(np.flatnonzero(own == value))
        fold[members] = (start + np.arange(len(members))) % n_folds
        start += len(members)
    return fold[number]


@dataclass(frozen=True, kw_only=True)
class Tuned:
    """A penalised fit at the penalty and mix chosen.

    Attributes
    ----------
    coefficients
        Shape (p,).
    summary
        Plain JSON: ``l1_ratio``, ``penalty``, ``nonzero``, ``folds`` and the ``path`` tried
        (for each mix its penalties and mean cross-validated deviance).
    """

    coefficients: NDArray[np.float64]
    summary: dict[str, Any]


def tune(
    problem: Problem, *, l1_ratios: tuple[float, ...], n_folds: int, seed: int, model: str
) -> Tuned:
    """Choose penalty and mix by cross-validated deviance and fit with them.

    The deviance of the Cox likelihood is that of Verweij and van Houwelingen (Stat Med
    1993;12:2305): the likelihood of all rows less that of the training rows, so that small folds
    keep their risk sets. The smallest mean deviance wins; among equals the larger penalty.

    Parameters
    ----------
    problem
        Training rows.
    l1_ratios
        Mixes tried.
    n_folds
        Folds; fewer are used where there are fewer events (or patients in the rarer class).
    seed
        Of the folds.
    model
        Named in errors.

    Raises
    ------
    FitError
        Fewer than three events, or coordinate descent does not settle.
    """
    n_folds = _feasible_folds(problem, n_folds, model)
    rng = np.random.default_rng(seed)
    fold = stratified_folds(problem.label.astype(np.int64), n_folds, rng, problem.patient)
    parts = [problem.rows(np.flatnonzero(fold != k)) for k in range(n_folds)]
    tried = []
    for l1_ratio in l1_ratios:
        penalties = problem.penalties(l1_ratio, N_PENALTIES)
        deviance = _deviance(problem, parts, l1_ratio, penalties)
        tried.append((l1_ratio, penalties[: len(deviance)], deviance))
    best = min(range(len(tried)), key=lambda i: float(tried[i][2].min()))
    l1_ratio, penalties, deviance = tried[best]
    chosen = int(deviance.argmin())
    path = problem.solve(l1_ratio, penalties[: chosen + 1], FINE)
    if len(path.penalties) <= chosen:
        raise FitError(
            "the penalised likelihood does not converge at the penalty chosen",
            where=model,
            remedy="Drop rare levels or nearly separating features",
        )
    coefficients = path.coefficients[-1]
    return Tuned(
        coefficients=coefficients,
        summary={
            "l1_ratio": float(l1_ratio),
            "penalty": float(path.penalties[-1]),
            "nonzero": int(np.count_nonzero(coefficients)),
            "folds": n_folds,
            "path": [
                {"l1_ratio": float(r), "penalties": p.tolist(), "deviance": d.tolist()}
                for r, p, d in tried
            ],
        },
    )


def _feasible_folds(problem: Problem, n_folds: int, model: str) -> int:
    """As many folds as asked for, or as there are events (or patients in the rarer class)."""
    rarer = int(problem.label.sum())
    if problem.family != COX:
        rarer = min(rarer, len(problem.label) - rarer)
    n_folds = min(n_folds, rarer)
    if n_folds < 3:
        raise FitError(
            f"{rarer} events are too few to choose a penalty by cross-validation",
            where=model,
            remedy="Collect more events, or report the outcome descriptively",
        )
    return n_folds


def _deviance(
    problem: Problem, parts: list[Problem], l1_ratio: float, penalties: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Mean held-out deviance per patient, at the penalties that every fold reached."""
    total = np.zeros(len(penalties))
    reached = len(penalties)
    for part in parts:
        path = part.solve(l1_ratio, penalties, COARSE)
        reached = min(reached, len(path.penalties))
        for k, coefficients in enumerate(path.coefficients[:reached]):
            total[k] += problem.loglik(coefficients) - path.logliks[k]
    return np.asarray(-2.0 * total[:reached] / len(problem.label))
