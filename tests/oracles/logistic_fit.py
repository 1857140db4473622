"""One logistic regression by maximum likelihood."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from metasight.errors import EvaluationError
from metasight.validation.ordering import Floats, as_outcome, as_vector, as_weights


@dataclass(frozen=True, kw_only=True)
class LogisticFit:
    """A logistic regression by maximum likelihood.

    Attributes
    ----------
    coef
        Intercept first, shape ``(p + 1,)``.
    se
        From the observed information.
    deviance
        −2 log-likelihood, of the intercept alone (with the offset) and of the fit.
    """

    coef: Floats
    se: Floats
    deviance: tuple[float, float]

    def risk(self, x: npt.ArrayLike) -> Floats:
        """Probability at covariates ``x``, shape ``(k, p)``."""
        design = np.asarray(x, dtype=float)
        return np.asarray(expit(self.coef[0] + design @ self.coef[1:]))


def fit_logistic(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    *,
    offset: npt.ArrayLike | None = None,
    weights: npt.ArrayLike | None = None,
) -> LogisticFit:
    """Fit ``y`` on an intercept and ``x``.

    Parameters
    ----------
    x
        Shape ``(n, p)``; ``p`` may be 0.
    y
        0 or 1, shape ``(n,)``.
    offset
        Added to the linear predictor with coefficient 1.
    weights
        Frequency weights.

    Raises
    ------
    EvaluationError
        One class only, or no maximum (constant column, complete separation).
    """
    outcome = as_outcome(y)
    n = outcome.size
    design = np.column_stack([np.ones(n), np.asarray(x, dtype=float).reshape(n, -1)])
    base = np.zeros(n) if offset is None else as_vector(offset, n, "offset")
    w = as_weights(weights, n)
    _, _, null = _newton(design[:, :1], outcome, base, w)
    coef, information, deviance = _newton(design, outcome, base, w)
    se = np.sqrt(np.diag(np.linalg.inv(information)))
    return LogisticFit(coef=coef, se=se, deviance=(null, deviance))


def _newton(x: Floats, y: Floats, offset: Floats, w: Floats) -> tuple[Floats, Floats, float]:
    beta = np.zeros(x.shape[1])
    information = np.eye(x.shape[1])
    for _ in range(60):
        p = expit(x @ beta + offset)
        information = (x * (w * p * (1 - p))[:, None]).T @ x
        gradient = x.T @ (w * (y - p))
        try:
            step = np.linalg.solve(information, gradient)
        except np.linalg.LinAlgError:
            break
        size = float(np.abs(step).max())
        # long steps are cut: a flat start must not overshoot
        beta = beta + step * min(1.0, 5.0 / max(size, 1e-300))
        if np.abs(beta).max() > 1e4 or not np.isfinite(beta).all():
            break
        if size < 1e-11 * max(1.0, float(np.abs(beta).max())):
            eta = x @ beta + offset
            loglik = float((w * (y * eta - np.logaddexp(0, eta))).sum())
            return beta, information, -2 * loglik
    raise EvaluationError(
        "the calibration model has no maximum",
        value=f"{int(y.sum())} of {y.size} have the outcome",
        remedy="The predicted risks may be constant or separate the classes completely",
    )
