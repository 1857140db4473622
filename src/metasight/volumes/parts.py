"""A mask in several parts: one lesion is one part, so the part that is meant is named or refused.

A speck of stray voxels six centimetres away turns a lesion of 12 mm into one of 94 mm, and two
nodules in one region into one lesion as long as the way from one to the other. Segmentation
networks and planning systems both write such masks.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from metasight.errors import VolumeError
from metasight.volumes.box import box_of
from metasight.volumes.gaps import facing_parts
from metasight.volumes.volume import Mask

Point = tuple[float, float, float]
PartRule = Literal["refuse", "largest"]
Labels = npt.NDArray[np.int32]

NEAR_POINT_MM = 5.0
"""A click farther from a part does not name it."""
_TOUCHING = ndimage.generate_binary_structure(3, 3)
_WHERE = "mask"


def label_parts(mask: Mask) -> tuple[Labels, int]:
    """Parts that do not touch, not even by a corner: labels from 1 within the mask's box, and n."""
    labels, n = ndimage.label(mask.array[box_of(mask.array)], structure=_TOUCHING)
    return np.asarray(labels, dtype=np.int32), int(n)


def one_part(mask: Mask, *, rule: PartRule = "refuse", at_mm: Point | None = None) -> Mask:
    """The mask if it is one part, or the part that is meant, with a note of what was left out.

    Parameters
    ----------
    mask
        As read.
    rule
        Of a mask in several parts without a point: ``refuse``, or take the ``largest``.
    at_mm
        A point in the lesion, patient coordinates; takes the part there.

    Raises
    ------
    VolumeError
        Several parts and none named, slices missing between two of them, two of one size, or a
        point that lies in no part.
    """
    labels, n = label_parts(mask)
    if n == 1 and at_mm is None:
        return mask
    _check_whole(labels, mask)
    sizes = np.bincount(labels.ravel(), minlength=n + 1)[1:]
    if at_mm is not None:
        chosen, why = _at(labels, sizes, mask, at_mm), "the part at the given point"
    else:
        chosen, why = _largest(sizes, rule), "the largest part"
    if n == 1:
        return mask
    box = box_of(mask.array)
    kept = np.zeros(mask.array.shape, dtype=np.uint8)
    kept[box] = labels == chosen
    ml = mask.grid.voxel_volume_mm3 / 1000
    left = int(sizes.sum() - sizes[chosen - 1])
    note = (
        f"{why} of {n} is measured ({sizes[chosen - 1] * ml:.2f} ml); "
        f"{n - 1} left out ({left * ml:.2f} ml)"
    )
    return Mask.from_array(kept, on=mask, name=mask.name, notes=(*mask.notes, note))


def _check_whole(labels: Labels, mask: Mask) -> None:
    pairs = facing_parts(labels, mask.spacing_zyx_mm[0])
    if pairs:
        raise VolumeError(
            "slices are missing between parts of the mask",
            where=_WHERE,
            value=f"{len(pairs)} gap{'s' * (len(pairs) > 1)}",
            remedy="Draw the region on every slice it crosses; draw two lesions as two regions",
        )


def _largest(sizes: npt.NDArray[np.intp], rule: PartRule) -> int:
    order = np.argsort(-sizes, kind="stable")
    shown = f"{len(sizes)} parts, {sizes[order[0]] / sizes.sum():.0%} of the voxels in the largest"
    if rule == "refuse":
        raise VolumeError(
            "the mask is in several parts, and one lesion is one part",
            where=_WHERE,
            value=shown,
            remedy="Draw one lesion per region, give a point in the lesion (x_mm, y_mm, z_mm) in "
            'the row of the mask (or with --point), or set lesion_parts = "largest" under [scans] '
            "in study.toml",
        )
    if sizes[order[0]] == sizes[order[1]]:
        raise VolumeError(
            "the mask has no largest part: two are of one size",
            where=_WHERE,
            value=shown,
            remedy="Give a point in the lesion (x_mm, y_mm, z_mm) in the row of the mask",
        )
    return int(order[0]) + 1


def _at(labels: Labels, sizes: npt.NDArray[np.intp], mask: Mask, at_mm: Point) -> int:
    """The part that a point lies in, or the only one near it."""
    corner = np.array([s.start for s in box_of(mask.array)])
    index = np.argwhere(labels)
    here = mask.grid.to_index(np.asarray(at_mm))[::-1] - corner
    spacing = np.asarray(mask.spacing_zyx_mm)
    away = (index - here) * spacing
    own = labels[tuple(index.T)]
    inside = own[np.all(np.abs(index - here) <= 0.5, axis=1)]
    if len(inside):
        return int(inside[0])
    near = np.linalg.norm(away, axis=1)
    close = np.unique(own[near <= NEAR_POINT_MM])
    if len(close) != 1:
        raise VolumeError(
            "the given point is in no part of the mask"
            if not len(close)
            else "the given point is between parts of the mask",
            where=_WHERE,
            value=f"the nearest of {len(sizes)} is {near.min():.1f} mm away",
            remedy="Give a point inside the lesion, in the CT's patient coordinates (LPS, mm)",
        )
    return int(close[0])
