"""The solid part of a lesion: its size, the consolidation-to-tumour ratio, pure ground glass.

Solid is what is above a CT number within the lesion, −160 HU by default and −250, −300, −350 HU
beside it, for papers differ. Only a body counts, not noise or a small vessel: the largest connected
part, and one that holds a ball of 2 mm. Where its border is sharp the scanner blurs it, and a
threshold far from the middle between both sides draws it in or out by half a millimetre: the border
is put half-way between the solid part's density and that of the ground glass round it, but never
more than 1 mm from where the threshold is crossed. What is darker than the threshold and is
explained by the blur of a solid body, or is lung in the outline's margin, is no ground glass
(`metasight.lesions.rim`): a lesion without other ground glass is solid.

"Pure ground glass" is said of a lesion that has no solid part above 2 mm at any threshold and no
spot as bright as one of 3 mm would leave (`metasight.lesions.hidden_core`). Where thresholds
disagree, slices hide what would decide, or the solid part is as small as a voxel or as long and
thin as a vessel, the answer says so and the class is undecided. The CTR has the range that
thresholds, a voxel's error of its border and such doubts leave.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from metasight.errors import VolumeError
from metasight.lesions.hidden_core import HIDDEN_MM, least_brightest_hu
from metasight.lesions.rim import Rim, rim_of, surroundings_of, without_lung
from metasight.lesions.size import Size, size_of, size_of_array
from metasight.volumes.box import box_of
from metasight.volumes.distance import Spacing, depth_in, distance_to
from metasight.volumes.volume import Mask, Volume

Booleans = npt.NDArray[np.bool_]
Floats32 = npt.NDArray[np.float32]
Attenuation = Literal["solid", "part-solid", "pure ground glass", "undecided"]
Bordered = tuple[Floats32, float]
Answer = Literal["yes", "no", "depends on the threshold", "cannot be told"]

SOLID_HU: tuple[float, ...] = (-160.0, -250.0, -300.0, -350.0)
"""The first is the one that the CTR of a protocol means unless it says otherwise."""
SOLID_PART_MM = 2.0

_FINE_MM, _COARSE_MM = 0.5, 1.0
_FINE_SHARE = 0.01  # of the longest diameter: finer than that no ratio needs
_OUTSIDE_HU = -2000.0
_BLUR_MM = 1.5
_FREE_MM = 1.0
_SPECK = 0.05
_NOISE_MM = 0.5
_WHOLE = 0.95
_SOFT_HU = 40.0
_STANDS_OUT = 5.0
_MOST_EXPLAINED = 1 - _WHOLE**3
"""Ground glass of a lesion that is solid by its diameters, as a share of its volume."""
_BEYOND = 0.5
_TUBE = 2.0
"""Longest over middle axis: a tube that a lesion holds a piece of has more."""
_VESSEL_MM = 5.0
"""Thicker are vessels of the hilum only; four standard deviations are a cylinder's diameter."""
_FEWEST = 4
_THICK_MM = SOLID_PART_MM  # slices further apart hide a body of that size


@dataclass(frozen=True, kw_only=True)
class SolidPart:
    """The solid part at one threshold.

    Attributes
    ----------
    threshold_hu
        Above it is solid.
    longest_mm, perpendicular_mm
        Diameters on the plane where the longest is; 0 without a solid part.
    volume_mm3
        Of the connected part.
    ctr, ctr_volume
        Over the whole lesion's longest diameter, and volume; within [0, 1].
    """

    threshold_hu: float
    longest_mm: float
    perpendicular_mm: float
    volume_mm3: float
    ctr: float
    ctr_volume: float


@dataclass(frozen=True, kw_only=True)
class Solidity:
    """Solid part at every threshold, and what follows.

    Attributes
    ----------
    whole
        Sizes of the lesion.
    parts
        By threshold, in the order asked for.
    pure_ground_glass
        Three-state and "cannot be told", see the module.
    attenuation
        ``solid`` from a CTR of 0.95 on at the first threshold (by volume its cube) or without
        ground glass that a solid body's blur does not explain, ``pure ground glass`` where that is
        said, ``undecided`` where it is not known, and why is in ``doubts``.
    ctr_lower, ctr_upper
        What the CTR at the first threshold could be: over thresholds, an error of a voxel in
        the diameters, and the doubts; within [0, 1]. A range, without a probability.
    doubts
        Why the class or the answer is undecided, a line each; empty where neither is.
    """

    whole: Size
    parts: tuple[SolidPart, ...]
    pure_ground_glass: Answer
    attenuation: Attenuation
    ctr_lower: float
    ctr_upper: float
    doubts: tuple[str, ...]

    @property
    def main(self) -> SolidPart:
        """At the first threshold."""
        return self.parts[0]


def solidity_of(
    scan: Volume, lesion: Mask, *, thresholds_hu: tuple[float, ...] = SOLID_HU
) -> Solidity:
    """Measure the solid part of a lesion.

    Parameters
    ----------
    scan
        CT in HU.
    lesion
        On its grid.
    thresholds_hu
        At least one.

    Raises
    ------
    VolumeError
        The mask is off the scan's grid, or no threshold is given.
    """
    scan.require("HU")
    mask = lesion.on(scan)
    if not thresholds_hu:
        raise VolumeError("no threshold of the solid part is given", where="solid part")
    whole = size_of(mask)
    density = _finer(scan, mask, whole.longest_mm)
    measured = tuple(_part(density, whole, hu) for hu in thresholds_hu)
    around = surroundings_of(scan, mask, whole)
    rim = rim_of(around, thresholds_hu[0])
    voxel_mm = max(scan.spacing_mm)
    found = _judged(density, whole, measured, rim)
    lower, upper = _ctr_range(measured, whole, without_lung(around), voxel_mm)
    return replace(
        found, ctr_lower=min(lower, found.ctr_lower), ctr_upper=max(upper, found.ctr_upper)
    )


def _judged(
    density: _Density,
    whole: Size,
    parts: tuple[SolidPart, ...],
    rim: Rim | None,
) -> Solidity:
    """Class and answer, the CTR as far as they leave it."""
    across_mm = density.voxel_mm[0]
    there = [p.longest_mm > SOLID_PART_MM for p in parts]
    pure: Answer = "no" if all(there) else "yes" if not any(there) else "depends on the threshold"
    main = parts[0]
    lower = upper = main.ctr
    doubts: list[str] = []
    # by its volume too: a vessel right through ground glass is as long as the lesion
    solid = main.ctr >= _WHOLE and main.ctr_volume >= _WHOLE**3
    if rim is not None and main.ctr > 0 and not solid:
        solid = rim.share <= _MOST_EXPLAINED
        if solid and rim.share_at_most > _MOST_EXPLAINED and across_mm > _THICK_MM:
            solid, upper = False, 1.0
            doubts.append(
                f"slices {across_mm:.1f} mm apart do not tell ground glass round the solid "
                "part from its blur"
            )
        elif solid:
            parts = tuple(_all_of(p, whole) if p.longest_mm > 0 else p for p in parts)
    if rim is not None and rim.beyond > _BEYOND:
        lower = 0.0
        doubts.append("ground glass goes on outside the outline")
    if pure == "yes":
        hidden = _hidden(density)
        if hidden:
            pure, upper = "cannot be told", min(HIDDEN_MM / whole.longest_mm, 1.0)
            doubts.append(hidden)
    elif pure == "depends on the threshold":
        lower = 0.0
        doubts.append("whether there is a solid part depends on the threshold")
    elif not solid:
        small = _doubtful(density, main)
        if small:
            pure, lower = "cannot be told", 0.0
            doubts.append(small)
    attenuation: Attenuation = "solid" if solid else "part-solid"
    if doubts:
        attenuation = "undecided"
    elif pure == "yes":
        attenuation = "pure ground glass"
    return Solidity(
        whole=whole,
        parts=parts,
        pure_ground_glass=pure,
        attenuation=attenuation,
        ctr_lower=min(lower, parts[0].ctr),
        ctr_upper=max(upper, parts[0].ctr),
        doubts=tuple(doubts),
    )


def _all_of(part: SolidPart, whole: Size) -> SolidPart:
    """The solid part is the lesion."""
    return replace(
        part,
        longest_mm=whole.longest_mm,
        perpendicular_mm=whole.longest.perpendicular_mm,
        volume_mm3=whole.volume_mm3,
        ctr=1.0,
        ctr_volume=1.0,
    )


def _ctr_range(
    parts: tuple[SolidPart, ...], whole: Size, dense_mm: float, voxel_mm: float
) -> tuple[float, float]:
    """Over thresholds, each end of a diameter half a voxel off, with and without lung's margin."""
    least_mm = min(max(dense_mm, parts[0].longest_mm), whole.longest_mm)
    ends = []
    for part in parts:
        if part.longest_mm == 0:
            ends += [0.0]
            continue
        ends += [
            float(np.clip((part.longest_mm - voxel_mm) / whole.longest_mm, 0, 1)),
            float(np.clip((part.longest_mm + voxel_mm) / least_mm, 0, 1)),
        ]
    return min(ends), max(ends)


def _hidden(density: _Density) -> str:
    """Why a solid part of 3 mm may be there though none is seen; empty where it is not."""
    hu = density.smooth[density.lesion]
    usual = float(np.median(hu))
    noise = 1.4826 * float(np.median(np.abs(hu - usual)))
    least = least_brightest_hu(usual, noise, density.voxel_mm, _NOISE_MM)
    labels, n = ndimage.label(density.smooth > (usual + least) / 2)
    peaks = ndimage.maximum(density.smooth, labels, np.arange(1, n + 1)) if n else np.zeros(0)
    bright = [k + 1 for k, peak in enumerate(peaks) if peak >= least]
    if all(_is_tube(labels == k, density.spacing_mm) for k in bright):
        return ""
    return (
        f"a spot of {np.max(peaks):.0f} HU may be a solid part of {HIDDEN_MM:g} mm: between slices "
        f"{density.voxel_mm[0]:.1f} mm apart one need not exceed {least:.0f} HU"
    )


def _is_tube(body: Booleans, spacing_mm: Spacing) -> bool:
    """Whether a body is drawn out along one axis as vessels are."""
    points = np.argwhere(body) * np.array(spacing_mm)
    if len(points) < _FEWEST:
        return False
    # the twelfth of a voxel's square: a body of one voxel has a size too
    own = np.diag(np.square(spacing_mm)) / 12
    axes = np.sqrt(np.linalg.eigvalsh(np.cov(points.T, bias=True) + own))
    return bool(axes[2] > _TUBE * axes[1] and 4 * axes[1] <= _VESSEL_MM)


def _doubtful(density: _Density, main: SolidPart) -> str:
    """Why the solid part may be none; empty where it is one."""
    if main.longest_mm - max(density.voxel_mm) <= SOLID_PART_MM:
        return f"the solid part, {main.longest_mm:.1f} mm, is {SOLID_PART_MM:g} mm within a voxel"
    if _is_tube(_largest(density.smooth > main.threshold_hu), density.spacing_mm):
        return "the solid part is as long and thin as a vessel"
    return ""


@dataclass(frozen=True, kw_only=True)
class _Density:
    """Density in the lesion, −2000 HU outside it: freed of a little noise, and as scanned."""

    smooth: Floats32
    sharp: Floats32
    spacing_mm: Spacing
    voxel_mm: Spacing
    """Of the scan, z, y, x."""

    @property
    def lesion(self) -> Booleans:
        return np.asarray(self.smooth > _OUTSIDE_HU + 1)


def _finer(scan: Volume, mask: Mask, longest_mm: float) -> _Density:
    """The lesion on about 0.5 mm, on up to 1 mm in masses."""
    inside = mask.array
    box = box_of(inside, (2, 2, 2))
    spacing = scan.spacing_zyx_mm
    within = np.asarray(inside[box])
    # what lies outside takes the nearest density inside, so that the border of the lesion is the
    # mask's and interpolation does not draw the lung in
    _, nearest = ndimage.distance_transform_edt(~within, sampling=spacing, return_indices=True)
    fine_mm = float(np.clip(longest_mm * _FINE_SHARE, _FINE_MM, _COARSE_MM))
    # whole numbers, so that the scan's own voxels are among the finer ones: the brightest of a
    # small body is not interpolated away
    times = [max(1, round(s / fine_mm)) for s in spacing]
    axes = [np.arange((n - 1) * t + 1) / t for n, t in zip(within.shape, times, strict=True)]
    at = np.stack(np.meshgrid(*axes, indexing="ij"))
    share = ndimage.map_coordinates(within.astype(np.float32), at, order=1)

    def finer(hu: Floats32) -> Floats32:
        fine = ndimage.map_coordinates(hu[tuple(nearest)], at, order=1, output=np.float32)
        return np.where(share >= 0.5, fine, np.float32(_OUTSIDE_HU))

    sharp = scan.array[box]
    z, y, x = (s / t for s, t in zip(spacing, times, strict=True))
    return _Density(
        smooth=finer(ndimage.gaussian_filter(sharp, [_NOISE_MM / s for s in spacing])),
        sharp=finer(sharp),
        spacing_mm=(z, y, x),
        voxel_mm=spacing,
    )


def _part(density: _Density, whole: Size, threshold_hu: float) -> SolidPart:
    core = _largest(density.smooth > threshold_hu)
    if depth_in(np.pad(core, 1), density.spacing_mm).max() >= SOLID_PART_MM / 2:
        bordered = _bordered(density, core)
        if bordered is None:
            return SolidPart(
                threshold_hu=threshold_hu,
                longest_mm=whole.longest_mm,
                perpendicular_mm=whole.longest.perpendicular_mm,
                volume_mm3=whole.volume_mm3,
                ctr=1.0,
                ctr_volume=1.0,
            )
    else:
        bordered = _small_body(density, threshold_hu)
        if bordered is None:
            return SolidPart(
                threshold_hu=threshold_hu,
                longest_mm=0.0,
                perpendicular_mm=0.0,
                volume_mm3=0.0,
                ctr=0.0,
                ctr_volume=0.0,
            )
    field, level = bordered
    found = size_of_array(field, density.spacing_mm, level=level)
    longest = found.longest
    # both are one outline where all is solid, drawn once with steps and once without
    longest_mm = min(longest.longest_mm, whole.longest_mm)
    volume_mm3 = min(found.volume_mm3, whole.volume_mm3)
    return SolidPart(
        threshold_hu=threshold_hu,
        longest_mm=longest_mm,
        perpendicular_mm=min(longest.perpendicular_mm, longest_mm),
        volume_mm3=volume_mm3,
        ctr=longest_mm / whole.longest_mm,
        ctr_volume=volume_mm3 / whole.volume_mm3,
    )


def _largest(region: Booleans) -> Booleans:
    labels, n = ndimage.label(region)
    if n == 0:
        return region
    size = np.bincount(labels.ravel())
    size[0] = 0
    return np.asarray(labels == int(np.argmax(size)))


def _bordered(density: _Density, core: Booleans) -> Bordered | None:
    """A field and the level at which the solid part ends in it.

    None where no ground glass is left beyond the blur: the solid part is the lesion then.
    """
    hu, lesion = density.smooth, density.lesion
    away = distance_to(core, density.spacing_mm)
    ground_glass = lesion & (away > _BLUR_MM)
    if ground_glass.sum() < _SPECK * lesion.sum():
        return None
    depth = depth_in(core, density.spacing_mm)
    inner = depth > _BLUR_MM
    solid_hu = float(np.median(hu[inner if inner.any() else core]))
    level = (solid_hu + float(np.median(hu[ground_glass]))) / 2
    # within the millimetre both ways the half-way level decides, beyond it the threshold
    field = np.where(depth > _FREE_MM, np.float32(max(solid_hu, level + 1)), hu)
    field = np.where(away > _FREE_MM, np.float32(_OUTSIDE_HU), field)
    return field.astype(np.float32), level


def _small_body(density: _Density, threshold_hu: float) -> Bordered | None:
    """A body that holds a ball of 2 mm though what is left of it above the threshold does not.

    The blur takes brightness from a body as small as itself, and its size at half its height is
    what stays. So it is looked for in the scan as it is, and must stand out of the ground glass:
    by five of its robust standard deviations, and past half-way to soft tissue.
    """
    labels, n = ndimage.label(density.sharp > threshold_hu)
    if n == 0:
        return None
    hu = density.smooth
    peaks = ndimage.maximum(hu, labels, np.arange(1, n + 1))
    core = labels == 1 + int(np.argmax(peaks))
    peak = float(np.max(peaks))
    away = distance_to(core, density.spacing_mm)
    ground_glass = hu[density.lesion & (away > _BLUR_MM)]
    if ground_glass.size < _SPECK * density.lesion.sum():
        return None
    usual = float(np.median(ground_glass))
    spread = 1.4826 * float(np.median(np.abs(ground_glass - usual)))
    if peak < max((usual + _SOFT_HU) / 2, usual + _STANDS_OUT * spread):
        return None
    level = (peak + usual) / 2
    field = np.where(away > _FREE_MM, np.float32(_OUTSIDE_HU), hu).astype(np.float32)
    if depth_in(np.pad(field > level, 1), density.spacing_mm).max() < SOLID_PART_MM / 2:
        return None
    return field, level
