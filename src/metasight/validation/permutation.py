"""Whether an added modality tells anything: its rows are dealt out to other patients and refitted.

The interval of an increment says how large it is; this test says whether what the modality tells
of a patient matters at all. Under the null hypothesis, that a patient's rows of the modality are
exchangeable with those of other patients of alike clinical risk, the difference that the whole
procedure finds with the true rows is one draw among those with dealt rows
(:func:`metasight.models.crossfit.deal_modality`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from metasight.errors import EvaluationError
from metasight.predictions import Predictions
from metasight.validation.results import EvaluationPlan
from metasight.validation.samples import concordance_samples
from metasight.validation.table import align

FEWEST = 19
"""Permutations below which p cannot reach 0.05."""


@dataclass(frozen=True, kw_only=True)
class PermutationTest:
    """The difference with the true rows among those with dealt rows.

    Attributes
    ----------
    difference
        Headline minus nested reference, with the true rows.
    p
        (1 + dealt differences at least as large) / (1 + dealt differences): one-sided, for an
        increment above what dealt rows give.
    dealt
        How many times rows were dealt out.
    median
        Median difference with dealt rows: below 0 where fitting to what tells nothing costs
        discrimination.
    """

    difference: float
    p: float
    dealt: int
    median: float


def permutation_test(difference: float, dealt: Sequence[float]) -> PermutationTest:
    """Judge a difference against those with dealt rows.

    Parameters
    ----------
    difference
        With the true rows.
    dealt
        With each dealing, from the same folds and the same procedure; at least :data:`FEWEST`.

    Raises
    ------
    EvaluationError
        Too few dealings, or a value that is missing. A dealing in which the procedure could not
        be fitted may not be left out: p would then be of another test.

    References
    ----------
    Phipson and Smyth, Stat Appl Genet Mol Biol 2010;9:39 (one is added to both counts).

    Examples
    --------
    >>> permutation_test(0.05, [0.0] * 38 + [0.06]).p
    0.05
    """
    values = np.asarray(dealt, dtype=np.float64)
    if values.size < FEWEST or not np.isfinite(values).all() or not np.isfinite(difference):
        raise EvaluationError(
            "a permutation test needs a difference for the true rows and 19 or more permuted",
            value=f"{int(np.isfinite(values).sum())} of {values.size}",
            remedy="Set permutations = 19 or more",
        )
    return PermutationTest(
        difference=difference,
        p=float((1 + (values >= difference).sum()) / (1 + values.size)),
        dealt=int(values.size),
        median=float(np.median(values)),
    )


def increment_of(predictions: Predictions, plan: EvaluationPlan) -> float:
    """Difference in C between the plan's headline and reference, as the evaluation has it.

    Parameters
    ----------
    predictions
        Of both models, in the folds of one repeat.
    plan
        Names the models, the horizons and tau.
    """
    aligned = align(predictions, plan)
    once = np.ones((1, aligned.n), dtype=np.int32)
    headline, reference = (
        concordance_samples(aligned, aligned.models[name], once, plan.tau_days, censoring=False)
        for name in (plan.headline_model, plan.reference_model)
    )
    return float(headline[0] - reference[0])
