import numpy as np
import pytest

from metasight.errors import EvaluationError
from metasight.validation.instability import classification_instability, instability, optimism


def test_optimism():
    got = optimism(0.8, [0.82, 0.84], [0.78, 0.76])
    assert got.optimism == pytest.approx(0.06)
    assert got.corrected == pytest.approx(0.74)
    with pytest.raises(EvaluationError, match="two finite"):
        optimism(0.8, [0.8, np.nan], [0.7, 0.7])


def test_a_stable_model():
    risk = np.array([0.1, 0.4])
    got = instability(risk, np.tile(risk, (20, 1)))
    assert got.mape.tolist() == [0, 0]
    assert got.lower.tolist() == got.upper.tolist() == [0.1, 0.4]


def test_classification():
    got = classification_instability([0.1, 0.4], [[0.3, 0.5], [0.1, 0.1]], 0.2)
    assert got.tolist() == [0.5, 0.5]


def test_shapes():
    with pytest.raises(EvaluationError, match="one row a resample"):
        instability([0.1, 0.2], [[0.1]])
