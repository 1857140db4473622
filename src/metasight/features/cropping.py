"""Cutting the cube round a lesion out of a CT, and out of a PET where there is one."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk  # noqa: N813 (the name its manual uses)

from metasight.cohort.settings import CropSettings
from metasight.errors import VolumeError
from metasight.features.crops import ATTENUATIONS, LesionCrop
from metasight.lesions.solidity import Solidity
from metasight.volumes.hounsfield import AIR_HU
from metasight.volumes.resample import onto
from metasight.volumes.volume import Mask, Volume

_MARGIN_MM = 6.0


def crop_of(
    ct: Volume, lesion: Mask, pet: Volume | None, solidity: Solidity, settings: CropSettings
) -> LesionCrop:
    """Cut a cube round the middle of the lesion's bounding box.

    The CT is averaged over the new voxel before it is resampled (a Gaussian of its width at half
    height), so that scanners' pixels and kernels differ less and nothing aliases. Beyond the scan
    is air. A lesion larger than the cube is cut, and ``held_share`` says so.

    Parameters
    ----------
    ct
        In HU.
    lesion
        On its grid.
    pet
        SUV in the CT's frame of reference, on any grid; None without.
    solidity
        Measured of the lesion: attenuation and diameter.
    settings
        Size of the cube.

    Raises
    ------
    VolumeError
        The mask is off the CT's grid or vanishes at this spacing, or PET and CT do not belong
        together.
    """
    ct.require("HU")
    mask = lesion.on(ct).image
    grid = _grid_of(lesion, settings)
    near, near_mask = _near(ct.image, mask, grid)
    air = float(AIR_HU)
    cube = _onto(_blurred(near, settings.spacing_mm), grid, air)
    share = _onto(sitk.Cast(near_mask, sitk.sitkFloat32), grid, 0.0)
    inside = sitk.GetArrayFromImage(share) >= 0.5
    if not inside.any():
        raise VolumeError(
            "the lesion is smaller than a voxel of the crop",
            where="crop",
            value=f"{lesion.volume_ml * 1000:.1f} mm³",
            remedy="Give [scans.crops] a finer spacing",
        )
    crop = Volume(image=cube, unit="HU", facts=ct.facts)
    suv = None
    if pet is not None:
        pet.require("SUVbw", "SUVlbm", "SUVlbmJanma", "SUVbsa")
        suv = np.clip(onto(pet, crop).array, 0, None).astype(np.float16)
    hu = np.clip(np.round(crop.array), -1024, 3071).astype(np.int16)
    return LesionCrop(
        ct_hu=hu,
        mask=inside,
        suv=suv,
        spacing_mm=settings.spacing_mm,
        attenuation=solidity.attenuation if solidity.attenuation in ATTENUATIONS else "",
        diameter_mm=solidity.whole.longest_mm,
        held_share=_share(lesion, grid),
    )


def _share(lesion: Mask, grid: sitk.Image) -> float:
    """Share of the lesion's voxels whose middle lies in the cube."""
    points = lesion.grid.to_mm(np.argwhere(lesion.array)[:, ::-1].astype(np.float64))
    spacing, size = np.array(grid.GetSpacing()), np.array(grid.GetSize())
    place = (points - np.array(grid.GetOrigin())) / spacing
    inside = ((place >= -0.5) & (place < size - 0.5)).all(axis=1)
    return float(inside.mean())


def _grid_of(lesion: Mask, settings: CropSettings) -> sitk.Image:
    """An empty image where the crop shall lie, along the patient's axes."""
    where = np.argwhere(lesion.array)
    middle = (where.min(axis=0) + where.max(axis=0)) / 2
    centre = lesion.grid.to_mm(middle[::-1])
    n = settings.edge_voxels
    grid = sitk.Image([n, n, n], sitk.sitkUInt8)
    grid.SetSpacing([settings.spacing_mm] * 3)
    grid.SetOrigin((centre - (n - 1) / 2 * settings.spacing_mm).tolist())
    return grid


def _near(ct: sitk.Image, mask: sitk.Image, grid: sitk.Image) -> tuple[sitk.Image, sitk.Image]:
    """The part of CT and mask that the crop rests on: a whole CT takes seconds to blur."""
    ends = [grid.GetOrigin(), grid.TransformIndexToPhysicalPoint([n - 1 for n in grid.GetSize()])]
    corners = np.array(np.meshgrid(*np.transpose(ends))).reshape(3, -1).T
    index = np.array([ct.TransformPhysicalPointToContinuousIndex(c.tolist()) for c in corners])
    room = _MARGIN_MM / np.array(ct.GetSpacing())
    size = np.array(ct.GetSize())
    low = np.clip(np.floor(index.min(axis=0) - room), 0, size - 1).astype(int)
    high = np.clip(np.ceil(index.max(axis=0) + room), low, size - 1).astype(int)
    box = ((high - low + 1).tolist(), low.tolist())
    return sitk.RegionOfInterest(ct, *box), sitk.RegionOfInterest(mask, *box)


def _blurred(image: sitk.Image, spacing_mm: float) -> sitk.Image:
    for axis, (old, size) in enumerate(zip(image.GetSpacing(), image.GetSize(), strict=True)):
        if spacing_mm > old * 1.001 and size >= 4:  # the filter needs four voxels
            # full width at half maximum 2.355 σ
            image = sitk.RecursiveGaussian(image, sigma=spacing_mm / 2.355, direction=axis)
    return image


def _onto(image: sitk.Image, grid: sitk.Image, beyond: float) -> sitk.Image:
    result: sitk.Image = sitk.Resample(
        sitk.Cast(image, sitk.sitkFloat32), grid, sitk.Transform(), sitk.sitkLinear, beyond
    )
    return result
