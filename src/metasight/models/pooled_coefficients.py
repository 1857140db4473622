"""Coefficients over multiple imputations, pooled by Rubin's rules.

They are of a regression without a penalty and with straight terms, whatever the study's reference
model is: a penalised coefficient has no standard error, and splines would have other knots in each
imputation. Follow-up: Cox regression, with competing events the cause-specific hazard of the event;
nodal stage: proportional odds. It is fitted to all patients, so that nothing is predicted by it:
every patient's outcome enters the imputation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm
from scipy.stats import t as student

from metasight.cohort.outcome import COMPETING, EVENT, NodalOutcome, Outcome
from metasight.errors import FitError
from metasight.estimate import Estimate
from metasight.features.columns import FeatureTable
from metasight.features.multiple_imputation import MultipleImputer
from metasight.models.partial_likelihood import PartialLikelihood
from metasight.models.preparation import Preparation, canonical, observed_only
from metasight.models.ridge import HazardLikelihood, Likelihood, StageLikelihood, maximise
from metasight.rubin import pool_imputations

Floats = NDArray[np.float64]

_NAME = "regression over imputations"


@dataclass(frozen=True, kw_only=True)
class PooledCoefficient:
    """Log hazard or odds ratio per unit of one column.

    Attributes
    ----------
    name
        Of the column, as in :attr:`metasight.models.preparation.FittedPreparation.columns`.
    pooled
        Over imputations, with its standard error and interval.
    freedom
        Degrees of freedom of the interval (Barnard and Rubin).
    missing_information
        Fraction of missing information, in [0, 1].
    single
        With gaps filled as the study's models fill them; None where that fit has no such column.
    """

    name: str
    pooled: Estimate
    freedom: float
    missing_information: float
    single: Estimate | None

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "name": self.name,
            "pooled": self.pooled.to_json(),
            "freedom": self.freedom,
            "missing_information": self.missing_information,
            "single": None if self.single is None else self.single.to_json(),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> PooledCoefficient:
        """What :meth:`to_json` gave."""
        single = data["single"]
        return cls(
            name=data["name"],
            pooled=Estimate.from_json(data["pooled"]),
            freedom=data["freedom"],
            missing_information=data["missing_information"],
            single=None if single is None else Estimate.from_json(single),
        )


@dataclass(frozen=True, kw_only=True)
class PooledCoefficients:
    """Of every column of one regression.

    Attributes
    ----------
    scale
        ``log hazard ratio`` or ``log odds ratio``.
    coefficients
        In the order of the columns.
    not_pooled
        Columns that some imputation lacks: constant there, or determined by others.
    """

    scale: str
    coefficients: tuple[PooledCoefficient, ...]
    not_pooled: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "scale": self.scale,
            "coefficients": [c.to_json() for c in self.coefficients],
            "not_pooled": list(self.not_pooled),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> PooledCoefficients:
        """What :meth:`to_json` gave."""
        return cls(
            scale=data["scale"],
            coefficients=tuple(PooledCoefficient.from_json(c) for c in data["coefficients"]),
            not_pooled=tuple(data["not_pooled"]),
        )


def outcome_columns(outcome: Outcome) -> Floats:
    """What an imputation of a predictor reads of the outcome of the same patients, shape (n, q).

    Follow-up: of each cause whether it happened, and its Nelson–Aalen cumulative hazard at the
    patient's own time (White and Royston, Stat Med 2009;28:1982; of competing events Resche-Rigon
    et al., Stat Med 2012;31:1925), ties by Efron as ``mice::nelsonaalen`` has them. Nodal stage:
    N1 or worse, and N2.
    """
    if isinstance(outcome, NodalOutcome):
        return np.column_stack([outcome.stage >= 1, outcome.stage >= 2]).astype(np.float64)
    parts: list[Floats] = []
    for cause in (EVENT, COMPETING) if outcome.competing else (EVENT,):
        event = outcome.status == cause
        follow_up = PartialLikelihood.of(outcome.time_days, event)
        times, steps = follow_up.baseline(np.zeros(len(event)))
        hazard = np.concatenate([[0.0], np.cumsum(steps)])
        at = np.searchsorted(times, outcome.time_days, side="right")
        parts += [event.astype(np.float64), hazard[at]]
    return np.column_stack(parts)


def examined(table: FeatureTable, outcome: Outcome) -> tuple[FeatureTable, Outcome]:
    """Patients whose outcome was observed, in the order that fits read them in."""
    if isinstance(outcome, NodalOutcome):
        return observed_only(*canonical(table, outcome))
    return canonical(table, outcome)


def pooled_coefficients(
    preparation: Preparation,
    table: FeatureTable,
    outcome: Outcome,
    *,
    imputer: MultipleImputer,
    imputations: int,
    seed: int,
    confidence: float = 0.95,
) -> PooledCoefficients:
    """Regress the outcome on the predictors in each imputation, and pool.

    Degrees of freedom of complete data are events (of nodal stage patients) less parameters.

    Parameters
    ----------
    preparation
        Which features, without splines; its imputer fills the gaps of the single imputation.
    table, outcome
        Of all patients.
    imputer
        How gaps are filled by draws.
    imputations
        2 or more.
    seed
        Of the draws.
    confidence
        Level of the intervals.

    Raises
    ------
    FitError
        A regression has no maximum, or as many parameters as events (or patients in the rarer
        class).
    """
    table, outcome = examined(table, outcome)
    told = outcome_columns(outcome)
    fits = []
    for k in range(imputations):
        completed = imputer.complete(table, told, seed=seed + k)
        fits.append(_regress(preparation, completed, outcome))
    single = _regress(preparation, table, outcome)
    names = [n for n in fits[0].names if all(n in f.names for f in fits)]
    every = dict.fromkeys(n for f in fits for n in f.names)
    values = np.array([[f.names[n][0] for n in names] for f in fits])
    variances = np.array([[f.names[n][1] for n in names] for f in fits])
    freedom = min(f.freedom for f in fits)
    pooled = pool_imputations(values, variances, complete_freedom=freedom)
    half = student.ppf(0.5 + confidence / 2, pooled.freedom)
    z = float(norm.ppf(0.5 + confidence / 2))
    return PooledCoefficients(
        scale="log odds ratio" if isinstance(outcome, NodalOutcome) else "log hazard ratio",
        coefficients=tuple(
            PooledCoefficient(
                name=name,
                pooled=_estimate(float(pooled.value[j]), float(pooled.variance[j]), float(half[j])),
                freedom=float(pooled.freedom[j]),
                missing_information=float(pooled.missing_information[j]),
                single=_estimate(*single.names[name], z) if name in single.names else None,
            )
            for j, name in enumerate(names)
        ),
        not_pooled=tuple(n for n in every if n not in names),
    )


def _estimate(value: float, variance: float, quantile: float) -> Estimate:
    se = float(np.sqrt(variance))
    half = quantile * se
    return Estimate(value=value, lower=value - half, upper=value + half, se=se)


@dataclass(frozen=True, kw_only=True)
class _Regression:
    """Column → coefficient per unit and its variance; degrees of freedom."""

    names: Mapping[str, tuple[float, float]]
    freedom: float


def _regress(preparation: Preparation, table: FeatureTable, outcome: Outcome) -> _Regression:
    reader = preparation.fit(table, outcome)
    matrix = reader.matrix(table)
    p = matrix.shape[1]
    likelihood: Likelihood
    if isinstance(outcome, NodalOutcome):
        classes, level = np.unique(outcome.stage, return_inverse=True)
        likelihood = StageLikelihood(matrix, level, len(classes))
        freedom = len(level) - p - likelihood.free
        carried = min(outcome.n_events, len(level) - outcome.n_events)
    else:
        event = outcome.status == EVENT
        likelihood = HazardLikelihood.of(matrix, outcome.time_days, event)
        carried = int(event.sum())
        freedom = carried - p
    if p >= carried:
        raise FitError(
            "the regression without a penalty has as many parameters as the data carry",
            where=_NAME,
            value=f"{p} parameters, {carried} events or patients in the rarer class",
            remedy="Give the reference model fewer predictors",
        )
    found = maximise(likelihood, np.zeros(p), model=_NAME)
    covariance = np.linalg.inv(likelihood.terms(found)[2])
    scale = np.asarray(reader.design.state["scale"])[reader.chosen]
    free = likelihood.free
    values, variances = found[free:] / scale, np.diag(covariance)[free:] / scale**2
    pairs = zip(reader.columns, values.tolist(), variances.tolist(), strict=True)
    return _Regression(names={n: (b, v) for n, b, v in pairs}, freedom=float(max(freedom, 1)))
