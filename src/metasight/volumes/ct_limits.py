"""Limits of CT quality: what a protocol sets, and what a finding says of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Literal

import numpy as np

from metasight.errors import VolumeError

Verdict = Literal["passed", "failed", "unknown"]


@dataclass(frozen=True, kw_only=True)
class Limit:
    """What a value may be.

    Attributes
    ----------
    low, high
        Smallest and largest allowed value; None for no limit on that side.
    required
        Whether the scan as a whole is unknown where this value is.
    """

    low: float | None = None
    high: float | None = None
    required: bool = True

    def __post_init__(self) -> None:
        if self.low is not None and self.high is not None and self.low > self.high:
            raise VolumeError(
                "a limit's low is above its high",
                where="CT quality",
                value=f"{self.low:g}, {self.high:g}",
                remedy="Correct [ct_quality] of the protocol",
            )

    def verdict(self, value: float | None) -> Verdict:
        """Whether a value is within; ``unknown`` if there is none."""
        if value is None or not np.isfinite(value):
            return "unknown"
        low_ok = self.low is None or value >= self.low
        return "passed" if low_ok and (self.high is None or value <= self.high) else "failed"

    def __str__(self) -> str:
        if self.low is None and self.high is None:
            return "no limit"
        if self.low is None:
            return f"≤ {self.high:g}"
        return f"≥ {self.low:g}" if self.high is None else f"{self.low:g} to {self.high:g}"


@dataclass(frozen=True, kw_only=True)
class CtLimits:
    """A limit for each value of CT quality; the defaults with their reasons.

    Attributes
    ----------
    slice_thickness_mm
        ≤ 3: thicker slices hide a solid part of 3 mm; Fleischner asks for ≤ 1.5 where it can be.
    slice_distance_mm, slice_gap_mm
        Distance ≤ 3, and no more than 0.1 of it between two slices unseen.
    pixel_spacing_mm
        ≤ 1: a 500 mm field on 512 pixels.
    missing_slices
        None: an interpolated slice is not measured.
    tilt_degrees
        ≤ 1: undoing a tilt interpolates every slice.
    lossy
        0: no lossy compression.
    kernel_known
        1: kernel said and known to be smooth or sharp; not required, as many archives drop it.
    noise_tissue_hu, noise_aorta_hu
        ≤ 15, smoothed by 1 mm: tube currents of the chest are set for 8 to 15 HU with a standard
        kernel. The aorta is not required, as it cannot always be found.
    noise_lung_hu
        ≤ 40, smoothed by 1 mm, the texture of parenchyma included: a quarter of what parts ground
        glass (−700) from lung (−850).
    noise_air_hu
        ≤ 15, smoothed by 1 mm; not required, as many scanners cut air off.
    air_hu
        −1000 ± 40 round the body: four times what calibration allows (± 10).
    muscle_hu
        20 to 90: the commonest value of solid tissue other than fat.
    fat_hu
        −130 to −70: the commonest value of fat; not required, as some patients have little.
    lung_volume_ml, lung_height_mm
        ≥ 1000 and ≥ 150: both lungs of an adult, whole.
    lung_first_slice_cm2, lung_last_slice_cm2
        ≤ 10: more than trachea and the tips of the recesses is cut off.
    lung_at_view_edge_cm2
        ≤ 1: lung that touches the edge of the field of view is cut off.
    slice_jump_mm
        ≤ 3: a larger jump between slices is a breath, and changes a diameter's T category.
    edge_width_mm
        ≤ 4: scanner and slice thickness explain up to 3.
    streak_share
        ≤ 0.1 of the deep tissue within 40 mm of metal changed in the worst slice; from
        slice to slice anatomy alone changes up to 0.03 of it.
    metal_ml, contrast_hu
        Reported; no limit.
    """

    slice_thickness_mm: Limit = Limit(high=3.0)
    slice_distance_mm: Limit = Limit(high=3.0)
    slice_gap_mm: Limit = Limit(high=0.1)
    pixel_spacing_mm: Limit = Limit(high=1.0)
    missing_slices: Limit = Limit(high=0.0)
    tilt_degrees: Limit = Limit(high=1.0)
    lossy: Limit = Limit(high=0.0)
    kernel_known: Limit = Limit(low=1.0, required=False)
    noise_tissue_hu: Limit = Limit(high=15.0)
    noise_aorta_hu: Limit = Limit(high=15.0, required=False)
    noise_lung_hu: Limit = Limit(high=40.0)
    noise_air_hu: Limit = Limit(high=15.0, required=False)
    air_hu: Limit = Limit(low=-1040.0, high=-960.0)
    muscle_hu: Limit = Limit(low=20.0, high=90.0)
    fat_hu: Limit = Limit(low=-130.0, high=-70.0, required=False)
    lung_volume_ml: Limit = Limit(low=1000.0)
    lung_height_mm: Limit = Limit(low=150.0)
    lung_first_slice_cm2: Limit = Limit(high=10.0)
    lung_last_slice_cm2: Limit = Limit(high=10.0)
    lung_at_view_edge_cm2: Limit = Limit(high=1.0)
    slice_jump_mm: Limit = Limit(high=3.0)
    edge_width_mm: Limit = Limit(high=4.0)
    streak_share: Limit = Limit(high=0.1)
    metal_ml: Limit = Limit(required=False)
    contrast_hu: Limit = Limit(required=False)

    @classmethod
    def from_table(cls, table: Mapping[str, Mapping[str, object]]) -> CtLimits:
        """Limits of a protocol: ``{name: {low, high, required}}``; others keep their default.

        Raises
        ------
        VolumeError
            A name that is no value of CT quality, or a limit that is not a number.
        """
        names = {f.name for f in fields(cls)}
        limits: dict[str, Limit] = {}
        for name, entry in table.items():
            if name not in names:
                raise VolumeError(
                    "there is no such value of CT quality",
                    where="CT quality",
                    value=name,
                    remedy=f"Known are {', '.join(sorted(names))}",
                )
            limits[name] = _limit(name, entry)
        return cls(**limits)


def _limit(name: str, entry: Mapping[str, object]) -> Limit:
    wrong = set(entry) - {"low", "high", "required"}
    required = entry.get("required", True)
    sides: dict[str, float | None] = {"low": None, "high": None}
    for side in sides:
        value = entry.get(side)
        if isinstance(value, int | float) and not isinstance(value, bool):
            sides[side] = float(value)
        elif value is not None:
            wrong.add(side)
    if wrong or not isinstance(required, bool):
        raise VolumeError(
            "a limit is low and high (numbers) and required (true or false)",
            where=f"CT quality, {name}",
            value=", ".join(sorted(wrong)) or str(required),
            remedy="Correct [ct_quality] of the protocol",
        )
    return Limit(low=sides["low"], high=sides["high"], required=required)
