"""Distance to the nearest cell, point by point, and G by Kaplan–Meier over exact distances."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

Floats = npt.NDArray[np.float64]


def nearest_distance_um(
    x_from: Floats, y_from: Floats, x_to: Floats, y_to: Floats, *, same: bool = False
) -> Floats:
    """Distance of each first point to the nearest second, µm; inf where there is none.

    Parameters
    ----------
    x_from, y_from, x_to, y_to
        Positions in µm.
    same
        The two are one pattern: a point is not its own neighbour.
    """
    k = 2 if same else 1
    if len(x_to) < k or not len(x_from):
        return np.full(len(x_from), np.inf)
    tree = cKDTree(np.column_stack([x_to, y_to]))
    distance, _ = tree.query(np.column_stack([x_from, y_from]), k=[k])
    return np.asarray(distance[:, 0], dtype=np.float64)


def nearest_neighbour_g(distance_um: Floats, edge_um: Floats, radius_um: Floats) -> Floats:
    """Kaplan–Meier estimate of P(nearest neighbour within r) at each ``radius_um``.

    Parameters
    ----------
    distance_um
        To the nearest neighbour, shape ``(n,)``; inf where there is none.
    edge_um
        To the window's edge, shape ``(n,)``.
    radius_um
        Where to evaluate, ascending.

    Returns
    -------
    array, shape of ``radius_um``
        In [0, 1], never decreasing; NaN where there is no cell, and beyond the radius at which
        nobody is at risk any more.
    """
    if not len(distance_um):
        return np.full(len(radius_um), np.nan)
    seen = np.minimum(distance_um, edge_um)
    event = distance_um <= edge_um
    times = np.unique(seen[event])
    at_risk = len(seen) - np.searchsorted(np.sort(seen), times, side="left")
    events = np.diff(np.searchsorted(np.sort(seen[event]), times, side="right"), prepend=0)
    survival = np.concatenate([[1.0], np.cumprod(1.0 - events / at_risk)])
    g = 1.0 - survival[np.searchsorted(times, radius_um, side="right")]
    g[(radius_um > seen.max()) & (g < 1.0)] = np.nan
    return np.asarray(g, dtype=np.float64)
