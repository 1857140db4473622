"""The solid part of a lesion: its size, the consolidation-to-tumour ratio, pure ground glass.

Solid is what is above a CT number within the lesion, −160 HU by default and −250, −300, −350 HU
beside it, for papers differ. Only a body counts, not noise or a small vessel: the largest connected
part, and one that holds a ball of 2 mm. Where its border is sharp the scanner blurs it, and a
threshold far from the middle between both sides draws it in or out by half a millimetre: the border
is put half-way between the solid part's density and that of the ground glass round it, but never
more than 1 mm from where the threshold is crossed. "Pure ground glass" is a statement with three
answers: no solid part above 2 mm at any threshold, one at every threshold, or it depends.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from metasight.errors import VolumeError
from metasight.lesions.size import Size, size_of, size_of_array
from metasight.volumes.volume import Mask, Volume

Booleans = npt.NDArray[np.bool_]
Floats32 = npt.NDArray[np.float32]
Attenuation = Literal["solid", "part-solid", "pure ground glass", "undecided"]
Answer = Literal["yes", "no", "depends on the threshold"]

SOLID_HU: tuple[float, ...] = (-160.0, -250.0, -300.0, -350.0)
"""The first is the one that the CTR of a protocol means unless it says otherwise."""
SOLID_PART_MM = 2.0

_FINE_MM = 0.5
_OUTSIDE_HU = -2000.0
_BLUR_MM = 1.5
_FREE_MM = 1.0
_SPECK = 0.05
_NOISE_MM = 0.5
_WHOLE = 0.95


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
        Three-state, see the module.
    attenuation
        From the first threshold: ``solid`` from a CTR of 0.95 on, ``pure ground glass`` where
        that holds at every threshold, ``undecided`` where it depends.
    """

    whole: Size
    parts: tuple[SolidPart, ...]
    pure_ground_glass: Answer
    attenuation: Attenuation

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
    density, spacing = _finer(scan, mask)
    parts = tuple(_part(density, spacing, whole, hu) for hu in thresholds_hu)
    there = [p.longest_mm > SOLID_PART_MM for p in parts]
    pure: Answer = "no" if all(there) else "yes" if not any(there) else "depends on the threshold"
    attenuation: Attenuation = "part-solid"
    if parts[0].ctr >= _WHOLE:
        attenuation = "solid"
    elif pure == "yes":
        attenuation = "pure ground glass"
    elif pure != "no":
        attenuation = "undecided"
    return Solidity(whole=whole, parts=parts, pure_ground_glass=pure, attenuation=attenuation)


def _finer(scan: Volume, mask: Mask) -> tuple[Floats32, tuple[float, float, float]]:
    """Density round the lesion on about 0.5 mm, −2000 HU outside the lesion."""
    inside = mask.array
    ends = [np.flatnonzero(inside.any(axis=tuple(a for a in range(3) if a != k)))
            for k in range(3)]  # fmt: skip
    box = tuple(slice(max(int(e[0]) - 2, 0), int(e[-1]) + 3) for e in ends)
    spacing = scan.spacing_zyx_mm
    cut = ndimage.gaussian_filter(scan.array[box], [_NOISE_MM / s for s in spacing])
    within = np.asarray(inside[box])
    # what lies outside takes the nearest density inside, so that the border of the lesion is the
    # mask's and interpolation does not draw the lung in
    _, nearest = ndimage.distance_transform_edt(~within, sampling=spacing, return_indices=True)
    cut = cut[tuple(nearest)]
    times = [max(1.0, s / _FINE_MM) for s in spacing]
    size = [max(1, round((n - 1) * t) + 1) for n, t in zip(cut.shape, times, strict=True)]
    axes = [np.linspace(0, n - 1, m) for n, m in zip(cut.shape, size, strict=True)]
    at = np.stack(np.meshgrid(*axes, indexing="ij"))
    fine = ndimage.map_coordinates(cut, at, order=1, output=np.float32)
    share = ndimage.map_coordinates(within.astype(np.float32), at, order=1)
    fine = np.where(share >= 0.5, fine, np.float32(_OUTSIDE_HU))
    step = [
        (n - 1) * s / (m - 1) if m > 1 else s
        for n, m, s in zip(cut.shape, size, spacing, strict=True)
    ]
    return fine, (step[0], step[1], step[2])


def _part(
    density: Floats32, spacing: tuple[float, float, float], whole: Size, threshold_hu: float
) -> SolidPart:
    labels, n = ndimage.label(density > threshold_hu)
    if n == 0:
        return _none(threshold_hu)
    size = np.bincount(labels.ravel())
    size[0] = 0
    core = labels == int(np.argmax(size))
    depth = ndimage.distance_transform_edt(np.pad(core, 1), sampling=spacing)
    if depth.max() < SOLID_PART_MM / 2:
        return _none(threshold_hu)
    bordered = _bordered(density, core, spacing)
    if bordered is None:
        return SolidPart(
            threshold_hu=threshold_hu, longest_mm=whole.longest_mm,
            perpendicular_mm=whole.longest.perpendicular_mm, volume_mm3=whole.volume_mm3,
            ctr=1.0, ctr_volume=1.0,
        )  # fmt: skip
    field, level = bordered
    found = size_of_array(field, spacing, level=level)
    longest = found.longest
    return SolidPart(
        threshold_hu=threshold_hu, longest_mm=longest.longest_mm,
        perpendicular_mm=longest.perpendicular_mm, volume_mm3=found.volume_mm3,
        ctr=float(min(longest.longest_mm / whole.longest_mm, 1.0)),
        ctr_volume=float(min(found.volume_mm3 / whole.volume_mm3, 1.0)),
    )  # fmt: skip


def _none(threshold_hu: float) -> SolidPart:
    return SolidPart(threshold_hu=threshold_hu, longest_mm=0.0, perpendicular_mm=0.0,
                     volume_mm3=0.0, ctr=0.0, ctr_volume=0.0)  # fmt: skip


def _bordered(
    density: Floats32, core: Booleans, spacing: tuple[float, float, float]
) -> tuple[Floats32, float] | None:
    """A field and the level at which the solid part ends in it.

    None where no ground glass is left beyond the blur: the solid part is the lesion then.
    """
    lesion = density > _OUTSIDE_HU + 1
    away = ndimage.distance_transform_edt(~core, sampling=spacing)
    ground_glass = lesion & (away > _BLUR_MM)
    if ground_glass.sum() < _SPECK * lesion.sum():
        return None
    inner = ndimage.distance_transform_edt(core, sampling=spacing) > _BLUR_MM
    solid_hu = float(np.median(density[inner if inner.any() else core]))
    level = (solid_hu + float(np.median(density[ground_glass]))) / 2
    # within the millimetre both ways the half-way level decides, beyond it the threshold
    sure = ndimage.distance_transform_edt(core, sampling=spacing) > _FREE_MM
    field = np.where(sure, np.float32(max(solid_hu, level + 1)), density)
    field = np.where(away > _FREE_MM, np.float32(_OUTSIDE_HU), field)
    return field.astype(np.float32), level
