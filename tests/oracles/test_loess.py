import numpy as np
import pytest

from oracles.loess import loess

X = np.sort(np.random.default_rng(0).random(200))


def test_loess_reproduces_a_parabola():
    # exact at the vertices; between them the cubic blend of exact values and slopes is exact too
    y = 1 + 2 * X - 3 * X**2
    assert loess(X, y, X) == pytest.approx(y, abs=1e-9)


def test_loess_is_silent_outside_the_data():
    assert np.isnan(loess(X, X, [-1.0, 2.0])).all()


def test_order_of_the_rows_does_not_matter():
    pick = np.random.default_rng(1).permutation(200)
    y = np.sin(6 * X)
    assert loess(X[pick], y[pick], X) == pytest.approx(loess(X, y, X))
