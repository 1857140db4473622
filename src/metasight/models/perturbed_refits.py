"""Refits of a penalised logistic regression that differ by all that is not known.

Refits of a penalised model to resampled patients differ too little: each is drawn towards zero by
the same penalty, and what the penalty hides moves none of them. Here each refit draws, beside the
patients, the point that the penalty draws its coefficients towards, from the very distribution
that the penalty stands for (coefficients of a group are normal around zero with one standard
deviation τ), and draws τ from how well each value explains the training outcomes. In a linear
model with normal errors such refits are draws from the posterior exactly (perturb, then optimise);
here they are that to first order, and resampling patients keeps them honest where the model is not
right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from metasight.errors import FitError

Floats = NDArray[np.float64]

STRAIGHT = (0.05, 0.10, 0.20, 0.35, 0.60, 1.00)
"""Standard deviations of coefficients that are weighed: log odds per standard deviation of a
column. Beyond 1 an ordinary predictor would be decisive on its own."""
BENT = (0.04, 0.10, 0.20)
"""The same of columns that let an effect bend."""

_INTERCEPT_SD = 5.0
_MOST_STEPS = 100
_SETTLED = 1e-5
_AT_ONCE = 4_000_000
"""Products of columns, over patients, that are held at once."""


@dataclass(frozen=True, kw_only=True)
class Grouped:
    """Columns, and what is thought of their coefficients beforehand.

    Attributes
    ----------
    matrix
        Standardised, shape (n, p).
    group
        Shape (p,): columns that share a τ, numbered from 0.
    spreads
        Of each group, the values of τ that are weighed, ascending.
    """

    matrix: Floats
    group: NDArray[np.intp]
    spreads: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, kw_only=True)
class _Evidence:
    """Fits at every combination of spreads, with how likely each is.

    Attributes
    ----------
    precision, start
        Of the penalty, shape (k, 1 + p); what it draws towards, shape (1 + p,).
    likely
        The posterior share of each combination, shape (k,).
    """

    precision: Floats
    start: Floats
    likely: Floats


def _weighed(told: Grouped, event: Floats, weight: Floats, model: str) -> _Evidence:
    """How well each combination of spreads explains the outcomes (Laplace's approximation)."""
    columns = with_intercept(told.matrix)
    base = logit((weight @ event) / weight.sum())
    start = np.concatenate([[base], np.zeros(columns.shape[1] - 1)])
    taus, prior = _combinations(told.spreads)
    flat = np.full(len(taus), _INTERCEPT_SD**-2)
    precision = np.column_stack([flat, taus[:, told.group] ** -2.0])
    centres = np.tile(start, (len(taus), 1))
    mode, information = _maximise(
        columns, event, np.tile(weight, (len(taus), 1)), precision, centres, model=model
    )
    odds = mode @ columns.T
    evidence = (weight * (event * odds - np.logaddexp(0, odds))).sum(axis=1)
    evidence -= 0.5 * (precision * (mode - centres) ** 2).sum(axis=1)
    evidence += 0.5 * np.log(precision).sum(axis=1) - 0.5 * np.linalg.slogdet(information)[1]
    likely = prior * np.exp(evidence - evidence.max())
    return _Evidence(precision=precision, start=start, likely=likely / likely.sum())


def perturbed_refits(
    told: Grouped,
    event: Floats,
    weight: Floats,
    *,
    refits: int,
    rng: np.random.Generator,
    model: str,
) -> Floats:
    """Intercept and coefficients of every refit, shape (refits, 1 + p).

    Parameters
    ----------
    told
        Columns of n patients.
    event
        0 or 1, shape (n,).
    weight
        Above 0, shape (n,), adding to the effective number of patients.
    refits, rng
        How many, and what they are drawn with.
    model
        Named in errors.

    References
    ----------
    Papandreou and Yuille, NIPS 2010 (perturb, then optimise); Gelman, Bayesian Anal 2006;1:515
    (a uniform prior of τ); Rubin, Ann Stat 1981;9:130 (resampled patients as a posterior).
    """
    n, p = told.matrix.shape
    found = _weighed(told, event, weight, model)
    drawn = rng.choice(len(found.likely), refits, p=found.likely)
    towards = rng.normal(size=(refits, p + 1)) / np.sqrt(found.precision[drawn])
    towards[:, 0] = 0.0
    copies = rng.multinomial(n, np.full(n, 1 / n), size=refits)
    return _maximise(
        with_intercept(told.matrix),
        event,
        copies * weight,
        found.precision[drawn],
        found.start + towards,
        model=model,
    )[0]


def with_intercept(matrix: Floats) -> Floats:
    """A column of ones, then the matrix."""
    return np.column_stack([np.ones(len(matrix)), matrix])


def _combinations(spreads: Sequence[Sequence[float]]) -> tuple[Floats, Floats]:
    """Every combination of the groups' spreads, and its share of a prior uniform in each τ."""
    shares = []
    for values in spreads:
        grid = np.asarray(values)
        edges = np.concatenate([[0.0], (grid[1:] + grid[:-1]) / 2, grid[-1:]])
        shares.append(np.diff(edges))
    taus = np.array(list(product(*spreads)), dtype=np.float64)
    return taus, np.array([np.prod(s) for s in product(*shares)])


def _maximise(
    columns: Floats,
    event: Floats,
    weights: Floats,
    precision: Floats,
    centres: Floats,
    *,
    model: str,
) -> tuple[Floats, Floats]:
    """Penalised maximum of many weighted logistic regressions at once, by Newton's method.

    Parameters
    ----------
    columns, event
        Shape (n, q) and (n,).
    weights
        Shape (m, n).
    precision, centres
        Of the normal penalty, shape (m, q).

    Returns
    -------
    Coefficients, shape (m, q), and the information there, shape (m, q, q).
    """
    n, q = columns.shape
    whole = n * q * q <= _AT_ONCE
    products = (columns[:, :, None] * columns[:, None, :]).reshape(n, -1) if whole else None
    b, diagonal = centres.copy(), np.arange(q)

    def value(at: Floats) -> Floats:
        odds = at @ columns.T
        fit = (weights * (event * odds - np.logaddexp(0, odds))).sum(axis=1)
        return np.asarray(fit - 0.5 * (precision * (at - centres) ** 2).sum(axis=1))

    reached = value(b)
    for _ in range(_MOST_STEPS):
        risk = expit(b @ columns.T)
        gradient = (weights * (event - risk)) @ columns - precision * (b - centres)
        curvature = weights * risk * (1 - risk)
        if products is not None:
            information = (curvature @ products).reshape(len(b), q, q)
        else:
            information = np.stack([(columns.T * c) @ columns for c in curvature])
        information[:, diagonal, diagonal] += precision
        step = np.linalg.solve(information, gradient[:, :, None])[:, :, 0]
        if float(np.abs(step).max()) < _SETTLED:
            return b, information
        new = value(b + step)
        while bool((worse := new < reached - 1e-9 * np.abs(reached)).any()):
            step[worse] /= 2
            new = value(b + step)
        b, reached = b + step, new
    raise FitError("the refits for patients' intervals do not converge", where=model)
