"""A scan on another grid: PET on the CT's voxels, or equal spacing along every axis.

For pictures, networks and distances. Radiomics resamples as IBSI states it, elsewhere. Linear
interpolation: it makes no value that was not between its neighbours, so no negative uptake and no
HU beyond the scan's, which cubic splines do make at edges.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import SimpleITK as sitk  # noqa: N813 (the name its manual uses)

from metasight.errors import VolumeError
from metasight.volumes.grid import Grid, check_size
from metasight.volumes.hounsfield import AIR_HU
from metasight.volumes.volume import Mask, Volume


def onto(volume: Volume, target: Volume) -> Volume:
    """A scan on another scan's grid, both in one frame of reference; linear interpolation.

    Beyond the scan's own voxels the value is air in a CT and 0 in a PET: nothing was measured
    there. How much of the target the scan covers is for the caller to ask (:func:`covered_share`).

    Raises
    ------
    VolumeError
        The two do not overlap, or their headers name different frames of reference.
    """
    ours, theirs = volume.facts.frame_of_reference, target.facts.frame_of_reference
    if ours and theirs and ours != theirs:
        raise VolumeError(
            "two scans are not in one frame of reference",
            where="resampling",
            remedy="PET and CT must come from one examination, or be registered first",
        )
    if covered_share(volume, target) == 0.0:
        raise VolumeError(
            "two scans do not overlap",
            where="resampling",
            remedy="PET and CT must come from one examination, or be registered first",
        )
    image = sitk.Resample(
        volume.image, target.image, sitk.Transform(), sitk.sitkLinear, _beyond(volume)
    )
    return replace(volume, image=image)


def covered_share(volume: Volume, target: Volume) -> float:
    """Share of the target's bounding box that the scan's bounding box covers, 0 to 1."""
    ends = volume.grid.to_index(target.grid.corners_mm)
    low = np.maximum(ends.min(axis=0), -0.5)
    high = np.minimum(ends.max(axis=0), np.array(volume.grid.size) - 0.5)
    overlap = np.clip(high - low, 0.0, None)
    whole = np.ptp(ends, axis=0)
    return float(np.prod(np.where(whole > 0, overlap / np.where(whole > 0, whole, 1.0), 1.0)))


def isotropic(volume: Volume, spacing_mm: float) -> Volume:
    """A scan with equal spacing along every axis, the same field of view; linear interpolation.

    The first and last voxel centres may lie up to half a new voxel outside the old ones, where
    the value is the edge's. Making voxels larger averages over the new voxel first (a Gaussian
    of its width at half height), so that noise and thin structures do not alias.

    Parameters
    ----------
    volume
        Any scan.
    spacing_mm
        New distance of voxels.

    Raises
    ------
    VolumeError
        Impossible spacing, or a result too large.
    """
    grid = _isotropic_grid(volume.grid, spacing_mm)
    image = volume.image
    # full width at half maximum 2.355 σ
    sigma = [spacing_mm / 2.355 if spacing_mm > s * 1.001 else 0.0 for s in volume.spacing_mm]
    for axis, width in enumerate(sigma):
        if width:
            image = sitk.RecursiveGaussian(image, sigma=width, direction=axis)
    image = _resampled(image, grid, sitk.sitkLinear)
    return replace(volume, image=sitk.Cast(image, sitk.sitkFloat32))


def isotropic_mask(mask: Mask, spacing_mm: float) -> Mask:
    """A mask as :func:`isotropic` places its scan; a voxel is inside if it mostly was.

    Raises
    ------
    VolumeError
        As :func:`isotropic`, or the mask is so small that nothing is left of it.
    """
    grid = _isotropic_grid(mask.grid, spacing_mm)
    share = _resampled(sitk.Cast(mask.image, sitk.sitkFloat32), grid, sitk.sitkLinear)
    return Mask(image=sitk.Cast(share >= 0.5, sitk.sitkUInt8), name=mask.name)


def _isotropic_grid(grid: Grid, spacing_mm: float) -> Grid:
    if not np.isfinite(spacing_mm) or spacing_mm <= 0:
        raise VolumeError(
            "voxel spacing must be above 0",
            where="resampling",
            value=str(spacing_mm),
            remedy="Ask for a spacing in mm above 0",
        )
    old = np.array(grid.spacing_mm)
    length = np.array(grid.size) * old
    size = np.maximum(np.rint(length / spacing_mm), 1).astype(int)
    check_size(tuple(int(n) for n in size), "resampling")
    # the two grids' boxes share their centre
    middle = grid.to_mm((np.array(grid.size) - 1) / 2)
    axes = np.reshape(grid.direction, (3, 3))
    origin = middle - axes @ ((size - 1) / 2 * spacing_mm)
    return Grid(
        size=(int(size[0]), int(size[1]), int(size[2])),
        spacing_mm=(spacing_mm, spacing_mm, spacing_mm),
        origin_mm=(float(origin[0]), float(origin[1]), float(origin[2])),
        direction=grid.direction,
    )


def _resampled(image: sitk.Image, grid: Grid, method: int) -> sitk.Image:
    resampler = sitk.ResampleImageFilter()
    resampler.SetSize(grid.size)
    resampler.SetOutputSpacing(grid.spacing_mm)
    resampler.SetOutputOrigin(grid.origin_mm)
    resampler.SetOutputDirection(grid.direction)
    resampler.SetInterpolator(method)
    resampler.SetUseNearestNeighborExtrapolator(True)
    result: sitk.Image = resampler.Execute(image)
    return result


def _beyond(volume: Volume) -> float:
    return AIR_HU if volume.unit == "HU" else 0.0
