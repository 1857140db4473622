"""What of a lesion a solid body and its blur do not explain: ground glass, and none of the margin.

The border of a solid body is no step: point spread and slice thickness smear it over a millimetre
or two, and an outline drawn by hand holds a margin of lung. Both are darker than a threshold of the
solid part without being ground glass. So the picture that a solid body in lung would give is made:
what is denser than half-way between lung and body is the body, blurred by a Gaussian whose widths
in the slice and across slices are those that fit the *inner* side of the body's own border best (a
blur is the same on both sides of an edge, ground glass lies on the outer one alone). What is
neither lung, nor above the threshold, nor as that picture has it, is ground glass.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from metasight.lesions.size import Size, size_of_array
from metasight.volumes.box import box_of
from metasight.volumes.distance import Spacing, depth_in, distance_to
from metasight.volumes.volume import Mask, Volume

Booleans = npt.NDArray[np.bool_]
Floats32 = npt.NDArray[np.float32]

LUNG_HU = -850.0
"""Of lung, where none is near."""
GROUND_GLASS_HU = -600.0
TELLS_HU = (GROUND_GLASS_HU - LUNG_HU) / 2
"""Half of what tells ground glass from lung: less is lung's own unevenness."""
SOFT_HU = 40.0
"""Brighter is calcium or contrast: a border is not half-way to that."""

_FINE_MM, _COARSE_MM = 0.6, 1.5
_FINE_SHARE = 1 / 60  # of the longest diameter
_MARGIN_MM = 8.0
_NOISE_MM = 0.5
_RING_MM = (3.0, 8.0)
_FEWEST_OF_LUNG = 50
_INNER_MM = 1.5
_FIT_MM = 3.0
_IN_PLANE_MM = (0.5, 0.7, 0.9, 1.1, 1.3)
_ACROSS_MM = (0.5, 0.8, 1.1, 1.4, 1.7, 2.0)
_BEYOND_MM = (1.0, 2.5)


@dataclass(frozen=True, kw_only=True)
class Rim:
    """What surrounds a lesion's solid part.

    Attributes
    ----------
    share
        Of the lesion's volume that is ground glass: denser than lung, below the threshold, and not
        explained by a solid body's blur; within [0, 1].
    share_at_most
        The same if the body's border is not off by anything.
    beyond
        Share of the outline's surroundings that is such ground glass, within [0, 1]: what is left
        out of the outline.
    in_plane_mm, across_mm
        Standard deviations of the blur in the slice and across slices.
    lung_hu, solid_hu
        Of both sides of the border.
    """

    share: float
    share_at_most: float
    beyond: float
    in_plane_mm: float
    across_mm: float
    lung_hu: float
    solid_hu: float


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """A lesion and 8 mm about it on voxels of about 0.6 mm.

    Attributes
    ----------
    hu
        Freed of a little noise.
    lesion
        Within the outline.
    spacing_mm
        z, y, x.
    lung_hu
        Density of aerated lung beside the lesion: the lower quartile of a ring about it.
    """

    hu: Floats32
    lesion: Booleans
    spacing_mm: Spacing
    lung_hu: float


def surroundings_of(scan: Volume, mask: Mask, whole: Size) -> Surroundings:
    """Cut a lesion with what is about it out of a scan, in HU, that the mask is on."""
    spacing = scan.spacing_zyx_mm
    box = box_of(mask.array, _voxels(_MARGIN_MM, spacing))
    sharp, within = scan.array[box], np.asarray(mask.array[box])
    fine_mm = float(np.clip(whole.longest_mm * _FINE_SHARE, _FINE_MM, _COARSE_MM))
    times = [s / fine_mm for s in spacing]
    axes = [
        np.linspace(0, n - 1, max(2, round((n - 1) * t) + 1)) if n > 1 else np.zeros(1)
        for n, t in zip(within.shape, times, strict=True)
    ]
    at = np.stack(np.meshgrid(*axes, indexing="ij"))
    smooth = ndimage.gaussian_filter(sharp, [_NOISE_MM / s for s in spacing])
    hu = ndimage.map_coordinates(smooth, at, order=1, output=np.float32, mode="nearest")
    share = ndimage.map_coordinates(within.astype(np.float32), at, order=1, mode="nearest")
    z, y, x = (
        s * (n - 1) / max(len(a) - 1, 1) if n > 1 else s
        for s, n, a in zip(spacing, within.shape, axes, strict=True)
    )
    lesion = share >= 0.5
    away = distance_to(lesion, (z, y, x))
    ring = hu[(away > _RING_MM[0]) & (away <= _RING_MM[1]) & (hu < -500)]
    # vessels, wall and blur make a part of the ring brighter, nothing makes it darker
    lung_hu = float(np.quantile(ring, 0.25)) if ring.size >= _FEWEST_OF_LUNG else LUNG_HU
    return Surroundings(hu=hu, lesion=lesion, spacing_mm=(z, y, x), lung_hu=lung_hu)


def _voxels(mm: float, spacing: Spacing) -> tuple[int, int, int]:
    z, y, x = (int(np.ceil(mm / s)) for s in spacing)
    return z, y, x


def rim_of(around: Surroundings, threshold_hu: float) -> Rim | None:
    """Ground glass in and beside an outline.

    Parameters
    ----------
    around
        Of :func:`surroundings_of`.
    threshold_hu
        Above it is solid.

    Returns
    -------
    Rim
        None where nothing in the outline is above the threshold, or no border is in sight.
    """
    lung_hu, lesion = around.lung_hu, around.lesion
    hu = np.minimum(around.hu, np.float32(SOFT_HU))
    core = lesion & (hu > threshold_hu)
    if not core.any():
        return None
    inner = depth_in(np.pad(core, 1), around.spacing_mm)[1:-1, 1:-1, 1:-1] > _INNER_MM
    solid_hu = float(np.median(hu[inner])) if inner.any() else float(np.max(hu[core]))
    body = hu > (solid_hu + lung_hu) / 2
    away = distance_to(lesion, around.spacing_mm)
    inside = body & (away <= _FIT_MM) & (depth_in(body, around.spacing_mm) <= _FIT_MM)
    if not inside.any():
        return None
    picture, in_plane, across = _blurred(around, body, inside, solid_hu, plateau=bool(inner.any()))
    between = (hu <= threshold_hu) & (hu > lung_hu + TELLS_HU)
    # a body's border is placed on whole voxels: off by their standard deviation
    place_mm = float(np.mean(around.spacing_mm)) / np.sqrt(12)
    ground_glass = between & _unlike(around, picture, place_mm)
    at_most = between & _unlike(around, picture, 0.0)
    shell = (away > _BEYOND_MM[0]) & (away <= _BEYOND_MM[1])
    return Rim(
        share=float((ground_glass & lesion).sum() / lesion.sum()),
        share_at_most=float((at_most & lesion).sum() / lesion.sum()),
        beyond=float(ground_glass[shell].mean()) if shell.any() else 0.0,
        in_plane_mm=in_plane,
        across_mm=across,
        lung_hu=lung_hu,
        solid_hu=solid_hu,
    )


def _unlike(around: Surroundings, picture: Floats32, place_mm: float) -> Booleans:
    """Where the scan is not as the picture has it, the border ``place_mm`` off or not."""
    steep = np.zeros_like(picture)
    for axis, step in enumerate(around.spacing_mm):
        if picture.shape[axis] > 1:
            steep += np.gradient(picture, step, axis=axis) ** 2
    slope = np.sqrt(steep)
    off = np.minimum(around.hu, np.float32(SOFT_HU)) - picture
    return np.asarray(np.abs(off) > TELLS_HU + place_mm * slope)


def without_lung(around: Surroundings) -> float:
    """Longest diameter of what in the outline is denser than lung, mm; 0 where nothing is."""
    dense = around.lesion & (around.hu > around.lung_hu + TELLS_HU)
    return size_of_array(dense, around.spacing_mm).longest_mm if dense.any() else 0.0


def _blurred(
    around: Surroundings, body: Booleans, inside: Booleans, solid_hu: float, *, plateau: bool
) -> tuple[Floats32, float, float]:
    """The body's picture, and the widths of the blur that fit its inner side.

    A body without a plateau is a small one: the blur has taken from its height as well.
    """
    hu = np.minimum(around.hu, np.float32(SOFT_HU))
    lung_hu, spacing = around.lung_hu, around.spacing_mm
    best: tuple[float, Floats32, float, float] | None = None
    whole = body.astype(np.float32)
    for in_plane in _IN_PLANE_MM:
        flat = ndimage.gaussian_filter(whole, [0.0, in_plane / spacing[1], in_plane / spacing[2]])
        for across in (a for a in _ACROSS_MM if a >= in_plane - 0.21):
            share = ndimage.gaussian_filter1d(flat, across / spacing[0], axis=0)
            top = 1.0 if plateau else max(float(share[inside].max()), 0.2)
            picture = (lung_hu + (solid_hu - lung_hu) / top * share).astype(np.float32)
            off = float(np.abs(hu[inside] - picture[inside]).mean())
            if best is None or off < best[0]:
                best = off, picture, in_plane, across
    assert best is not None  # noqa: S101 (the grid is not empty)
    return best[1:]
