"""Agreement of maps: known answers, published numbers, and ceilings that a simulation tells."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from metasight.errors import MarkerError
from metasight.maps.agreement import (
    agree,
    agree_on_cells,
    ceiling,
    concordance,
    intercept,
    pearson,
    pearson_of_regions,
    slope,
    spearman,
    spread_over,
    structure_hits,
)
from metasight.maps.cells import cells_of
from metasight.maps.density import DensityMap
from metasight.maps.regions import Regions, regions_of

PIXEL_MM2 = 16.0**2 / 1e6


def a_map(density: np.ndarray, error: float = 1.0, **kind: object) -> DensityMap:
    density = np.asarray(density, np.float32)
    density = density[None] if density.ndim == 2 else density
    return DensityMap(
        density=density,
        error=np.full_like(density, error),
        support=np.ones(density.shape[1:], bool),
        spacing_um=16.0,
        markers=tuple(kind.pop("markers", ("CD3",))),
        **kind,
    )


def a_field(rng: np.random.Generator, n: int, width_um: float) -> np.ndarray:
    field = ndimage.gaussian_filter(rng.normal(size=(n, n)), width_um / 16, mode="wrap")
    return 400 * np.exp(1.0 * field / field.std())


def counted(rng: np.random.Generator, field: np.ndarray) -> np.ndarray:
    return rng.poisson(field * PIXEL_MM2) / PIXEL_MM2


def test_concordance_is_lins_own_example() -> None:
    # equal but for a shift of 1 and a scale of 1: 2·cov / (var + var + shift²)
    x = np.array([1.0, 2, 3, 4])
    assert concordance(x, x) == pytest.approx(1)
    assert concordance(x, x + 1) == pytest.approx(2 * 1.25 / (1.25 + 1.25 + 1))
    assert concordance(x, -x) == pytest.approx(2 * -1.25 / (2.5 + 25))


def test_slope_intercept_and_ranks() -> None:
    x = np.array([0.0, 1, 2, 3])
    y = 2 * x + 5
    assert slope(x, y) == pytest.approx(2)
    assert intercept(x, y) == pytest.approx(5)
    assert spearman(x, np.exp(x)) == pytest.approx(1)
    assert np.isnan(pearson(x, np.ones(4)))


def test_regions_are_means_of_what_both_maps_state() -> None:
    density = np.arange(64, dtype=float).reshape(8, 8)
    generated, measured = a_map(density), a_map(2 * density)
    found = regions_of("A", generated, measured, "CD3", region_um=64, p90_um=0)
    assert len(found) == 4
    assert found.generated[0] == pytest.approx(density[:4, :4].mean())
    assert np.allclose(found.measured, 2 * found.generated)


def test_a_measured_map_with_another_corner_is_laid_where_it_belongs() -> None:
    density = np.arange(64, dtype=float).reshape(8, 8)
    part = a_map(density[4:, 4:], origin_um=(64.0, 64.0))
    found = regions_of("A", a_map(density), part, "CD3", region_um=64, p90_um=0)
    assert (found.row.tolist(), found.column.tolist()) == ([1], [1])
    assert np.allclose(found.generated, found.measured)


def test_maps_on_different_grids_are_refused() -> None:
    with pytest.raises(MarkerError, match="different grids"):
        regions_of(
            "A",
            a_map(np.ones((8, 8))),
            a_map(np.ones((8, 8)), origin_um=(5.0, 0.0)),
            "CD3",
            region_um=64,
            p90_um=0,
        )
    with pytest.raises(MarkerError, match="multiple"):
        regions_of(
            "A", a_map(np.ones((8, 8))), a_map(np.ones((8, 8))), "CD3", region_um=50, p90_um=0
        )


@pytest.mark.parametrize(("width_um", "p90_um"), [(50.0, 0.0), (80.0, 60.0), (150.0, 60.0)])
def test_the_ceiling_is_what_the_true_density_reaches(width_um: float, p90_um: float) -> None:
    rng = np.random.default_rng(3)
    truth, slides = [], []
    for i in range(12):
        field = a_field(rng, 128, width_um)
        away = rng.normal(size=2) * p90_um / 2.146 / 16
        there = ndimage.shift(field, away, order=1, mode="wrap")
        measured = a_map(counted(rng, there))
        slides.append(
            regions_of(f"P{i}", a_map(field), measured, "CD3", region_um=128, p90_um=p90_um)
        )
        truth.append(slides[-1].generated)
    reached = pearson(np.concatenate(truth), np.concatenate([s.measured for s in slides]))
    assert ceiling(slides) == pytest.approx(reached, abs=0.03)


def test_noise_alone_has_no_ceiling_to_speak_of() -> None:
    rng = np.random.default_rng(0)
    even, level = a_map(np.ones((128, 128))), np.full((128, 128), 300.0)
    flat = [
        regions_of(f"P{i}", even, a_map(counted(rng, level)), "CD3", region_um=128, p90_um=0)
        for i in range(20)
    ]
    found = ceiling(flat)
    assert np.isnan(found) or found < 0.35


def slides_of(n: int, noise: float) -> list[Regions]:
    rng = np.random.default_rng(1)
    out = []
    for i in range(n):
        field = a_field(rng, 64, 100)
        painted = a_map(np.maximum(field + noise * rng.normal(size=field.shape), 0), error=60.0)
        out.append(
            regions_of(
                f"P{i}",
                painted,
                a_map(counted(rng, field)),
                "CD3",
                region_um=128,
                p90_um=0,
                nuclei=a_map(rng.random((64, 64))),
            )
        )
    return out


def test_baselines_stand_far_below_a_good_map_and_equal_a_useless_one() -> None:
    slides = slides_of(8, 0.0)
    good = agree("CD3", slides, threshold_per_mm2=500, seed=1, resamples=100)
    assert good.pearson.value > 0.95
    assert good.of_ceiling > 0.97
    assert abs(good.pearson_nuclei) < 0.3
    assert good.pearson_swapped < 0.3
    assert good.pearson_shuffled < 0.5
    assert good.pearson.lower < good.pearson.value < good.pearson.upper
    assert good.slope.value == pytest.approx(1, abs=0.05)
    assert good.f1.value > good.f1_all_positive
    rng = np.random.default_rng(2)
    useless = [Regions(**{**vars(s), "generated": rng.permutation(s.generated)}) for s in slides]
    bad = agree("CD3", useless, threshold_per_mm2=500, seed=1, resamples=50)
    assert bad.pearson.value == pytest.approx(bad.pearson_shuffled, abs=0.15)


def test_one_patient_has_no_interval_and_no_other_slide() -> None:
    found = agree("CD3", slides_of(1, 0.0), threshold_per_mm2=500, seed=1)
    assert found.pearson.lower is None
    assert np.isnan(found.pearson_swapped)


def test_regions_of_two_sizes_are_refused() -> None:
    one = slides_of(1, 0.0)[0]
    other = Regions(**{**vars(one), "region_um": 64.0})
    with pytest.raises(MarkerError, match="one size"):
        agree("CD3", [one, other], threshold_per_mm2=500, seed=1)


def test_structures_hit_within_the_tolerance_and_beyond_chance() -> None:
    measured, generated = np.zeros((2, 100, 100), bool)
    measured[10:20, 10:20] = measured[60:70, 60:70] = True
    generated[10:20, 22:30] = generated[80:85, 10:15] = True
    near = structure_hits(generated, measured, spacing_um=16, tolerance_um=64, seed=1)
    assert (near.measured, near.generated, near.hit, near.confirmed) == (2, 2, 1, 1)
    assert (near.rate, near.precision) == (0.5, 0.5)
    assert 0 < near.expected_rate < 0.5
    far = structure_hits(generated, measured, spacing_um=16, tolerance_um=0, seed=1)
    assert far.hit == 0
    nothing = structure_hits(
        generated, np.zeros((100, 100), bool), spacing_um=16, tolerance_um=0, seed=1
    )
    assert np.isnan(nothing.rate)


def test_cells_of_the_same_section() -> None:
    density = np.zeros((2, 8, 8))
    density[1] = 4000
    density[0, :, :4] = 3900  # the left half is all marker
    made = a_map(density, markers=("Pan-CK", "nuclei"))
    cells = cells_of([8.0, 40, 100, 120], [8.0, 40, 100, 120], ["Pan-CK", "Pan-CK", "o", "Pan-CK"])
    marked = replace(cells, positive={"Pan-CK": cells.of_types(["Pan-CK"])})
    found = agree_on_cells(marked, made, "Pan-CK", nuclei="nuclei")
    assert found.f1 == pytest.approx(2 * 2 / (2 + 3))
    assert found.prevalence == 0.75
    with pytest.raises(MarkerError):
        agree_on_cells(cells, made, "Pan-CK", nuclei="nuclei")


def test_pearson_of_one_patients_regions() -> None:
    measured = np.array([1.0, 2.0, 4.0])
    assert pearson_of_regions(2 * measured + 1, measured) == pytest.approx(1.0)
    assert pearson_of_regions(-measured, measured) == pytest.approx(-1.0)
    assert pearson_of_regions(measured[:2], measured[:2]) is None
    assert pearson_of_regions(np.ones(3), measured) is None


def test_examples_are_spread_from_the_lowest_to_the_highest() -> None:
    scores = {"a": 0.9, "b": 0.1, "c": 0.5, "d": 0.7, "e": 0.3}
    assert spread_over(scores, 3) == ["b", "c", "a"]
    assert spread_over({"a": 0.9, "b": 0.1}, 3) == ["b", "a"]
    assert spread_over({}, 3) == []
    # equal scores stand in the order of their names
    assert spread_over({"z": 0.5, "y": 0.5, "x": 0.5}, 3) == ["x", "y", "z"]
