from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage import filters

from metasight.segmentation.cross_entropy import threshold_of_least_cross_entropy


@given(st.integers(0, 2**32 - 1), st.floats(0.02, 0.9), st.integers(50, 9000))
def test_the_threshold_is_scikit_images(seed, share, n):
    rng = np.random.default_rng(seed)
    dark = rng.normal(0.6, 0.15, n)
    values = np.where(rng.random(n) < share, dark, rng.normal(0.05, 0.04, n)).astype(np.float32)
    found = threshold_of_least_cross_entropy(np.sort(values))
    assert found == pytest.approx(filters.threshold_li(values.astype(np.float64)), abs=1e-5)


def test_of_two_values_the_threshold_lies_between():
    values = np.array([0.0] * 5 + [1.0] * 5, dtype=np.float32)
    assert 0 < threshold_of_least_cross_entropy(values) < 1
