import numpy as np
import pytest

from metasight.biomarkers.nearest import count_nearest, grouped_g, restricted_mean_um
from metasight.biomarkers.neighbours import in_buckets
from oracles.nearest import nearest_distance_um, nearest_neighbour_g

from .patterns import poisson

RADIUS = np.arange(2.5, 45.1, 2.5)  # beyond, some pattern has nobody left at risk


def counted(window, x, y, kind, permutations=63, seed=0, step=2.5, reach=100.0):
    buckets = in_buckets(x, y, reach)
    edge = window.boundary_distance_um(buckets.x_um, buckets.y_um)
    return count_nearest(
        buckets,
        edge,
        np.asarray(kind, dtype=np.int8)[buckets.order],
        np.zeros(len(x), dtype=np.int64),
        kinds=((1, 2),),
        n_kinds=3,
        n_blocks=1,
        reach_um=reach,
        bin_um=step,
        permutations=permutations,
        rng=np.random.default_rng(seed),
    )


def test_by_hand():
    """Five cells: neighbours at 1, 2, 3 µm, one censored at 1.5 µm, one with none."""
    distance = np.array([1.0, 2.0, 9.0, 3.0, np.inf])
    edge = np.array([5.0, 5.0, 1.5, 5.0, 4.0])
    g = nearest_neighbour_g(distance, edge, np.array([0.5, 1.0, 2.5, 3.5, 6.0]))
    first = 1 - 4 / 5
    second = 1 - 4 / 5 * 2 / 3
    third = 1 - 4 / 5 * 2 / 3 * 1 / 2
    assert g[:4] == pytest.approx([0, first, second, third])
    assert np.isnan(g[4])  # the last one was censored at 4 µm: nobody knows beyond


def test_poisson_in_an_l_has_the_closed_form(l_window):
    rng = np.random.default_rng(1)
    exact, grouped = [], []
    for _ in range(150):
        xa, ya = poisson(l_window, 250, rng)
        xb, yb = poisson(l_window, 400, rng)
        distance = nearest_distance_um(xa, ya, xb, yb)
        exact.append(nearest_neighbour_g(distance, l_window.boundary_distance_um(xa, ya), RADIUS))
        kind = np.repeat([1, 2], [len(xa), len(xb)])
        c = counted(l_window, np.r_[xa, xb], np.r_[ya, yb], kind)
        grouped.append(grouped_g(c.events[0], c.censored[0], c.size[0])[0, : len(RADIUS)])
    truth = 1 - np.exp(-400e-6 * np.pi * RADIUS**2)
    for g in (np.array(exact), np.array(grouped)):
        error = g.std(axis=0) / np.sqrt(len(g))
        assert (np.abs(g.mean(axis=0) - truth) < 4 * error + 0.002).all()
    assert np.abs(np.array(exact) - np.array(grouped)).max() < 0.02


def test_uncorrected_distances_would_be_too_long(l_window):
    """The check that the correction is needed at all: cells near the edge miss neighbours."""
    rng = np.random.default_rng(2)
    plain = []
    for _ in range(150):
        xa, ya = poisson(l_window, 250, rng)
        xb, yb = poisson(l_window, 100, rng)
        plain.append((nearest_distance_um(xa, ya, xb, yb) <= 60).mean())
    truth = 1 - np.exp(-100e-6 * np.pi * 60**2)
    assert np.mean(plain) < truth - 5 * np.std(plain) / np.sqrt(150)


def test_bands_of_permuted_labels_cover_poisson_patterns(l_window):
    """A rank among 63 permutations: 61 of 64 inner ranks is 95.3 %."""
    rng = np.random.default_rng(3)
    inside = []
    for seed in range(600):
        x, y = poisson(l_window, 300, rng)
        kind = rng.integers(1, 3, len(x))
        c = counted(l_window, x, y, kind, seed=seed, step=5.0, reach=50.0)
        g = grouped_g(c.events[0], c.censored[0], c.size[0])[:, [3, 5]]
        noise = rng.uniform(0, 1e-9, g.shape)  # ties are broken at random
        rank = ((g + noise)[1:] < (g + noise)[0]).sum(axis=0)
        inside.append((rank >= 1) & (rank <= 61))
    share = np.mean(inside, axis=0)
    print(f"G: 95 % bands cover {share}")
    assert ((share >= 0.93) & (share <= 0.97)).all(), share


def test_observed_labelling_is_the_first_and_permutations_are_those_of_a_plain_loop(l_window):
    rng = np.random.default_rng(4)
    x, y = poisson(l_window, 200, rng)
    kind = rng.integers(0, 3, len(x)).astype(np.int8)
    c = counted(l_window, x, y, kind, permutations=127, seed=9)
    buckets = in_buckets(x, y, 100.0)
    labels = kind[buckets.order]
    edge = l_window.boundary_distance_um(buckets.x_um, buckets.y_um)
    shuffle = np.random.default_rng(9)
    for number in range(128):
        if number:
            shuffle.shuffle(labels)
        a, b = labels == 1, labels == 2
        d = nearest_distance_um(buckets.x_um[a], buckets.y_um[a], buckets.x_um[b], buckets.y_um[b])
        event = (d <= edge[a]) & (d <= 100)
        expected, _ = np.histogram(np.ceil(d[event] / 2.5) - 0.5, bins=np.arange(41))
        assert (c.events[0, number] == expected).all()
        assert c.events[0, number].sum() + c.censored[0, number].sum() <= a.sum()


def test_restricted_mean():
    g = np.array([[0.0, 0.5, 1.0], [0.0, 0.0, 0.0]])
    assert restricted_mean_um(g, 10.0) == pytest.approx([20.0, 30.0])


def test_nobody_is_there():
    none = np.zeros(0)
    assert np.isnan(nearest_neighbour_g(none, none, RADIUS)).all()
    assert np.isinf(nearest_distance_um(np.ones(2), np.ones(2), none, none)).all()
    assert np.isinf(nearest_distance_um(np.ones(1), np.ones(1), np.ones(1), np.ones(1), same=True))
