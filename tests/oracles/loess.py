"""R's loess, down to its interpolation between the vertices of its tree."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from metasight.validation.ordering import Floats

BOX_MARGIN = 0.005


CELL = 0.2


def _local_fit(
    x: Floats, y: Floats, weight: Floats, lo: int, hi: int, at: float, radius: float
) -> tuple[float, float]:
    """Value and slope at ``at`` of a tricube-weighted parabola through rows ``lo … hi − 1``."""
    u = (x[lo:hi] - at) / radius  # in units of the radius, for the conditioning
    w = weight[lo:hi] * (1 - np.minimum(np.abs(u), 1) ** 3) ** 3
    terms = np.column_stack([np.ones_like(u), u, u**2])
    value, slope, _ = np.linalg.solve(
        (terms * w[:, None]).T @ terms, (terms * w[:, None]).T @ y[lo:hi]
    )
    return value, slope / radius


def _window(x: Floats, at: float, q: int) -> tuple[int, int, float]:
    """Rows of the ``q`` nearest to ``at`` in ascending ``x``, and their largest distance."""
    n = x.shape[0]
    lo = min(max(np.searchsorted(x, at) - q, 0), n - q)
    while lo + q < n and x[lo + q] - at < at - x[lo]:
        lo += 1
    return lo, lo + q, max(at - x[lo], x[lo + q - 1] - at)


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


def _loess(x: Floats, y: Floats, weight: Floats, q: int, cell_size: int, at: Floats) -> Floats:
    vertex = _vertices(x, cell_size)
    m = vertex.shape[0]
    value, slope = np.empty(m), np.empty(m)
    for k in range(m):
        lo, hi, radius = _window(x, vertex[k], q)
        value[k], slope[k] = _local_fit(x, y, weight, lo, hi, vertex[k], radius)
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
