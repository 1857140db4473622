"""Ridge regression with a penalty for each column, by Newton's method.

Maximises ℓ(θ, β) − ½ Σ κ_j β_j² for the Cox partial likelihood (ties by Efron) and for the
cumulative logit of an ordered stage, whose thresholds θ are not penalised. The whole Hessian is
used: a step costs n p² operations, and a fit that starts at a neighbouring one takes two or three.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.special import expit

from metasight.engine.kernels import njit
from metasight.errors import FitError
from metasight.models.partial_likelihood import PartialLikelihood, efron_terms

Floats = NDArray[np.float64]
Positions = NDArray[np.intp]

FINE, COARSE = 1e-10, 1e-5
"""Rise of the log likelihood that a step promises at which a fit counts as settled: final, CV."""

_DIVERGED = 12.0
"""Log ratio for a standard deviation that only separation gives."""
_MOST_STEPS = 100
_MOST_HALVINGS = 30


class Likelihood(Protocol):
    """A log likelihood in parameters: ``free`` unpenalised ones, then a coefficient a column."""

    @property
    def free(self) -> int:
        """Unpenalised parameters."""
        ...

    def start(self) -> Floats:
        """Parameters of the model without any column."""
        ...

    def terms(self, parameters: Floats) -> tuple[float, Floats, Floats]:
        """Value, gradient and information (negative Hessian)."""
        ...

    def value(self, parameters: Floats) -> float:
        """Log likelihood; minus infinity where the parameters are none."""
        ...

    def part(self, rows: Positions | None, columns: Positions | None) -> Likelihood:
        """Of some rows, which ascend, and columns; None: of all."""
        ...


@njit(cache=True)
def _means_at_risk(time, event, eta, matrix, means):  # type: ignore[no-untyped-def]
    """Weighted mean of the columns in each event's risk set (Efron); ``time`` ascends."""
    n, p = matrix.shape
    top = eta[0]
    for i in range(n):
        top = max(top, eta[i])
    at_risk, dying = 0.0, 0.0
    total, tied = np.zeros(p), np.zeros(p)
    row, stop = len(means), n
    while stop > 0:
        start = stop - 1
        while start > 0 and time[start - 1] == time[stop - 1]:
            start -= 1
        dying, deaths = 0.0, 0
        tied[:] = 0.0
        for i in range(start, stop):
            weight = np.exp(eta[i] - top)
            at_risk += weight
            for j in range(p):
                total[j] += weight * matrix[i, j]
            if event[i]:
                deaths += 1
                dying += weight
                for j in range(p):
                    tied[j] += weight * matrix[i, j]
        for r in range(deaths):
            share = r / deaths
            size = at_risk - share * dying
            row -= 1
            for j in range(p):
                means[row, j] = (total[j] - share * tied[j]) / size
        stop = start


@dataclass(frozen=True)
class HazardLikelihood:
    """Cox partial likelihood in the coefficients.

    Attributes
    ----------
    matrix
        Shape (n, p), rows in order of time, C order.
    follow_up
        Times and events in that order.
    """

    matrix: Floats
    follow_up: PartialLikelihood

    @classmethod
    def of(cls, matrix: Floats, time_days: Floats, event: NDArray[np.bool_]) -> HazardLikelihood:
        """From rows in any order."""
        follow_up = PartialLikelihood.of(time_days, event)
        return cls(np.ascontiguousarray(matrix[follow_up.order]), follow_up)

    @property
    def free(self) -> int:
        """None: the baseline hazard is profiled out."""
        return 0

    def start(self) -> Floats:
        """All coefficients 0."""
        return np.zeros(self.matrix.shape[1])

    def value(self, parameters: Floats) -> float:
        """Log partial likelihood."""
        return self.follow_up.terms(self.matrix @ parameters)[0]

    def terms(self, parameters: Floats) -> tuple[float, Floats, Floats]:
        """Log partial likelihood, its gradient and information, shapes (p,) and (p, p)."""
        time, event = self.follow_up.time, self.follow_up.event
        eta = self.matrix @ parameters
        gradient, curvature = np.empty_like(eta), np.empty_like(eta)
        value = float(efron_terms(time, event, eta, gradient, curvature))
        means = np.empty((int(event.sum()), self.matrix.shape[1]))
        _means_at_risk(time, event, eta, self.matrix, means)
        mass = event - gradient
        information = (self.matrix * mass[:, None]).T @ self.matrix - means.T @ means
        return value, self.matrix.T @ gradient, information

    def part(self, rows: Positions | None, columns: Positions | None) -> HazardLikelihood:
        """Of some rows, which ascend, and columns."""
        follow_up = self.follow_up
        if rows is not None:
            follow_up = PartialLikelihood(
                follow_up.time[rows], follow_up.event[rows], follow_up.order[rows]
            )
        return HazardLikelihood(_part(self.matrix, rows, columns), follow_up)


@dataclass(frozen=True)
class StageLikelihood:
    """Cumulative logit of an ordered class: P(class ≤ k) = 1 / (1 + exp(−(θ_k − xβ))).

    Attributes
    ----------
    matrix
        Shape (n, p).
    level
        Shape (n,): 0 to ``classes`` − 1.
    classes
        Number of classes, 2 or more.
    """

    matrix: Floats
    level: NDArray[np.intp]
    classes: int

    @property
    def free(self) -> int:
        """The thresholds."""
        return self.classes - 1

    def start(self) -> Floats:
        """Thresholds of the marginal frequencies (half a patient added), coefficients 0."""
        counts = np.bincount(self.level, minlength=self.classes) + 0.5
        below = np.cumsum(counts)[:-1] / counts.sum()
        return np.concatenate([np.log(below / (1.0 - below)), np.zeros(self.matrix.shape[1])])

    def value(self, parameters: Floats) -> float:
        """Log likelihood; minus infinity where thresholds do not rise."""
        if bool((np.diff(parameters[: self.free]) <= 0).any()):
            return -np.inf
        return float(np.log(self._edges(parameters)[0]).sum())

    def terms(self, parameters: Floats) -> tuple[float, Floats, Floats]:
        """Log likelihood, gradient and information in thresholds and coefficients."""
        cuts = self.free
        probability, upper, lower = self._edges(parameters)
        high, low = expit(upper), expit(lower)
        f_high, f_low = high * (1 - high), low * (1 - low)
        g_high, g_low = f_high / probability, -f_low / probability
        h_high = f_high * (1 - 2 * high) / probability - g_high**2
        h_low = -f_low * (1 - 2 * low) / probability - g_low**2
        h_both = -g_high * g_low
        gradient = np.empty(len(parameters))
        hessian = np.zeros((len(parameters), len(parameters)))
        for k in range(cuts):
            top, bottom = self.level == k, self.level == k + 1
            gradient[k] = g_high[top].sum() + g_low[bottom].sum()
            hessian[k, k] = h_high[top].sum() + h_low[bottom].sum()
            if k:
                # the class between two thresholds moves with both
                hessian[k - 1, k] = hessian[k, k - 1] = h_both[top].sum()
            along = np.where(top, h_high + h_both, 0.0) + np.where(bottom, h_low + h_both, 0.0)
            hessian[k, cuts:] = -(along @ self.matrix)
            hessian[cuts:, k] = hessian[k, cuts:]
        gradient[cuts:] = -((g_high + g_low) @ self.matrix)
        bend = h_high + h_low + 2 * h_both
        hessian[cuts:, cuts:] = (self.matrix * bend[:, None]).T @ self.matrix
        return float(np.log(probability).sum()), gradient, -hessian

    def part(self, rows: Positions | None, columns: Positions | None) -> StageLikelihood:
        """Of some rows, which ascend, and columns."""
        level = self.level if rows is None else self.level[rows]
        return StageLikelihood(_part(self.matrix, rows, columns), level, self.classes)

    def _edges(self, parameters: Floats) -> tuple[Floats, Floats, Floats]:
        """Probability of each patient's class, and its edges on the logit scale."""
        eta = self.matrix @ parameters[self.free :]
        edges = np.concatenate([[-np.inf], parameters[: self.free], [np.inf]])
        upper, lower = edges[self.level + 1] - eta, edges[self.level] - eta
        # through the tails where both are near 1: no cancellation
        tails = np.where(lower > 0, expit(-lower) - expit(-upper), expit(upper) - expit(lower))
        return np.maximum(tails, 1e-300), upper, lower


def _part(matrix: Floats, rows: Positions | None, columns: Positions | None) -> Floats:
    found = matrix if rows is None else matrix[rows]
    return np.ascontiguousarray(found if columns is None else found[:, columns])


def maximise(
    likelihood: Likelihood,
    penalty: Floats,
    *,
    start: Floats | None = None,
    tolerance: float = FINE,
    model: str = "ridge",
) -> Floats:
    """Parameters at which ℓ − ½ Σ κ β² is largest.

    Parameters
    ----------
    likelihood
        Of the rows.
    penalty
        Shape (p,), ≥ 0: κ of each column.
    start
        Parameters of a similar fit; those of the likelihood's own start otherwise.
    tolerance
        :data:`FINE` or :data:`COARSE`.
    model
        Named in errors.

    Raises
    ------
    FitError
        There is no maximum: a column without a penalty separates the outcome.
    """
    weight = np.concatenate([np.zeros(likelihood.free), penalty])
    x = likelihood.start() if start is None else start
    value, gradient, information = likelihood.terms(x)
    value -= 0.5 * float(weight @ x**2)
    for _ in range(_MOST_STEPS):
        slope = gradient - weight * x
        step = _step(information, weight, slope)
        rise = 0.5 * float(slope @ step)
        if not np.isfinite(rise):
            break
        if rise < tolerance:
            x = x + step if _better(likelihood, weight, x + step, value) else x
            if bool((np.abs(x[likelihood.free :][penalty == 0]) > _DIVERGED).any()):
                break
            return x
        for _ in range(_MOST_HALVINGS):
            if _better(likelihood, weight, x + step, value):
                break
            step = step / 2
        else:
            break
        x = x + step
        value, gradient, information = likelihood.terms(x)
        value -= 0.5 * float(weight @ x**2)
    raise FitError(
        "the penalised likelihood does not converge",
        where=model,
        remedy="Penalise every modality (penalty_factors > 0), or drop rare levels",
    )


def _better(likelihood: Likelihood, weight: Floats, x: Floats, value: float) -> bool:
    """Whether the penalised likelihood at ``x`` is no less than ``value``, but for rounding."""
    new = likelihood.value(x) - 0.5 * float(weight @ x**2)
    return new >= value - 1e-12 * abs(value)


def _step(information: Floats, weight: Floats, slope: Floats) -> Floats:
    """Newton's step; NaN where the penalised information is singular."""
    try:
        factor = cho_factor(information + np.diag(weight), lower=True, check_finite=False)
    except np.linalg.LinAlgError:
        return np.full(len(slope), np.nan)
    return np.asarray(cho_solve(factor, slope, check_finite=False))
