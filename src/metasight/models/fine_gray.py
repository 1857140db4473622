"""Fine–Gray regression of the subdistribution hazard (Fine & Gray, JASA 1999;94:496).

Patients with the competing event stay at risk with weight G(t−)/G(T−), G the Kaplan–Meier of
censoring. The risk-set sums are one suffix sum over patients still followed and one prefix sum
over patients with the competing event, so a Newton step costs n·p² and not n²·p². Ties by
Breslow, G as ``cmprsk::crr`` computes it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metasight.cohort.outcome import CENSORED, COMPETING, EVENT, Outcome, SurvivalOutcome
from metasight.features.columns import FeatureTable
from metasight.models.cox import (
    diverged,
    fit_summary,
    no_maximum,
    orthonormal,
    refuse_too_many,
)
from metasight.models.fitted import ReaderHeadModel, require_survival
from metasight.models.hazards import CauseHazard, HazardHead
from metasight.models.preparation import Preparation, canonical

_MAX_STEPS = 50
_MAX_HALVINGS = 30
_SETTLED = 1e-10


@dataclass(frozen=True, kw_only=True)
class FineGrayModel:
    """Unpenalised Fine–Gray regression.

    Assumes proportional subdistribution hazards, and censoring that depends on no feature.

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
        """Fit by Newton's method; ``seed`` is not used.

        Raises
        ------
        FitError
            No event, more parameters than events, or a likelihood without a maximum.
        """
        table, follow_up = canonical(table, require_survival(outcome, self.name))
        reader = self.preparation.fit(table, follow_up)
        matrix = reader.matrix(table)
        hazard = fit_subdistribution(matrix, follow_up, model=self.name)
        per_unit = reader.per_unit(hazard.coefficients)
        fit = fit_summary(matrix, follow_up.status == EVENT, per_unit)
        fit["competing_events"] = int((follow_up.status == COMPETING).sum())
        head = HazardHead(scale="subdistribution", causes=(hazard,), fit=fit)
        return ReaderHeadModel("fine_gray", self.name, reader, head, reader.notes)


@dataclass(frozen=True)
class SubdistributionSets:
    """Sorted data and, for each distinct event time, where its risk set starts."""

    order: NDArray[np.intp]  # positions in the unsorted data
    matrix: NDArray[np.float64]
    event: NDArray[np.bool_]
    weight: NDArray[np.float64]  # 1/G(T−) of a competing event, else 0; shape (n,)
    times: NDArray[np.float64]
    deaths: NDArray[np.float64]
    start: NDArray[np.intp]  # first patient with follow-up ≥ the event time
    g: NDArray[np.float64]  # G(t−) at the event times
    reached: NDArray[np.intp]  # event times ≤ follow-up of each patient

    def terms(
        self, beta: NDArray[np.float64]
    ) -> tuple[float, NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Log pseudo-likelihood, score, information and baseline steps."""
        eta = self.matrix @ beta
        ratio = np.exp(eta)
        kept = self.weight * ratio
        s0 = self._sums(ratio[:, None], kept[:, None])[:, 0]
        mean = self.means(ratio)
        steps = self.deaths / s0
        loglik = float(eta[self.event].sum() - self.deaths @ np.log(s0))
        score = self.matrix[self.event].sum(axis=0) - self.deaths @ mean
        early = np.concatenate([[0.0], np.cumsum(steps)])[self.reached]
        weighted = np.concatenate([[0.0], np.cumsum(self.g * steps)])
        late = weighted[-1] - weighted[self.reached]
        mass = ratio * early + kept * late
        information = (self.matrix * mass[:, None]).T @ self.matrix - (
            mean * self.deaths[:, None]
        ).T @ mean
        return loglik, score, information, steps

    def means(self, ratio: NDArray[np.float64]) -> NDArray[np.float64]:
        """Weighted means of the columns in each risk set; ``ratio`` are hazard ratios, (n,)."""
        kept = self.weight * ratio
        s0 = self._sums(ratio[:, None], kept[:, None])
        s1 = self._sums(ratio[:, None] * self.matrix, kept[:, None] * self.matrix)
        return np.asarray(s1 / s0)

    def _sums(
        self, followed: NDArray[np.float64], competing: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        suffix = np.cumsum(followed[::-1], axis=0)[::-1]
        prefix = np.concatenate([np.zeros((1, competing.shape[1])), np.cumsum(competing, axis=0)])
        return np.asarray(suffix[self.start] + self.g[:, None] * prefix[self.start])


def subdistribution_sets(
    matrix: NDArray[np.float64], follow_up: SurvivalOutcome
) -> SubdistributionSets:
    """Sort follow-up, and weigh patients with the competing event by the censoring."""
    order = np.argsort(follow_up.time_days, kind="stable")
    time, status = follow_up.time_days[order], follow_up.status[order]
    event = status == EVENT
    distinct, first = np.unique(time, return_index=True)
    at_risk = len(time) - first
    censored = np.add.reduceat((status == CENSORED).astype(float), first)
    before = np.concatenate([[1.0], np.cumprod(1.0 - censored / at_risk)[:-1]])
    g_own = before[np.searchsorted(distinct, time)]
    times, deaths = np.unique(time[event], return_counts=True)
    return SubdistributionSets(
        order=order,
        matrix=matrix[order],
        event=event,
        weight=np.where(status == COMPETING, 1.0 / g_own, 0.0),
        times=times,
        deaths=deaths.astype(np.float64),
        start=np.searchsorted(time, times, side="left"),
        g=before[np.searchsorted(distinct, times)],
        reached=np.searchsorted(times, time, side="right"),
    )


def fit_subdistribution(
    matrix: NDArray[np.float64], follow_up: SurvivalOutcome, *, model: str
) -> CauseHazard:
    """Coefficients and baseline of the subdistribution hazard of the event.

    Parameters
    ----------
    matrix
        Shape (n, p), standardised, full rank.
    follow_up
        Of the same patients.
    model
        Named in errors.

    Raises
    ------
    FitError
        More parameters than events, or no maximum.
    """
    refuse_too_many(matrix.shape[1], follow_up.n_events, model)
    basis, back = orthonormal(matrix)
    sets = subdistribution_sets(basis, follow_up)
    beta = np.zeros(matrix.shape[1])
    loglik, score, information, steps = sets.terms(beta)
    for _ in range(_MAX_STEPS):
        try:
            step = np.linalg.solve(information, score)
        except np.linalg.LinAlgError as error:
            raise no_maximum(model) from error
        for _ in range(_MAX_HALVINGS):
            new, *rest = sets.terms(beta + step)
            if new >= loglik - 1e-9 * abs(loglik):
                break
            step = step / 2
        beta = beta + step
        loglik, (score, information, steps) = new, rest
        if float(np.abs(step).max()) < _SETTLED or diverged(basis, beta):
            break
    if float(np.abs(step).max()) >= _SETTLED or diverged(basis, beta):
        raise no_maximum(model)
    return CauseHazard(coefficients=back @ beta, times=sets.times, increments=steps)
