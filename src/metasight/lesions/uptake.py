"""Uptake of a lesion on PET: SUVmax, SUVpeak, SUVmean, metabolic volume, total lesion glycolysis.

Everything is measured on the PET's own grid: resampling PET lowers its maximum, so the lesion's
mask is brought onto the PET and not the other way round. SUVpeak is the highest mean in a sphere
of 1 cm³ whose middle lies within the lesion (PERCIST: Wahl et al., J Nucl Med 2009;50:122S). The
metabolic volume is what is above 41 % of SUVmax (EANM: Boellaard et al., Eur J Nucl Med Mol Imaging
2015;42:328), or above an SUV of 2.5 or 4, within the lesion and connected with its maximum.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk  # noqa: N813
from scipy import ndimage

from metasight.errors import VolumeError
from metasight.volumes.volume import Mask, Unit, Volume

Booleans = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

SHARE_OF_MAXIMUM = 0.41
FIXED_SUV = (2.5, 4.0)
PEAK_ML = 1.0

_SUV: tuple[Unit, ...] = ("SUVbw", "SUVlbm", "SUVlbmJanma", "SUVbsa")
_LEAST_COVERED = 0.99
_FINE_MM = 1.0


@dataclass(frozen=True, kw_only=True)
class Uptake:
    """Uptake within a lesion, in the PET's unit of SUV; volumes in ml.

    Attributes
    ----------
    unit
        By which body mass.
    suvmax, suvmean
        Highest voxel; mean of voxels weighted with their share in the lesion.
    suvpeak
        Highest mean in a sphere of 1 cm³.
    volume_41_ml, tlg_41
        Above 41 % of SUVmax; times its mean (total lesion glycolysis, SUV · ml).
    volume_2_5_ml, tlg_2_5, volume_4_ml, tlg_4
        Above an SUV of 2.5 and 4; 0 where nothing is.
    """

    unit: Unit
    suvmax: float
    suvpeak: float
    suvmean: float
    volume_41_ml: float
    tlg_41: float
    volume_2_5_ml: float
    tlg_2_5: float
    volume_4_ml: float
    tlg_4: float


def uptake_of(pet: Volume, lesion: Mask) -> Uptake:
    """Measure uptake.

    Parameters
    ----------
    pet
        In SUV, on its own grid.
    lesion
        On any grid in the same patient coordinates.

    Raises
    ------
    VolumeError
        The PET is not in SUV, or does not cover the lesion.
    """
    pet.require(*_SUV)
    share = _share_on(pet, lesion)
    inside = share >= 0.5
    if not inside.any():  # smaller than a voxel of the PET: the voxel that holds most of it
        inside = share == share.max()
    suv = pet.array
    largest = float(suv[inside].max())
    voxel_ml = pet.grid.voxel_volume_mm3 / 1000
    hot = np.unravel_index(int(np.argmax(np.where(inside, suv, -np.inf))), suv.shape)
    volumes = {}
    for name, above in (
        ("41", SHARE_OF_MAXIMUM * largest),
        ("2_5", FIXED_SUV[0]),
        ("4", FIXED_SUV[1]),
    ):
        labels, _ = ndimage.label(inside & (suv >= above))
        own = labels == labels[hot] if labels[hot] else np.zeros_like(inside)
        ml = float(own.sum() * voxel_ml)
        volumes[f"volume_{name}_ml"] = ml
        volumes[f"tlg_{name}"] = ml * float(suv[own].mean(dtype=np.float64)) if ml else 0.0
    return Uptake(
        unit=pet.unit,
        suvmax=largest,
        suvpeak=_peak(pet, inside),
        suvmean=float(np.average(suv[share > 0], weights=share[share > 0])),
        **volumes,
    )


def _share_on(pet: Volume, lesion: Mask) -> Floats:
    """Share of each PET voxel that lies in the lesion, from the lesion's own voxels."""
    if lesion.grid.matches(pet.grid):
        return lesion.array.astype(np.float64)
    index = np.argwhere(lesion.array)
    # at least two samples a voxel: single ones can fall on the borders of the PET's voxels
    fine = [max(2, int(np.ceil(s / _FINE_MM))) for s in lesion.spacing_zyx_mm]
    offsets = [(np.arange(n) + 0.5) / n - 0.5 for n in fine]
    grid = np.stack(np.meshgrid(*offsets, indexing="ij"), axis=-1).reshape(-1, 3)
    points = (index[:, None] + grid[None]).reshape(-1, 3)
    at = np.round(pet.grid.to_index(lesion.grid.to_mm(points[:, ::-1]))[:, ::-1]).astype(int)
    on = ((at >= 0) & (at < pet.array.shape)).all(axis=1)
    if on.mean() < _LEAST_COVERED:
        raise VolumeError(
            "the PET does not cover the lesion",
            where="PET",
            value=f"{on.mean():.0%} of it",
            remedy="Check that PET and CT are of one examination, in the same coordinates",
        )
    count = np.zeros(pet.array.shape)
    np.add.at(count, tuple(at[on].T), 1.0)
    each = lesion.grid.voxel_volume_mm3 / len(grid) / pet.grid.voxel_volume_mm3
    return np.asarray(np.minimum(count * each, 1.0))


def _peak(pet: Volume, inside: Booleans) -> float:
    """Highest mean over a sphere of 1 cm³ about any voxel of the lesion."""
    radius = float((PEAK_ML * 1000 * 3 / (4 * np.pi)) ** (1 / 3))
    step = np.array(pet.spacing_zyx_mm)
    reach = np.ceil(radius / step + 0.5).astype(int)
    ball = _ball(step, reach, radius)
    centres = np.argwhere(inside)
    low, high = centres.min(axis=0) - reach, centres.max(axis=0) + reach + 1
    pad = [
        (max(0, -int(a)), max(0, int(b) - n))
        for a, b, n in zip(low, high, inside.shape, strict=True)
    ]
    box = tuple(
        slice(max(int(a), 0), min(int(b), n))
        for a, b, n in zip(low, high, inside.shape, strict=True)
    )
    # beyond the PET's edge nothing is known: such spheres take the nearest voxels
    suv = np.pad(pet.array[box].astype(np.float64), pad, mode="edge")
    image = sitk.GetImageFromArray(suv)
    kernel = sitk.GetImageFromArray(ball[::-1, ::-1, ::-1].copy())
    means = sitk.GetArrayFromImage(sitk.Convolution(image, kernel))
    here = centres - low
    return float(means[tuple(here.T)].max())


def _ball(step: Floats, reach: npt.NDArray[np.int_], radius: float) -> Floats:
    """Share of each voxel in a sphere, from 5³ samples a voxel, summing to 1."""
    within = (np.arange(5) - 2) / 5
    axes = [
        ((np.arange(-r, r + 1)[:, None] + within[None]).ravel() * s) ** 2
        for r, s in zip(reach, step, strict=True)
    ]
    away = axes[0][:, None, None] + axes[1][None, :, None] + axes[2][None, None, :]
    size = [2 * int(r) + 1 for r in reach]
    blocks = (away <= radius**2).reshape(size[0], 5, size[1], 5, size[2], 5)
    share = blocks.mean(axis=(1, 3, 5))
    return np.asarray(share / share.sum())
