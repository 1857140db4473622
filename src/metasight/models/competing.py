"""Cause-specific Cox regression: the event's hazard and the competing event's, then the risk."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metasight.cohort.outcome import COMPETING, EVENT, Outcome
from metasight.features.columns import FeatureTable
from metasight.models.cox import fit_hazard, fit_summary
from metasight.models.fitted import ReaderHeadModel, require_survival
from metasight.models.hazards import CauseHazard, HazardHead
from metasight.models.partial_likelihood import PartialLikelihood
from metasight.models.preparation import Preparation, canonical


@dataclass(frozen=True, kw_only=True)
class CauseSpecificCoxModel:
    """Unpenalised Cox regression of each cause and the cumulative incidence from both.

    Assumes proportional cause-specific hazards; nothing is assumed of how the causes depend on
    one another (Benichou & Gail, Biometrics 1990;46:813). Without competing events it is a Cox
    model whose survival is a product instead of an exponential.

    Attributes
    ----------
    name
        As it appears in predictions and report.
    preparation
        Features, imputation and design; the design drops aliased columns.
    """

    name: str
    preparation: Preparation

    def fit(self, table: FeatureTable, outcome: Outcome, *, seed: int) -> ReaderHeadModel:
        """Fit both causes; ``seed`` is not used.

        A competing cause with fewer events than parameters gets a hazard without features, and a
        note: it only enters the risk through survival.

        Raises
        ------
        FitError
            No event, more parameters than events of interest, or a likelihood without maximum.
        """
        table, follow_up = canonical(table, require_survival(outcome, self.name))
        reader = self.preparation.fit(table, follow_up)
        matrix = reader.matrix(table)
        notes = list(reader.notes)
        event = follow_up.status == EVENT
        causes = [fit_hazard(matrix, follow_up.time_days, event, model=self.name)]
        if follow_up.competing:
            other = follow_up.status == COMPETING
            if int(other.sum()) < matrix.shape[1]:
                notes.append(f"{int(other.sum())} competing events: their hazard has no features")
                causes.append(featureless(matrix, follow_up.time_days, other))
            else:
                causes.append(fit_hazard(matrix, follow_up.time_days, other, model=self.name))
        fit = fit_summary(matrix, event, reader.per_unit(causes[0].coefficients))
        if len(causes) == 2:
            fit["competing_events"] = int((follow_up.status == COMPETING).sum())
            fit["competing_coefficients_per_unit"] = reader.per_unit(causes[1].coefficients)
        head = HazardHead(scale="product_integral", causes=tuple(causes), fit=fit)
        return ReaderHeadModel("cause_specific_cox", self.name, reader, head, tuple(notes))


def featureless(
    matrix: NDArray[np.float64], time_days: NDArray[np.float64], event: NDArray[np.bool_]
) -> CauseHazard:
    """Hazard of a cause that no feature moves: all coefficients 0, Nelson–Aalen baseline."""
    times, steps = PartialLikelihood.of(time_days, event).baseline(np.zeros(len(time_days)))
    return CauseHazard(coefficients=np.zeros(matrix.shape[1]), times=times, increments=steps)
