import numpy as np
import pytest

from metasight.errors import EvaluationError
from oracles.class_calibration import (
    binary_calibration,
    loess_calibration,
    spline_class_calibration,
)


def test_class_calibration_of_true_risks():
    rng = np.random.default_rng(1)
    p = rng.uniform(0.05, 0.95, 5000)
    y = (rng.random(5000) < p).astype(int)
    got = binary_calibration(p, y)
    assert got.oe == pytest.approx(1, abs=0.05)
    assert got.slope == pytest.approx(1, abs=0.1)
    assert got.intercept_large == pytest.approx(0, abs=0.1)
    with pytest.raises(EvaluationError, match="one class"):
        binary_calibration(p, np.zeros(5000))


def test_smoothers_agree():
    rng = np.random.default_rng(2)
    p = rng.uniform(0.05, 0.95, 3000)
    y = (rng.random(3000) < p**2).astype(int)
    a, b = loess_calibration(p, y), spline_class_calibration(p, y)
    assert np.abs(a.observed - b.observed).mean() < 0.02
    assert a.ici == pytest.approx(np.abs(p**2 - p).mean(), abs=0.02)
