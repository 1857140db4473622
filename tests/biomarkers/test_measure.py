import math
from dataclasses import replace

import numpy as np
import pytest

from metasight.biomarkers.definitions import BiomarkerDefinitions
from metasight.biomarkers.measure import measure
from metasight.biomarkers.results import Measure
from metasight.biomarkers.section import section_of_cells
from metasight.errors import MarkerError
from metasight.maps.cells import cells_of
from metasight.maps.density import density_from_cells
from metasight.maps.window import TissueWindow

NAMES = ("other", "tumour", "t_cell", "b_cell")
D = BiomarkerDefinitions(resamples=199, permutations=63, tls_permutations=5)


def section(per_mm2, seed=0):
    """Poisson cells of each kind in an L of 0.75 × 4 mm²."""
    mask = np.ones((250, 250), dtype=bool)
    mask[125:, 125:] = False
    window = TissueWindow(mask=mask, spacing_um=8.0)
    rng = np.random.default_rng(seed)
    n = rng.poisson(np.array(per_mm2) * 4)
    x, y = rng.uniform(0, 2000, (2, n.sum()))
    cells = cells_of(x, y, np.repeat(NAMES, n), NAMES)
    return window.cells_inside(cells), window


@pytest.fixture(scope="module")
def even():
    cells, window = section([2000, 1500, 500, 100])
    return cells, window, measure(cells, window, window, D, seed=3)


def test_same_seed_same_bytes_another_seed_others(even):
    cells, window, first = even
    again = measure(cells, window, window, D, seed=3)
    assert repr(again.measures) == repr(first.measures)
    other = measure(cells, window, window, D, seed=4)
    assert repr(other.measures) != repr(first.measures)
    assert other["t_cells_per_mm2"].value == first["t_cells_per_mm2"].value


def test_the_order_of_the_cells_does_not_matter(even):
    cells, window, first = even
    shuffled = cells.take(np.random.default_rng(0).permutation(len(cells)))
    again = measure(shuffled, window, window, D, seed=3)
    for a, b in zip(first.measures, again.measures, strict=True):
        assert a.value == pytest.approx(b.value, rel=1e-9, nan_ok=True), a.name


def test_even_tissue_has_the_values_put_in(even):
    found = even[2]
    for name, truth in [
        ("tumour_cells_per_mm2", 1500),
        ("t_cells_per_mm2", 500),
        ("b_cells_per_mm2", 100),
        ("tumour_t_cell_clustering_near_ratio", 1),
        ("t_cell_t_cell_clustering_near_ratio", 1),
        ("t_cell_tumour_preference_ratio", 1),
        ("tumour_t_cell_l_excess_far_um", 0),
        ("tumour_to_t_cell_near_percent", 100 * (1 - math.exp(-500e-6 * math.pi * 400))),
    ]:
        m = found[name]
        spread = (m.upper - m.lower) / 3.92
        assert abs(m.value - truth) < 4 * spread, name
        assert m.lower <= m.value <= m.upper, name
    assert found["tls_count"].value == 0
    assert found.labels["t_cell_location"] == "uniform"
    assert found.labels["mixing_class"] == "mixed"
    assert found.probabilities["mixing_class"]["mixed"] > 0.9


def test_even_tissue_lies_in_its_null(even):
    z = [m.null_z for m in even[2].measures if math.isfinite(m.null_z)]
    assert len(z) >= 18
    assert np.mean(np.abs(z) < 3) == 1


def test_names_are_columns_and_the_same_from_cells_and_density(even):
    cells, window, first = even
    density = density_from_cells(cells, window)
    second = measure(density, window, window, D, seed=3)
    names = [m.name for m in first.measures]
    assert names == [m.name for m in second.measures]
    assert len(set(names)) == len(names)
    assert all(n == n.lower() and " " not in n for n in names)
    for name in ("t_cells_per_mm2", "tls_count", "tils_stromal_percent"):
        assert second[name].value == pytest.approx(first[name].value, rel=0.03, abs=0.1)
    assert math.isnan(second["mixing_score_ratio"].value)
    assert "positions" in second["mixing_score_ratio"].reason
    assert math.isnan(second["t_cells_stromal_per_mm2"].null_z)


def test_without_a_tumour_region_compartments_are_missing_not_zero(even):
    cells, window, _ = even
    found = measure(cells, window, None, D, seed=3)
    assert math.isnan(found["tils_stromal_percent"].value)
    assert "tumour region" in found["tils_stromal_percent"].reason
    assert found.labels["infiltration_class"] == ""


def test_no_b_cell_is_a_finding_but_an_unknown_type_is_refused():
    cells, window = section([2000, 1500, 500, 0])
    found = measure(cells, window, window, D, seed=0)
    assert found["b_cells_per_mm2"].value == 0
    assert math.isnan(found["t_cell_to_b_cell_near_percent"].value)
    assert found["t_cell_b_cell_clustering_near_ratio"].reason
    with pytest.raises(MarkerError, match="no such cell type"):
        measure(cells, window, window, replace(D, b_cell_types=("CD20",)), seed=0)


def test_density_is_that_of_the_exact_window():
    """676 × 504 µm are no whole pixels of 16 µm; 2,822 tumour cells were once 8,161 per mm²."""
    window = TissueWindow.rectangle(676, 504, spacing_um=4)
    rng = np.random.default_rng(0)
    x, y = rng.uniform(0, 676, 3000), rng.uniform(0, 504, 3000)
    cells = cells_of(x, y, ["tumour"] * 2822 + ["t_cell"] * 178, NAMES)
    found = measure(cells, window, window, D, seed=0)
    area_mm2 = 676 * 504 / 1e6
    assert found["tumour_cells_per_mm2"].value == pytest.approx(8282.8, abs=0.05)
    assert found["t_cells_per_mm2"].value == pytest.approx(178 / area_mm2)
    assert found["immune_cells_per_mm2"].value == pytest.approx(178 / area_mm2)
    # a compartment is whole pixels whose centre lies inside: it loses area and cells together
    stroma = measure(cells, window, window, replace(D, epithelium_density_per_mm2=1e6), seed=0)
    kept = ((x < 672) & (y < 496))[2822:].sum() / (672 * 496 / 1e6)
    assert stroma["t_cells_stromal_per_mm2"].value == pytest.approx(kept)
    read = measure(density_from_cells(cells, window), window, window, D, seed=0)
    kept = ((x < 672) & (y < 496))[:2822].sum() / (672 * 496 / 1e6)
    assert read["tumour_cells_per_mm2"].value == pytest.approx(kept)


def test_blocks_have_the_tissues_own_area():
    window = TissueWindow.rectangle(1012, 996, spacing_um=4)
    rng = np.random.default_rng(0)
    cells = cells_of(*rng.uniform(0, 990, (2, 400)), ["tumour"] * 400, NAMES)
    made = section_of_cells(cells, window, None, D, 0)
    assert made.blocks.area_um2.sum() == pytest.approx(1012 * 996)
    assert made.covered_um2.sum() == pytest.approx(1008 * 992)


def test_cells_beside_the_window():
    cells, window = section([100, 100, 100, 100])
    away = TissueWindow(mask=window.mask, spacing_um=8.0, origin_um=(1e5, 1e5))
    with pytest.raises(MarkerError, match="no cell lies"):
        measure(cells, away, away, D, seed=0)


def test_a_missing_value_needs_a_reason():
    with pytest.raises(MarkerError, match="reason"):
        Measure(name="a", unit="", value=math.nan, definition="d")
    with pytest.raises(MarkerError, match="reason"):
        Measure(name="a", unit="", value=1.0, definition="d", reason="why")


@pytest.mark.parametrize("side_um", [16.0, 64.0, 320.0])
@pytest.mark.parametrize("n", [1, 3, 400])
def test_tissue_too_small_for_a_measure_says_so(side_um, n):
    """Warnings are errors here: no division by an area or a count that is not there."""
    window = TissueWindow.rectangle(side_um, side_um, spacing_um=8)
    rng = np.random.default_rng(n)
    x, y = rng.uniform(0, side_um, (2, n))
    x[: n // 2] = x[0]  # some cells on one line
    cells = cells_of(x, y, rng.choice(NAMES, n), NAMES)
    found = measure(cells, window, window, D, seed=0)
    for m in found.measures:
        assert math.isnan(m.value) == bool(m.reason), m.name
    assert math.isnan(found["t_cell_hot_spot_percent"].value) == (side_um < 300)
