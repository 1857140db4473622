"""Aggregates of known place, size and composition in a background of scattered lymphocytes."""

from dataclasses import replace

import numpy as np
import pytest

from metasight.biomarkers.definitions import BiomarkerDefinitions
from metasight.biomarkers.tls import count_tls, find_tls
from metasight.maps.window import TissueWindow

D = BiomarkerDefinitions()
WINDOW = TissueWindow(mask=np.ones((125, 125), dtype=bool), spacing_um=16.0)  # 2 × 2 mm


def tissue(discs, rng, background=300.0, b_background=0.1):
    """T and B counts; discs are (x, y, radius, lymphocytes per mm², B share), µm."""
    n = rng.poisson(background * 4)
    x, y = rng.uniform(0, 2000, (2, n))
    b = rng.random(n) < b_background
    for cx, cy, radius, per_mm2, share in discs:
        m = rng.poisson(per_mm2 * np.pi * radius**2 / 1e6)
        r, angle = radius * np.sqrt(rng.random(m)), rng.uniform(0, 2 * np.pi, m)
        x, y = np.r_[x, cx + r * np.cos(angle)], np.r_[y, cy + r * np.sin(angle)]
        b = np.r_[b, rng.random(m) < share]
    t = WINDOW.counts(x[~b], y[~b]).astype(float)
    return t, WINDOW.counts(x[b], y[b]).astype(float)


def test_structures_are_found_where_they_are():
    truth = [(400, 400, 100, 6000, 0.5), (1400, 600, 200, 4000, 0.4), (900, 1600, 60, 9000, 0.6)]
    rng = np.random.default_rng(0)
    for _ in range(10):
        found = find_tls(*tissue(truth, rng), WINDOW, D)
        assert len(found) == 3
        for x, y, radius, per_mm2, share in truth:
            at = [np.hypot(a.centroid_um[0] - x, a.centroid_um[1] - y) for a in found]
            near = found[int(np.argmin(at))]
            assert min(at) < 25
            assert near.area_um2 == pytest.approx(np.pi * radius**2, rel=0.45)
            assert near.lymphocytes == pytest.approx(per_mm2 * np.pi * radius**2 / 1e6, rel=0.3)
            assert near.b_percent == pytest.approx(100 * share, abs=15)
            assert near.density_ratio > 3
            assert near.outline.area == pytest.approx(near.area_um2)


@pytest.mark.parametrize(
    ("disc", "why"),
    [
        ((1000, 1000, 150, 400, 0.5), "not three times as dense as its surroundings"),
        ((1000, 1000, 40, 5000, 0.5), "fewer than 45 lymphocytes"),
        ((1000, 1000, 100, 6000, 0.0), "T cells only"),
    ],
)
def test_what_misses_one_condition_is_none(disc, why):
    rng = np.random.default_rng(1)
    found = [count_tls(*tissue([disc], rng, b_background=0.0), WINDOW, D) for _ in range(10)]
    assert sum(found) <= 1, why


def test_b_cells_alone_are_none_and_t_cells_alone_neither():
    """The same lymphocytes at the same places; only who is a B cell differs."""
    rng = np.random.default_rng(8)
    t, b = tissue([(1000, 1000, 100, 6000, 0.5)], rng)
    none = np.zeros_like(t)
    assert count_tls(t, b, WINDOW, D) == 1
    assert count_tls(none, t + b, WINDOW, D) == 0
    assert count_tls(t + b, none, WINDOW, D) == 0


def test_a_follicle_needs_its_t_cells_within_not_beside_it():
    """T cells all over the tissue but none in the aggregate: still B cells alone."""
    t, b = tissue([(1000, 1000, 100, 6000, 1.0)], np.random.default_rng(9), b_background=0.0)
    y, x = np.mgrid[:125, :125] * 16.0 + 8
    far = np.hypot(x - 1000, y - 1000) > 250
    assert count_tls(t * far, b, WINDOW, D) == 0
    assert count_tls(t, b, WINDOW, D) == 1


def test_the_protocols_numbers_decide():
    t, b = tissue([(1000, 1000, 60, 8000, 0.5)], np.random.default_rng(2))
    assert count_tls(t, b, WINDOW, D) == 1
    for change in (
        {"tls_minimum_lymphocytes": 200.0},
        {"tls_minimum_area_um2": 60_000.0},
        {"tls_density_ratio": 100.0},
        {"tls_minimum_b_percent": 90.0},
    ):
        assert count_tls(t, b, WINDOW, replace(D, **change)) == 0, change


def test_even_infiltrate_has_none():
    rng = np.random.default_rng(3)
    found = [
        count_tls(*tissue([], rng, background=per_mm2, b_background=0.3), WINDOW, D)
        for per_mm2 in (100.0, 1000.0, 4000.0)
        for _ in range(5)
    ]
    assert sum(found) == 0


def nests():
    """Epithelium of 100 × 200 µm in stroma, pixels of the window's grid."""
    y, x = np.mgrid[:125, :125] * 16.0 + 8
    return ((x % 200) < 100) & ((y % 300) < 200)


@pytest.mark.parametrize("per_mm2", [1000.0, 3000.0, 9000.0])
def test_infiltrated_stroma_between_nests_has_none(per_mm2):
    """Lymphocytes keep out of nests: compared with them, any band of stroma would stand out."""
    rng, found, without = np.random.default_rng(5), 0, 0
    for _ in range(5):
        t, b = (c * ~nests() for c in tissue([], rng, background=per_mm2, b_background=0.3))
        found += count_tls(t, b, WINDOW, D, nests())
        without += count_tls(t, b, WINDOW, D)
    assert found <= 1
    if per_mm2 == 3000:
        assert without > 10  # the mistake that this avoids


def test_a_structure_in_infiltrated_stroma_is_found():
    rng, found = np.random.default_rng(6), []
    for _ in range(5):
        t, b = tissue([(1000, 1000, 120, 9000, 0.5)], rng, background=1500.0)
        outside = ~nests()
        outside[53:72, 53:72] = True  # the structure has pushed the nests aside
        found.append(find_tls(t * outside, b * outside, WINDOW, D, ~outside))
    assert [len(f) for f in found] == [1] * 5
    assert all(np.hypot(f[0].centroid_um[0] - 1000, f[0].centroid_um[1] - 1000) < 40 for f in found)


def test_distance_to_tumour():
    t, b = tissue([(1000, 1000, 100, 6000, 0.5)], np.random.default_rng(4))
    epithelium = np.zeros(WINDOW.mask.shape, dtype=bool)
    epithelium[:, :25] = True  # x < 400 µm
    (found,) = find_tls(t, b, WINDOW, D, epithelium)
    assert found.distance_to_tumour_um == pytest.approx(500, abs=30)
    assert np.isnan(find_tls(t, b, WINDOW, D)[0].distance_to_tumour_um)


def test_no_lymphocytes():
    none = np.zeros(WINDOW.mask.shape)
    assert find_tls(none, none, WINDOW, D) == ()
