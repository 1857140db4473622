"""Patients: one latent biology for each, from which tissue, table and outcome follow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from metasight.simulate.breast.settings import BreastSettings

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

IMAGE_LATENTS = ("tls", "t_cells", "mixing")
"""Latents that carry planted effects, each standard normal over patients."""

_TLS_WITH_T_CELLS = 0.4  # immune states go together: Cabrita 2020 finds TLS where T cells are
_T_CELLS_WITH_GRADE = 0.2  # high grade tumours have more TILs (Stanton and Disis 2016)


@dataclass(frozen=True, kw_only=True)
class Patients:
    """Biology of ``n`` patients; every array has shape ``(n,)``.

    Attributes
    ----------
    centre
        0 to ``centres`` − 1.
    age_years, tumour_size_mm, positive_nodes, grade, er_positive, pr_positive, her2_positive
        As a hospital records them.
    tls, t_cells, mixing
        Standard normal: TLS density, infiltration by T cells, dispersal of the tumour.
    exclusion, tumour, fat
        Standard normal, without effect on the outcome: how much T cells keep out of the nests,
        how much of the tissue is tumour, how much fat there is.
    """

    centre: Ints
    age_years: Floats
    tumour_size_mm: Floats
    positive_nodes: Ints
    grade: Ints
    er_positive: npt.NDArray[np.bool_]
    pr_positive: npt.NDArray[np.bool_]
    her2_positive: npt.NDArray[np.bool_]
    tls: Floats
    t_cells: Floats
    mixing: Floats
    exclusion: Floats
    tumour: Floats
    fat: Floats

    def __len__(self) -> int:
        return len(self.age_years)

    def clinical_terms(self) -> Floats:
        """Size (log2 of 20 mm), nodes (log1p), grade − 2, ER; shape ``(n, 4)``."""
        return np.stack(
            [
                np.log2(self.tumour_size_mm / 20.0),
                np.log1p(self.positive_nodes),
                self.grade - 2.0,
                self.er_positive.astype(np.float64),
            ],
            axis=1,
        )

    def image_terms(self) -> Floats:
        """The latents with planted effects, shape ``(n, 3)``."""
        return np.stack([getattr(self, name) for name in IMAGE_LATENTS], axis=1)


def draw_patients(rng: np.random.Generator, centre: Ints) -> Patients:
    """Draw the biology of as many patients as ``centre`` has entries.

    Distributions are those of women operated for primary invasive breast cancer: size median
    20 mm, 60 % node-negative, grades 20/45/35 %, ER in 90/85/60 % of grades 1/2/3.
    """
    n = len(centre)
    normal = rng.standard_normal((8, n))
    uniform = rng.random((6, n))
    grade_latent = normal[0]
    grade = 1 + (grade_latent > -0.84).astype(np.int64) + (grade_latent > 0.39)
    size = np.round(np.exp(np.log(20) + 0.5 * (0.3 * grade_latent + 0.954 * normal[1])), 0)
    size = np.clip(size, 3, 120)
    some = uniform[0] < 1 / (1 + np.exp(0.65 - 0.9 * np.log2(size / 20)))
    nodes = np.where(some, 1 + np.floor(-2.6 * np.log(1 - uniform[1])), 0).astype(np.int64)
    er = uniform[2] < np.array([0.95, 0.88, 0.66])[grade - 1]
    pr = uniform[3] < np.where(er, 0.82, 0.05)
    her2 = uniform[4] < np.where(grade == 3, 0.22, 0.1)
    own = np.sqrt(1 - _T_CELLS_WITH_GRADE**2)
    t_cells = _T_CELLS_WITH_GRADE * grade_latent + own * normal[2]
    tls = _TLS_WITH_T_CELLS * t_cells + np.sqrt(1 - _TLS_WITH_T_CELLS**2) * normal[3]
    age = np.rint(np.clip(58 + 12 * rng.standard_normal(n), 28, 90))
    return Patients(
        centre=centre,
        age_years=age,
        tumour_size_mm=size,
        positive_nodes=np.minimum(nodes, 40),
        grade=grade,
        er_positive=er,
        pr_positive=pr,
        her2_positive=her2,
        tls=tls,
        t_cells=t_cells,
        mixing=normal[4],
        exclusion=normal[5],
        tumour=normal[6],
        fat=normal[7],
    )


def spread_over_centres(settings: BreastSettings, n: int) -> Ints:
    """Centre of patients 0 to n − 1: in turn, so that any first part is spread evenly."""
    return np.arange(n, dtype=np.int64) % settings.centres
