"""How many patients an external validation needs, for the risks that the model itself predicts.

Riley et al., Stat Med 2021;40:4230 (binary outcome): the size at which observed over expected,
calibration slope, C and net benefit are each known to a stated width. The formulas hold for a
calibrated model, which is what a validation asks about. For a risk by a horizon the same is asked
with the censoring of these patients (as Riley et al., Stat Med 2022;41:1280, do by simulation):
observed over expected by Greenwood's variance, the slope by the information of a Cox model, both as
integrals over the time to the horizon with a hazard that is constant in it; C and net benefit by
the variances of events and of non-events, each as many as inverse weights by the censoring leave.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import asinh, ceil, sqrt

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit
from scipy.stats import norm

from metasight.errors import EvaluationError
from metasight.validation.curves import censoring_survival
from metasight.validation.links import EDGE
from metasight.validation.ordering import Floats
from metasight.validation.results import NotEstimable
from metasight.validation.subgroups import headline_number
from metasight.validation.table import Aligned

OE_WIDTH, SLOPE_WIDTH, C_WIDTH, NET_BENEFIT_WIDTH = 0.2, 0.2, 0.1, 0.2
"""Widths of the 95 % intervals that are asked for: those of R's pmvalsampsize by default. Of net
benefit it is the standardised one, a share of the greatest possible."""
_Z = float(norm.ppf(0.975))
_GRID = 4001
_TIMES = 101


@dataclass(frozen=True, kw_only=True)
class NetBenefitSize:
    """Patients for the net benefit at one threshold; None where nobody or all would be treated."""

    threshold: float
    n: int | None


@dataclass(frozen=True, kw_only=True)
class ValidationSize:
    """Patients needed for a validation, and what that rests on.

    Attributes
    ----------
    n
        The largest of O/E, slope and C.
    events
        Expected among ``n``.
    oe_n, slope_n, c_n
        For an interval of observed over expected, calibration slope and C of the stated width.
    net_benefit
        At each threshold, ascending; not part of ``n``, since a threshold that few reach asks for
        more patients than any study has.
    risk, c
        Mean predicted risk, and the C that the predicted risks imply if they are true.
    seen
        Share of the events by the horizon that occur before censoring; 1 for a class.
    """

    n: int
    events: float
    oe_n: int
    slope_n: int
    c_n: int
    net_benefit: tuple[NetBenefitSize, ...]
    risk: float
    c: float
    seen: float


def validation_size(
    risk: npt.ArrayLike,
    *,
    weight: npt.ArrayLike | None = None,
    thresholds: Sequence[float] = (),
    uncensored: npt.ArrayLike | None = None,
) -> ValidationSize:
    """Sizes for a model whose predicted risks are distributed as these and are true.

    Parameters
    ----------
    risk
        Predicted risks, shape (n,), in [0, 1].
    weight
        Of each, shape (n,); all alike by default.
    thresholds
        Of net benefit.
    uncensored
        Share of patients not censored by equally spaced times from 0 to the horizon, shape (m,),
        each in (0, 1]; None for a class.

    Raises
    ------
    EvaluationError
        All risks are the same, or a share is out of range.
    """
    p = np.clip(np.asarray(risk, dtype=np.float64), EDGE, 1 - EDGE)
    w = np.ones(p.size) if weight is None else np.asarray(weight, dtype=np.float64)
    w = w / w.sum()
    free = None if uncensored is None else np.asarray(uncensored, dtype=np.float64)
    if free is not None and not bool(((free > 0) & (free <= 1)).all()):
        raise EvaluationError(
            "no patient is followed up to the horizon",
            value=f"{float(free.min()):.3g} uncensored",
            remedy="Judge a horizon that the follow-up reaches",
        )
    if float(np.ptp(p)) < 1e-9:
        raise EvaluationError(
            "all patients have the same predicted risk",
            value=f"{float(p[0]):.3g}",
            remedy="A slope and C need risks that differ",
        )
    phi, c = float(w @ p), implied_c(p, w)
    time = None if free is None else _FollowUp.of(p, w, free)
    costs = (1.0, 1.0) if time is None else time.costs
    sizes = {
        "oe_n": _size_for_oe(phi) if time is None else time.size_for_oe(),
        "slope_n": _size_for_slope(p, w) if time is None else time.size_for_slope(),
        "c_n": _size_for_c(c, phi) if time is None else _size_for_weighted_c(c, phi, costs),
    }
    found = {name: ceil(n - 1e-9) for name, n in sizes.items()}
    n = max(found.values())
    return ValidationSize(
        n=n,
        events=n * phi,
        **found,
        net_benefit=tuple(_size_for_net_benefit(p, w, t, costs) for t in sorted(thresholds)),
        risk=phi,
        c=c,
        seen=1.0 if time is None else time.seen,
    )


def size_for(
    aligned: Aligned, model: str, thresholds: Sequence[float]
) -> ValidationSize | NotEstimable:
    """Sizes for a model's risks in external patients, by the last horizon or of the first cut.

    Parameters
    ----------
    aligned
        The patients with the model's risks.
    model
        Its name.
    thresholds
        Of net benefit.
    """
    risk = aligned.models[model].risk[0]
    try:
        if aligned.kind == "nodal":
            return validation_size(risk[0], thresholds=thresholds)
        k = headline_number(aligned)
        target = aligned.targets[k]
        free = censoring_survival(target.data.time, target.data.status)
        times = np.linspace(0.0, target.horizon, _TIMES)
        # G just before the horizon: who is censored on its day has been followed to it.
        return validation_size(risk[k], thresholds=thresholds, uncensored=free.before(times))
    except EvaluationError as error:
        return NotEstimable(not_estimable=error.problem)


def implied_c(risk: Floats, weight: Floats) -> float:
    """C of risks that are true: the chance that of an event and a non-event the former's is higher.

    Parameters
    ----------
    risk, weight
        Shape (n,); ties count half.
    """
    order = np.argsort(risk, kind="stable")
    p, w = risk[order], weight[order]
    case, control = w * p, w * (1 - p)
    first, group = np.unique(p, return_inverse=True)
    cases = np.bincount(group, case, first.size)
    controls = np.bincount(group, control, first.size)
    below = np.cumsum(controls) - controls
    return float((cases @ (below + controls / 2)) / (case.sum() * control.sum()))


def risks_from(risk: float, c: float) -> tuple[Floats, Floats]:
    """A distribution of true risks with a mean and a C, before a model exists.

    Parameters
    ----------
    risk
        Anticipated probability of the event, in (0, 1).
    c
        Anticipated C, in (0.5, 1).

    Returns
    -------
    risks, weights
        Log odds of events and of non-events are normal with one variance, 2 Φ⁻¹(C)², and means as
        far apart as makes the risks true.

    Raises
    ------
    EvaluationError
        An argument is out of range.
    """
    if not 0 < risk < 1 or not 0.5 < c < 1:
        raise EvaluationError(
            "an anticipated risk lies between 0 and 1 and a C between 0.5 and 1",
            value=f"{risk:g}, {c:g}",
        )
    variance = 2 * float(norm.ppf(c)) ** 2
    sd, middle = sqrt(variance), float(logit(risk))
    x = np.linspace(-variance / 2 - 8 * sd, variance / 2 + 8 * sd, _GRID)
    density = risk * norm.pdf(x, variance / 2, sd) + (1 - risk) * norm.pdf(x, -variance / 2, sd)
    return np.asarray(expit(middle + x)), density / density.sum()


def _size_for_oe(phi: float) -> float:
    """SE(ln O/E)² = (1 − φ) / (n φ); the interval exp(± z SE) has the width asked for."""
    se = asinh(OE_WIDTH / 2) / _Z
    return (1 - phi) / (phi * se**2)


def _size_for_slope(p: Floats, w: Floats) -> float:
    """Information of a logistic regression of the outcome on the log odds, intercept beside."""
    x, v = logit(p), p * (1 - p)
    a, ab, b = float(w @ v), float(w @ (v * x)), float(w @ (v * x**2))
    se = SLOPE_WIDTH / (2 * _Z)
    return a / (se**2 * (a * b - ab**2))


def _size_for_c(c: float, phi: float) -> float:
    """Newcombe's standard error of C (Stat Med 2006;25:559, method 4), solved for n."""
    target = C_WIDTH / (2 * _Z)

    def se(n: float) -> float:
        half = n / 2 - 1
        top = c * (1 - c) * (1 + half * (1 - c) / (2 - c) + half * c / (1 + c))
        return sqrt(top / (n**2 * phi * (1 - phi)))

    return _least(lambda n: se(n) <= target)


def _size_for_weighted_c(c: float, phi: float, costs: tuple[float, float]) -> float:
    """Hanley and McNeil's variance (Radiology 1982;143:29) with events and others as weighted."""
    target = C_WIDTH / (2 * _Z)
    event, other = c / (2 - c) - c**2, 2 * c**2 / (1 + c) - c**2

    def enough(n: int) -> bool:
        cases, controls = n * phi / costs[0], n * (1 - phi) / costs[1]
        top = c * (1 - c) + (cases - 1) * event + (controls - 1) * other
        return top / (cases * controls) <= target**2

    return _least(enough)


def _least(enough: Callable[[int], bool]) -> float:
    """The least size of 5 or more that is enough; a larger one is too."""
    low, high = 4, 8
    while not enough(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return float(high)


def _size_for_net_benefit(
    p: Floats, w: Floats, threshold: float, costs: tuple[float, float]
) -> NetBenefitSize:
    """Variance of the standardised net benefit (Riley 2021, equation for sNB)."""
    phi = float(w @ p)
    above = p >= threshold
    if not above.any() or above.all():
        return NetBenefitSize(threshold=threshold, n=None)
    sensitivity = float((w * p)[above].sum()) / phi
    specificity = float((w * (1 - p))[~above].sum()) / (1 - phi)
    odds = (1 - phi) / phi * threshold / (1 - threshold)
    case, control = costs
    variance = (
        case * sensitivity * (1 - sensitivity) / phi
        + control * odds**2 * specificity * (1 - specificity) / (1 - phi)
        + case * odds**2 * (1 - specificity) ** 2 / (phi * (1 - phi))
    )
    se = NET_BENEFIT_WIDTH / (2 * _Z)
    return NetBenefitSize(threshold=threshold, n=ceil(variance / se**2 - 1e-9))


@dataclass(frozen=True, kw_only=True)
class _FollowUp:
    """Events, risk sets and censoring over the time to the horizon, as shares of all patients.

    ``rate`` is the rate of events, ``surviving`` who is free of one and ``spread`` the variance of
    the log hazard among those who have it, at equally spaced times, shape (m,).
    """

    step: float
    uncensored: Floats
    rate: Floats
    surviving: Floats
    spread: Floats
    phi: float

    @classmethod
    def of(cls, p: Floats, w: Floats, uncensored: Floats) -> _FollowUp:
        hazard = -np.log1p(-p)
        x = np.log(hazard)
        rates, surviving, spreads = [], [], []
        for u in np.linspace(0.0, 1.0, len(uncensored)):
            alive = w * np.exp(-u * hazard)
            having = alive * hazard
            mean = float(having @ x) / float(having.sum())
            rates.append(float(having.sum()))
            surviving.append(float(alive.sum()))
            spreads.append(float(having @ (x - mean) ** 2) / float(having.sum()))
        return cls(
            step=1.0 / (len(uncensored) - 1),
            uncensored=uncensored,
            rate=np.array(rates),
            surviving=np.array(surviving),
            spread=np.array(spreads),
            phi=float(w @ p),
        )

    def _integral(self, values: Floats) -> float:
        return float(np.trapezoid(values, dx=self.step))

    @property
    def seen(self) -> float:
        return min(self._integral(self.rate * self.uncensored) / self.phi, 1.0)

    @property
    def costs(self) -> tuple[float, float]:
        """Patients that one event, and one patient free of it, stand for in precision.

        Events are weighted by 1/G at their time, and those followed to the horizon by 1/G there.
        """
        events = self._integral(self.rate / self.uncensored) / self.phi
        return max(events, 1.0), 1.0 / float(self.uncensored[-1])

    def size_for_oe(self) -> float:
        """Greenwood: Var(ln O) = S² / (n F²) ∫ f / (S² G)."""
        se = asinh(OE_WIDTH / 2) / _Z
        inside = self._integral(self.rate / (self.surviving**2 * self.uncensored))
        return float(((1 - self.phi) / self.phi / se) ** 2 * inside)

    def size_for_slope(self) -> float:
        """Information of a Cox model: the log hazard's variance among those at risk, an event."""
        se = SLOPE_WIDTH / (2 * _Z)
        return 1 / (se**2 * self._integral(self.rate * self.uncensored * self.spread))
