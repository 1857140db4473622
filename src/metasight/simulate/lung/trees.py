"""Branching trees of arteries, veins and airways that fill each lobe."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from metasight.engine.kernels import njit
from metasight.simulate.lung.anatomy import Anatomy, Tubes
from metasight.simulate.lung.forms import levels_at

Floats = npt.NDArray[np.float64]
Image = npt.NDArray[np.float32]

_jit = njit(cache=True, nogil=True)

MURRAY = 2.85
"""Exponent of the radii at a branching; 3 is Murray's law, casts of lungs give 2.5 to 3."""

_FREE_OF_PLEURA_MM = 2.5
_FREE_OF_FISSURE_MM = 2.0
_AIRWAY_LEAVES = 24  # a branch that serves fewer has no airway that CT shows


@_jit
def _along(ends, members, middle):  # type: ignore[no-untyped-def]
    """Position of points along the direction in which they spread most, by power iteration."""
    spread = np.zeros((3, 3))
    for i in members:
        d = ends[i] - middle
        for a in range(3):
            for b in range(3):
                spread[a, b] += d[a] * d[b]
    axis = np.array([0.577, 0.577, 0.578])
    for _ in range(8):
        axis = spread @ axis
        axis /= math.sqrt((axis**2).sum()) + 1e-12
    along = np.empty(len(members))
    for i in range(len(members)):
        along[i] = ((ends[members[i]] - middle) * axis).sum()
    return along


@_jit
def _branch(root, ends, leaf_radius, exponent, shares):  # type: ignore[no-untyped-def]
    """Split the end points in two again and again; one tube a split.

    Returns tubes ``(n, 6)``, radii ``(n, 2)`` and how many end points each serves.
    """
    n = ends.shape[0]
    tubes = np.empty((2 * n + 1, 6))
    radii = np.empty((2 * n + 1, 2))
    served = np.empty(2 * n + 1, dtype=np.int64)
    order = np.arange(n)
    start = np.empty(2 * n + 1, dtype=np.int64)
    stop = np.empty(2 * n + 1, dtype=np.int64)
    base = np.empty((2 * n + 1, 3))
    above = np.empty(2 * n + 1)
    start[0], stop[0] = 0, n
    base[0] = root
    above[0] = leaf_radius * n ** (1.0 / exponent)
    top, made = 1, 0
    while top > 0:
        top -= 1
        lo, hi = start[top], stop[top]
        p = base[top].copy()
        radius_above = above[top]
        count = hi - lo
        middle = np.zeros(3)
        for i in range(lo, hi):
            middle += ends[order[i]]
        middle /= count
        share = 1.0 if count == 1 else shares[made]
        q = p + share * (middle - p)
        radius = leaf_radius * count ** (1.0 / exponent)
        tubes[made, :3] = p
        tubes[made, 3:] = q
        radii[made, 0] = min(radius_above, 1.25 * radius)
        radii[made, 1] = radius
        served[made] = count
        made += 1
        if count == 1:
            continue
        along = _along(ends, order[lo:hi], middle)
        rank = np.argsort(along)
        order[lo:hi] = order[lo:hi][rank]
        # uneven splits: lungs branch by thirds as often as by halves
        cut = lo + max(1, min(count - 1, int(count * (0.5 + 0.9 * (share - 0.56)) + 0.5)))
        for a, b in ((lo, cut), (cut, hi)):
            start[top], stop[top] = a, b
            base[top] = q
            above[top] = radius
            top += 1
    return tubes[:made], radii[:made], served[:made]


def _grown(
    root: Floats, ends: Floats, leaf_radius: float, rng: np.random.Generator
) -> tuple[Tubes, npt.NDArray[np.int64]]:
    shares = rng.uniform(0.40, 0.72, 2 * len(ends) + 1)
    tubes, radii, served = _branch(
        np.asarray(root, dtype=np.float64), ends, leaf_radius, MURRAY, shares
    )
    return Tubes(ends=tubes, radii=radii), served


def points_in_lungs(
    anatomy: Anatomy, mediastinum: Image, n: int, rng: np.random.Generator
) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Points spread evenly in the lungs, off pleura and fissures, with the lobe of each."""
    form = anatomy.form
    low = np.array([-1.05 * form.half_width, -1.1 * form.half_depth, -10.0])
    high = np.array([1.05 * form.half_width, 1.25 * form.half_depth, form.height])
    tried = low + (high - low) * rng.random((3 * n, 3))
    found = levels_at(form, mediastinum, tried)
    inside = (found[:, 0] < -_FREE_OF_PLEURA_MM) & (found[:, 1] > _FREE_OF_FISSURE_MM)
    return tried[inside], found[inside, 2].astype(np.int64)


def grow(
    anatomy: Anatomy,
    mediastinum: Image,
    rng: np.random.Generator,
    *,
    ends: int,
    leaf_radius_mm: float,
) -> tuple[Tubes, Tubes]:
    """Vessels and airways of both lungs.

    In each lobe the arteries' end points are split in two again and again, a tube at each split;
    radii follow Murray's law. Bronchi run beside arteries that serve enough of the lobe; veins
    are a tree of their own whose end points lie between.

    Parameters
    ----------
    anatomy, mediastinum
        Where lungs, lobes and hila are.
    rng
        Of the patient.
    ends
        Points tried as ends of arteries, and again of veins; about 45 % lie in the lungs.
    leaf_radius_mm
        Of the last branches.

    Returns
    -------
    vessels, airways : Tubes
        Airways: the lumen.
    """
    vessels: list[Tubes] = []
    airways: list[Tubes] = []
    for system in ("artery", "vein"):
        points, lobe = points_in_lungs(anatomy, mediastinum, ends // 3, rng)
        for k in range(5):
            mine = points[lobe == k + 1]
            if not len(mine):
                continue
            side = 0 if k < 3 else 1
            root = anatomy.lobar_roots[k] if system == "artery" else anatomy.atrium[side]
            tubes, served = _grown(root, mine, leaf_radius_mm, rng)
            if system == "artery":
                bronchi = served >= _AIRWAY_LEAVES
                airways.append(_beside(tubes, served, bronchi))
            vessels.append(tubes)
    whole = vessels[0]
    for part in vessels[1:]:
        whole = whole + part
    air = airways[0]
    for part in airways[1:]:
        air = air + part
    return whole, air


def _beside(tubes: Tubes, served: npt.NDArray[np.int64], kept: npt.NDArray[np.bool_]) -> Tubes:
    """Bronchi along the arteries: three quarters as wide inside as they, and a little to the side.

    The lobar bronchus starts where the lobar artery does; further out the two part by the sum of
    their radii, as the pairs seen in cross-section do.
    """
    radii = tubes.radii[kept] * 0.72
    ends = tubes.ends[kept].copy()
    away = 1.25 * (tubes.radii[kept] + radii) + 0.6
    away[:1, 0] = 0.0  # a lobe with few vessels has none wide enough
    shift = np.array([0.35, -0.85, 0.40])
    ends[:, :3] += away[:, :1] * shift
    ends[:, 3:] += away[:, 1:] * shift
    return Tubes(ends=ends, radii=radii)
