"""Do two ways of measuring one quantity agree: intraclass correlation, Bland–Altman, kappa.

A correlation asks whether two values rise together; agreement asks whether one may stand for the
other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from metasight.errors import EvaluationError

_FEWEST = 3


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Agreement of two measurements of the same patients.

    Attributes
    ----------
    n
        Patients with both.
    icc, icc_lower, icc_upper
        ICC(A,1): two-way random effects, absolute agreement, single measurement, with its 95 %
        interval (McGraw and Wong, Psychological Methods 1996;1:30). NaN where patients do not
        differ in either measurement.
    bias
        Mean of second − first.
    limit_lower, limit_upper
        Bland and Altman's 95 % limits of agreement (Lancet 1986;i:307).
    """

    n: int
    icc: float
    icc_lower: float
    icc_upper: float
    bias: float
    limit_lower: float
    limit_upper: float


def agreement(first: npt.ArrayLike, second: npt.ArrayLike) -> Agreement:
    """Compare two measurements; patients without both are left out.

    Parameters
    ----------
    first, second
        Shape (n,); NaN where not measured.

    Raises
    ------
    EvaluationError
        Shapes differ, or fewer than three patients have both.
    """
    a, b = (np.asarray(v, dtype=np.float64) for v in (first, second))
    if a.shape != b.shape or a.ndim != 1:
        raise EvaluationError("two measurements differ in shape", value=f"{a.shape}, {b.shape}")
    both = np.isfinite(a) & np.isfinite(b)
    a, b = a[both], b[both]
    if len(a) < _FEWEST:
        raise EvaluationError(
            "too few patients have both measurements",
            value=str(len(a)),
            remedy=f"Agreement needs {_FEWEST}",
        )
    difference = b - a
    half = 1.96 * float(difference.std(ddof=1))
    icc, lower, upper = _icc(np.stack([a, b], axis=1))
    bias = float(difference.mean())
    return Agreement(
        n=len(a),
        icc=icc,
        icc_lower=lower,
        icc_upper=upper,
        bias=bias,
        limit_lower=bias - half,
        limit_upper=bias + half,
    )


def _icc(x: npt.NDArray[np.float64]) -> tuple[float, float, float]:
    n, k = x.shape
    total = float(((x - x.mean()) ** 2).sum())
    if total <= 1e-12 * max(float((x**2).sum()), 1e-300):
        return math.nan, math.nan, math.nan
    rows = k * float(((x.mean(axis=1) - x.mean()) ** 2).sum()) / (n - 1)
    columns = n * float(((x.mean(axis=0) - x.mean()) ** 2).sum()) / (k - 1)
    rest = max(total - rows * (n - 1) - columns * (k - 1), 0.0) / ((n - 1) * (k - 1))
    if max(rows, rest) <= 1e-12 * total:
        return math.nan, math.nan, math.nan  # one constant beside another: patients do not differ
    icc = (rows - rest) / (rows + (k - 1) * rest + k * (columns - rest) / n)
    rest = max(1e-12 * rows, rest)
    # McGraw and Wong, table 7, case 2A
    a = k * icc / (n * (1 - icc)) if icc < 1 else math.inf
    b = 1 + k * icc * (n - 1) / (n * (1 - icc)) if icc < 1 else math.inf
    if math.isinf(a):
        return icc, icc, icc
    v = (a * columns + b * rest) ** 2 / (
        (a * columns) ** 2 / (k - 1) + (b * rest) ** 2 / ((n - 1) * (k - 1))
    )
    above, below = stats.f.ppf(0.975, n - 1, v), stats.f.ppf(0.975, v, n - 1)
    spread = k * columns + (k * n - k - n) * rest
    lower = n * (rows - above * rest) / (above * spread + n * rows)
    upper = n * (below * rows - rest) / (spread + n * below * rows)
    return float(icc), float(max(lower, -1.0)), float(min(upper, 1.0))


@dataclass(frozen=True, kw_only=True)
class Kappa:
    """Cohen's kappa of two sets of labels.

    Attributes
    ----------
    n
        Patients with both labels.
    kappa, lower, upper
        With a 95 % interval from its large-sample error; NaN where both always give one label.
    observed
        Share of equal labels.
    """

    n: int
    kappa: float
    lower: float
    upper: float
    observed: float


def kappa(first: list[str | None], second: list[str | None]) -> Kappa:
    """Chance-corrected agreement (Cohen, Educ Psychol Meas 1960;20:37); None is left out.

    Raises
    ------
    EvaluationError
        Nobody has both labels, or the lists differ in length.
    """
    pairs = [(a, b) for a, b in zip(first, second, strict=True) if a is not None and b is not None]
    if not pairs:
        raise EvaluationError("no patient has both labels")
    names = sorted({x for pair in pairs for x in pair})
    table = np.zeros((len(names), len(names)))
    for a, b in pairs:
        table[names.index(a), names.index(b)] += 1
    share = table / len(pairs)
    observed = float(np.trace(share))
    rows, columns = share.sum(axis=1), share.sum(axis=0)
    chance = float(rows @ columns)
    if chance >= 1 - 1e-12:
        return Kappa(
            n=len(pairs), kappa=math.nan, lower=math.nan, upper=math.nan, observed=observed
        )
    value = (observed - chance) / (1 - chance)
    # Fleiss, Cohen and Everitt, Psychol Bull 1969;72:323
    both = rows[None, :] + columns[:, None]
    diagonal = sum(
        share[i, i] * (1 - (rows[i] + columns[i]) * (1 - value)) ** 2 for i in range(len(names))
    )
    off = (share * both**2).sum() - sum(share[i, i] * both[i, i] ** 2 for i in range(len(names)))
    variance = diagonal + (1 - value) ** 2 * off - (value - chance * (1 - value)) ** 2
    error = math.sqrt(max(float(variance), 0.0) / len(pairs)) / (1 - chance)
    return Kappa(
        n=len(pairs),
        kappa=value,
        lower=max(value - 1.96 * error, -1.0),
        upper=min(value + 1.96 * error, 1.0),
        observed=observed,
    )
