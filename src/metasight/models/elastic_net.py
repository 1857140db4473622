"""Elastic-net path by coordinate descent, for the Cox and the logistic likelihood.

Minimises −ℓ(β)/n + λ Σ f_j (α|β_j| + (1 − α)/2 β_j²) as glmnet does (Friedman et al., JSS
2010;33:1; Simon et al., JSS 2011;39:5): the likelihood is replaced by its quadratic
approximation with the diagonal of the Hessian, solved by cyclic coordinate descent over an
active set, and renewed until nothing moves.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metasight.engine.kernels import njit
from metasight.errors import FitError
from metasight.models.partial_likelihood import efron_terms

COX, LOGISTIC = 0, 1
"""Likelihoods the kernel knows."""

FINE, COARSE = 1e-11, 1e-7
"""Squared move of a column's contribution at which a fit counts as settled: final fit, CV."""

_RENEWALS = {FINE: 2000, COARSE: 100}
_MAX_SWEEPS = 2000
_SATURATED = 0.6
"""Share of the null deviance explained at which a path is cut: beyond it lies only noise."""


@njit(cache=True)
def _logistic_terms(label, eta, gradient, curvature):  # type: ignore[no-untyped-def]
    loglik = 0.0
    for i in range(len(eta)):
        p = 1.0 / (1.0 + np.exp(-eta[i]))
        gradient[i] = label[i] - p
        curvature[i] = max(p * (1.0 - p), 1e-9)
        loglik += label[i] * eta[i] - max(eta[i], 0.0) - np.log1p(np.exp(-abs(eta[i])))
    return loglik


@njit(cache=True)
def _terms(family, time, label, eta, gradient, curvature):  # type: ignore[no-untyped-def]  # noqa: PLR0917
    if family == COX:
        return efron_terms(time, label, eta, gradient, curvature)
    return _logistic_terms(label, eta, gradient, curvature)


@njit(cache=True, fastmath={"reassoc", "contract"})
def _sweeps(X, curvature, residual, beta, threshold, shrink, tolerance, max_sweeps):  # type: ignore[no-untyped-def]  # noqa: PLR0917
    """Coordinate descent on the quadratic approximation; ``residual`` and ``beta`` change."""
    n, p = X.shape
    scale = np.empty(p)
    for j in range(p):
        scale[j] = 0.0
        for i in range(n):
            scale[j] += curvature[i] * X[i, j] * X[i, j]
        scale[j] /= n
    active = np.ones(p, dtype=np.bool_)
    full = True
    for _ in range(max_sweeps):
        largest = 0.0
        for j in range(p):
            if not full and not active[j]:
                continue
            g = 0.0
            for i in range(n):
                g += X[i, j] * residual[i]
            g = g / n + scale[j] * beta[j]
            size = abs(g) - threshold[j]
            new = 0.0
            if size > 0.0 and scale[j] + shrink[j] > 0.0:
                new = np.sign(g) * size / (scale[j] + shrink[j])
            step = new - beta[j]
            active[j] = new != 0.0
            if step != 0.0:
                for i in range(n):
                    residual[i] -= curvature[i] * X[i, j] * step
                beta[j] = new
                largest = max(largest, scale[j] * step * step)
        if largest < tolerance:
            if full:
                return True
            full = True
        else:
            full = False
    return False


@njit(cache=True)
def _objective(loglik, n, beta, threshold, shrink):  # type: ignore[no-untyped-def]
    penalty = 0.0
    for j in range(len(beta)):
        penalty += threshold[j] * abs(beta[j]) + 0.5 * shrink[j] * beta[j] * beta[j]
    return -loglik / n + penalty


@njit(cache=True)
def _path(family, X, time, label, penalties, l1_ratio, factor, tolerance, renewals):  # type: ignore[no-untyped-def]  # noqa: PLR0917
    """Coefficients (n_penalties, p), log likelihoods, and how many penalties were reached."""
    n, p = X.shape
    coefficients = np.zeros((len(penalties), p))
    logliks = np.zeros(len(penalties))
    beta = np.zeros(p)
    eta = np.zeros(n)
    gradient = np.empty(n)
    curvature = np.empty(n)
    null = _terms(family, time, label, eta, gradient, curvature)
    for k in range(len(penalties)):
        threshold = penalties[k] * l1_ratio * factor
        shrink = penalties[k] * (1.0 - l1_ratio) * factor
        loglik = _terms(family, time, label, eta, gradient, curvature)
        value = _objective(loglik, n, beta, threshold, shrink)
        settled = False
        for _ in range(renewals):
            old, old_eta = beta.copy(), eta.copy()
            if not _sweeps(
                X, curvature, gradient.copy(), beta, threshold, shrink, tolerance, _MAX_SWEEPS
            ):
                return coefficients, logliks, k
            eta = X @ beta
            loglik = _terms(family, time, label, eta, gradient, curvature)
            new = _objective(loglik, n, beta, threshold, shrink)
            halvings = 0
            while not new <= value + 1e-12 and halvings < 30:
                beta = 0.5 * (beta + old)
                eta = 0.5 * (eta + old_eta)
                loglik = _terms(family, time, label, eta, gradient, curvature)
                new = _objective(loglik, n, beta, threshold, shrink)
                halvings += 1
            moved = np.max(np.abs(eta - old_eta))
            value = new
            if moved * moved < tolerance * 10:
                settled = True
                break
        if not settled:
            return coefficients, logliks, k
        coefficients[k] = beta
        logliks[k] = loglik
        if 1.0 - loglik / null > _SATURATED:
            return coefficients, logliks, k + 1
    return coefficients, logliks, len(penalties)


@dataclass(frozen=True, kw_only=True)
class Path:
    """Solutions along a path of falling penalties.

    Attributes
    ----------
    penalties
        Shape (k,), descending; those reached before the fit became exact.
    coefficients
        Shape (k, p).
    logliks
        Shape (k,): log (partial) likelihood at each.
    """

    penalties: NDArray[np.float64]
    coefficients: NDArray[np.float64]
    logliks: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A penalised likelihood: data, family and the penalty's shape.

    Attributes
    ----------
    family
        :data:`COX` or :data:`LOGISTIC`.
    matrix
        Shape (n, p), Fortran order; standardised columns. For the logistic family the caller
        adds a column of ones with factor 0.
    time
        Shape (n,), ascending (Cox); ignored by the logistic family.
    label
        Shape (n,): 1.0 event or positive, else 0.0.
    factor
        Shape (p,), ≥ 0: relative penalty of each column, 0 for none.
    patient
        Shape (n,): rows with one number are copies of one patient; None: every row is another.
    """

    family: int
    matrix: NDArray[np.float64]
    time: NDArray[np.float64]
    label: NDArray[np.float64]
    factor: NDArray[np.float64]
    patient: NDArray[np.int64] | None = None

    def rows(self, keep: NDArray[np.intp]) -> Problem:
        """Take the rows at ``keep``, which must ascend."""
        return Problem(
            family=self.family,
            matrix=np.asfortranarray(self.matrix[keep]),
            time=self.time[keep],
            label=self.label[keep],
            factor=self.factor,
        )

    def loglik(self, coefficients: NDArray[np.float64]) -> float:
        """Log (partial) likelihood of these rows."""
        eta = self.matrix @ coefficients
        return float(
            _terms(self.family, self.time, self.label, eta, np.empty_like(eta), np.empty_like(eta))
        )

    def penalties(self, l1_ratio: float, count: int) -> NDArray[np.float64]:
        """Descending penalties: from all penalised coefficients at 0 to a thirtieth of the lasso's.

        For a mix close to ridge the start is as far above the lasso's as ``l1_ratio`` says
        (at most a thousand times).
        """
        eta = np.zeros(len(self.label))
        free = self.factor == 0
        if free.any():
            inner = Problem(
                family=self.family,
                matrix=np.asfortranarray(self.matrix[:, free]),
                time=self.time,
                label=self.label,
                factor=np.zeros(int(free.sum())),
            )
            eta = inner.matrix @ inner.solve(1.0, np.array([0.0])).coefficients[-1]
        gradient = np.empty_like(eta)
        _terms(self.family, self.time, self.label, eta, gradient, np.empty_like(eta))
        slope = np.abs(self.matrix[:, ~free].T @ gradient) / self.factor[~free] / len(eta)
        lasso = float(slope.max()) if len(slope) else 0.0
        if not lasso > 0:
            raise FitError("no penalised column is related to the outcome at all")
        return np.asarray(np.geomspace(lasso / max(l1_ratio, 1e-3), lasso / 30.0, count))

    def solve(
        self, l1_ratio: float, penalties: NDArray[np.float64], tolerance: float = FINE
    ) -> Path:
        """Fit at each of ``penalties`` (descending), each started at the one before.

        The path ends early where the fit explains most of the deviance or no longer settles.

        Raises
        ------
        FitError
            Not even the largest penalty settles: an unpenalised column separates the outcome.
        """
        coefficients, logliks, reached = _path(
            self.family,
            self.matrix,
            self.time,
            self.label,
            penalties,
            l1_ratio,
            self.factor,
            tolerance,
            _RENEWALS[tolerance],
        )
        if reached == 0:
            raise FitError(
                "the penalised likelihood does not converge",
                remedy="Penalise every modality (penalty_factors > 0), or drop rare levels",
            )
        return Path(
            penalties=penalties[:reached],
            coefficients=coefficients[:reached],
            logliks=logliks[:reached],
        )
