"""What a simulated lung cohort is like: every number that can be chosen, with its meaning."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from metasight.simulate.lung.nodule import Attenuation, Margin
from metasight.simulate.lung.scanner import KernelKind

VERSION = 1
"""Of the lung simulator; the same version, settings and seed give the same bytes."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class NoduleSettings(_Part):
    """One lesion; what is not given is drawn.

    Attributes
    ----------
    diameter_mm
        Longest diameter of the whole lesion in three dimensions.
    solid_diameter_mm
        Of its solid part; 0 for pure ground glass, `diameter_mm` for solid.
    margin
        ``smooth``, ``lobulated`` or ``spiculated``.
    lobe
        Label 1 to 5: right upper, middle, lower, left upper, lower.
    central
        Edge within 2 cm of the proximal bronchial tree, or at least 24 mm from it.
    pleura
        ``free``: at least 4 mm of lung all round; ``tag``: the same with a strand to the pleura;
        ``attached``: touches the pleura.
    vessel
        A vessel reaches it.
    ground_glass_hu, solid_hu
        CT numbers.
    texture_hu
        Standard deviation of its unevenness (5 mm across).
    suv
        Uptake.
    """

    diameter_mm: float = Field(ge=4, le=60)
    solid_diameter_mm: float = Field(ge=0, le=60)
    margin: Margin = "smooth"
    lobe: int | None = Field(default=None, ge=1, le=5)
    central: bool | None = None
    pleura: Literal["free", "tag", "attached"] = "free"
    vessel: bool = False
    ground_glass_hu: float = Field(default=-620.0, ge=-750, le=-350)
    solid_hu: float = Field(default=30.0, ge=-50, le=150)
    texture_hu: float = Field(default=12.0, ge=0, le=80)
    suv: float = Field(default=3.0, ge=0, le=60)

    @model_validator(mode="after")
    def _solid_inside(self) -> NoduleSettings:
        if self.solid_diameter_mm > self.diameter_mm:
            raise ValueError("solid_diameter_mm is larger than diameter_mm")
        return self

    @property
    def attenuation(self) -> Attenuation:
        """Class of the lesion."""
        if self.solid_diameter_mm == 0:
            return "ground-glass"
        return "solid" if self.solid_diameter_mm >= 0.999 * self.diameter_mm else "part-solid"


class ScanSettings(_Part):
    """How a thorax is scanned.

    Attributes
    ----------
    pixel_mm, interval_mm, thickness_mm
        In the slice; between slices' middles; averaged over.
    kernel
        ``soft``, ``standard`` or ``sharp``.
    noise
        Factor on the kernel's noise; 0 without.
    width_mm, depth_mm
        Field of view; skin may be cut, lungs are not.
    contrast
        Contrast medium in blood.
    """

    pixel_mm: float = Field(default=0.8, ge=0.4, le=2)
    interval_mm: float = Field(default=1.5, ge=0.5, le=10)
    thickness_mm: float = Field(default=1.5, ge=0.5, le=10)
    kernel: KernelKind = "standard"
    noise: float = Field(default=1.0, ge=0, le=10)
    width_mm: float = Field(default=324.0, ge=290, le=500)
    depth_mm: float = Field(default=240.0, ge=225, le=500)
    contrast: bool = False


class ThoraxSettings(_Part):
    """One thorax.

    Attributes
    ----------
    female
        Smaller, with breasts.
    vessel_ends
        Points tried as ends of vessels; sets how dense vessels are.
    vessel_leaf_mm
        Radius of the last branches.
    nodule
        Its lesion; ``None`` for a lung without one.
    scan
        How it is scanned.
    """

    female: bool = False
    vessel_ends: int = Field(default=16_000, ge=600, le=200_000)
    vessel_leaf_mm: float = Field(default=0.38, ge=0.1, le=1)
    nodule: NoduleSettings | None = NoduleSettings(diameter_mm=18, solid_diameter_mm=18)
    scan: ScanSettings = ScanSettings()
