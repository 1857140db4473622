"""How many patients a study needs: Riley's criteria, before anything is fitted."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, exp, log

from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.special import expit
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


@dataclass(frozen=True, kw_only=True)
class SlopeSize:
    """Patients for the precision of the calibration slope, and the information behind it.

    Attributes
    ----------
    n
        Patients.
    i00, i01, i11
        Information a patient carries on intercept and slope.
    """

    n: int
    i00: float
    i01: float
    i11: float


@dataclass(frozen=True, kw_only=True)
class ValidationSize:
    """Patients needed to validate a model of a class.

    Attributes
    ----------
    n
        The largest of the criteria.
    c_n, oe_n
        For the width of the interval of C, and of O/E.
    oe_se
        Standard error of log O/E that its width asks for.
    slope
        For the calibration slope.
    """

    n: int
    c_n: int
    oe_n: int
    oe_se: float
    slope: SlopeSize


def validation_c(*, prevalence: float, c: float, width: float) -> int:
    """Patients for a 95 % interval of C no wider than ``width``.

    References
    ----------
    Newcombe 2006; Riley 2021 (Stat Med 40:4230).
    """
    _check("prevalence", prevalence, 0, 1)
    _check("c", c, 0.5, 1)

    def variance(n: float) -> float:
        half = n / 2 - 1
        spread = 1 + half * (1 - c) / (2 - c) + half * c / (1 + c)
        return c * (1 - c) * spread / (n**2 * prevalence * (1 - prevalence))

    target = (width / (2 * 1.96)) ** 2
    return ceil(float(brentq(lambda n: variance(n) - target, 4, 1e9)))


def validation_oe(*, prevalence: float, width: float) -> tuple[int, float]:
    """Patients for a 95 % interval of O/E (about 1) no wider than ``width``, and the SE.

    References
    ----------
    Riley 2021.
    """
    _check("prevalence", prevalence, 0, 1)
    se = float(brentq(lambda s: exp(1.96 * s) - exp(-1.96 * s) - width, 1e-9, 10))
    return ceil((1 - prevalence) / (prevalence * se**2)), se


def validation_slope(*, mean: float, sd: float, width: float) -> SlopeSize:
    """Patients for a 95 % interval of the calibration slope no wider than ``width``.

    Parameters
    ----------
    mean, sd
        Of the normally distributed linear predictor (log-odds) in the validation patients.
    width
        Of the interval.

    References
    ----------
    Riley 2021, with a well calibrated model.
    """
    _check("sd", sd, 0, 1e3)

    def moment(k: int) -> float:
        def integrand(z: float) -> float:
            x = mean + sd * z
            p = float(expit(x))
            return float(norm.pdf(z)) * x**k * p * (1 - p)

        return float(quad(integrand, -12, 12, epsabs=1e-13, epsrel=1e-12, limit=200)[0])

    i00, i01, i11 = moment(0), moment(1), moment(2)
    se = width / (2 * 1.96)
    n = ceil(i00 / (se**2 * (i00 * i11 - i01**2)))
    return SlopeSize(n=n, i00=i00, i01=i01, i11=i11)


def validation_binary(
    *,
    prevalence: float,
    c: float,
    mean_linear_predictor: float,
    sd_linear_predictor: float,
    c_width: float = 0.1,
    oe_width: float = 0.4,
    slope_width: float = 0.4,
) -> ValidationSize:
    """Riley's criteria for an external validation of a class probability.

    Parameters
    ----------
    prevalence, c
        Anticipated.
    mean_linear_predictor, sd_linear_predictor
        Of the log-odds.
    c_width, oe_width, slope_width
        Widths of the 95 % intervals wanted.
    """
    c_n = validation_c(prevalence=prevalence, c=c, width=c_width)
    oe_n, oe_se = validation_oe(prevalence=prevalence, width=oe_width)
    slope = validation_slope(mean=mean_linear_predictor, sd=sd_linear_predictor, width=slope_width)
    return ValidationSize(n=max(c_n, oe_n, slope.n), c_n=c_n, oe_n=oe_n, oe_se=oe_se, slope=slope)
