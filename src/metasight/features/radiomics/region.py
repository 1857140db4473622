"""From a scan and a mask to the region that features are computed on, as IBSI states the steps.

Crop, interpolate image and region on a grid that shares its centre with the old one, round,
re-segment, filter outliers, discretise. The crop changes no value: positions are those of the
whole grid, interpolation takes what it needs of the image, and the intensity peaks have their
sphere around every voxel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from metasight.errors import VolumeError
from metasight.features.radiomics.interpolate import AxisWeights, axis_weights, interpolated
from metasight.features.radiomics.settings import MOST_LEVELS, RadiomicsSettings
from metasight.volumes.box import box_of
from metasight.volumes.volume import Booleans, Mask, Unit, Volume

Floats = npt.NDArray[np.float64]
Levels = npt.NDArray[np.int32]

PEAK_RADIUS_MM = (3.0 / (4.0 * np.pi)) ** (1.0 / 3.0) * 10.0
"""Radius of IBSI's sphere of 1 cm³ for the intensity peaks, 6.2 mm."""

UNITS: tuple[Unit, ...] = ("HU", "SUVbw", "SUVlbm", "SUVlbmJanma", "SUVbsa")
"""Units whose values mean the same in every patient; counts and activities do not."""

_MARGIN_MM = PEAK_RADIUS_MM + 1.0
_MOST_VOXELS = 200_000_000


@dataclass(frozen=True, kw_only=True, eq=False)
class Region:
    """A cropped, processed region; all arrays (z, y, x) on one grid.

    Attributes
    ----------
    intensities
        In the volume's unit, with the surroundings that the intensity peaks need.
    morphological
        The region as it was drawn.
    inside
        The intensity mask: without voxels that re-segmentation or the outlier filter took.
        May be empty, then features of intensity are undefined.
    spacing_zyx_mm
        Distance of voxels.
    """

    intensities: Floats
    morphological: Booleans
    inside: Booleans
    spacing_zyx_mm: tuple[float, float, float]

    @property
    def values(self) -> Floats:
        """Intensities of the intensity mask, shape (n,)."""
        return self.intensities[self.inside]


def prepare(volume: Volume, mask: Mask, settings: RadiomicsSettings) -> Region:
    """Process a scan and a mask as IBSI states it.

    Raises
    ------
    VolumeError
        The scan is not in HU or SUV, the mask is not on its grid, nothing of the region is left on
        the new grid, or the new grid is too large.
    """
    inside = mask.on(volume.require(*UNITS)).array
    old = np.array(volume.spacing_zyx_mm)
    box = _box(inside)
    whole = np.array(inside.shape)
    if settings.interpolation == "none":
        low, high = _widened(box, np.ceil(_MARGIN_MM / old).astype(int), whole)
        cut = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        intensities = volume.array[cut].astype(np.float64)
        region = inside[cut].copy()
        spacing = old
    else:
        spacing = np.array([n or o for n, o in zip(settings.spacing_zyx_mm, old, strict=True)])
        intensities, region = _interpolated(volume, inside, box, spacing, settings)
    kept = _resegmented(intensities, region, settings)
    z, y, x = (float(s) for s in spacing)
    return Region(
        intensities=intensities, morphological=region, inside=kept, spacing_zyx_mm=(z, y, x)
    )


def tight(region: Region) -> Region:
    """The region without its surroundings, for everything but the intensity peaks."""
    box = _box(region.morphological)
    cut = tuple(slice(a, b) for a, b in zip(*box, strict=True))
    return Region(
        intensities=region.intensities[cut],
        morphological=region.morphological[cut],
        inside=region.inside[cut],
        spacing_zyx_mm=region.spacing_zyx_mm,
    )


def discretise(region: Region, settings: RadiomicsSettings) -> tuple[Levels, int]:
    """Grey levels from 1, 0 outside the intensity mask, and the number of levels.

    With a fixed bin size the number of levels is the highest level found.

    Raises
    ------
    VolumeError
        A bin size that gives more than 1024 levels.
    """
    values = region.values
    if settings.bin_number is not None:
        n = settings.bin_number
        low, high = float(values.min()), float(values.max())
        width = (high - low) / n
        found = np.floor((values - low) / width) + 1 if high > low else np.ones(len(values))
        found = np.minimum(found, n)
    else:
        size = settings.bin_size or 0.0
        found = np.floor((values - _start(values, settings, size)) / size) + 1
        n = int(found.max())
    if n > MOST_LEVELS:
        raise VolumeError(
            "the bin size gives too many grey levels",
            where="radiomics",
            value=str(n),
            remedy=f"At most {MOST_LEVELS}; is it in the scan's unit?",
        )
    levels = np.zeros(region.inside.shape, dtype=np.int32)
    levels[region.inside] = found.astype(np.int32)
    return levels, n


def _start(values: Floats, settings: RadiomicsSettings, size: float) -> float:
    if settings.bin_start == "range" and settings.intensity_range is not None:
        return settings.intensity_range[0]
    lowest = float(values.min())
    return lowest if settings.bin_start == "minimum" else float(np.floor(lowest / size) * size)


def _box(inside: Booleans) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """First and one past the last index inside, along each axis."""
    box = box_of(inside)
    return np.array([b.start for b in box]), np.array([b.stop for b in box])


def _widened(
    box: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]],
    margin: npt.NDArray[np.int64],
    whole: npt.NDArray[np.int64],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    return np.maximum(box[0] - margin, 0), np.minimum(box[1] + margin, whole)


def _interpolated(
    volume: Volume,
    inside: Booleans,
    box: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]],
    new: Floats,
    settings: RadiomicsSettings,
) -> tuple[Floats, Booleans]:
    """Image and region on the part of the new grid around the region."""
    voxels, old = volume.array, np.array(volume.spacing_zyx_mm)
    whole = np.array(voxels.shape)
    n_new = np.ceil(whole * old / new - 1e-9).astype(np.int64)
    # old index of the new grid's first voxel: both grids share their centre
    first = ((whole - 1) * old - (n_new - 1) * new) / 2 / old
    step = new / old
    reach = np.ceil(_MARGIN_MM / old).astype(int) + 1
    low, high = _widened(box, reach, whole)
    begin = np.clip(np.ceil((low - first) / step), 0, n_new - 1).astype(np.int64)
    end = np.clip(np.floor((high - 1 - first) / step) + 1, begin + 1, n_new).astype(np.int64)
    # the new grid may reach past the old one's outer centres, where the edge's values hold
    begin, end = np.where(low == 0, 0, begin), np.where(high == whole, n_new, end)
    size = end - begin
    if float(np.prod(size.astype(np.float64))) > _MOST_VOXELS:
        raise VolumeError(
            "the new grid is too large", where="radiomics", value=" × ".join(map(str, size))
        )
    places = [np.arange(a, b) for a, b in zip(begin, end, strict=True)]
    old_index = [f + k * p for f, k, p in zip(first, step, places, strict=True)]
    method: Literal["linear", "cubic"] = "cubic" if settings.interpolation == "cubic" else "linear"
    intensities = interpolated(voxels, _axes(whole, old_index, method))
    share = interpolated(inside, _axes(whole, old_index, "linear"))
    # a share of exactly the limit must not depend on the last bit
    region = share >= settings.region_share - 1e-9
    if not region.any():
        raise VolumeError(
            "nothing of the region is left on the new grid",
            where="radiomics",
            value=f"{int(inside.sum())} voxels",
            remedy="The spacing is too coarse for it",
        )
    return (np.rint(intensities) if settings.rounding else intensities), region


def _axes(
    whole: npt.NDArray[np.int64], places: list[Floats], method: Literal["linear", "cubic"]
) -> tuple[AxisWeights, AxisWeights, AxisWeights]:
    z, y, x = (axis_weights(int(n), p, method) for n, p in zip(whole, places, strict=True))
    return z, y, x


def _resegmented(intensities: Floats, region: Booleans, settings: RadiomicsSettings) -> Booleans:
    kept = region.copy()
    if settings.intensity_range is not None:
        low, high = settings.intensity_range
        kept &= (intensities >= low) & (intensities <= high)
    if settings.outlier_sigma is not None and kept.any():
        values = intensities[kept]
        mean, limit = values.mean(), settings.outlier_sigma * values.std()
        kept &= np.abs(intensities - mean) <= limit
    return kept
