"""Diameters and volume of a region, from its surface between voxels.

Size is the longest diameter on any axial, coronal or sagittal plane, with the longest one at right
angles to it on the same plane (Fleischner Society: Bankier et al., Radiology 2017;285:584; TNM 8:
Travis et al., J Thorac Oncol 2016;11:1204). A mask's border lies between its voxels and what is
outside, so diameters are those of the outline at half height of the mask and not of voxel centres.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError
from skimage.measure import find_contours

from metasight.volumes.box import box_of
from metasight.volumes.volume import Mask

Floats = npt.NDArray[np.float64]
Booleans = npt.NDArray[np.bool_]
Plane = Literal["axial", "coronal", "sagittal"]

_STEP_VOXELS = 0.7
PLANES: tuple[Plane, ...] = ("axial", "coronal", "sagittal")
_AXES: dict[Plane, tuple[int, int, int]] = {
    "axial": (0, 1, 2),
    "coronal": (1, 0, 2),
    "sagittal": (2, 0, 1),
}


@dataclass(frozen=True, kw_only=True)
class Diameters:
    """The longest diameter on a plane, and the one across it.

    Attributes
    ----------
    plane
        On which it was found.
    longest_mm, perpendicular_mm
        Lengths, the second at right angles to the first.
    slice_index
        Of the plane along its axis.
    ends_mm
        (2, 2) ends of the longest, mm from the first voxel's centre along the plane's two axes
        (rows first).
    across_ends_mm
        (2, 2) ends of the perpendicular one.
    """

    plane: Plane
    longest_mm: float
    perpendicular_mm: float
    slice_index: int
    ends_mm: Floats
    across_ends_mm: Floats


@dataclass(frozen=True, kw_only=True)
class Size:
    """Sizes of a region.

    Attributes
    ----------
    volume_mm3
        Voxels times their volume.
    longest_mm
        The longest diameter on any of the three planes.
    by_plane
        Diameters on the slice of each plane on which they are longest.
    """

    volume_mm3: float
    longest_mm: float
    by_plane: dict[Plane, Diameters]

    @property
    def longest(self) -> Diameters:
        """The plane with the longest diameter."""
        return max(self.by_plane.values(), key=lambda d: d.longest_mm)


def size_of(mask: Mask) -> Size:
    """Sizes of a mask.

    The outline is that of the mask smoothed by 0.7 voxels: the steps of voxels stand out by up to
    half a voxel on either side, and the longest of many chords would always find them.
    """
    inside = mask.array
    found = size_of_array(_without_steps(inside), mask.spacing_zyx_mm)
    return replace(found, volume_mm3=float(inside.sum() * np.prod(mask.spacing_zyx_mm)))


def _without_steps(inside: Booleans) -> npt.NDArray[np.float32]:
    boxed = box_of(inside, (3, 3, 3))
    smooth = np.zeros(inside.shape, dtype=np.float32)
    smooth[boxed] = ndimage.gaussian_filter(
        inside[boxed].astype(np.float32), _STEP_VOXELS, mode="constant"
    )
    # so small that smoothing leaves nothing: the mask as it is
    return smooth if (smooth > 0.5).any() else inside.astype(np.float32)


def size_of_array(
    inside: Booleans | npt.NDArray[np.float32],
    spacing_mm: tuple[float, float, float],
    *,
    level: float = 0.5,
) -> Size:
    """Sizes of what is above ``level``, shape (z, y, x).

    Parameters
    ----------
    inside
        A mask, or a field such as a share or a density whose border lies at ``level``.
    spacing_mm
        z, y, x.
    """
    values = np.asarray(inside, dtype=np.float32)
    above = values > level
    volume = float(above.sum() * np.prod(spacing_mm))
    boxed = box_of(above)
    cut = values[boxed]
    low = float(min(values.min(), level - 1.0))
    # a rim of outside, so that the outline closes at the field's edge
    padded = np.pad(cut, 1, constant_values=low if level != 0.5 else 0.0)
    found = {
        p: _on_plane(padded, p, spacing_mm, level, [b.start - 1 for b in boxed]) for p in PLANES
    }
    by_plane: dict[Plane, Diameters] = {p: d for p, d in found.items() if d is not None}
    longest = max((d.longest_mm for d in by_plane.values()), default=0.0)
    return Size(volume_mm3=volume, longest_mm=longest, by_plane=by_plane)


def _on_plane(
    values: npt.NDArray[np.float32],
    plane: Plane,
    spacing_mm: tuple[float, float, float],
    level: float,
    start: list[int],
) -> Diameters | None:
    across, rows, columns = _AXES[plane]
    scale = np.array([spacing_mm[rows], spacing_mm[columns]])
    first = np.array([start[rows], start[columns]])
    best, number, outline = 0.0, -1, np.zeros((0, 2))
    ends = np.zeros((2, 2))
    stack = np.moveaxis(values, across, 0)
    for k, picture in enumerate(stack):
        if picture.max() <= level:
            continue
        points = np.concatenate([(o + first) * scale for o in find_contours(picture, level)])
        longest, own = _longest(points)
        if longest > best:
            best, ends, number, outline = longest, own, k, points
    if number < 0:
        return None
    across_mm, across_ends = _across(outline, ends)
    return Diameters(
        plane=plane,
        longest_mm=best,
        perpendicular_mm=across_mm,
        slice_index=number + start[across],
        ends_mm=ends,
        across_ends_mm=across_ends,
    )


def _hull(points: Floats) -> Floats:
    try:
        return np.asarray(points[ConvexHull(points).vertices])
    except QhullError:  # on a line, or fewer than three points
        return points


def _longest(points: Floats) -> tuple[float, Floats]:
    hull = _hull(points)
    apart = np.linalg.norm(hull[:, None] - hull[None], axis=-1)
    i, j = np.unravel_index(np.argmax(apart), apart.shape)
    return float(apart[i, j]), hull[[int(i), int(j)]]


def _across(points: Floats, ends: Floats) -> tuple[float, Floats]:
    """Longest chord of the hull at right angles to the diameter, and its ends."""
    along = ends[1] - ends[0]
    length = float(np.linalg.norm(along))
    if length == 0:
        return 0.0, ends
    along = along / length
    normal = np.array([-along[1], along[0]])
    hull = _hull(points)
    ring = np.vstack([hull, hull[:1]])
    at, high = (ring - ends[0]) @ along, (ring - ends[0]) @ normal
    places = np.linspace(float(at.min()), float(at.max()), 201)[:, None]
    start, step = at[:-1], np.diff(at)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = (places - start) / step
    crossed = (step != 0) & (share >= 0) & (share <= 1)
    height = high[:-1] + np.where(crossed, share, 0.0) * np.diff(high)
    top = np.where(crossed, height, -np.inf).max(axis=1)
    bottom = np.where(crossed, height, np.inf).min(axis=1)
    widest = int(np.argmax(top - bottom))
    foot = ends[0] + places[widest, 0] * along
    chord = np.stack([foot + bottom[widest] * normal, foot + top[widest] * normal])
    return float(top[widest] - bottom[widest]), chord
