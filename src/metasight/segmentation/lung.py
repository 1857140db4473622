"""Lungs and airways on CT, by air, anatomy and shape; no network is needed.

Air within the body at about 2 mm is found, trachea and bronchi are taken out of it, what is left
is parted into left and right, and each lung is closed over vessels (Hu, Hoffman and Reinhardt, IEEE
Trans Med Imaging 2001;20:490). Two masks come of it: the aerated lung, which a consolidated tumour
is not part of, and the lung with what its shape says belongs to it: tumours that lie against the
pleura or fill a part of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from metasight.errors import VolumeError
from metasight.segmentation.airways import find_airways
from metasight.volumes.blocks import block_means, repeated
from metasight.volumes.box import box_of
from metasight.volumes.distance import depth_in, distance_to
from metasight.volumes.volume import Mask, Volume

Booleans = npt.NDArray[np.bool_]
Floats32 = npt.NDArray[np.float32]

AIR_BELOW_HU = -400.0
"""Half-way between lung and soft tissue."""

_WORK_MM = 2.0
_LEAST_LUNG_ML = 200.0
_COARSER_FROM_MM = 12.0
_GAS_HU = -960.0  # lung holds blood and tissue, bowel does not
_LEAST_PART_ML = 40.0
_SHARE_OF_OTHER = 0.15  # a lung is no smaller than this share of the other
_VESSEL_MM = 6.0  # radius that closing bridges: hilar vessels stay out, those within the lung in
_TUMOUR_MM = 25.0  # radius that the second mask's closing bridges


@dataclass(frozen=True, kw_only=True)
class Lungs:
    """What was found, each on the scan's grid.

    Attributes
    ----------
    right, left
        Aerated lung with its vessels, airways out.
    right_whole, left_whole
        The same with consolidated parts that its outline takes in.
    airways
        Lumen of trachea and bronchi as far as they could be followed; None without a trachea.
    """

    right: Mask
    left: Mask
    right_whole: Mask
    left_whole: Mask
    airways: Mask | None


@dataclass(frozen=True, kw_only=True)
class _Work:
    """A coarser copy of the scan: slices from the feet up, patient's right at low x.

    ``row`` and ``column`` are where it starts, in its own voxels; ``middle`` and ``width`` are the
    body's, in columns from there.
    """

    hu: Floats32
    factor: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    row: int
    column: int
    middle: float
    width: float

    @property
    def voxel_ml(self) -> float:
        return float(np.prod(self.spacing_mm)) / 1000

    def closed(self, region: Booleans, radius_mm: float) -> Booleans:
        """Closing with a ball; the field's edge counts as outside. Not empty."""
        step = (1, 2, 2) if radius_mm > _COARSER_FROM_MM else (1, 1, 1)
        z, y, x = (s * k for s, k in zip(self.spacing_mm, step, strict=True))
        coarse = region[:: step[0], :: step[1], :: step[2]]
        pad = [int(np.ceil(radius_mm / s)) + 1 for s in (z, y, x)]
        box = box_of(coarse)
        wide = np.pad(coarse[box], [(p, p) for p in pad])
        grown = distance_to(wide, (z, y, x), most_mm=radius_mm) <= radius_mm
        back = depth_in(grown, (z, y, x)) > radius_mm
        whole = np.zeros(coarse.shape, dtype=np.uint8)
        whole[box] = back[tuple(slice(p, -p) for p in pad)]
        rows, columns = region.shape[1:]
        return np.asarray((repeated(whole, step)[:, :rows, :columns] > 0) | region)


def find_lungs(scan: Volume) -> Lungs:
    """Segment lungs and airways.

    Parameters
    ----------
    scan
        Chest CT in HU, slices along z.

    Returns
    -------
    Lungs

    Raises
    ------
    VolumeError
        The scan is not in HU, shows less than 200 ml of lung, or one lung only.
    """
    scan.require("HU")
    work, inside, outside = _air(scan)
    airways = find_airways(work.hu, inside, work.spacing_mm, middle=work.middle, width=work.width)
    parts = _two_lungs(work, inside & ~airways)
    blocked = airways | outside
    found = [
        _filled(work.closed(own, _VESSEL_MM)) & ~other & ~blocked
        for own, other in (parts, parts[::-1])
    ]
    whole = [
        lung | (_filled(work.closed(lung, _TUMOUR_MM)) & ~other & ~blocked)
        for lung, other in (found, found[::-1])
    ]
    names = ("right lung", "left lung")
    masks = [_fine(scan, work, f, n, airy=True) for f, n in zip(found, names, strict=True)]
    wide = [_fine(scan, work, w, n, airy=False) for w, n in zip(whole, names, strict=True)]
    return Lungs(
        right=masks[0],
        left=masks[1],
        right_whole=wide[0],
        left_whole=wide[1],
        airways=_fine(scan, work, airways, "airways", airy=True) if airways.any() else None,
    )


# ------------------------------------------------------------------ coarser and back


def _air(scan: Volume) -> tuple[_Work, Booleans, Booleans]:
    """The scan at about 2 mm, cropped to the air within the body; that air, and all other air."""
    spacing = scan.spacing_zyx_mm
    fz, fy, fx = (max(1, round(_WORK_MM / s)) for s in spacing)
    voxels = scan.array
    if min(n // k for n, k in zip(voxels.shape, (fz, fy, fx), strict=True)) < 8:
        raise VolumeError(
            "the scan has too few voxels for lungs",
            where="lungs",
            value=" × ".join(str(n) for n in voxels.shape),
        )
    hu = block_means(voxels, (fz, fy, fx))
    air = hu < AIR_BELOW_HU
    outside = _outside(air)
    inside = air & ~outside
    if not inside.any():
        raise VolumeError(
            "no lung was found",
            where="lungs",
            value="0 ml",
            remedy="Give a chest CT in HU, or a lung mask",
        )
    body = np.flatnonzero((hu > AIR_BELOW_HU).any(axis=(0, 1)))
    rows = np.flatnonzero(inside.any(axis=(0, 2)))
    columns = np.flatnonzero(inside.any(axis=(0, 1)))
    # even, so that what is done on every other voxel does not depend on where the air ends
    row, column = (max(int(e[0]) - 1, 0) // 2 * 2 for e in (rows, columns))
    box = np.s_[:, row : int(rows[-1]) + 2, column : int(columns[-1]) + 2]
    work = _Work(
        hu=np.ascontiguousarray(hu[box]),
        factor=(fz, fy, fx),
        spacing_mm=(spacing[0] * fz, spacing[1] * fy, spacing[2] * fx),
        row=row,
        column=column,
        middle=float(body.mean()) - column,
        width=float(np.ptp(body)),
    )
    return work, np.ascontiguousarray(inside[box]), np.ascontiguousarray(outside[box])


def _fine(scan: Volume, work: _Work, region: Booleans, name: str, *, airy: bool) -> Mask:
    """A coarse region, and one voxel more, on the scan's grid.

    ``airy``: of its outermost voxels on both sides only those of air belong to it.
    """
    region = np.pad(region, ((0, 0), (1, 1), (1, 1)))  # dilation may leave the crop by one
    box = box_of(region, (1, 1, 1))
    near = region[box]
    cross = ndimage.generate_binary_structure(3, 1)
    sure = ndimage.binary_erosion(np.pad(near, 1, mode="constant"), cross)[1:-1, 1:-1, 1:-1]
    code = ndimage.binary_dilation(near, cross).astype(np.uint8) + sure
    own = repeated(code, work.factor)
    start = np.array([box[0].start, box[1].start + work.row - 1, box[2].start + work.column - 1])
    first = start * work.factor
    whole = np.zeros(scan.array.shape, dtype=np.bool_)
    # a crop at the scan's edge has one row more than the scan
    own = own[:, max(-int(first[1]), 0) :, max(-int(first[2]), 0) :]
    z, y, x = (
        slice(max(int(f), 0), max(int(f), 0) + n) for f, n in zip(first, own.shape, strict=True)
    )
    part = whole[z, y, x]
    own = own[: part.shape[0], : part.shape[1], : part.shape[2]]
    if airy:
        part[...] = (own == 2) | ((own == 1) & (scan.array[z, y, x] < AIR_BELOW_HU))
    else:
        part[...] = own > 0
    return Mask.from_array(whole, on=scan, name=name)


# ------------------------------------------------------------------ air, two lungs


def _outside(air: Booleans) -> Booleans:
    """Air that reaches the sides of the field: round the patient, and beyond the circle."""
    labels, n = ndimage.label(air)
    sides = [labels[:, 0], labels[:, -1], labels[:, :, 0], labels[:, :, -1]]
    touching = np.zeros(n + 1, dtype=np.bool_)
    for side in sides:
        touching[side.ravel()] = True
    touching[0] = False
    return np.asarray(touching[labels])


def _two_lungs(work: _Work, air: Booleans) -> tuple[Booleans, Booleans]:
    """Right and left; joined ones are parted where they are thinnest."""
    labels, n = ndimage.label(air)
    size = np.bincount(labels.ravel(), minlength=n + 1) * work.voxel_ml
    gas = _is_gas(work, labels, n)
    size[0] = 0.0
    size[gas] = 0.0
    order = np.argsort(-size)
    if not size[order[0]] >= _LEAST_LUNG_ML:
        raise VolumeError(
            "no lung was found" + (": the air is that of stomach and bowel" if gas.any() else ""),
            where="lungs",
            value=f"{size[order[0]]:.0f} ml",
            remedy="Give a chest CT in HU, or a lung mask",
        )
    if n < 2 or size[order[1]] < _SHARE_OF_OTHER * size[order[0]]:
        first, second = _parted(work, labels == order[0])
    else:
        first, second = labels == order[0], labels == order[1]
    for number in order[size[order] >= _LEAST_PART_ML].tolist():
        part = labels == number
        if (part & (first | second)).any():
            continue
        near = [_apart(work, part, lung) for lung in (first, second)]
        if near[0] <= near[1]:
            first = first | part
        else:
            second = second | part
    x = [_middle(lung)[2] for lung in (first, second)]
    return (first, second) if x[0] < x[1] else (second, first)


def _is_gas(work: _Work, labels: npt.NDArray[np.int32], n: int) -> Booleans:
    """Which parts, (n + 1,), hold nothing but gas away from their walls: stomach and bowel."""
    within = np.where(ndimage.binary_erosion(labels > 0), labels, 0).ravel()
    voxels = np.bincount(within, minlength=n + 1)
    total = np.bincount(within, weights=work.hu.ravel(), minlength=n + 1)
    gas = total / np.maximum(voxels, 1) < _GAS_HU
    gas[0] = False
    return np.asarray(gas & (voxels > 0))


def _apart(work: _Work, part: Booleans, lung: Booleans) -> float:
    away = np.array(_middle(part)) - np.array(_middle(lung))
    return float(np.linalg.norm(away * work.spacing_mm))


def _middle(region: Booleans) -> list[float]:
    counts = [region.sum(axis=tuple(a for a in range(3) if a != k)) for k in range(3)]
    return [float(np.average(np.arange(len(c)), weights=c)) for c in counts]


def _parted(work: _Work, both: Booleans) -> tuple[Booleans, Booleans]:
    """Two lungs that touch: grown back from what erosion leaves of each."""
    depth = depth_in(both, work.spacing_mm)
    for radius in np.arange(1.0, 13.0, 1.0) * min(work.spacing_mm):
        labels, n = ndimage.label(depth > radius)
        size = np.bincount(labels.ravel(), minlength=n + 1) * work.voxel_ml
        size[0] = 0.0
        order = np.argsort(-size)
        if n >= 2 and size[order[1]] >= _SHARE_OF_OTHER * size[order[0]]:
            near = [distance_to(labels == k, work.spacing_mm) for k in order[:2]]
            first = both & (near[0] <= near[1])
            return first, both & ~first
    raise VolumeError(
        "only one lung was found",
        where="lungs",
        remedy="Give lung masks: after pneumonectomy, or with one lung collapsed, none is guessed",
    )


def _filled(region: Booleans) -> Booleans:
    """Holes of each axial slice filled, and with them every hole in three dimensions."""
    filled = np.empty_like(region)
    for plane, out in zip(region, filled, strict=True):
        rim = np.pad(plane, 1).astype(np.uint8)
        cv2.floodFill(rim, None, (0, 0), 255)
        out[...] = rim[1:-1, 1:-1] != 255  # what the flood from outside missed
    return filled
