"""What has to be said before a radiomic feature has one value: IBSI's processing, in order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from metasight.errors import VolumeError
from metasight.features.radiomics.definitions import DIRECTIONAL, FAMILIES, PLAIN

Interpolation = Literal["none", "linear", "cubic"]
BinStart = Literal["range", "minimum", "multiple"]
_WHERE = "radiomics settings"


@dataclass(frozen=True, kw_only=True)
class RadiomicsSettings:
    """IBSI's image processing and the features to compute.

    Attributes
    ----------
    families
        Names of :data:`~metasight.features.radiomics.definitions.FAMILIES`.
    aggregations
        For GLCM and GLRLM; of :data:`~metasight.features.radiomics.definitions.DIRECTIONAL`. The
        other matrices are computed for ``2D``, ``2.5D`` and ``3D`` as these say.
    interpolation
        ``none`` leaves the voxels as they are; ``linear`` (trilinear) or ``cubic`` (cubic spline)
        brings them to ``spacing_zyx_mm``. The region is always interpolated linearly.
    spacing_zyx_mm
        New distance of voxels along z, y, x; None along an axis leaves it alone (slices, in 2D).
    rounding
        Whether interpolated intensities are rounded to whole numbers (HU yes, SUV no).
    region_share
        A new voxel is inside if at least this share of it is; IBSI: 0.5.
    intensity_range
        Re-segmentation: intensities outside (low, high) leave the intensity mask, not the
        morphological one; an end may be infinite; None: no bounds.
    outlier_sigma
        Intensities further than this many SD from the region's mean leave the intensity mask
        (IBSI: 3); None: none do. After ``intensity_range``.
    bin_number, bin_size
        Exactly one: number of grey levels over the region's range, or their width in the
        volume's unit.
    bin_start
        Where bins of a fixed size begin: at the low end of ``intensity_range`` (IBSI's choice
        where there is one), at the region's ``minimum``, or at the ``multiple`` of the bin size
        below it (pyradiomics').
    ivh_bin_size, ivh_step
        Exactly one if ``IVH`` is among the families: the width of the intensity-volume
        histogram's bins, from the low end of the range; or intensities as they are, at steps of
        this size (1 for whole HU).
    distance
        Chebyshev distance of GLCM, in voxels; IBSI: 1.
    coarseness
        Largest difference of grey levels that NGLDM calls dependent; IBSI: 0.

    Raises
    ------
    VolumeError
        Settings that contradict each other, are out of range, or name nothing.
    """

    families: tuple[str, ...]
    aggregations: tuple[str, ...]
    interpolation: Interpolation
    spacing_zyx_mm: tuple[float | None, float | None, float | None] = (None, None, None)
    rounding: bool
    intensity_range: tuple[float, float] | None
    outlier_sigma: float | None
    bin_number: int | None = None
    bin_size: float | None = None
    bin_start: BinStart
    ivh_bin_size: float | None = None
    ivh_step: float | None = None
    region_share: float = 0.5
    distance: int = 1
    coarseness: int = 0

    def __post_init__(self) -> None:
        _check_names(self.families, FAMILIES, "family")
        _check_names(self.aggregations, DIRECTIONAL, "aggregation")
        self._check_grid()
        self._check_bins()
        if not 0 < self.region_share < 1:
            raise _wrong("region_share is not between 0 and 1", str(self.region_share))
        if self.distance < 1:
            raise _wrong("distance must be a whole number of at least 1", str(self.distance))
        if self.coarseness < 0:
            raise _wrong("coarseness must not be negative", str(self.coarseness))
        if self.outlier_sigma is not None and not self.outlier_sigma > 0:
            raise _wrong("outlier_sigma must be above 0", str(self.outlier_sigma))

    def _check_grid(self) -> None:
        if self.interpolation not in ("none", "linear", "cubic"):
            raise _wrong("interpolation is none, linear or cubic", str(self.interpolation))
        given = [s for s in self.spacing_zyx_mm if s is not None]
        if len(self.spacing_zyx_mm) != 3 or not all(0 < s < float("inf") for s in given):
            raise _wrong("spacing_zyx_mm must be three distances above 0", str(given))
        if (self.interpolation == "none") != (not given):
            raise _wrong(
                "interpolation and spacing_zyx_mm must be given together",
                f"{self.interpolation}, {self.spacing_zyx_mm}",
            )

    def _check_bins(self) -> None:
        if (self.bin_number is None) == (self.bin_size is None):
            raise _wrong(
                "exactly one of bin_number and bin_size is needed",
                f"{self.bin_number}, {self.bin_size}",
            )
        if self.bin_number is not None and not 1 <= self.bin_number <= MOST_LEVELS:
            raise _wrong(f"bin_number is 1 to {MOST_LEVELS}", str(self.bin_number))
        for name in ("bin_size", "ivh_bin_size", "ivh_step"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise _wrong(f"{name} must be above 0", str(value))
        if self.bin_start not in ("range", "minimum", "multiple"):
            raise _wrong("bin_start is range, minimum or multiple", str(self.bin_start))
        if "IVH" in self.families and (self.ivh_bin_size is None) == (self.ivh_step is None):
            raise _wrong(
                "IVH needs exactly one of ivh_bin_size and ivh_step",
                f"{self.ivh_bin_size}, {self.ivh_step}",
            )
        bounds = self.intensity_range
        if bounds is not None and not bounds[0] < bounds[1]:
            raise _wrong("intensity_range needs low < high", str(bounds))
        open_below = bounds is None or bounds[0] == float("-inf")
        if open_below and self.bin_size is not None and self.bin_start == "range":
            raise _wrong("bin_start = range needs an intensity_range with a low end", str(bounds))

    @property
    def dimensions(self) -> tuple[str, ...]:
        """``2D``, ``2.5D``, ``3D``: where matrices without direction are computed, in order."""
        wanted = {a.partition(":")[0] for a in self.aggregations}
        return tuple(d for d in PLAIN if d in wanted)

    @classmethod
    def from_toml(cls, table: Mapping[str, Any]) -> RadiomicsSettings:
        """Settings of a protocol's table; lists become tuples, a key unknown to us is refused.

        ``spacing_zyx_mm = [0, 2, 2]``: 0 leaves an axis alone, since TOML has no None. Keys whose
        None is a choice (``intensity_range``, ``outlier_sigma``) may be left out.
        """
        known = {f.name for f in fields(cls)}
        strange = sorted(set(table) - known)
        if strange:
            raise _wrong("a setting is unknown", ", ".join(strange))
        given: dict[str, Any] = {"intensity_range": None, "outlier_sigma": None}
        for name, value in table.items():
            given[name] = tuple(value) if isinstance(value, list) else value
        if "spacing_zyx_mm" in given:
            given["spacing_zyx_mm"] = tuple(s or None for s in given["spacing_zyx_mm"])
        needed = {"families", "aggregations", "interpolation", "rounding", "bin_start"}
        missing = sorted(needed - set(given))
        if missing:
            raise _wrong("a setting is missing", ", ".join(missing))
        return cls(**given)


MOST_LEVELS = 1024
"""Grey levels beyond which a bin width is taken for a mistake (13 GLCM would need 109 MB)."""


def _check_names(given: tuple[str, ...], known: tuple[str, ...], what: str) -> None:
    strange = [g for g in given if g not in known]
    if strange:
        raise VolumeError(
            f"no such {what}",
            where=_WHERE,
            value=", ".join(map(str, strange)),
            remedy=f"One of: {', '.join(known)}",
        )
    if len(set(given)) != len(given):
        raise _wrong(f"a {what} is named twice", ", ".join(given))


def _wrong(problem: str, value: str) -> VolumeError:
    return VolumeError(problem, where=_WHERE, value=value)
