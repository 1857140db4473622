"""Scores of several models into one risk: weights that are never negative, lightly penalised."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from metasight.cohort.outcome import COMPETING, EVENT, NodalOutcome, SurvivalOutcome
from metasight.models.competing import featureless
from metasight.models.elastic_net import COX, LOGISTIC, Problem
from metasight.models.hazards import CauseHazard, HazardHead, Scale
from metasight.models.ordinal import OrdinalHead, fitted_to_score
from metasight.models.partial_likelihood import PartialLikelihood
from metasight.models.penalised_cox import FEWEST_COMPETING

_RIDGE = 0.01
"""Penalty on the combination's weights, of scores with standard deviation 1."""


def _nonnegative(problem: Problem) -> NDArray[np.float64]:
    """Ridge weights ≥ 0: the most negative is dropped until none is left."""
    free = np.arange(problem.matrix.shape[1])
    penalised = problem.factor > 0
    while True:
        part = _columns(problem, free)
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


_AKAIKE = 2.0
"""Likelihood ratio above which a score is kept."""


def _weights(problem: Problem, floor: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ridge weights ≥ 0, each drawn towards 0 by how much of it chance would give.

    A weight is multiplied by (χ² − 1) / χ², χ² being the likelihood ratio of leaving its score out
    (heuristic shrinkage; van Houwelingen and le Cessie, Stat Med 1990;9:1303), and a score with
    χ² ≤ 2 is left out (Akaike). A modality without any signal would otherwise get a weight in half
    of all studies and make the fusion worse than the rest of it. A score with a ``floor`` above 0
    is the one that the others are added to: it is neither left out nor weighs less than that.
    """
    kept = np.arange(problem.matrix.shape[1])
    asked = (problem.factor > 0) & (floor == 0)
    while True:
        part = _columns(problem, kept)
        found = _nonnegative(part)
        ratio = np.array([_likelihood_ratio(part, found, j) for j in range(len(kept))])
        chance = asked[kept] & (ratio <= _AKAIKE)
        if not bool(chance.any()):
            break
        kept = np.delete(kept, int(np.where(chance, ratio, np.inf).argmin()))
        if not len(kept):
            return np.zeros(problem.matrix.shape[1])
    weights = np.zeros(problem.matrix.shape[1])
    weights[kept] = found * np.where(asked[kept], 1 - 1 / np.maximum(ratio, 1.0), 1.0)
    return np.where(floor > 0, np.maximum(weights, floor), weights)


def _columns(problem: Problem, columns: NDArray[np.intp]) -> Problem:
    return Problem(
        family=problem.family,
        matrix=np.asfortranarray(problem.matrix[:, columns]),
        time=problem.time,
        label=problem.label,
        factor=problem.factor[columns],
    )


def _likelihood_ratio(problem: Problem, weights: NDArray[np.float64], column: int) -> float:
    """Twice what the log-likelihood loses without a column; 0 for one without a weight."""
    if weights[column] == 0 or problem.factor[column] == 0:
        return 0.0
    rest = np.delete(np.arange(problem.matrix.shape[1]), column)
    without = np.zeros(problem.matrix.shape[1])
    if len(rest):
        without[rest] = _nonnegative(_columns(problem, rest))
    return 2 * (problem.loglik(weights) - problem.loglik(without))


def combined_hazards(
    matrix: NDArray[np.float64],
    follow_up: SurvivalOutcome,
    *,
    n_models: int,
    floor: NDArray[np.float64] | None = None,
) -> HazardHead:
    """The event's hazard from the event scores, the competing event's from theirs.

    ``matrix`` holds the event's score of each of ``n_models`` models, then the competing
    event's; of unseen patients, standardised. ``floor`` is the least weight of each score that
    may not be left out, 0 for the others.
    """
    least = np.zeros(matrix.shape[1]) if floor is None else floor
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
        weights[columns] = _weights(
            Problem(
                family=COX,
                matrix=x,
                time=likelihood.time,
                label=likelihood.event,
                factor=np.ones(n_models),
            ),
            least[columns],
        )
        times, steps = likelihood.baseline(x @ weights[columns])
        causes.append(CauseHazard(coefficients=weights, times=times, increments=steps))
    scale: Scale = "product_integral" if len(causes) == 2 else "survival"
    fit: dict[str, Any] = {"n": len(follow_up), "events": follow_up.n_events}
    return HazardHead(scale=scale, causes=tuple(causes), fit=fit)


def combined_stage(
    matrix: NDArray[np.float64], stage: NodalOutcome, *, floor: NDArray[np.float64]
) -> OrdinalHead:
    """N0, N1 and N2 from the scores of unseen patients; ``floor`` as for hazards.

    The scores' weights are those for any positive node, which is what every base learns; the
    thresholds are of proportional odds in the three stages.
    """
    n = len(matrix)
    weights = _weights(
        Problem(
            family=LOGISTIC,
            matrix=np.asfortranarray(np.column_stack([np.ones(n), matrix])),
            time=np.zeros(n),
            label=(stage.stage > 0).astype(np.float64),
            factor=np.concatenate([[0.0], np.ones(matrix.shape[1])]),
        ),
        np.concatenate([[0.0], floor]),
    )[1:]
    level = stage.stage.astype(np.int64)
    classes, thresholds = fitted_to_score(matrix @ weights, level)
    return OrdinalHead(
        classes=classes,
        thresholds=thresholds,
        coefficients=weights,
        fit={
            "n": n,
            "positive": stage.n_events,
            "counts": np.bincount(level, minlength=3).tolist(),
        },
    )
