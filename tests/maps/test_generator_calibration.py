"""The factor of the stated error: a quantile in which every patient weighs the same."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")

from metasight.maps.generator_calibration import (
    NORMAL_P95,
    _pearson,
    _weighted_quantile,
)


def test_the_quantile_by_hand():
    # one patient of four values, each a quarter: nine tenths lie at the largest
    assert _weighted_quantile([np.array([1.0, 2, 3, 4])], 0.9) == 4
    assert _weighted_quantile([np.array([4.0, 3, 2, 1])], 0.5) == 2
    # a patient of 1 value weighs as much as one of 99
    many, one = np.full(99, 1.0), np.array([5.0])
    assert _weighted_quantile([many, one], 0.49) == 1
    assert _weighted_quantile([many, one], 0.51) == 5


def test_repeating_a_patients_tiles_changes_nothing():
    rng = np.random.default_rng(0)
    parts = [rng.random(5), rng.random(40)]
    longer = [np.repeat(parts[0], 7), parts[1]]
    for share in (0.1, 0.5, 0.9):
        assert _weighted_quantile(parts, share) == _weighted_quantile(longer, share)


def test_an_error_that_is_right_has_the_factor_one():
    """Misses of a normal distribution, in units of their own spread."""
    rng = np.random.default_rng(1)
    parts = [np.abs(rng.normal(size=4000)) for _ in range(5)]
    assert _weighted_quantile(parts, 0.9) / NORMAL_P95 == pytest.approx(1, abs=0.03)
    doubled = [2 * p for p in parts]
    assert _weighted_quantile(doubled, 0.9) / NORMAL_P95 == pytest.approx(2, abs=0.06)


def test_no_correlation_of_what_does_not_vary():
    assert _pearson(np.array([[1.0, 2, 3], [2.0, 4, 7]])) == pytest.approx(
        np.corrcoef([1, 2, 3], [2, 4, 7])[0, 1]
    )
    assert _pearson(np.array([[1.0, 1, 1], [2.0, 4, 7]])) is None
    assert _pearson(np.array([[1.0], [2.0]])) is None
