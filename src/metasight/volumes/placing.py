"""A mask that was stored on another grid than the scan's: placed, resampled if asked, or refused.

3D Slicer stores a segmentation cropped to what is drawn, and networks write masks at their own
spacing. Voxels that lie on the scan's voxels are copied; others are interpolated, but only where
the study says so, for interpolation moves an outline by up to half a voxel.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk  # noqa: N813 (the name its manual uses)

from metasight.errors import VolumeError
from metasight.volumes.volume import Mask, Volume

Booleans = npt.NDArray[np.bool_]
GridRule = Literal["same", "resample"]

_ON_VOXEL_MM = 0.05
_SAME_SPACING_MM = 1e-3
_SAME_AXES = 1e-3
_HALF = 1e-4
_VOLUME_KEPT = 0.15
"""Share by which resampling may change a region's volume. Small regions on coarse grids change by
more, and are then no longer what was drawn."""


def placed(mask: Mask, volume: Volume, rule: GridRule = "same") -> Mask:
    """A mask on a scan's grid, with a note if it was not stored there.

    Parameters
    ----------
    mask
        In the scan's patient coordinates.
    volume
        The scan.
    rule
        Of a mask whose voxels do not lie on the scan's: ``same`` refuses it, ``resample``
        interpolates its share of each voxel and takes what is at least half inside.

    Raises
    ------
    VolumeError
        Its voxels are not the scan's and ``rule`` is ``same``; it reaches beyond the scan; or
        resampling changes its volume by more than 15 %.
    """
    if mask.grid.matches(volume.grid):
        return mask
    if _on_voxels(mask, volume):
        note = "the mask covers a part of the scan's grid; its voxels were copied"
        return _with(_copied(mask, volume), mask, volume, note)
    if rule == "same":
        raise VolumeError(
            "the mask is not on the scan's grid",
            where="mask",
            value=mask.grid.difference(volume.grid),
            remedy="Export the mask on the grid of the series that is measured, or set "
            'mask_grid = "resample" under [scans] in study.toml',
        )
    inside = _resampled(mask, volume)
    after = np.count_nonzero(inside) * volume.grid.voxel_volume_mm3 / 1000
    told = f"{mask.volume_ml:.2f} ml before, {after:.2f} ml after"
    if abs(after / mask.volume_ml - 1) > _VOLUME_KEPT:
        raise VolumeError(
            "resampling onto the scan's grid changes the region's volume too much",
            where="mask",
            value=told,
            remedy="Export the mask on the grid of the series that is measured",
        )
    return _with(inside, mask, volume, f"the mask was resampled onto the scan's grid: {told}")


def _with(inside: Booleans, mask: Mask, volume: Volume, note: str) -> Mask:
    return Mask.from_array(inside, on=volume, name=mask.name, notes=(*mask.notes, note))


def _on_voxels(mask: Mask, volume: Volume) -> bool:
    ours, theirs = mask.grid, volume.grid
    if not np.allclose(ours.spacing_mm, theirs.spacing_mm, rtol=0, atol=_SAME_SPACING_MM):
        return False
    if not np.allclose(ours.direction, theirs.direction, rtol=0, atol=_SAME_AXES):
        return False
    index = theirs.to_index(ours.corners_mm)
    off_mm = np.abs(index - np.rint(index)) * np.asarray(theirs.spacing_mm)
    return bool(off_mm.max() <= _ON_VOXEL_MM)


def _copied(mask: Mask, volume: Volume) -> Booleans:
    inside = np.zeros(volume.array.shape, dtype=np.bool_)
    start = np.rint(volume.grid.to_index(np.asarray(mask.grid.origin_mm))).astype(int)[::-1]
    index = np.argwhere(mask.array) + start
    if np.any(index < 0) or np.any(index >= np.array(inside.shape)):
        raise _beyond()
    inside[tuple(index.T)] = True
    return inside


def _resampled(mask: Mask, volume: Volume) -> Booleans:
    index = volume.grid.to_index(
        mask.grid.to_mm(np.argwhere(mask.array)[:, ::-1].astype(np.float64))
    )
    if np.any(index < -0.5) or np.any(index > np.asarray(volume.grid.size) - 0.5):
        raise _beyond()
    share = sitk.Cast(mask.image, sitk.sitkFloat32)
    fine, coarse = np.asarray(mask.grid.spacing_mm), np.asarray(volume.grid.spacing_mm)
    # a coarse voxel holds many of the mask's, and each counts: the variance of the one less that
    # of the other, which interpolation adds
    variance = np.maximum(coarse**2 - fine**2, 0) / 12
    if variance.any():
        share = sitk.DiscreteGaussian(share, [float(max(v, 1e-9)) for v in variance])
    onto = sitk.GetArrayFromImage(
        sitk.Resample(share, volume.image, sitk.Transform(), sitk.sitkLinear, 0.0)
    )
    nearest = sitk.GetArrayFromImage(
        sitk.Resample(mask.image, volume.image, sitk.Transform(), sitk.sitkNearestNeighbor, 0.0)
    )
    # grids half a voxel apart make halves everywhere: taking all would add a rim on both sides
    half = np.abs(onto - 0.5) <= _HALF
    inside = np.where(half, nearest > 0, onto > 0.5)
    if not inside.any():
        raise VolumeError(
            "the region is smaller than a voxel of the scan",
            where="mask",
            value=f"{mask.volume_ml:.3f} ml",
            remedy="Export the mask on the grid of the series that is measured",
        )
    return np.asarray(inside)


def _beyond() -> VolumeError:
    return VolumeError(
        "the region reaches beyond the scan",
        where="mask",
        remedy="Give the series that it was drawn on, uncropped",
    )
