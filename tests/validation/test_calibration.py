import numpy as np
import pytest

from metasight.errors import EvaluationError
from metasight.validation.calibration import d_calibration, risk_groups


def test_fifths_of_the_risk_keep_ties_together():
    assert np.bincount(risk_groups(np.arange(10))).tolist() == [2] * 5
    assert len(set(risk_groups([0.1] * 9))) == 1


def test_d_calibration():
    even = d_calibration((np.arange(100) + 0.5) / 100, np.ones(100))
    assert even.bins.tolist() == [10] * 10
    assert even.p == 1
    censored = d_calibration([1.0] * 10 + [0.5], [0] * 10 + [1])
    assert censored.bins.sum() == pytest.approx(11)
    with pytest.raises(EvaluationError, match="every patient is censored"):
        d_calibration([0.5], [0])
