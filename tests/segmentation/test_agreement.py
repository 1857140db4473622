import numpy as np
import pytest

from metasight.errors import MarkerError
from metasight.segmentation.agreement import dice
from oracles.matched_centres import match_centres


def test_each_is_matched_once_and_as_many_as_can_be():
    """Nearest-first would pair 0 with 1 and leave −3 and 4 alone."""
    found = match_centres(np.array([0.0, 4]), np.zeros(2), np.array([1.0, -3]), np.zeros(2), 3.5)
    assert found.matched == 2
    crowd = match_centres(np.zeros(5), np.zeros(5), np.zeros(1), np.zeros(1), 1.0)
    assert (crowd.matched, crowd.precision, crowd.recall) == (1, 0.2, 1.0)
    assert crowd.f1 == pytest.approx(2 / 6)


def test_nothing_found():
    none = match_centres(np.zeros(0), np.zeros(0), np.zeros(2), np.zeros(2), 1.0)
    assert none.recall == 0
    assert np.isnan(none.precision)
    assert none.f1 == 0


def test_dice():
    a, b = np.zeros((4, 4), dtype=int), np.zeros((4, 4), dtype=int)
    assert np.isnan(dice(a, b))
    a[:2], b[1:3] = 7, 1
    assert dice(a, b) == 0.5
    with pytest.raises(MarkerError, match="shape"):
        dice(a, b[:2])
