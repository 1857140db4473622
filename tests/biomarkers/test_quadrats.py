import numpy as np
import pytest

from metasight.biomarkers.quadrats import (
    cut_quadrats,
    entropy_bits,
    getis_ord,
    hot,
    information_bits,
    permuted_counts,
)


def test_getis_ord_is_the_published_formula(l_window):
    quadrats = cut_quadrats(l_window, 100.0)
    count = np.random.default_rng(0).poisson(5, quadrats.used.shape).astype(float)
    z = getis_ord(count, quadrats)
    density = (count / quadrats.area_um2.clip(1))[quadrats.used]
    place = np.argwhere(quadrats.used)
    n, mean, spread = len(density), density.mean(), density.std()
    for at in place:
        w = (np.abs(place - at).max(axis=1) <= 1).astype(float)
        below = spread * np.sqrt((n * (w**2).sum() - w.sum() ** 2) / (n - 1))
        assert z[tuple(at)] == pytest.approx((w @ density - mean * w.sum()) / below)
    assert np.isnan(z[~quadrats.used]).all()


def test_hot_spots_are_found_and_noise_is_not(l_window):
    quadrats = cut_quadrats(l_window, 50.0)
    rng = np.random.default_rng(1)
    false = 0
    for _ in range(100):
        count = rng.poisson(5, quadrats.used.shape).astype(float)
        false += hot(getis_ord(count, quadrats), 0.05).any()
    assert false <= 20  # the rate is one of the squares found, and neighbours share their z
    count[2:5, 2:5] += 15
    found = hot(getis_ord(count, quadrats), 0.05)
    assert found[3, 3]
    assert found.sum() <= 30


def test_entropy_and_information():
    assert entropy_bits(np.array([[2.0, 2, 0], [5, 0, 0], [0, 0, 0]])) == pytest.approx([1, 0, 0])
    assert information_bits(np.array([[10.0, 0], [0, 10]])) == pytest.approx(1)
    assert information_bits(np.array([[5.0, 10], [10, 20]])) == pytest.approx(0)
    assert np.isnan(information_bits(np.zeros((2, 2))))


def test_dealt_counts_keep_both_margins_and_have_the_mean_of_permuted_labels():
    counts = np.array([[10, 0, 2], [0, 20, 0], [3, 3, 3], [0, 0, 0]])
    rng = np.random.default_rng(2)
    drawn = np.array([permuted_counts(counts, rng) for _ in range(2000)])
    assert (drawn.sum(axis=2) == counts.sum(axis=1)).all()
    assert (drawn.sum(axis=1) == counts.sum(axis=0)).all()
    expected = np.outer(counts.sum(axis=1), counts.sum(axis=0)) / counts.sum()
    assert drawn.mean(axis=0) == pytest.approx(expected, abs=0.2)
    n, of_kind, here = counts.sum(), counts[:, 0].sum(), counts[1].sum()
    variance = here * of_kind / n * (1 - of_kind / n) * (n - here) / (n - 1)
    assert drawn[:, 1, 0].var() == pytest.approx(variance, rel=0.1)
