"""Lungs and airways on CT, by air, anatomy and shape; no network is needed.

Air within the body at about 2 mm is found, the trachea and the bronchi are grown from the top
with a watch on leaks (Tschirren et al., IEEE Trans Med Imaging 2005;24:1529), what is left is
parted into left and right, and each lung is closed over vessels (Hu, Hoffman and Reinhardt, IEEE
Trans Med Imaging 2001;20:490). Two masks come of it: the aerated lung, which a consolidated tumour
is not part of, and the lung with what its shape says belongs to it: tumours that lie against the
pleura or fill a part of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from metasight.errors import VolumeError
from metasight.volumes.volume import Mask, Volume

Booleans = npt.NDArray[np.bool_]
Floats32 = npt.NDArray[np.float32]

AIR_BELOW_HU = -400.0
"""Half-way between lung and soft tissue."""

_WORK_MM = 2.0
_LEAST_LUNG_ML = 200.0
_AIRWAY_HU = (-950, -650, 10)  # first and last threshold tried, and the step
_TRACHEA_ML = 10.0
_LEAK_ML = 12.0  # gained from one threshold to the next beside a trachea: no bronchus holds that
_MOST_AIRWAY_ML = 160.0
_COARSER_FROM_MM = 12.0
_WALL_HU = -700.0
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
    """A coarser copy of the scan: slices from the feet up, patient's right at low x."""

    hu: Floats32
    step: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]

    @property
    def voxel_ml(self) -> float:
        return float(np.prod(self.spacing_mm)) / 1000

    def closed(self, region: Booleans, radius_mm: float) -> Booleans:
        """Closing with a ball; the field's edge counts as outside. Not empty."""
        step = (1, 2, 2) if radius_mm > _COARSER_FROM_MM else (1, 1, 1)
        spacing = [s * k for s, k in zip(self.spacing_mm, step, strict=True)]
        coarse = region[:: step[0], :: step[1], :: step[2]]
        pad = [int(np.ceil(radius_mm / s)) + 1 for s in spacing]
        box = ndimage.find_objects(coarse.astype(np.uint8))[0]
        wide = np.pad(coarse[box], [(p, p) for p in pad])
        grown = ndimage.distance_transform_edt(~wide, sampling=spacing) <= radius_mm
        back = ndimage.distance_transform_edt(grown, sampling=spacing) > radius_mm
        whole = np.zeros_like(coarse)
        whole[box] = back[tuple(slice(p, -p) for p in pad)]
        rows, columns = region.shape[1:]
        return np.asarray(_repeated(whole, step)[:, :rows, :columns] | region)


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
    work = _coarse(scan)
    air = work.hu < AIR_BELOW_HU
    outside = _outside(air)
    inside = air & ~outside
    airways = _airways(work, inside)
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
    aerated = scan.array < AIR_BELOW_HU
    everywhere = np.ones_like(aerated)
    names = ("right lung", "left lung")
    masks = [_fine(scan, work, f, n, edge=aerated) for f, n in zip(found, names, strict=True)]
    wide = [_fine(scan, work, w, n, edge=everywhere) for w, n in zip(whole, names, strict=True)]
    return Lungs(
        right=masks[0], left=masks[1], right_whole=wide[0], left_whole=wide[1],
        airways=_fine(scan, work, airways, "airways", edge=aerated) if airways.any() else None,
    )  # fmt: skip


# ------------------------------------------------------------------ coarser and back


def _coarse(scan: Volume) -> _Work:
    """Block means at about 2 mm; what is left over at the far ends is dropped."""
    spacing = scan.spacing_zyx_mm
    step = tuple(max(1, round(_WORK_MM / s)) for s in spacing)
    voxels = scan.array
    size = [n // k for n, k in zip(voxels.shape, step, strict=True)]
    if min(size) < 8:
        raise VolumeError("the scan has too few voxels for lungs", where="lungs",
                          value=" × ".join(str(n) for n in voxels.shape))  # fmt: skip
    cut = voxels[: size[0] * step[0], : size[1] * step[1], : size[2] * step[2]]
    blocks = cut.reshape(size[0], step[0], size[1], step[1], size[2], step[2])
    return _Work(
        hu=blocks.mean(axis=(1, 3, 5), dtype=np.float32), step=(step[0], step[1], step[2]),
        spacing_mm=(spacing[0] * step[0], spacing[1] * step[1], spacing[2] * step[2]),
    )  # fmt: skip


def _fine(scan: Volume, work: _Work, region: Booleans, name: str, *, edge: Booleans) -> Mask:
    """A coarse region on the scan's grid; its outermost voxels are those of ``edge`` only."""
    inner = ndimage.binary_erosion(region)
    outer = ndimage.binary_dilation(region)
    fine = np.zeros(scan.array.shape, dtype=np.bool_)
    part = tuple(slice(0, n * k) for n, k in zip(region.shape, work.step, strict=True))
    fine[part] = _repeated(inner, work.step) | (_repeated(outer, work.step) & edge[part])
    return Mask.from_array(fine, on=scan, name=name)


def _repeated(region: Booleans, step: tuple[int, int, int]) -> Booleans:
    for axis, times in enumerate(step):
        region = np.repeat(region, times, axis=axis)
    return region


# ------------------------------------------------------------------ air, airways, two lungs


def _outside(air: Booleans) -> Booleans:
    """Air that reaches the sides of the field: round the patient, and beyond the circle."""
    labels, _ = ndimage.label(air)
    sides = [labels[:, 0], labels[:, -1], labels[:, :, 0], labels[:, :, -1]]
    touching = np.unique(np.concatenate([s.ravel() for s in sides]))
    return np.asarray(np.isin(labels, touching[touching > 0]))


def _airways(work: _Work, inside: Booleans) -> Booleans:
    """Trachea and bronchi, grown from the top; all False where no trachea is in the scan."""
    seed = _trachea(work, inside)
    found = np.zeros_like(inside)
    if seed is None:
        return found
    first, last, step = _AIRWAY_HU
    volume = 0.0
    for limit in range(first, last + 1, step):
        labels, _ = ndimage.label(inside & (work.hu < limit))
        if labels[seed] == 0:
            continue
        grown = labels == labels[seed]
        now = float(grown.sum()) * work.voxel_ml
        if now > _MOST_AIRWAY_ML or (volume > _TRACHEA_ML and now - volume > _LEAK_ML):
            break
        found, volume = grown, now
    # the wall's inner half is brighter than the lumen, and air all the same
    return np.asarray(ndimage.binary_dilation(found) & inside & (work.hu < _WALL_HU))


def _trachea(work: _Work, inside: Booleans) -> tuple[int, int, int] | None:
    """A voxel of the trachea: the topmost round dark spot in the middle that goes on for 2 cm."""
    body = np.flatnonzero((work.hu > AIR_BELOW_HU).any(axis=(0, 1)))
    middle, width = float(body.mean()), float(np.ptp(body))
    pixel = work.spacing_mm[1] * work.spacing_mm[2]
    slices = round(20 / work.spacing_mm[0])
    for z in range(len(inside) - 1, max(len(inside) // 3, slices), -1):
        labels, n = ndimage.label(inside[z] & (work.hu[z] < -800))
        for number in range(1, n + 1):
            spot = labels == number
            y, x = np.nonzero(spot)
            area = len(y) * pixel
            reach = max(np.ptp(y) * work.spacing_mm[1], np.ptp(x) * work.spacing_mm[2])
            if not 60 <= area <= 700 or reach > 2.2 * np.sqrt(area):
                continue
            at = round(float(y.mean())), round(float(x.mean()))
            if abs(at[1] - middle) > 0.15 * width or not spot[at]:
                continue
            below = work.hu[z - slices : z, at[0] - 2 : at[0] + 3, at[1] - 2 : at[1] + 3]
            if below.size and (below.min(axis=(1, 2)) < -850).all():
                return z, at[0], at[1]
    return None


def _two_lungs(work: _Work, air: Booleans) -> tuple[Booleans, Booleans]:
    """Right and left; joined ones are parted where they are thinnest."""
    labels, n = ndimage.label(air)
    size = np.bincount(labels.ravel(), minlength=n + 1) * work.voxel_ml
    size[0] = 0.0
    order = np.argsort(-size)
    if not size[order[0]] >= _LEAST_LUNG_ML:
        raise VolumeError("no lung was found", where="lungs", value=f"{size[order[0]]:.0f} ml",
                          remedy="Give a chest CT in HU, or a lung mask")  # fmt: skip
    if n < 2 or size[order[1]] < _SHARE_OF_OTHER * size[order[0]]:
        first, second = _parted(work, labels == order[0])
    else:
        first, second = labels == order[0], labels == order[1]
    for number in order[size[order] >= _LEAST_PART_ML].tolist():
        part = labels == number
        if (part & (first | second)).any() or work.hu[part].mean() < _GAS_HU:
            continue  # one of the two, or stomach and bowel
        near = [_apart(work, part, lung) for lung in (first, second)]
        if near[0] <= near[1]:
            first = first | part
        else:
            second = second | part
    x = [float(np.nonzero(lung)[2].mean()) for lung in (first, second)]
    return (first, second) if x[0] < x[1] else (second, first)


def _apart(work: _Work, part: Booleans, lung: Booleans) -> float:
    away = np.array([np.mean(np.nonzero(part)[k]) - np.mean(np.nonzero(lung)[k]) for k in range(3)])
    return float(np.linalg.norm(away * work.spacing_mm))


def _parted(work: _Work, both: Booleans) -> tuple[Booleans, Booleans]:
    """Two lungs that touch: grown back from what erosion leaves of each."""
    depth = ndimage.distance_transform_edt(both, sampling=work.spacing_mm)
    for radius in np.arange(1.0, 13.0, 1.0) * min(work.spacing_mm):
        labels, n = ndimage.label(depth > radius)
        size = np.bincount(labels.ravel(), minlength=n + 1) * work.voxel_ml
        size[0] = 0.0
        order = np.argsort(-size)
        if n >= 2 and size[order[1]] >= _SHARE_OF_OTHER * size[order[0]]:
            near = [
                ndimage.distance_transform_edt(labels != k, sampling=work.spacing_mm)
                for k in order[:2]
            ]
            first = both & (near[0] <= near[1])
            return first, both & ~first
    raise VolumeError(
        "only one lung was found", where="lungs",
        remedy="Give lung masks: after pneumonectomy, or with one lung collapsed, none is guessed",
    )  # fmt: skip


def _filled(region: Booleans) -> Booleans:
    """Holes of each axial slice and of the whole filled."""
    filled = np.stack([ndimage.binary_fill_holes(plane) for plane in region])
    return np.asarray(ndimage.binary_fill_holes(filled))
