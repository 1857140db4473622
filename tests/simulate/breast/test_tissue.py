"""Tissue does what the latents say, and consecutive sections share it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from metasight.simulate.breast.other import other_tissue_at
from metasight.simulate.breast.patients import Patients
from metasight.simulate.breast.settings import BreastSettings
from metasight.simulate.breast.tissue import (
    GRID_UM,
    KINDS,
    Lymphoid,
    Regions,
    biology_of,
    tissue_at,
)

TUMOUR, T_CELL, B_CELL = (KINDS.index(k) for k in ("tumour", "t_cell", "b_cell"))
BLOCKS = 3


@pytest.fixture(scope="module")
def big(small: BreastSettings) -> BreastSettings:
    return small.model_copy(update={"tissue_mm": 1.4})


def cut(settings: BreastSettings, p: Patients, seed: int = 1, depth_um: float = 0.0) -> Regions:
    return tissue_at(settings, biology_of(p, 0), (seed,), depth_um)


def mean_density(p: Patients, kind: int, settings: BreastSettings, where: str) -> float:
    found = []
    for seed in range(BLOCKS):
        r = cut(settings, p, seed)
        mask = (r.tissue > 0.9) & (r.lymphoid == 0) & (r.fat == 0)
        mask &= r.nest > 0.9 if where == "nest" else r.nest < 0.05
        found.append(float(r.intensity[kind][mask].mean()))
    return float(np.mean(found))


def with_latent(p: Patients, **latents: float) -> Patients:
    return replace(p, **{k: np.array([v]) for k, v in latents.items()})


def test_infiltration_follows_its_latent(big: BreastSettings, average: Patients) -> None:
    """Desert, excluded and inflamed, by the definition's 200 T cells per mm²."""
    desert = with_latent(average, t_cells=-2.0)
    inflamed = with_latent(average, t_cells=1.5)
    assert mean_density(desert, T_CELL, big, "stroma") < 200
    assert mean_density(average, T_CELL, big, "stroma") > 300
    assert mean_density(average, T_CELL, big, "nest") < 200
    assert mean_density(inflamed, T_CELL, big, "nest") > 400


def test_dispersal_makes_more_border(big: BreastSettings, average: Patients) -> None:
    """Border of nests per area of nest, of dispersed over cohesive tumours."""

    def border(p: Patients) -> float:
        total, area = 0.0, 0.0
        for seed in range(BLOCKS):
            nest = cut(big, p, seed).nest > 0.5
            total += float((nest ^ ndimage.binary_erosion(nest)).sum())
            area += float(nest.sum())
        return total / area

    cohesive, dispersed = (border(with_latent(average, mixing=m)) for m in (-1.5, 1.5))
    assert dispersed > 1.8 * cohesive


def test_number_of_structures_follows_its_latent(big: BreastSettings, average: Patients) -> None:
    def number(tls: float) -> int:
        p = with_latent(average, tls=tls)
        return sum(len(cut(big, p, seed).structures) for seed in range(6))

    few, some, many = (number(v) for v in (-1.5, 0.0, 1.5))
    assert few < some < many


def test_structures_have_a_b_cell_core_and_a_t_cell_mantle(
    big: BreastSettings, average: Patients
) -> None:
    rich = with_latent(average, tls=2.0)
    r = cut(big, rich, 3)
    assert r.structures
    shares = {"core": [], "mantle": []}
    y, x = (np.mgrid[: r.tissue.shape[0], : r.tissue.shape[1]] + 0.5) * GRID_UM
    for s in r.structures:
        away = np.hypot(x - s.x_um, y - s.y_um)
        limit = s.radius_at(np.arctan2(y - s.y_um, x - s.x_um), 0.0)
        for name, ring in (
            ("core", away < 0.4 * limit),
            ("mantle", (away > 0.85 * limit) & (away < limit)),
        ):
            lymphocytes = r.intensity[[T_CELL, B_CELL]][:, ring].sum(axis=1)
            shares[name].append(lymphocytes[1] / lymphocytes.sum())
    assert np.mean(shares["core"]) > 0.6
    assert np.mean(shares["mantle"]) < 0.45


def test_the_next_section_is_like_this_one_and_not_the_same(
    big: BreastSettings, average: Patients
) -> None:
    here, again, next_, far = (cut(big, average, 1, d) for d in (0.0, 0.0, 8.0, 40.0))
    assert (here.intensity == again.intensity).all()

    def alike(other: Regions) -> float:
        return float(np.corrcoef(here.nest.ravel(), other.nest.ravel())[0, 1])

    assert 0.9 < alike(next_) < 0.999
    assert alike(far) < alike(next_)


def test_a_structure_is_a_ball() -> None:
    ball = Lymphoid(x_um=0, y_um=0, z_um=0, radius_um=100, core=0.5, wobble=(0, 0), phase=(0, 0))
    assert ball.radius_at(np.zeros(1), 60.0)[0] == pytest.approx(80.0)
    assert ball.radius_at(np.zeros(1), 120.0)[0] == 0.0


def test_other_tissue_has_no_tumour_region_and_no_structure(
    big: BreastSettings, average: Patients
) -> None:
    r = other_tissue_at(big, biology_of(average, 0), (1,), 0.0)
    assert r.structures == ()
    assert r.intensity[B_CELL].max() < 50
    assert 0.15 < float(r.lumen[r.tissue > 0.9].mean()) < 0.4 or float(r.lumen.mean()) > 0.02
