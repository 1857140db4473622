import numpy as np
import pytest

from metasight.errors import EvaluationError
from metasight.validation.compare import bootstrap_contrast
from metasight.validation.dynamic_auc import influence_estimate
from metasight.validation.results import Contrast, NotEstimable
from oracles.contrasts import influence_difference


def test_a_model_with_itself_differs_by_nothing():
    a = influence_estimate(0.7, np.array([0.1, -0.1, 0.0]), 0.95)
    got = influence_difference(a, a)
    assert (got.difference, got.se, got.p) == (0, 0, 1)
    with pytest.raises(EvaluationError, match="different patients"):
        influence_difference(a, influence_estimate(0.7, np.zeros(4), 0.95))


def test_contrast():
    boot = np.linspace(-0.01, 0.03, 401)
    up = bootstrap_contrast(0.01, boot, confidence=0.95, higher_is_better=True)
    down = bootstrap_contrast(0.01, boot, confidence=0.95, higher_is_better=False)
    assert isinstance(up, Contrast)
    assert (up.lower, up.upper) == pytest.approx((-0.009, 0.029))
    assert up.probability_better == pytest.approx(0.75, abs=0.01)
    assert up.probability_better + down.probability_better == pytest.approx(1)


def test_ties_count_half():
    same = bootstrap_contrast(0.0, np.zeros(50), confidence=0.95, higher_is_better=True)
    assert same.probability_better == 0.5


def test_lost_resamples_are_said():
    boot = np.full(50, np.nan)
    lost = bootstrap_contrast(0.1, boot, confidence=0.95, higher_is_better=True)
    assert lost == NotEstimable(not_estimable="50 of 50 resamples had no estimate")
    none = bootstrap_contrast(np.nan, boot, confidence=0.95, higher_is_better=True)
    assert isinstance(none, NotEstimable)
