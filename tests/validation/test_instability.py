import numpy as np
import pytest

from metasight.errors import EvaluationError
from metasight.validation.instability import (
    instability,
    optimism,
    optimism_of_c,
)


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


def test_shapes():
    with pytest.raises(EvaluationError, match="one row a resample"):
        instability([0.1, 0.2], [[0.1]])


def test_optimism_of_c_counts_a_patient_as_often_as_drawn_and_only_the_judged():
    time, status = np.array([1.0, 2.0, 3.0, 4.0]), np.array([1, 1, 1, 1])
    own = np.array([0.9, 0.8, 0.1, 0.2])  # one of six pairs is wrong
    resampled = np.array([[0.9, 0.8, 0.2, 0.1], [0.1, 0.2, 0.8, 0.9]])
    drawn = np.array([[0, 1, 2, 3], [3, 3, 0, 1]])
    found = optimism_of_c(time, status, own, resampled, drawn)
    assert found.apparent == pytest.approx(5 / 6)
    # the first model ranks all right in both; the second all wrong in both
    assert found.optimism == pytest.approx(0.0)
    part = optimism_of_c(
        time, status, own, resampled[:1], drawn[:1], judged=np.array([True, True, True, False])
    )
    assert part.apparent == pytest.approx(1.0)
