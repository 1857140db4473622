"""Smoothers behind calibration curves: restricted cubic splines, loess and lowess.

Loess and lowess are the ones of R, down to loess's interpolation between the vertices of its
tree, so that an ICI computed here is the ICI a reviewer computes there.
"""

# ruff: noqa: PLR0917 (numba kernels take their arguments by position)

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from metasight.engine.kernels import njit
from metasight.errors import EvaluationError
from metasight.validation.ordering import Floats
from metasight.validation.partial_likelihood import solve_in_place

BOX_MARGIN = 0.005
CELL = 0.2
KNOT_QUANTILES = {
    3: (0.10, 0.50, 0.90),
    4: (0.05, 0.35, 0.65, 0.95),
    5: (0.05, 0.275, 0.50, 0.725, 0.95),
}


def spline_knots(x: npt.ArrayLike, k: int) -> Floats:
    """Knots of a restricted cubic spline at Harrell's quantiles of ``x``.

    Below 100 values the outer knots are the fifth smallest and the fifth largest.

    Parameters
    ----------
    x
        Values, shape ``(n,)``.
    k
        3, 4 or 5.

    Raises
    ------
    EvaluationError
        Two knots coincide: ``x`` has too few distinct values.

    References
    ----------
    Harrell, Regression Modeling Strategies, 2.4.6.
    """
    values = np.sort(np.asarray(x, dtype=np.float64))
    knots = np.quantile(values, KNOT_QUANTILES[k])
    if 10 <= values.size < 100:
        knots[0], knots[-1] = values[4], values[-5]
    if (np.diff(knots) <= 0).any():
        raise EvaluationError(
            "too few distinct risks for a smooth calibration curve",
            value=f"{np.unique(np.asarray(x)).size} distinct values",
            remedy="Report grouped calibration instead",
        )
    return np.asarray(knots, dtype=np.float64)


def spline_basis(x: npt.ArrayLike, knots: Floats) -> Floats:
    """Restricted cubic spline: ``x`` and k − 2 terms, linear beyond the outer knots.

    Returns
    -------
    ndarray of shape (n, k − 1)
        Terms divided by the squared span of the knots.
    """
    v = np.asarray(x, dtype=np.float64)
    first, before_last, last = knots[0], knots[-2], knots[-1]
    columns = [v]
    for knot in knots[:-2]:
        term = (
            (v - knot).clip(0) ** 3
            - (v - before_last).clip(0) ** 3 * (last - knot) / (last - before_last)
            + (v - last).clip(0) ** 3 * (before_last - knot) / (last - before_last)
        )
        columns.append(term / (last - first) ** 2)
    return np.column_stack(columns)


@njit(cache=True)
def _local_fit(
    x: Floats, y: Floats, weight: Floats, lo: int, hi: int, at: float, radius: float, degree: int
) -> tuple[float, float]:
    """Value and slope at ``at`` of a tricube-weighted polynomial through rows ``lo … hi − 1``."""
    p = degree + 1
    a = np.zeros((p, p))
    b = np.zeros(p)
    for i in range(lo, hi):
        # in units of the radius, for the conditioning
        u = (x[i] - at) / radius
        d = abs(u)
        if d < 1:
            w = weight[i] * (1 - d * d * d) ** 3
            ui = 1.0
            for j in range(p):
                b[j] += w * ui * y[i]
                uk = ui
                for k in range(p):
                    a[j, k] += w * uk
                    uk *= u
                ui *= u
    if not solve_in_place(a, b):
        return np.nan, np.nan
    return b[0], (b[1] / radius if degree > 0 else 0.0)


@njit(cache=True)
def _window(x: Floats, at: float, q: int) -> tuple[int, int, float]:
    """Rows of the ``q`` nearest to ``at`` in ascending ``x``, and their largest distance."""
    n = x.shape[0]
    lo = min(max(np.searchsorted(x, at) - q, 0), n - q)
    while lo + q < n and x[lo + q] - at < at - x[lo]:
        lo += 1
    return lo, lo + q, max(at - x[lo], x[lo + q - 1] - at)


@njit(cache=True)
def _vertices(x: Floats, cell_size: int) -> Floats:
    """Cut points of loess's one-dimensional tree over ascending ``x``, outer box included."""
    n = x.shape[0]
    margin = BOX_MARGIN * max(x[-1] - x[0], max(abs(x[0]), abs(x[-1])) * 1e-3 + 1e-30)
    cuts = [x[0] - margin, x[-1] + margin]
    stack = [(0, n - 1)]
    while len(stack) > 0:
        lo, hi = stack.pop()
        if hi - lo + 1 <= cell_size:
            continue
        # R counts rows from 1
        m = (lo + hi + 2) // 2 - 1
        offset = 0
        while lo <= m + offset < hi:
            if x[m + offset] == x[m + offset + 1]:
                offset = -offset
                if offset >= 0:
                    offset += 1
            else:
                m += offset
                break
        if x[m] == x[lo] and lo == 0 and x[m] == cuts[0]:
            continue
        cuts.append(x[m])
        stack.append((lo, m))
        stack.append((m + 1, hi))
    return np.unique(np.array(cuts))


@njit(cache=True)
def _loess(x: Floats, y: Floats, weight: Floats, q: int, cell_size: int, at: Floats) -> Floats:
    vertex = _vertices(x, cell_size)
    m = vertex.shape[0]
    value, slope = np.empty(m), np.empty(m)
    for k in range(m):
        lo, hi, radius = _window(x, vertex[k], q)
        value[k], slope[k] = _local_fit(x, y, weight, lo, hi, vertex[k], radius, 2)
    out = np.empty(at.shape[0])
    for i in range(at.shape[0]):
        if not vertex[0] <= at[i] <= vertex[-1]:
            out[i] = np.nan
            continue
        k = min(max(np.searchsorted(vertex, at[i]) - 1, 0), m - 2)
        width = vertex[k + 1] - vertex[k]
        h = (at[i] - vertex[k]) / width
        out[i] = (
            (1 - h) ** 2 * (1 + 2 * h) * value[k]
            + h**2 * (3 - 2 * h) * value[k + 1]
            + h * (1 - h) ** 2 * width * slope[k]
            - h**2 * (1 - h) * width * slope[k + 1]
        )
    return out


def loess(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    at: npt.ArrayLike,
    *,
    span: float = 0.75,
    weights: npt.ArrayLike | None = None,
) -> Floats:
    """Local quadratic regression with tricube weights, interpolated as R's ``loess``.

    Parameters
    ----------
    x, y
        Shape ``(n,)``.
    at
        Where the fit is wanted, within the range of ``x``; NaN outside it.
    span
        Share of the rows in each local fit, in (0, 1].
    weights
        Prior weights; a row of weight 0 still counts towards the span.

    Returns
    -------
    ndarray
        Not bounded to [0, 1].

    References
    ----------
    Cleveland and Grosse 1991; R stats::loess (family gaussian, degree 2, surface interpolate).
    """
    v = np.ascontiguousarray(x, dtype=np.float64)
    order = np.argsort(v, kind="stable")
    w = np.ones(v.size) if weights is None else np.asarray(weights, dtype=np.float64)
    q = min(v.size, int(np.floor(v.size * span + 1e-5)))
    cell = int(np.floor(v.size * span * CELL))
    return np.asarray(
        _loess(
            v[order],
            np.ascontiguousarray(y, dtype=np.float64)[order],
            w[order],
            q,
            cell,
            np.ascontiguousarray(at, dtype=np.float64),
        )
    )


@njit(cache=True)
def _lowess(x: Floats, y: Floats, q: int, delta: float) -> Floats:
    n = x.shape[0]
    weight = np.ones(n)
    out = np.empty(n)
    last = -1
    i = 0
    while True:
        lo, _, radius = _window(x, x[i], q)
        out[i] = _lowess_at(x, y, weight, lo, x[i], radius)
        for j in range(last + 1, i):
            share = (x[j] - x[last]) / (x[i] - x[last])
            out[j] = share * out[i] + (1 - share) * out[last]
        last = i
        cut = x[last] + delta
        i = last + 1
        while i < n:
            if x[i] > cut:
                break
            if x[i] == x[last]:
                out[i] = out[last]
                last = i
            i += 1
        i = max(last + 1, i - 1)
        if last >= n - 1:
            return out


@njit(cache=True)
def _lowess_at(x: Floats, y: Floats, weight: Floats, lo: int, at: float, radius: float) -> float:
    """Local line with Cleveland's cut-offs: weight 1 within 0.1 %, none beyond 99.9 %."""
    n = x.shape[0]
    total = 0.0
    mean = 0.0
    w = np.zeros(n)
    for j in range(lo, n):
        d = abs(x[j] - at)
        if d <= 0.999 * radius:
            w[j] = 1.0 if d <= 0.001 * radius else (1 - (d / radius) ** 3) ** 3
            w[j] *= weight[j]
            total += w[j]
            mean += w[j] * x[j]
        elif x[j] > at:
            break
    mean /= total
    spread = 0.0
    for j in range(lo, n):
        spread += w[j] / total * (x[j] - mean) ** 2
    slope = (at - mean) / spread if np.sqrt(spread) > 0.001 * (x[n - 1] - x[0]) else 0.0
    out = 0.0
    for j in range(lo, n):
        out += w[j] / total * (1 + slope * (x[j] - mean)) * y[j]
    return out


def lowess(x: npt.ArrayLike, y: npt.ArrayLike, *, span: float = 2 / 3) -> tuple[Floats, Floats]:
    """Local linear smoother without robustness steps, as R's ``lowess(iter = 0)``.

    Parameters
    ----------
    x, y
        Shape ``(n,)``.
    span
        Share of the rows in each local fit.

    Returns
    -------
    tuple
        Ascending ``x`` and the smoothed values there.

    References
    ----------
    Cleveland 1979.
    """
    v = np.asarray(x, dtype=np.float64)
    order = np.argsort(v, kind="stable")
    q = max(min(v.size, int(span * v.size + 1e-7)), 2)
    ascending = np.ascontiguousarray(v[order])
    delta = 0.01 * float(ascending[-1] - ascending[0])
    values = np.ascontiguousarray(np.asarray(y, dtype=np.float64)[order])
    return ascending, np.asarray(_lowess(ascending, values, q, delta))
