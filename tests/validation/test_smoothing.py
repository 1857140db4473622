import numpy as np
import pytest

from metasight.errors import EvaluationError
from metasight.validation.smoothing import spline_basis, spline_knots

X = np.sort(np.random.default_rng(0).random(200))


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
