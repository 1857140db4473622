"""Two maps pooled into regions: means over what both state, and what counting alone would do."""

from __future__ import annotations

import numpy as np
import pytest

from metasight.errors import MarkerError
from metasight.maps.density import DensityMap
from metasight.maps.regions import on_grid_of, regions_of

SPACING = 16.0


def density(planes, *, support=None, origin=(0.0, 0.0), error=1.0, markers=("CD3",)) -> DensityMap:
    array = np.asarray(planes, dtype=np.float32)
    array = array[None] if array.ndim == 2 else array
    inside = np.ones(array.shape[1:], dtype=bool) if support is None else support
    return DensityMap(
        density=np.where(inside, array, np.nan).astype(np.float32),
        error=np.where(inside, np.full_like(array, error), np.nan).astype(np.float32),
        support=inside,
        markers=markers,
        spacing_um=SPACING,
        origin_um=origin,
    )


def of(generated, measured, **over):
    told = {"marker": "CD3", "region_um": 32.0, "p90_um": 0.0, **over}
    marker = told.pop("marker")
    return regions_of("P1", generated, measured, marker, **told)


def test_a_region_is_the_mean_of_its_pixels():
    generated = density(np.arange(16.0).reshape(4, 4))
    measured = density(np.arange(16.0).reshape(4, 4)[::-1])
    found = of(generated, measured)
    assert found.generated.tolist() == [2.5, 4.5, 10.5, 12.5]
    assert found.measured.tolist() == [10.5, 12.5, 2.5, 4.5]
    assert (found.row.tolist(), found.column.tolist()) == ([0, 0, 1, 1], [0, 1, 0, 1])
    assert found.error.tolist() == [1.0] * 4
    assert np.isnan(found.baseline).all()
    assert len(found) == 4


def test_counting_noise_is_poissons():
    """Mean 500 cells/mm² over regions of 32 µm: a variance of 500 / 0.001024 (cells/mm²)²."""
    found = of(density(np.full((4, 4), 300.0)), density(np.full((4, 4), 500.0)))
    assert found.noise_variance == pytest.approx(500 / 0.032**2)


def test_only_pixels_that_both_state_count():
    generated, measured = np.full((4, 4), 10.0), np.full((4, 4), 20.0)
    generated[0, 0] = 1000.0
    hole = np.ones((4, 4), dtype=bool)
    hole[0, 0] = False  # three of four pixels are left: enough
    hole[2:, 2:3] = False  # two of four: too few
    found = of(density(generated), density(measured, support=hole))
    assert found.generated.tolist() == [10.0, 10.0, 10.0]
    assert list(zip(found.row, found.column, strict=True)) == [(0, 0), (0, 1), (1, 0)]


def test_what_is_left_over_at_the_far_edge_is_cut_off():
    found = of(density(np.ones((5, 7))), density(np.ones((5, 7))))
    assert len(found) == 2 * 3


def test_a_baseline_of_nuclei_lies_on_the_same_regions():
    nuclei = density(np.arange(16.0).reshape(4, 4), markers=("nuclei",))
    found = of(density(np.ones((4, 4))), density(np.ones((4, 4))), nuclei=nuclei)
    assert found.baseline.tolist() == [2.5, 4.5, 10.5, 12.5]


def test_independent_cells_have_no_displaced_covariance_and_patches_have():
    """Counting noise is taken out: for Poisson counts of one density nothing is left."""
    rng = np.random.default_rng(0)
    area = (SPACING / 1000) ** 2
    even = rng.poisson(2000 * area, (80, 80)) / area
    found = of(density(even), density(even), region_um=64.0)
    noise = found.noise_variance
    assert abs(found.displaced_covariance) < 0.15 * noise
    rate = np.kron(rng.uniform(500, 4000, (20, 20)), np.ones((4, 4)))
    patchy = rng.poisson(rate * area) / area
    found = of(density(patchy), density(patchy), region_um=64.0)
    # regions coincide with the patches, whose variance is 3500² / 12
    assert found.displaced_covariance == pytest.approx(3500**2 / 12, rel=0.15)
    blurred = of(density(patchy), density(patchy), region_um=64.0, p90_um=60.0)
    assert 0 < blurred.displaced_covariance < 0.8 * found.displaced_covariance


def test_a_map_is_cut_and_padded_to_the_grid_of_another():
    moved = density(np.arange(9.0).reshape(3, 3), origin=(-16.0, 32.0))
    found = on_grid_of(moved, density(np.zeros((4, 4))))
    # its column 1 and 2 come to columns 0 and 1, its rows to rows 2 and 3
    assert found.support.sum() == 4
    assert found.plane("CD3")[2:, :2].tolist() == [[1.0, 2.0], [4.0, 5.0]]
    assert np.isnan(found.plane("CD3")[0]).all()
    nowhere = on_grid_of(density(np.ones((2, 2)), origin=(640.0, 0.0)), density(np.zeros((4, 4))))
    assert not nowhere.support.any()


def test_grids_between_each_others_lines_are_refused():
    with pytest.raises(MarkerError, match="different grids") as error:
        on_grid_of(density(np.ones((2, 2)), origin=(8.0, 0.0)), density(np.zeros((4, 4))))
    assert "Count the cells on the grid" in error.value.remedy


@pytest.mark.parametrize(
    ("over", "problem"),
    [
        ({"region_um": 40.0}, "multiple of the map's spacing"),
        ({"region_um": 8.0}, "multiple of the map's spacing"),
        ({"p90_um": float("nan")}, "predicted error is missing"),
        ({"p90_um": -1.0}, "predicted error is missing"),
    ],
)
def test_regions_that_cannot_be(over, problem):
    with pytest.raises(MarkerError, match=problem):
        of(density(np.ones((4, 4))), density(np.ones((4, 4))), **over)
