"""The permutation test of an added modality."""

from __future__ import annotations

import numpy as np
import pytest

from metasight.errors import EvaluationError
from metasight.validation.permutation import permutation_test


def test_counts_itself():
    found = permutation_test(0.2, np.linspace(0.0, 0.19, 99))
    assert found.p == 0.01
    assert (found.dealt, found.difference) == (99, 0.2)
    assert found.median == pytest.approx(0.095)


def test_ties_count_against_the_modality():
    """A stack that leaves the modality out finds exactly 0 with true and with dealt rows."""
    assert permutation_test(0.0, [0.0] * 19).p == 1.0


@pytest.mark.parametrize("dealt", [[0.0] * 18, [0.0] * 30 + [np.nan]])
def test_too_few_or_missing(dealt):
    with pytest.raises(EvaluationError, match="permutation test"):
        permutation_test(0.1, dealt)


def test_its_size_is_its_level():
    rng = np.random.default_rng(1)
    draws = rng.normal(size=(4000, 20))
    p = np.array([permutation_test(d[0], d[1:]).p for d in draws])
    assert (p <= 0.05).mean() == pytest.approx(0.05, abs=0.012)
