"""The evaluation of one endpoint from its predictions alone."""

from __future__ import annotations

from metasight.predictions import Predictions
from metasight.validation.results import CentreEvaluation, CentreGap, Evaluation, EvaluationPlan

__all__ = ["centre_gap", "evaluate", "evaluate_centres"]


def evaluate(predictions: Predictions, plan: EvaluationPlan) -> Evaluation:
    """Judge every model of one endpoint on the same patients and resamples."""
    raise NotImplementedError


def evaluate_centres(predictions: Predictions, plan: EvaluationPlan) -> CentreEvaluation:
    """Judge predictions whose fold is the held-out centre, centre by centre."""
    raise NotImplementedError


def centre_gap(
    random_folds: Predictions, left_out: Predictions, plan: EvaluationPlan
) -> tuple[CentreGap, ...]:
    """Discrimination in random folds minus that in left-out centres, for each model."""
    raise NotImplementedError
