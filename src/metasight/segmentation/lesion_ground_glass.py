"""Ground glass round a lesion, and the solid bodies that belong to a ground-glass lesion."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError

from metasight.segmentation.lesion_field import Field, Index
from metasight.volumes.box import box_of

Booleans = npt.NDArray[np.bool_]
Floats32 = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]

GROUND_GLASS_HU = -600.0
SOFT_HU = 40.0  # brighter is calcium or contrast: the border is not half-way to that

_RIM_MM = 1.5
_SHARE = 0.20
_EDGE_MM = (1.0, 1.8)  # off the half-way line: most of a blurred edge lies within
_THICK_MM = 1.2
_FEWEST_OF_HULL = 30
_MOST_BODIES = 40
_AT_SEED_MM = 3.0
_BODY_REACH = 2.5  # depths about a body's centre that are looked at
_DRAWN_OUT = 2.0  # longest over shortest axis; a tube within that reach has about 3


def with_ground_glass(
    field: Field, solid: Booleans, seed: Index, lung_hu: float
) -> Booleans | None:
    """The lesion with ground glass round its solid part; None where there is none to speak of.

    A blurred border is brighter than lung too, but no thicker than the point spread, and as much
    brighter outside the half-way line as it is darker inside.
    """
    limit = (GROUND_GLASS_HU + lung_hu) / 2
    dense = faint_of(field, lung_hu, limit, of_lesion=solid)
    wide, _ = field.freed(dense, seed, faint=True)
    away = field.away(solid, most_mm=max(_RIM_MM, *_EDGE_MM))
    shell = wide & (away > _RIM_MM) & (field.hu > limit)
    thick = field.depth(shell, most_mm=_THICK_MM) > _THICK_MM
    part = thick.sum() >= _SHARE / 2 * solid.sum() and shell.sum() >= _SHARE * solid.sum()
    if not (part or _goes_on(field, solid, away, lung_hu)) or not shell.any():
        return None
    if float(np.median(field.hu[shell])) > -250:
        return None  # more of the same: vessel, or chest wall
    return wide | solid


def _goes_on(field: Field, solid: Booleans, away: Floats32, lung_hu: float) -> bool:
    """Whether a solid body's border falls off more slowly outside than any blur makes it.

    Whatever the point spread, the blur of an edge is the same on both sides of its middle; that
    of a convex body is less outside. What is brighter there is ground glass. Three quarters of
    what is near must be: spicules and vessels may be half of it.
    """
    depth = field.depth(solid)
    first, last = _EDGE_MM
    inner = (depth > first) & (depth <= last)
    outer = (away > first) & (away <= last) & field.allowed
    plateau = depth > max(last, 0.6 * float(depth.max()))
    if not inner.any() or not outer.any() or not plateau.any():
        return False
    darker = float(np.median(field.hu[plateau])) - float(np.median(field.hu[inner]))
    brighter = float(np.quantile(field.hu[outer], 0.25)) - lung_hu
    return brighter - darker > (GROUND_GLASS_HU - lung_hu) / 8


def faint_of(
    field: Field, lung_hu: float, limit: float, *, of_lesion: Booleans | None = None
) -> Booleans:
    """What is as dense as ground glass, vessels and their blur left out.

    Vessels are what is dense and does not belong to the lesion's own solid part. One that runs
    through ground glass leaves a gap there, which is closed again.
    """
    bright = field.hu > (SOFT_HU + lung_hu) / 2
    if of_lesion is not None:
        bright &= ~field.within(of_lesion, _RIM_MM)
    blur = field.within(bright, _RIM_MM)
    dense = (field.faint > limit) & ~blur
    if of_lesion is not None:
        dense |= of_lesion
    reach = field.within(dense, _RIM_MM)
    closed = field.depth(reach, most_mm=_RIM_MM) > _RIM_MM
    return np.asarray(dense | (closed & (field.faint > limit)))


def own_solid(field: Field, lung_hu: float, limit: float, seed: Index) -> Booleans | None:
    """The solid bodies of a ground-glass lesion: bright, and not drawn out as vessels are.

    Looked for in the lesion with all its vessels. A body is what is left of the brightness about
    its deepest point once bridges of half its thickness are cut, within 2.5 times its depth: a
    tube is three times as long there as thick, a body at most twice. Its middle lies within the
    ground glass or at the seed: vessels that branch beside a lesion are bodies too, but outside its
    convex hull.
    """
    rough, _ = field.freed((field.faint > limit) | (field.hu > limit), seed, faint=True)
    hull = _hull(field.freed(faint_of(field, lung_hu, limit), seed, faint=True)[0])
    bright = field.hu > (SOFT_HU + lung_hu) / 2
    depth = field.depth(bright)
    peaks = rough & bright & (depth >= ndimage.maximum_filter(depth, 3))
    at = np.argwhere(peaks)
    at = at[np.argsort(-depth[peaks], kind="stable")]
    own_place = np.linalg.norm(at - seed, axis=1) * field.spacing_mm <= _AT_SEED_MM
    if hull is not None:
        own_place |= _within(hull, at)
    at = at[own_place][:_MOST_BODIES]
    own = np.zeros_like(bright)
    for centre in at.tolist():
        if not own[tuple(centre)]:
            own |= _body(field, bright, depth, (centre[0], centre[1], centre[2]))
    return own if own.any() else None


def _body(field: Field, bright: Booleans, depth: Floats32, centre: Index) -> Booleans:
    """The bright body about a point; empty where it is drawn out."""
    out = np.zeros_like(bright)
    thick = float(depth[centre])
    reach = int(np.ceil(_BODY_REACH * thick / field.spacing_mm)) + 1
    low = [max(c - reach, 0) for c in centre]
    box = tuple(slice(a, c + reach + 1) for a, c in zip(low, centre, strict=True))
    box = tuple(slice(b.start, min(b.stop, n)) for b, n in zip(box, depth.shape, strict=True))
    grid = np.ogrid[box]
    away = np.sqrt(sum((g - c) ** 2 for g, c in zip(grid, centre, strict=True))) * field.spacing_mm
    inner = (depth[box] > thick / 2) & (away <= _BODY_REACH * thick)
    labels, _ = ndimage.label(inner)
    inner = labels == labels[tuple(c - a for c, a in zip(centre, low, strict=True))]
    back = field.within(inner, thick / 2)
    body = bright[box] & (inner | back)
    points = np.argwhere(body) * field.spacing_mm
    # the twelfth of a voxel's square: a body of one voxel has a size too
    spread = np.atleast_2d(np.cov(points.T, bias=True)) + np.eye(3) * field.spacing_mm**2 / 12
    axes = np.sqrt(np.linalg.eigvalsh(spread))
    if axes[-1] <= _DRAWN_OUT * axes[0]:
        out[box] = body
    return out


def with_enclosed(field: Field, found: Booleans, limit: float) -> Booleans:
    """Ground glass with the solid parts and vessels that lie within its convex hull."""
    hull = _hull(found)
    if hull is None:
        return found
    points = np.argwhere(~found & (field.faint > limit) & _boxed(found))
    out = found.copy()
    out[tuple(points[_within(hull, points)].T)] = True
    return out


def _boxed(region: Booleans) -> Booleans:
    box = np.zeros_like(region)
    box[box_of(region)] = True
    return box


def _hull(region: Booleans) -> Floats | None:
    """Planes of the convex hull; None for what is flat or but a few voxels."""
    rim = np.argwhere(region & ~ndimage.binary_erosion(region))
    if len(rim) < _FEWEST_OF_HULL:
        return None
    try:
        return np.asarray(ConvexHull(rim).equations)
    except QhullError:  # flat
        return None


def _within(hull: Floats, points: npt.NDArray[np.int64]) -> Booleans:
    """Which points lie in a hull, or half a voxel off it."""
    return np.asarray((points @ hull[:, :3].T + hull[:, 3] <= 0.5).all(axis=1))
