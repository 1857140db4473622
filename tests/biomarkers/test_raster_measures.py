"""Measures on a grid, from density maps whose every number is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from metasight.biomarkers.definitions import BiomarkerDefinitions
from metasight.biomarkers.raster_measures import (
    compartment_measures,
    density_measures,
    quadrat_measures,
    tls_measures,
)
from metasight.biomarkers.section import section_of_density
from metasight.maps.density import DensityMap
from metasight.maps.window import TissueWindow

D = BiomarkerDefinitions(resamples=99)
SPACING, N = 16.0, 100
PIXEL_MM2 = (SPACING / 1000) ** 2


def section(tumour=0.0, t_cell=0.0, b_cell=0.0, *, region=None, definitions=D):
    """Densities in cells/mm², a number or an image, over 1.6 × 1.6 mm."""
    planes = [np.broadcast_to(np.asarray(v, float), (N, N)) for v in (tumour, t_cell, b_cell)]
    density = DensityMap(
        density=np.stack(planes).astype(np.float32),
        error=np.ones((3, N, N), np.float32),
        support=np.ones((N, N), bool),
        markers=("tumour", "t_cell", "b_cell"),
        spacing_um=SPACING,
        origin_um=(0.0, 0.0),
    )
    window = TissueWindow(mask=np.ones((N, N), bool), spacing_um=SPACING)
    own = None if region is None else TissueWindow(mask=region, spacing_um=SPACING)
    return section_of_density(density, window, own, definitions, seed=1)


def named(measures):
    return {m.name: m for m in measures}


def half() -> np.ndarray:
    left = np.zeros((N, N), bool)
    left[:, : N // 2] = True
    return left


def test_cells_per_square_millimetre():
    told = named(density_measures(section(1000.0, 400.0, np.where(half(), 60.0, 20.0))))
    assert told["tumour_cells_per_mm2"].value == pytest.approx(1000, rel=1e-5)
    assert told["t_cells_per_mm2"].value == pytest.approx(400, rel=1e-5)
    assert told["b_cells_per_mm2"].value == pytest.approx(40, rel=1e-5)
    assert told["immune_cells_per_mm2"].value == pytest.approx(440, rel=1e-5)


def test_an_even_density_has_no_width_and_an_uneven_one_has():
    even = named(density_measures(section(1000.0, 400.0)))["t_cells_per_mm2"]
    assert even.upper - even.lower == pytest.approx(0, abs=1e-3)
    uneven = named(density_measures(section(1000.0, np.where(half(), 600.0, 200.0))))
    found = uneven["t_cells_per_mm2"]
    assert found.value == pytest.approx(400, rel=1e-5)
    assert found.lower < 380
    assert found.upper > 420


def test_without_a_region_there_are_no_compartments():
    told = compartment_measures(section(1000.0, 400.0))
    assert all(math.isnan(m.value) for m in told)
    assert {m.reason for m in told} == {"no tumour region was given"}


def test_t_cells_of_stroma_and_epithelium():
    """Tumour cells on the left alone: that is epithelium, the right of the region is stroma."""
    tumour = np.where(half(), 4000.0, 0.0)
    t_cells = np.where(half(), 100.0, 900.0)
    region = np.ones((N, N), bool)
    told = named(compartment_measures(section(tumour, t_cells, region=region)))
    assert told["tumour_epithelium_percent"].value == pytest.approx(50, abs=3)
    assert told["t_cells_epithelial_per_mm2"].value == pytest.approx(100, rel=0.25)
    assert told["t_cells_stromal_per_mm2"].value == pytest.approx(900, rel=0.05)
    # lymphocytes cover so many µm² each
    share = 900 * D.lymphocyte_area_um2 / 1e6 * 100
    assert told["tils_stromal_percent"].value == pytest.approx(share, rel=0.05)


def test_a_percentage_is_at_most_a_hundred():
    told = named(
        compartment_measures(
            section(np.where(half(), 4000.0, 0.0), 60_000.0, region=np.ones((N, N), bool))
        )
    )
    assert told["tils_stromal_percent"].value == 100


def test_entropy_of_types():
    """Three kinds alike have log₂ 3 bits; a map that is the same everywhere tells no place."""
    told = named(quadrat_measures(section(500.0, 500.0, 500.0)))
    assert told["cell_type_entropy_bits"].value == pytest.approx(math.log2(3), abs=1e-3)
    assert told["spatial_information_bits"].value == pytest.approx(0, abs=1e-6)
    assert told["t_cell_hot_spot_percent"].value == 0
    assert math.isnan(told["t_cell_tumour_hot_spot_overlap_percent"].value)
    apart = named(quadrat_measures(section(np.where(half(), 800.0, 0), np.where(half(), 0, 800.0))))
    # each place holds one kind: the place tells all of one bit, but for squares across the middle
    assert apart["cell_type_entropy_bits"].value == pytest.approx(1, abs=0.01)
    assert apart["spatial_information_bits"].value == pytest.approx(1, abs=0.15)


def disc(x_um, y_um, radius_um):
    y, x = np.mgrid[:N, :N] * SPACING + SPACING / 2
    return np.hypot(x - x_um, y - y_um) <= radius_um


def test_a_hot_spot_has_its_area_and_its_overlap():
    place = disc(800, 800, 320)
    told = named(
        quadrat_measures(section(np.where(place, 3000.0, 300.0), np.where(place, 3000.0, 300.0)))
    )
    share = 100 * np.pi * 320**2 / 1600**2
    assert told["t_cell_hot_spot_percent"].value == pytest.approx(share, rel=0.6)
    assert told["t_cell_tumour_hot_spot_overlap_percent"].value == pytest.approx(100)
    other = named(
        quadrat_measures(
            section(
                np.where(disc(350, 350, 250), 3000.0, 300.0),
                np.where(disc(1250, 1250, 250), 3000.0, 300.0),
            )
        )
    )
    assert other["t_cell_tumour_hot_spot_overlap_percent"].value == pytest.approx(0)


def test_lymphoid_structures_are_counted_with_their_sizes():
    place = disc(500, 500, 110) | disc(1150, 1100, 160)
    measures, found = tls_measures(
        section(0.0, np.where(place, 4000.0, 50.0), np.where(place, 3000.0, 10.0))
    )
    told = named(measures)
    assert told["tls_count"].value == len(found) == 2
    assert told["tls_density_per_mm2"].value == pytest.approx(2 / 1.6**2)
    area = np.pi * (110**2 + 160**2)
    assert told["tls_area_percent"].value == pytest.approx(100 * area / 1600**2, rel=0.4)
    assert told["tls_largest_area_um2"].value == max(a.area_um2 for a in found)
    assert told["tls_b_cell_percent"].value == pytest.approx(100 * 3000 / 7000, abs=4)
    assert math.isnan(told["tls_distance_to_tumour_um"].value)
    assert told["tls_distance_to_tumour_um"].reason == "there is no tumour epithelium"


def test_none_is_zero_and_its_size_is_not():
    measures, found = tls_measures(section(0.0, 100.0, 10.0))
    told = named(measures)
    assert found == ()
    assert (told["tls_count"].value, told["tls_area_percent"].value) == (0, 0)
    assert math.isnan(told["tls_largest_area_um2"].value)
    assert told["tls_largest_area_um2"].reason == "no tertiary lymphoid structure was found"
