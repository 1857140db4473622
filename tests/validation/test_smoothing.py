import numpy as np
import pytest

from metasight.errors import EvaluationError
from metasight.validation.smoothing import loess, lowess, spline_basis, spline_knots

X = np.sort(np.random.default_rng(0).random(200))


def test_loess_reproduces_a_parabola():
    # exact at the vertices; between them the cubic blend of exact values and slopes is exact too
    y = 1 + 2 * X - 3 * X**2
    assert loess(X, y, X) == pytest.approx(y, abs=1e-9)


def test_lowess_reproduces_a_line():
    grid, smooth = lowess(X, 2 + 3 * X)
    assert smooth == pytest.approx(2 + 3 * grid, abs=1e-9)


def test_loess_is_silent_outside_the_data():
    assert np.isnan(loess(X, X, [-1.0, 2.0])).all()


def test_order_of_the_rows_does_not_matter():
    pick = np.random.default_rng(1).permutation(200)
    y = np.sin(6 * X)
    assert loess(X[pick], y[pick], X) == pytest.approx(loess(X, y, X))


def test_spline_is_linear_beyond_its_knots():
    knots = np.array([0.2, 0.5, 0.8])
    beyond = spline_basis(np.array([0.9, 1.0, 1.1]), knots)
    assert np.diff(beyond, n=2, axis=0) == pytest.approx(np.zeros((1, 2)), abs=1e-12)
    assert spline_basis([0.1], knots)[0].tolist() == [0.1, 0.0]


def test_knots():
    assert spline_knots(np.arange(101), 3).tolist() == [10, 50, 90]
    assert spline_knots(np.arange(50), 3)[[0, -1]].tolist() == [4, 45]
    with pytest.raises(EvaluationError, match="too few distinct"):
        spline_knots(np.ones(200), 3)
