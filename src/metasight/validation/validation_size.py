"""How many patients an external validation needs, for the risks that the model itself predicts.

Riley et al., Stat Med 2021;40:4230 (binary outcome): the size at which observed over expected,
calibration slope, C and net benefit are each known to a stated width. The formulas hold for a
calibrated model, which is what a validation asks about. For a risk by a horizon the event by then
is taken as the class, and the size is divided by the share of patients whose state at the horizon
is known; Riley et al., Stat Med 2022;41:1280 show that censoring calls for more and simulate it, of
which this is the simplest approximation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import asinh, ceil, sqrt

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit
from scipy.stats import norm

from metasight.errors import EvaluationError
from metasight.validation.links import EDGE
from metasight.validation.ordering import CENSORED, Floats
from metasight.validation.results import NotEstimable
from metasight.validation.table import Aligned

OE_WIDTH, SLOPE_WIDTH, C_WIDTH, NET_BENEFIT_WIDTH = 0.2, 0.2, 0.1, 0.2
"""Widths of the 95 % intervals that are asked for: those of R's pmvalsampsize by default. Of net
benefit it is the standardised one, a share of the greatest possible."""
_Z = float(norm.ppf(0.975))
_GRID = 4001


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
    known
        Share of patients whose state at the horizon is known; 1 for a class.
    """

    n: int
    events: float
    oe_n: int
    slope_n: int
    c_n: int
    net_benefit: tuple[NetBenefitSize, ...]
    risk: float
    c: float
    known: float


def validation_size(
    risk: npt.ArrayLike,
    *,
    weight: npt.ArrayLike | None = None,
    thresholds: Sequence[float] = (),
    known: float = 1.0,
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
    known
        Share of patients whose state at the horizon is known, in (0, 1].

    Raises
    ------
    EvaluationError
        All risks are the same, or a share or risk is out of range.
    """
    p = np.clip(np.asarray(risk, dtype=np.float64), EDGE, 1 - EDGE)
    w = np.ones(p.size) if weight is None else np.asarray(weight, dtype=np.float64)
    w = w / w.sum()
    if not 0 < known <= 1:
        raise EvaluationError(
            "the share of patients of known state is a share",
            value=f"{known:g}",
            remedy="Give a share above 0, up to 1",
        )
    if float(np.ptp(p)) < 1e-9:
        raise EvaluationError(
            "all patients have the same predicted risk",
            value=f"{float(p[0]):.3g}",
            remedy="A slope and C need risks that differ",
        )
    phi = float(w @ p)
    c = implied_c(p, w)
    sizes = {
        "oe_n": _size_for_oe(phi),
        "slope_n": _size_for_slope(p, w),
        "c_n": _size_for_c(c, phi),
    }
    found = {name: ceil(n / known - 1e-9) for name, n in sizes.items()}
    n = max(found.values())
    return ValidationSize(
        n=n,
        events=n * phi,
        **found,
        net_benefit=tuple(_size_for_net_benefit(p, w, t, known) for t in sorted(thresholds)),
        risk=phi,
        c=c,
        known=known,
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
    nodal = aligned.kind == "nodal"
    k = 0 if nodal else max(i for i, t in enumerate(aligned.targets) if t.headline)
    target = aligned.targets[k]
    seen = (target.data.status != CENSORED) | (target.data.time > target.horizon)
    known = 1.0 if nodal else float(seen.mean())
    try:
        return validation_size(aligned.models[model].risk[0, k], thresholds=thresholds, known=known)
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

    low, high = 4, 8
    while se(high) > target:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if se(middle) > target else (low, middle)
    return float(high)


def _size_for_net_benefit(p: Floats, w: Floats, threshold: float, known: float) -> NetBenefitSize:
    """Variance of the standardised net benefit (Riley 2021, equation for sNB)."""
    phi = float(w @ p)
    above = p >= threshold
    if not above.any() or above.all():
        return NetBenefitSize(threshold=threshold, n=None)
    sensitivity = float((w * p)[above].sum()) / phi
    specificity = float((w * (1 - p))[~above].sum()) / (1 - phi)
    odds = (1 - phi) / phi * threshold / (1 - threshold)
    variance = (
        sensitivity * (1 - sensitivity) / phi
        + odds**2 * specificity * (1 - specificity) / (1 - phi)
        + odds**2 * (1 - specificity) ** 2 / (phi * (1 - phi))
    )
    se = NET_BENEFIT_WIDTH / (2 * _Z)
    return NetBenefitSize(threshold=threshold, n=ceil(variance / se**2 / known - 1e-9))
