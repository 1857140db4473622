"""The solid part of a lesion: its size, the consolidation-to-tumour ratio, pure ground glass.

Solid is what is above a CT number within the lesion, −160 HU by default and −250, −300, −350 HU
beside it, for papers differ. Its border is found between voxels. Only a body counts, not single
voxels of noise: the largest connected part. "Pure ground glass" is a statement with three answers:
no solid part above 2 mm at any threshold, one at every threshold, or it depends.
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

Floats32 = npt.NDArray[np.float32]
Attenuation = Literal["solid", "part-solid", "pure ground glass", "undecided"]
Answer = Literal["yes", "no", "depends on the threshold"]

SOLID_HU: tuple[float, ...] = (-160.0, -250.0, -300.0, -350.0)
"""The first is the one that the CTR of a protocol means unless it says otherwise."""
SOLID_PART_MM = 2.0

_FINE_MM = 0.5
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
    cut = scan.array[box].astype(np.float32)
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
    fine = np.where(share >= 0.5, fine, np.float32(-2000))
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
        return SolidPart(threshold_hu=threshold_hu, longest_mm=0.0, perpendicular_mm=0.0,
                         volume_mm3=0.0, ctr=0.0, ctr_volume=0.0)  # fmt: skip
    size = np.bincount(labels.ravel())
    size[0] = 0
    only = labels == int(np.argmax(size))
    near = ndimage.binary_dilation(only)
    found = size_of_array(np.where(near, density, np.float32(-2000)), spacing, level=threshold_hu)
    longest = found.longest
    return SolidPart(
        threshold_hu=threshold_hu, longest_mm=longest.longest_mm,
        perpendicular_mm=longest.perpendicular_mm, volume_mm3=found.volume_mm3,
        ctr=float(min(longest.longest_mm / whole.longest_mm, 1.0)),
        ctr_volume=float(min(found.volume_mm3 / whole.volume_mm3, 1.0)),
    )  # fmt: skip
