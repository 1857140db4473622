"""Measures of cells' positions: patterns whose answers are known, and their nulls."""

from __future__ import annotations

import math

import numpy as np
import pytest

from metasight.biomarkers.definitions import BiomarkerDefinitions
from metasight.biomarkers.point_measures import (
    correlation_measures,
    mixing_measures,
    nearest_measures,
    without_points,
)
from metasight.biomarkers.section import section_of_cells
from metasight.maps.cells import cells_of
from metasight.maps.window import TissueWindow

NAMES = ("other", "tumour", "t_cell", "b_cell")
D = BiomarkerDefinitions(resamples=99, permutations=63, tls_permutations=3)
SIDE = 1600.0


def section(*groups, seed=0):
    """Groups of (kind, x, y) in a square of 1.6 mm."""
    window = TissueWindow(mask=np.ones((100, 100), bool), spacing_um=16.0)
    kind = np.concatenate([np.full(len(x), name) for name, x, _ in groups])
    x, y = (np.concatenate([g[k] for g in groups]) for k in (1, 2))
    inside = (x > 0) & (x < SIDE) & (y > 0) & (y < SIDE)
    cells = cells_of(x[inside], y[inside], kind[inside], NAMES)
    return section_of_cells(cells, window, None, D, seed)


def anywhere(n, rng):
    return rng.uniform(0, SIDE, n), rng.uniform(0, SIDE, n)


def beside(x, y, reach_um, rng):
    angle = rng.uniform(0, 2 * np.pi, len(x))
    return x + reach_um * np.cos(angle), y + reach_um * np.sin(angle)


def named(measures):
    return {m.name: m for m in measures}


@pytest.fixture(scope="module")
def scattered():
    """Tumour, T and B cells that know nothing of each other."""
    rng = np.random.default_rng(0)
    found = section(
        ("tumour", *anywhere(1500, rng)),
        ("t_cell", *anywhere(600, rng)),
        ("b_cell", *anywhere(300, rng)),
    )
    return found


@pytest.fixture(scope="module")
def paired():
    """Each T cell lies 10 µm from a tumour cell."""
    rng = np.random.default_rng(1)
    x, y = rng.uniform(60, SIDE - 60, (2, 600))  # a neighbour is found before the edge is met
    return section(
        ("tumour", x, y), ("t_cell", *beside(x, y, 10.0, rng)), ("b_cell", *anywhere(200, rng))
    )


def test_from_a_density_map_all_are_missing_under_the_same_names(scattered):
    told = without_points()
    assert all(math.isnan(m.value) for m in told)
    measures = [
        *mixing_measures(scattered, scattered.points)[0],
        *correlation_measures(scattered, scattered.points)[0],
        *nearest_measures(scattered, scattered.points)[0],
    ]
    assert [(m.name, m.unit, m.definition) for m in told] == [
        (m.name, m.unit, m.definition) for m in measures
    ]


def test_scattered_cells_cluster_as_chance_has_it(scattered):
    told, curves = correlation_measures(scattered, scattered.points)
    for name, measure in named(told).items():
        if name.endswith("_clustering_near_ratio"):
            assert measure.value == pytest.approx(1, abs=0.25)
            assert abs(measure.null_z) < 3
            assert measure.lower < measure.value < measure.upper
        else:
            assert measure.value == pytest.approx(0, abs=6)
    assert len(curves) == 6
    l_curve = curves[0]
    np.testing.assert_allclose(l_curve.value[5:], l_curve.radius_um[5:], rtol=0.1)


def test_pairs_cluster_near_by(paired):
    """600 T cells have a tumour cell within 10 µm where chance gives λ π r²."""
    told = named(correlation_measures(paired, paired.points)[0])
    found = told["tumour_t_cell_clustering_near_ratio"]
    chance = 600 / (SIDE - 120) ** 2 * np.pi * D.near_um**2
    assert found.value == pytest.approx(1 + 1 / chance, rel=0.25)
    assert found.null_z > 8
    assert told["t_cell_b_cell_clustering_near_ratio"].value == pytest.approx(1, abs=0.35)


def test_how_many_have_a_neighbour_near_by(scattered, paired):
    """Of scattered T cells 1 − exp(−λ π r²) have a tumour cell within r; of the paired all."""
    told = named(nearest_measures(scattered, scattered.points)[0])
    rate = 1500 / SIDE**2
    wanted = 100 * (1 - math.exp(-rate * np.pi * D.near_um**2))
    found = told["t_cell_to_tumour_near_percent"]
    assert found.value == pytest.approx(wanted, abs=5)
    assert found.null_p > 0.01
    close = named(nearest_measures(paired, paired.points)[0])["t_cell_to_tumour_near_percent"]
    assert close.value > 97
    assert close.null_p == pytest.approx(1 / 64)  # beyond all 63 permutations


def test_the_mean_distance_of_paired_cells_is_that_of_the_pairs(paired):
    told = named(nearest_measures(paired, paired.points)[0])
    found = told["t_cell_to_tumour_distance_um"]
    assert found.value == pytest.approx(10, abs=2.5)
    assert found.value < found.null_mean
    other = told["t_cell_to_b_cell_distance_um"]
    # a Poisson process has its nearest neighbour at 1 / (2 √λ), up to the reach
    assert other.value == pytest.approx(1 / (2 * math.sqrt(200 / SIDE**2)), rel=0.35)


def test_mixing_is_low_where_immune_cells_keep_apart():
    rng = np.random.default_rng(2)
    x, y = anywhere(1500, rng)
    left, right = x < SIDE / 2, x >= SIDE / 2
    n = 1500
    other = anywhere(n, rng)
    apart = section(("tumour", x[left], y[left]), ("t_cell", x[right], y[right]))
    mixed = section(("tumour", x, y), ("t_cell", *other))
    low, high = (mixing_measures(s, s.points)[0][0] for s in (apart, mixed))
    assert low.value < 0.3 * high.value
    assert low.null_z < -3
    assert abs(high.null_z) < 3.5


def test_t_cells_prefer_what_they_lie_beside(paired, scattered):
    near = named(mixing_measures(paired, paired.points)[0])["t_cell_tumour_preference_ratio"]
    plain = named(mixing_measures(scattered, scattered.points)[0])["t_cell_tumour_preference_ratio"]
    assert plain.value == pytest.approx(1, abs=0.1)
    assert near.value > 1.05
    assert near.null_mean == 1.0


def test_a_kind_that_does_not_occur_is_missing_with_its_reason():
    rng = np.random.default_rng(3)
    alone = section(("tumour", *anywhere(500, rng)), ("t_cell", *anywhere(300, rng)))
    told = named(correlation_measures(alone, alone.points)[0])
    found = told["t_cell_b_cell_clustering_near_ratio"]
    assert math.isnan(found.value)
    assert found.reason == "one of the cell types has no cell in the window"
    near = named(nearest_measures(alone, alone.points)[0])["t_cell_to_b_cell_near_percent"]
    assert math.isnan(near.value)
    assert "a type has no cell" in near.reason
