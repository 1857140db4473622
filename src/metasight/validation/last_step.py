"""The last step of a finished model estimated again in external patients, drawn to what it was.

The predicted risk stays in the model as its own term; each column that the last step reads gets a
correction on the same scale, penalised, so that with little evidence nothing but the line of a
recalibration is left.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from metasight.validation.ordering import Floats, Ints

SPREADS = (0.0, 0.03, 0.06, 0.12, 0.25, 0.5, 1.0)
"""Standard deviations of the corrections before the outcomes are seen, per SD of a column, on the
log hazard or log odds; 0 leaves the line alone."""
_MOST_STEPS, _TOLERANCE = 60, 1e-9
_FURTHEST = 50.0
_LEAST = 1e-12


@dataclass(frozen=True, kw_only=True)
class LastStepData:
    """External patients as the last step sees them.

    Attributes
    ----------
    base
        Log cumulative hazard that the model predicts, shape (1, n), or log odds of a stage at or
        above each cut, shape (cuts, n).
    columns
        What the last step reads, shape (n, p).
    case, control
        Weight of a patient as one with and as one without the event, shape (n,); of stage unused.
    stage
        Class index, shape (n,); None for a risk by a horizon.
    """

    base: Floats
    columns: Floats
    case: Floats
    control: Floats
    stage: Ints | None


@dataclass(frozen=True, kw_only=True)
class LastStep:
    """A last step that was estimated again.

    Attributes
    ----------
    intercept, slope
        Of the term that the model predicted.
    coefficients
        What is added for each column, per unit, shape (p,).
    spread
        One of :data:`SPREADS`, chosen by the log loss of patients left out one by one.
    covariance
        Of intercept, slope and coefficients, shape (p + 2, p + 2).
    """

    intercept: float
    slope: float
    coefficients: Floats
    spread: float
    covariance: Floats


def last_step(data: LastStepData, weight: npt.NDArray[np.int32]) -> LastStep | None:
    """Estimate the last step again on the patients of weight above 0.

    Parameters
    ----------
    data
        The patients.
    weight
        Times each counts, shape (n,).

    Returns
    -------
    LastStep or None
        None where no maximum is found.

    Notes
    -----
    Maximum a posteriori with corrections δ ~ N(0, spread²) per standard deviation of their column
    and a free line, by Newton steps; every loss here is convex. The spread is chosen by
    approximate leave-one-out (Rad & Maleki, J R Stat Soc B 2020;82:965). The covariance is
    A⁻¹(M + P)A⁻¹ with A the penalised Hessian, P the penalty and M the sum of squared scores: the
    sandwich plus the mean square of what the penalty shrinks.
    """
    kept = weight > 0
    scale = data.columns[kept].std(axis=0)
    known = scale > _LEAST
    z = np.zeros_like(data.columns)
    z[:, known] = (data.columns[:, known] - data.columns[kept][:, known].mean(axis=0)) / scale[
        known
    ]
    design = np.stack([np.column_stack([np.ones(len(z)), b, z]) for b in data.base])
    best: tuple[float, float, Floats, Floats] | None = None
    start = np.concatenate([[0.0, 1.0], np.zeros(z.shape[1])])
    for spread in SPREADS:
        penalty = _penalty(spread, known)
        found = _maximum(data, design, weight, penalty, start)
        if found is None:
            continue
        theta, hessian = found
        loss = _left_out(data, design, weight, theta, hessian)
        if best is None or loss < best[0]:
            best = loss, spread, theta, hessian
        start = theta
    if best is None:
        return None
    _, spread, theta, hessian = best
    back = _unscaled(data, kept, scale, known)
    covariance = _covariance(data, design, weight, theta, hessian, _penalty(spread, known))
    theta, covariance = back @ theta, back @ covariance @ back.T
    return LastStep(
        intercept=float(theta[0]),
        slope=float(theta[1]),
        coefficients=theta[2:],
        spread=spread,
        covariance=covariance,
    )


def _penalty(spread: float, known: npt.NDArray[np.bool_]) -> Floats:
    """Diagonal of the penalty; what can't vary is held at 0."""
    held = 1e12
    of_columns = np.where(known, held if spread == 0 else spread**-2, held)
    return np.concatenate([[0.0, 0.0], of_columns])


def _unscaled(
    data: LastStepData, kept: npt.NDArray[np.bool_], scale: Floats, known: npt.NDArray[np.bool_]
) -> Floats:
    """Matrix from parameters of standardised columns to those of the columns as they are."""
    per_unit = np.where(known, 1 / np.where(known, scale, 1.0), 0.0)
    back = np.diag(np.concatenate([[1.0, 1.0], per_unit]))
    back[0, 2:] = -data.columns[kept].mean(axis=0) * per_unit
    return back


def _maximum(
    data: LastStepData,
    design: Floats,
    weight: npt.NDArray[np.int32],
    penalty: Floats,
    start: Floats,
) -> tuple[Floats, Floats] | None:
    """Parameters and penalised Hessian at the minimum of the loss; None where there is none."""
    theta = start.copy()
    value, slope, curve = _loss(data, design, weight, theta)
    value += float(penalty @ theta**2) / 2
    for _ in range(_MOST_STEPS):
        hessian = curve + np.diag(penalty)
        try:
            step = np.linalg.solve(hessian, slope + penalty * theta)
        except np.linalg.LinAlgError:
            return None
        size = 1.0
        while True:
            tried = theta - size * step
            new = _loss(data, design, weight, tried)
            total = new[0] + float(penalty @ tried**2) / 2
            if np.isfinite(total) and total <= value + _LEAST:
                break
            size /= 2
            if size < _TOLERANCE:
                return theta, hessian
        done = value - total < _TOLERANCE
        theta, value, slope, curve = tried, total, new[1], new[2]
        if np.abs(theta[:2]).max() > _FURTHEST:
            return None
        if done:
            return theta, curve + np.diag(penalty)
    return None


def _loss(
    data: LastStepData, design: Floats, weight: npt.NDArray[np.int32], theta: Floats
) -> tuple[float, Floats, Floats]:
    """Weighted loss, gradient and Hessian over all parameters."""
    loss, first, second = _of_patients(data, np.einsum("cnq,q->cn", design, theta))
    slope = np.einsum("cnq,cn->q", design, first * weight)
    curve = np.zeros((theta.size, theta.size))
    for a in range(len(design)):
        for b in range(len(design)):
            curve += design[a].T @ ((second[a, b] * weight)[:, None] * design[b])
    return float(loss @ weight), slope, curve


def _of_patients(data: LastStepData, eta: Floats) -> tuple[Floats, Floats, Floats]:
    """Loss (n,), its derivative (cuts, n) and second derivative (cuts, cuts, n) by ``eta``."""
    eta = np.clip(eta, -_FURTHEST, _FURTHEST)
    if data.stage is None:
        return _of_event(data, eta[0])
    return _of_stage(data.stage, eta)


def _of_event(data: LastStepData, eta: Floats) -> tuple[Floats, Floats, Floats]:
    hazard = np.exp(np.clip(eta, -_FURTHEST, 5.0))
    left = -np.expm1(-hazard)
    # derivative of −log(1 − exp(−H)) by log H, without its sign
    share = hazard * np.exp(-hazard) / left
    bend = share * (hazard / left - 1.0)
    loss = -data.case * np.log(np.maximum(left, _LEAST)) + data.control * hazard
    first = -data.case * share + data.control * hazard
    second = data.case * np.maximum(bend, 0.0) + data.control * hazard
    return loss, first[None], second[None, None]


def _of_stage(stage: Ints, eta: Floats) -> tuple[Floats, Floats, Floats]:
    """Of the probability between two cuts, F(upper) − F(lower) by logistic F.

    With q = F(1 − F) at each end, −log(F_u − F_l) has first derivatives −q_u/d and q_l/d.
    """
    cuts, n = eta.shape
    at = np.arange(n)
    above = np.vstack([np.ones(n), expit(eta), np.zeros(n)])
    density = above * (1 - above)
    own = np.maximum(above[stage, at] - above[stage + 1, at], _LEAST)
    first, second = np.zeros((cuts, n)), np.zeros((cuts, cuts, n))
    # the gradient of own: + density at the cut of the stage, − density at the next
    gradient = np.zeros((cuts, n))
    bend = np.zeros((cuts, n))
    for k in range(cuts):
        lower, upper = stage == k + 1, stage == k
        q = density[k + 1]
        gradient[k] = np.where(lower, q, 0.0) - np.where(upper, q, 0.0)
        turned = q * (1 - 2 * above[k + 1])
        bend[k] = np.where(lower, turned, 0.0) - np.where(upper, turned, 0.0)
    first = -gradient / own
    for a in range(cuts):
        for b in range(cuts):
            second[a, b] = gradient[a] * gradient[b] / own**2
        second[a, a] -= bend[a] / own
    return -np.log(own), first, second


def _left_out(
    data: LastStepData,
    design: Floats,
    weight: npt.NDArray[np.int32],
    theta: Floats,
    hessian: Floats,
) -> float:
    """Loss of each patient left out once, summed; approximate, by one step from the maximum."""
    eta = np.einsum("cnq,q->cn", design, theta)
    _, first, second = _of_patients(data, eta)
    cuts, n, _ = design.shape
    solved = np.linalg.solve(hessian, design.reshape(cuts * n, -1).T).T.reshape(design.shape)
    reach = np.einsum("anq,bnq->nab", design, solved)
    bend = np.moveaxis(second, -1, 0)
    left = np.eye(cuts) - reach @ bend
    moved = np.linalg.solve(left, reach @ first.T[:, :, None])[:, :, 0].T
    loss, _, _ = _of_patients(data, eta + moved)
    return float(loss @ weight)


def _covariance(  # noqa: PLR0917 - all of one fit
    data: LastStepData,
    design: Floats,
    weight: npt.NDArray[np.int32],
    theta: Floats,
    hessian: Floats,
    penalty: Floats,
) -> Floats:
    _, first, _ = _of_patients(data, np.einsum("cnq,q->cn", design, theta))
    score = np.einsum("cnq,cn->nq", design, first)
    middle = score.T @ (weight[:, None] * score) + np.diag(penalty)
    inverse = np.linalg.inv(hessian)
    return np.asarray(inverse @ middle @ inverse)
