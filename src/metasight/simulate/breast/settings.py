"""What a simulated breast cohort is like: every number that can be chosen, with its meaning."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from metasight.provenance import hash_json
from metasight.simulate.settings import Part, settings_of

VERSION = 1
"""Of the simulator; the same version, settings and seed give the same bytes."""


_EVENT_SHARE, _MOST_EVENT_SHARE, _FEWEST_EVENTS = 0.15, 0.5, 12


class Effects(Part):
    """Log hazard ratios of distant metastasis.

    Attributes
    ----------
    tls, t_cells, mixing
        Per standard deviation of the latent: density of tertiary lymphoid structures,
        infiltration by T cells, dispersal of the tumour in small nests and cords. All 0 is a
        null study.
    size, nodes, grade, er
        Clinical: per doubling of the size, per unit of log(1 + positive nodes), per grade, for
        oestrogen receptor positive.
    """

    tls: float = -0.58
    t_cells: float = -0.45
    mixing: float = 0.52
    size: float = 0.45
    nodes: float = 0.65
    grade: float = 0.50
    er: float = -0.40


class BreastSettings(Part):
    """A simulated ``breast-dmfs`` cohort.

    Attributes
    ----------
    patients, centres
        Numbers; patients are spread evenly over the centres.
    pair_fraction
        Share of patients with marker sections beside the H&E.
    markers
        ``fluorescence``: one section with DAPI, Pan-CK, CD3 and CD20; ``chromogenic``: three
        DAB sections.
    tissue_mm, margin_mm
        Side of the square that the tissue roughly fills, and glass round it.
    mpp, markers_mpp
        Micrometres a pixel of H&E and of marker sections.
    section_gap_um
        Distance in depth from one section to the next; regions drift with it, cells are others.
    turn_degrees, deformation_um
        Largest turn of a marker section, and standard deviation of its smooth deformation (knots
        500 µm apart).
    misalignment_um
        Standard deviation of a further deformation on 120 µm, finer than alignment can follow.
    stain_shift, scanner_shift
        0: all centres alike; 1: centres differ as real ones do; more: worse.
    confounding
        Log hazard ratio between the first and the last centre that has no cause in the tissue.
    defect_fraction
        Share of sections with a fold or a tear.
    spoilt_fraction
        Share of H&E sections that are out of focus beyond use.
    ineligible_fraction
        Share of patients that a criterion other than follow-up excludes on purpose.
    missing_fraction
        Share of missing values in grade and receptors of tables; of patients without image
        features in `metasight.simulate.breast.table`.
    event_share
        Expected share of patients with a distant metastasis or death that is observed. Without
        it 0.15, as in life, or in a cohort too small for that what makes 12 events, at most 0.5.
    t_cell_noise, b_cell_noise
        Standard deviations of the smooth log-normal variation of the T cells' density and of the
        logit of the B cells' share that nothing in H&E tells of.
    measurement_error
        Standard deviation of the error of biomarkers and embedding score in tables, in standard
        deviations of the latent.
    effects
        On distant metastasis.
    other_tissue_fraction, other_stain_fraction
        Share of patients whose H&E shows another tissue (tubules without tumour), or another
        stain than H&E, for the out-of-distribution check.
    """

    patients: int = Field(default=24, ge=1, le=100_000)
    centres: int = Field(default=3, ge=1, le=20)
    pair_fraction: float = Field(default=0.7, ge=0, le=1)
    markers: Literal["fluorescence", "chromogenic"] = "fluorescence"
    tissue_mm: float = Field(default=2.0, ge=0.8, le=12)
    margin_mm: float = Field(default=0.2, ge=0.1, le=2)
    mpp: float = Field(default=0.5, ge=0.2, le=1.0)
    markers_mpp: float = Field(default=1.0, ge=0.2, le=1.0)
    section_gap_um: float = Field(default=8.0, ge=0, le=40)
    turn_degrees: float = Field(default=25.0, ge=0, le=180)
    deformation_um: float = Field(default=8.0, ge=0, le=60)
    misalignment_um: float = Field(default=0.0, ge=0, le=60)
    stain_shift: float = Field(default=1.0, ge=0, le=3)
    scanner_shift: float = Field(default=1.0, ge=0, le=3)
    confounding: float = 0.0
    defect_fraction: float = Field(default=0.1, ge=0, le=1)
    spoilt_fraction: float = Field(default=0.0, ge=0, le=1)
    ineligible_fraction: float = Field(default=0.05, ge=0, le=1)
    missing_fraction: float = Field(default=0.0, ge=0, lt=1)
    event_share: float | None = Field(default=None, gt=0.01, lt=0.9)
    t_cell_noise: float = Field(default=0.6, ge=0, le=2)
    b_cell_noise: float = Field(default=0.6, ge=0, le=3)
    measurement_error: float = Field(default=0.35, ge=0, le=5)
    effects: Effects = Effects()
    other_tissue_fraction: float = Field(default=0.0, ge=0, le=1)
    other_stain_fraction: float = Field(default=0.0, ge=0, le=1)

    @property
    def expected_event_share(self) -> float:
        """`event_share`, or what stands for it."""
        if self.event_share is not None:
            return self.event_share
        return max(_EVENT_SHARE, min(_FEWEST_EVENTS / self.patients, _MOST_EVENT_SHARE))

    def key(self, seed: int) -> str:
        """What the cohort's files are made from, as a hash."""
        return hash_json({"settings": self.model_dump(mode="json"), "seed": seed, "v": VERSION})


def read_settings(path: Path | None, **given: Any) -> BreastSettings:
    """Settings from a TOML file, with ``given`` over it; see `settings_of`."""
    return settings_of(BreastSettings, path, given, manual="docs/simulation.md")
