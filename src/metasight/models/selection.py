"""A univariable screen of many columns, fitted inside the fold like everything else."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from metasight.cohort.outcome import EVENT, NodalOutcome, Outcome, SurvivalOutcome


def strongest(matrix: NDArray[np.float64], outcome: Outcome, k: int) -> NDArray[np.intp]:
    """Positions of the ``k`` columns most related to the outcome, ascending.

    Parameters
    ----------
    matrix
        Shape (n, p), standardised.
    outcome
        Follow-up (the score test of a Cox model of the event with that column alone) or nodal
        stage (the same of a logistic model of any positive node, which is n·r²).
    k
        At most p.
    """
    if isinstance(outcome, NodalOutcome):
        statistic = _logistic_scores(matrix, outcome)
    else:
        statistic = cox_score_statistics(matrix, outcome)
    return np.sort(np.argsort(-statistic, kind="stable")[:k])


def cox_score_statistics(
    matrix: NDArray[np.float64], follow_up: SurvivalOutcome
) -> NDArray[np.float64]:
    """Score test of each column alone, shape (p,), ≥ 0; χ² with one degree of freedom under H₀.

    Ties by Breslow; a competing event ends follow-up.
    """
    order = np.argsort(follow_up.time_days, kind="stable")
    x, time = matrix[order], follow_up.time_days[order]
    event = follow_up.status[order] == EVENT
    start = np.searchsorted(time, time[event], side="left")
    at_risk = (len(time) - start)[:, None]
    mean = np.cumsum(x[::-1], axis=0)[::-1][start] / at_risk
    square = np.cumsum(x[::-1] ** 2, axis=0)[::-1][start] / at_risk
    score = (x[event] - mean).sum(axis=0)
    information = (square - mean**2).sum(axis=0)
    return np.asarray(score**2 / np.maximum(information, 1e-12))


def _logistic_scores(matrix: NDArray[np.float64], stage: NodalOutcome) -> NDArray[np.float64]:
    x = matrix[stage.observed]
    x = x - x.mean(axis=0)
    positive = (stage.stage[stage.observed] > 0).astype(np.float64)
    rate = positive.mean()
    score = x.T @ (positive - rate)
    return np.asarray(score**2 / np.maximum((x**2).sum(axis=0) * rate * (1.0 - rate), 1e-12))
