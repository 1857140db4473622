"""Small simulated tissue."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from metasight.simulate.breast.patients import Patients, draw_patients
from metasight.simulate.breast.settings import BreastSettings

SMALL = BreastSettings(
    tissue_mm=0.8,
    margin_mm=0.12,
    mpp=1.0,
    markers_mpp=1.0,
    pair_fraction=1.0,
    patients=3,
    defect_fraction=0.0,
)


@pytest.fixture(scope="session")
def small() -> BreastSettings:
    return SMALL


@pytest.fixture(scope="session")
def average() -> Patients:
    """One patient whose latents are all 0, of grade 2."""
    drawn = draw_patients(np.random.default_rng(0), np.zeros(1, dtype=np.int64))
    zero = np.zeros(1)
    return replace(
        drawn,
        tls=zero,
        t_cells=zero,
        mixing=zero,
        exclusion=zero,
        tumour=zero,
        fat=zero,
        grade=np.array([2]),
    )
