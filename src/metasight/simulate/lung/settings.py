"""What a simulated lung cohort is like: every number that can be chosen, with its meaning."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from metasight.provenance import hash_json
from metasight.simulate.lung.nodule import Attenuation, Margin
from metasight.simulate.lung.scanner import KernelKind
from metasight.simulate.settings import Part, settings_of

VERSION = 1
"""Of the lung simulator; the same version, settings and seed give the same bytes."""


class NoduleSettings(Part):
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
        Central by every definition (edge within 2 cm of the proximal bronchial tree; centre well
        within the inner two thirds, from the hilum in three dimensions and in its axial plane),
        or by none of them; ``None``: anywhere.
    across_fissure
        A fissure may run through it.
    pleura
        ``free``: at least 4 mm of lung all round; ``tag``: the same with a strand to the pleura;
        ``attached``: touches the pleura.
    vessel
        A vessel reaches it.
    clearance_mm
        Vessels and bronchi of the lobes that come nearer than this are left out (but for the one
        that `vessel` asks for); 0 leaves them, as in life.
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
    across_fissure: bool = False
    pleura: Literal["free", "tag", "attached"] = "free"
    vessel: bool = False
    clearance_mm: float = Field(default=0.0, ge=0, le=20)
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


class ScanSettings(Part):
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
    noise: float = Field(default=1.0, ge=0, le=30)
    width_mm: float = Field(default=324.0, ge=290, le=500)
    depth_mm: float = Field(default=240.0, ge=225, le=500)
    contrast: bool = False


class ThoraxSettings(Part):
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


class NodalEffects(Part):
    """Log odds ratios of a higher N stage (proportional odds).

    Attributes
    ----------
    solid, spiculation, heterogeneity, uptake
        Image, per standard deviation of the latent: consolidation-to-tumour ratio, spiculation,
        unevenness, and uptake beyond what size and solid share explain. All 0 is a null study:
        images then tell nothing that the clinical table does not.
    size, central
        Shared, seen in the image and written in the table: per doubling of the longest diameter;
        central.
    age, female, smoker, adenocarcinoma
        Clinical: per 10 years; yes or no.
    """

    solid: float = 0.75
    spiculation: float = 0.45
    heterogeneity: float = 0.40
    uptake: float = 0.60
    size: float = 0.55
    central: float = 0.70
    age: float = -0.20
    female: float = 0.05
    smoker: float = 0.10
    adenocarcinoma: float = 0.35


class LungSettings(Part):
    """A simulated ``nsclc-occult-node`` cohort.

    Attributes
    ----------
    patients, centres
        Numbers; patients are spread evenly over the centres.
    n1_share, n2_share
        Of patients: those with pN1 and pN2, on average.
    effects
        On the N stage.
    sbrt_share
        Of patients treated with SBRT: older and frailer ones, so that who is verified depends on
        age and performance status alone (missing at random).
    not_at_random
        Log odds ratio of SBRT per N stage: 0 missing at random; other values are not.
    pet_fraction
        Share with PET beside those whose tumour is ≥ 3 cm or central, of whom 9 in 10 have one.
    invasive_fraction
        Share with invasive mediastinal staging; those without PET who need it always have it.
    ground_glass_fraction
        Share of pure ground-glass nodules (excluded by E2).
    ineligible_fraction
        Share that another criterion excludes on purpose.
    missing_fraction
        Share of missing values in smoking and histology.
    defect_fraction
        Share of scans with a quality defect, in turn of `metasight.simulate.lung.defects.DEFECTS`.
    click_fraction
        Share of lesions given as one coordinate and no mask.
    genes, expression_share
        Genes whose expression is simulated (none, or 200 and more), and of which share of
        patients: see `metasight.simulate.lung.expression`.
    mask_kind
        File the others come in: ``rtstruct``, ``nifti`` or ``seg``.
    pixel_mm
        Of CT; intervals, kernels and noise are the centres'.
    centre_shift
        0: all centres scan alike; 1: they differ as real ones do.
    measurement_error
        Standard deviation of the error of what radiologists read, and of features in
        `metasight.simulate.lung.table.simulate_nodal_table`, in standard deviations.
    """

    patients: int = Field(default=24, ge=1, le=100_000)
    centres: int = Field(default=3, ge=1, le=20)
    n1_share: float = Field(default=0.12, gt=0, lt=0.45)
    n2_share: float = Field(default=0.08, gt=0, lt=0.45)
    effects: NodalEffects = NodalEffects()
    sbrt_share: float = Field(default=0.25, ge=0, le=0.9)
    not_at_random: float = Field(default=0.0, ge=-3, le=3)
    pet_fraction: float = Field(default=0.6, ge=0, le=1)
    invasive_fraction: float = Field(default=0.2, ge=0, le=1)
    ground_glass_fraction: float = Field(default=0.08, ge=0, lt=1)
    ineligible_fraction: float = Field(default=0.05, ge=0, le=1)
    missing_fraction: float = Field(default=0.0, ge=0, lt=1)
    defect_fraction: float = Field(default=0.0, ge=0, le=1)
    click_fraction: float = Field(default=0.25, ge=0, le=1)
    mask_kind: Literal["rtstruct", "nifti", "seg"] = "rtstruct"
    genes: int = Field(default=0, ge=0, le=20_000)
    expression_share: float = Field(default=0.7, ge=0, le=1)
    pixel_mm: float = Field(default=0.8, ge=0.5, le=2)
    centre_shift: float = Field(default=1.0, ge=0, le=2)
    measurement_error: float = Field(default=0.35, ge=0, le=5)

    def key(self, seed: int) -> str:
        """What the cohort's files are made from, as a hash."""
        said = {"settings": self.model_dump(mode="json"), "seed": seed, "lung": VERSION}
        return hash_json(said)


def read_settings(path: Path | None, **given: Any) -> LungSettings:
    """Settings from a TOML file, with ``given`` over it; see `settings_of`."""
    return settings_of(LungSettings, path, given, manual="docs/simulation-lung.md")
