"""Elastic-net Cox regression, of one event or of each cause (Simon et al., JSS 2011;39:5)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metasight.cohort.outcome import COMPETING, EVENT, Outcome, SurvivalOutcome
from metasight.errors import FitError
from metasight.features.columns import FeatureTable
from metasight.models.competing import featureless
from metasight.models.elastic_net import COX, Problem
from metasight.models.fitted import ReaderHeadModel, require_survival
from metasight.models.hazards import CauseHazard, HazardHead, Scale
from metasight.models.partial_likelihood import PartialLikelihood
from metasight.models.preparation import Preparation, canonical
from metasight.models.tuning import tune

FEWEST_COMPETING = 10
"""Competing events from which their hazard may depend on features."""


@dataclass(frozen=True, kw_only=True)
class Penalty:
    """How an elastic net is penalised and tuned.

    Attributes
    ----------
    factors
        Relative penalty of each modality; 1 where not named, 0 for none.
    l1_ratios
        Mixes tried, 0 ridge to 1 lasso.
    inner_folds
        Folds of the inner cross-validation.
    """

    factors: Mapping[str, float] = field(default_factory=dict)
    l1_ratios: tuple[float, ...] = (0.05, 0.5, 1.0)
    inner_folds: int = 5

    def of_columns(self, modalities: list[str]) -> NDArray[np.float64]:
        """Relative penalty of each column, shape (p,).

        Raises
        ------
        FitError
            No column is penalised.
        """
        factor = np.array([self.factors.get(m, 1.0) for m in modalities])
        if not bool((factor > 0).any()):
            raise FitError(
                "no modality of the penalised model is penalised",
                remedy="Set a penalty factor above 0, or choose an unpenalised model",
            )
        return factor


@dataclass(frozen=True, kw_only=True)
class ElasticNetCoxModel:
    """Elastic-net Cox regression with an absolute risk.

    With competing events the hazard of each cause is fitted and the cumulative incidence
    assembled from both; a competing cause of fewer than ten events gets a hazard without
    features. Penalty and mix are chosen within the rows given to ``fit``.

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
            Fewer than three events, or an unpenalised column separates the outcome.
        """
        table, follow_up = canonical(table, require_survival(outcome, self.name))
        reader = self.preparation.fit(table, follow_up)
        head, notes = fit_elastic_net(
            reader.matrix(table),
            follow_up,
            factor=self.penalty.of_columns(reader.modalities),
            penalty=self.penalty,
            seed=seed,
            model=self.name,
            patient=table.patient_number,
        )
        head.fit["coefficients_per_unit"] = reader.per_unit(head.causes[0].coefficients)
        return ReaderHeadModel("elastic_net_cox", self.name, reader, head, (*reader.notes, *notes))


def fit_elastic_net(
    matrix: NDArray[np.float64],
    follow_up: SurvivalOutcome,
    *,
    factor: NDArray[np.float64],
    penalty: Penalty,
    seed: int,
    model: str,
    patient: NDArray[np.int64] | None = None,
) -> tuple[HazardHead, list[str]]:
    """Fit the event's hazard and, where there are competing events, theirs.

    ``matrix`` is (n, p) and standardised, ``factor`` holds the p relative penalties, ``seed``
    draws the inner folds, ``model`` is named in errors, and rows with one number in ``patient``
    are copies that inner folds keep together.

    Returns
    -------
    The head and notes.
    """
    notes: list[str] = []
    summaries: list[dict[str, Any]] = []
    causes = []
    for code in (EVENT, COMPETING) if follow_up.competing else (EVENT,):
        cause = follow_up.status == code
        if code == COMPETING and int(cause.sum()) < FEWEST_COMPETING:
            notes.append(f"{int(cause.sum())} competing events: their hazard has no features")
            causes.append(featureless(matrix, follow_up.time_days, cause))
            continue
        likelihood = PartialLikelihood.of(follow_up.time_days, cause)
        problem = Problem(
            family=COX,
            matrix=np.asfortranarray(matrix[likelihood.order]),
            time=likelihood.time,
            label=likelihood.event,
            factor=factor,
            patient=None if patient is None else patient[likelihood.order],
        )
        tuned = tune(
            problem,
            l1_ratios=penalty.l1_ratios,
            n_folds=penalty.inner_folds,
            seed=seed,
            model=model,
        )
        summaries.append(tuned.summary)
        times, steps = likelihood.baseline(problem.matrix @ tuned.coefficients)
        causes.append(CauseHazard(coefficients=tuned.coefficients, times=times, increments=steps))
    fit: dict[str, Any] = {
        "n": len(follow_up),
        "events": follow_up.n_events,
        "factors": factor.tolist(),
        "tuning": summaries,
    }
    scale: Scale = "product_integral" if len(causes) == 2 else "survival"
    return HazardHead(scale=scale, causes=tuple(causes), fit=fit), notes
