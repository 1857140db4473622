"""Radiomic features of a region: process as IBSI states it, count, and name each value."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from metasight.features.radiomics.cooccurrence import glcm
from metasight.features.radiomics.definitions import Definition, definitions
from metasight.features.radiomics.first_order import histogram, intensity_volume, statistics
from metasight.features.radiomics.morphology import morphology
from metasight.features.radiomics.neighbourhoods import neighbourhoods
from metasight.features.radiomics.peaks import intensity_peaks
from metasight.features.radiomics.region import Region, discretise, prepare, tight
from metasight.features.radiomics.settings import RadiomicsSettings
from metasight.features.radiomics.size_matrices import glrlm, zones
from metasight.volumes.volume import Mask, Volume

_OF_BOTH = ("KLMA", "99N0", "N365", "NPT7")  # morphology that looks at intensities too
_OF_LEVELS = ("histogram", "GLCM", "GLRLM", "GLSZM", "GLDZM", "NGTDM", "NGLDM")
Values = dict[str, dict[str, dict[str, float]]]  # family → aggregation → name → value


@dataclass(frozen=True, kw_only=True)
class Radiomics:
    """Features of one region.

    Attributes
    ----------
    values
        :meth:`Definition.key` → value, NaN where undefined.
    undefined
        Key → why it has no value, for every NaN.
    n_voxels
        Of the morphological mask, after interpolation.
    n_intensity_voxels
        Of the intensity mask, after re-segmentation and the outlier filter.
    """

    values: dict[str, float]
    undefined: dict[str, str]
    n_voxels: int
    n_intensity_voxels: int


def extract(volume: Volume, mask: Mask, settings: RadiomicsSettings) -> dict[str, float]:
    """Features of a region of a scan, NaN where undefined; :func:`measure` also says why.

    Parameters
    ----------
    volume
        Scan, in HU or SUV.
    mask
        Region, on the scan's grid.
    settings
        IBSI's processing, families and aggregations.

    Returns
    -------
    dict
        ``3D:avg:GLCM:joint entropy`` → value, in IBSI's order.

    Raises
    ------
    VolumeError
        The scan is not in HU or SUV, the mask is not on its grid, nothing of it is left on the new
        grid, too many grey levels, or too large a grid. NaN voxels and empty masks never get here:
        a ``Volume`` and a ``Mask`` refuse them.
    """
    return measure(volume, mask, settings).values


def measure(volume: Volume, mask: Mask, settings: RadiomicsSettings) -> Radiomics:
    """As :func:`extract`, with the reason of each NaN and the number of voxels."""
    wide = prepare(volume, mask, settings)
    region = tight(wide)
    found: Values = {}
    n_grey_levels = 0
    if region.inside.any():
        found, n_grey_levels = _intensity_families(region, wide, settings)
    if "morphology" in settings.families:
        found["morphology"] = {"": morphology(region)}
    values, undefined = {}, {}
    for definition in definitions():
        if definition.family not in settings.families:
            continue
        for aggregation in _wanted(definition, settings):
            row = found.get(definition.family, {}).get(aggregation, {})
            value = row.get(definition.name, float("nan"))
            key = definition.key(aggregation)
            values[key] = value
            if not np.isfinite(value):
                values[key] = float("nan")
                undefined[key] = _reason(definition, region, n_grey_levels)
    return Radiomics(
        values=values,
        undefined=undefined,
        n_voxels=int(np.count_nonzero(region.morphological)),
        n_intensity_voxels=int(np.count_nonzero(region.inside)),
    )


def _wanted(definition: Definition, settings: RadiomicsSettings) -> tuple[str, ...]:
    if not definition.aggregations:
        return ("",)
    wanted = (*settings.aggregations, *settings.dimensions)
    return tuple(a for a in definition.aggregations if a in wanted)


def _intensity_families(
    region: Region, wide: Region, settings: RadiomicsSettings
) -> tuple[Values, int]:
    """Families that look at intensities, and how many grey levels occur; 0 if none was asked."""
    families = settings.families
    values = region.values
    found: Values = {}
    if "statistics" in families:
        found["statistics"] = {"": statistics(values)}
    if "IVH" in families:
        found["IVH"] = {"": intensity_volume(values, settings)}
    if "local intensity" in families:
        found["local intensity"] = {"": intensity_peaks(wide)}
    if not set(families) & set(_OF_LEVELS):
        return found, 0
    levels, n_levels = discretise(region, settings)
    dimensions = settings.dimensions
    if "histogram" in families:
        found["histogram"] = {"": histogram(levels[region.inside], n_levels)}
    if "GLCM" in families:
        found["GLCM"] = glcm(levels, n_levels, settings.distance, settings.aggregations)
    if "GLRLM" in families:
        found["GLRLM"] = glrlm(levels, n_levels, settings.aggregations)
    if {"GLSZM", "GLDZM"} & set(families):
        found |= zones(levels, region.morphological, dimensions, families)
    if {"NGTDM", "NGLDM"} & set(families):
        found |= neighbourhoods(levels, n_levels, settings.coarseness, dimensions, families)
    return found, len(np.unique(levels[region.inside]))


def _reason(definition: Definition, region: Region, n_grey_levels: int) -> str:
    values = region.values
    of_shape = definition.family == "morphology" and definition.code not in _OF_BOTH
    if of_shape:
        n = int(np.count_nonzero(region.morphological))
        return f"the region is a single plane or line ({n} voxels)"
    if len(values) == 0:
        return "no voxel is left after re-segmentation and outlier filtering"
    if len(values) == 1:
        return "the intensity mask has one voxel"
    if values.min() == values.max():
        return "all intensities are equal"
    if definition.family in _OF_LEVELS and n_grey_levels == 1:
        return "there is one grey level"
    return "the definition divides by 0 here (no neighbours, or a mean or sum of quartiles of 0)"
