"""How many patients a study needs: Riley's criteria, before anything is fitted."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, exp, log

from scipy.optimize import brentq
from scipy.stats import norm

from metasight.errors import EvaluationError


@dataclass(frozen=True, kw_only=True)
class DevelopmentSize:
    """Patients needed to develop a model.

    Attributes
    ----------
    n
        The largest of the criteria.
    shrinkage_n
        Criterion 1: expected shrinkage of at least ``shrinkage``.
    optimism_n
        Criterion 2: apparent less adjusted Nagelkerke R² of at most 0.05.
    precision_n
        Criterion 3: overall risk within 0.05, sought from the size that criteria 1 and 2 ask for
        (as R pmsampsize prints it for time to an event).
    precision_alone_n
        What criterion 3 asks for by itself.
    events
        Expected events among ``n``.
    expected_shrinkage
        Shrinkage expected with ``n`` patients.
    """

    n: int
    shrinkage_n: int
    optimism_n: int
    precision_n: int
    precision_alone_n: int
    events: float
    expected_shrinkage: float


def _check(name: str, value: float, low: float, high: float) -> None:
    if not low < value < high:
        raise EvaluationError(
            f"{name} is out of range",
            value=str(value),
            remedy=f"Give a value between {low:g} and {high:g}",
        )


def _for_shrinkage(parameters: int, r2: float, shrinkage: float) -> int:
    return ceil(parameters / ((shrinkage - 1) * log(1 - r2 / shrinkage)))


def _shrinkage_at(n: int, parameters: int, r2: float) -> float:
    """Expected shrinkage of a model with Cox–Snell ``r2`` (adjusted) from ``n`` patients."""

    def gap(s: float) -> float:
        return parameters / ((s - 1) * log(1 - r2 / s)) - n

    return float(brentq(gap, r2 + 1e-9, 1 - 1e-9))


def largest_r2_survival(rate: float, mean_follow_up: float) -> float:
    """Largest Cox–Snell R² that ``rate`` events a year over ``mean_follow_up`` years allow."""
    events_each = rate * mean_follow_up
    return 1 - exp(2 * (events_each * log(events_each) - events_each))


def largest_r2_binary(prevalence: float) -> float:
    """Largest Cox–Snell R² that a class of this prevalence, in (0, 1), allows."""
    null = prevalence * log(prevalence) + (1 - prevalence) * log(1 - prevalence)
    return 1 - exp(2 * null)


def development_survival(
    *,
    r2_cox_snell: float,
    parameters: int,
    rate: float,
    timepoint: float,
    mean_follow_up: float,
    shrinkage: float = 0.9,
) -> DevelopmentSize:
    """Riley's criteria for a time-to-event model.

    Parameters
    ----------
    r2_cox_snell
        Anticipated (adjusted) Cox–Snell R², in (0, 1).
    parameters
        Candidate parameters, spline terms and dummies counted.
    rate
        Events a person-year.
    timepoint
        Horizon of the predictions, years.
    mean_follow_up
        Years.
    shrinkage
        Lowest shrinkage accepted.

    Raises
    ------
    EvaluationError
        An argument is out of range, or R² above what the event rate allows.

    References
    ----------
    Riley 2019 (Stat Med 38:1276); R pmsampsize.
    """
    _check("r2_cox_snell", r2_cox_snell, 0, 1)
    _check("rate", rate, 0, 1e6)
    _check("mean_follow_up", mean_follow_up, 0, 1e6)
    largest = largest_r2_survival(rate, mean_follow_up)
    _check("r2_cox_snell", r2_cox_snell, 0, largest)
    first = _for_shrinkage(parameters, r2_cox_snell, shrinkage)
    second = _for_shrinkage(
        parameters, r2_cox_snell, r2_cox_snell / (r2_cox_snell + 0.05 * largest)
    )
    z = float(norm.ppf(0.975))
    alone = 1
    while _incidence_width(rate, timepoint, alone * mean_follow_up, z) > 0.05:
        alone += 1
    third = max(first, second, alone)
    n = max(first, second, third)
    return DevelopmentSize(
        n=n,
        shrinkage_n=first,
        optimism_n=second,
        precision_n=third,
        precision_alone_n=alone,
        events=rate * mean_follow_up * n,
        expected_shrinkage=_shrinkage_at(n, parameters, r2_cox_snell),
    )


def _incidence_width(rate: float, timepoint: float, person_years: float, z: float) -> float:
    """Largest distance from the incidence by ``timepoint`` to its interval (exponential)."""
    se = (rate / person_years) ** 0.5
    middle = 1 - exp(-rate * timepoint)
    upper = 1 - exp(-(rate + z * se) * timepoint)
    lower = 1 - exp(-max(rate - z * se, 0.0) * timepoint)
    return max(upper - middle, middle - lower)


def development_binary(
    *, r2_cox_snell: float, parameters: int, prevalence: float, shrinkage: float = 0.9
) -> DevelopmentSize:
    """Riley's criteria for a model of a class.

    Parameters
    ----------
    r2_cox_snell
        Anticipated (adjusted) Cox–Snell R².
    parameters
        Candidate parameters.
    prevalence
        Of the class, in (0, 1).
    shrinkage
        Lowest shrinkage accepted.

    Raises
    ------
    EvaluationError
        An argument is out of range, or R² above what the prevalence allows.

    References
    ----------
    Riley 2019 (Stat Med 38:1276); R pmsampsize.
    """
    _check("prevalence", prevalence, 0, 1)
    largest = largest_r2_binary(prevalence)
    _check("r2_cox_snell", r2_cox_snell, 0, largest)
    first = _for_shrinkage(parameters, r2_cox_snell, shrinkage)
    second = _for_shrinkage(
        parameters, r2_cox_snell, r2_cox_snell / (r2_cox_snell + 0.05 * largest)
    )
    third = ceil((1.96 / 0.05) ** 2 * prevalence * (1 - prevalence))
    n = max(first, second, third)
    return DevelopmentSize(
        n=n,
        shrinkage_n=first,
        optimism_n=second,
        precision_n=third,
        precision_alone_n=third,
        events=prevalence * n,
        expected_shrinkage=_shrinkage_at(n, parameters, r2_cox_snell),
    )
