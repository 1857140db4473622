"""K against closed forms, a brute-force reference and drawn permutations."""

import numpy as np
import pytest
from shapely import affinity
from shapely.geometry import Polygon

from metasight.biomarkers.correlation import sum_pairs
from metasight.biomarkers.neighbours import in_buckets

from .patterns import poisson, thomas

L_SHAPE = Polygon([(0, 0), (1000, 0), (1000, 500), (500, 500), (500, 1000), (0, 1000)])


def sums(window, x, y, kind, kinds=((1, 2),), reach=100.0, step=5.0):
    buckets = in_buckets(x, y, reach)
    return sum_pairs(
        buckets,
        window,
        np.asarray(kind, dtype=np.int8)[buckets.order],
        np.zeros(len(x), dtype=np.int64),
        kinds=kinds,
        n_kinds=3,
        n_blocks=1,
        reach_um=reach,
        bin_um=step,
    )


def test_equal_to_brute_force_with_exact_polygons(l_window):
    """spatstat's Kcross with correction="translate", written out with shapely."""
    rng = np.random.default_rng(0)
    x, y = poisson(l_window, 120, rng)
    kind = rng.integers(0, 3, len(x))
    found = sums(l_window, x, y, kind, ((1, 2), (1, 1)))
    for row, (a, b) in enumerate(found.kinds):
        pairs = [(i, j) for i in np.flatnonzero(kind == a) for j in np.flatnonzero(kind == b)]
        weights = np.zeros(len(found.radius_um))
        for i, j in pairs:
            lag = x[j] - x[i], y[j] - y[i]
            if i != j and np.hypot(*lag) <= 100:
                overlap = L_SHAPE.intersection(affinity.translate(L_SHAPE, *lag)).area
                weights[found.radius_um >= np.hypot(*lag)] += 1 / overlap
        n = (kind == a).sum() * ((kind == b).sum() - (a == b))
        assert found.k_um2(row) == pytest.approx(L_SHAPE.area**2 * weights / n, rel=1e-9)


def test_poisson_in_an_l_is_unbiased(l_window):
    rng = np.random.default_rng(1)
    ratios = []
    for _ in range(150):
        x, y = poisson(l_window, 600, rng)
        k = sums(l_window, x, y, rng.integers(1, 3, len(x)))
        ratios.append(k.k_um2(0) / (np.pi * k.radius_um**2))
    mean, error = np.mean(ratios, axis=0), np.std(ratios, axis=0) / np.sqrt(150)
    assert (np.abs(mean - 1) < 4 * error).all()
    assert np.abs(mean[-1] - 1) < 0.01
    # without edge correction the last would be about 0.8


def test_thomas_process_has_its_known_k_and_pair_correlation(l_window):
    rng = np.random.default_rng(2)
    kappa, sigma = 60e-6, 20.0
    k, g = [], []
    for _ in range(60):
        x, y = thomas(l_window, 60, 10, sigma, rng)
        found = sums(l_window, x, y, np.ones(len(x)), ((1, 1),))
        k.append(found.k_um2(0))
        g.append(found.pair_correlation(0))
    r = found.radius_um
    truth = np.pi * r**2 + (1 - np.exp(-(r**2) / (4 * sigma**2))) / kappa
    mean, error = np.mean(k, axis=0), np.std(k, axis=0) / np.sqrt(60)
    assert (np.abs(mean - truth) < 4 * error + 0.01 * truth).all()
    middle = r - 2.5
    at = middle > 10
    density = 1 + np.exp(-(middle**2) / (4 * sigma**2)) / (4 * np.pi * sigma**2 * kappa)
    assert np.mean(g, axis=0)[at] == pytest.approx(density[at], rel=0.08)


def test_regular_lattice_has_its_known_k(l_window):
    """A lattice of spacing 30 µm, shifted at random: K(r) is 900 µm² for each point within r."""
    rng = np.random.default_rng(3)
    offsets = np.array([(i, j) for i in range(-4, 5) for j in range(-4, 5) if (i, j) != (0, 0)])
    k = []
    for _ in range(60):
        shift = rng.uniform(0, 30, 2)
        grid = np.arange(0, 1000, 30.0)
        x, y = (m.ravel() for m in np.meshgrid(grid + shift[0], grid + shift[1]))
        inside = l_window.contains(x, y)
        found = sums(l_window, x[inside], y[inside], np.ones(inside.sum()), ((1, 1),))
        k.append(found.k_um2(0))
    away = 30 * np.hypot(offsets[:, 0], offsets[:, 1])
    truth = 900.0 * (away[:, None] <= found.radius_um + 1e-6).sum(axis=0)
    assert np.mean(k, axis=0) == pytest.approx(truth, rel=0.01)
    assert np.mean(k, axis=0)[4] == 0  # nothing nearer than 30 µm


def test_nominal_95_percent_bands_cover_poisson_patterns(l_window):
    """Exact random-labelling bands at 20, 50 and 100 µm on 1,500 independent pairs of patterns."""
    rng = np.random.default_rng(4)
    covered = []
    for _ in range(1500):
        xa, ya = poisson(l_window, 200, rng)
        xb, yb = poisson(l_window, 300, rng)
        kind = np.repeat([1, 2], [len(xa), len(xb)])
        k = sums(l_window, np.r_[xa, xb], np.r_[ya, yb], kind, step=10.0)
        mean, deviation = k.random_labelling(0)
        covered.append(np.abs(k.k_um2(0) - mean)[[1, 4, 9]] <= 1.96 * deviation[[1, 4, 9]])
    share = np.mean(covered, axis=0)
    print(f"K: 95 % bands cover {share}")
    assert ((share >= 0.93) & (share <= 0.97)).all(), share


def test_moments_are_those_of_drawn_permutations(l_window):
    rng = np.random.default_rng(5)
    x, y = thomas(l_window, 40, 10, 25, rng)
    kind = rng.integers(0, 3, len(x))
    kinds = ((1, 2), (1, 1))
    exact = sums(l_window, x, y, kind, kinds)
    drawn = [sums(l_window, x, y, rng.permutation(kind), kinds) for _ in range(600)]
    for row in (0, 1):
        k = np.array([d.k_um2(row) for d in drawn])[:, 3:]
        mean, deviation = (m[3:] for m in exact.random_labelling(row))
        assert k.mean(axis=0) == pytest.approx(mean, rel=0.02)
        assert k.std(axis=0) == pytest.approx(deviation, rel=0.12)


def test_a_kind_without_cells_has_no_k(l_window):
    rng = np.random.default_rng(6)
    x, y = poisson(l_window, 100, rng)
    found = sums(l_window, x, y, np.ones(len(x)))
    assert np.isnan(found.k_um2(0)).all()
