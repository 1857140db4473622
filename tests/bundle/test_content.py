"""Where a patient stands among those of training, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from metasight import bundle
from metasight.bundle.content import Standing
from metasight.errors import StoreError

STANDING = Standing(quantiles={"1826": tuple(np.linspace(0.1, 0.5, 21))})


@pytest.mark.parametrize(
    ("risk", "share"), [(0.1, 0), (0.3, 50), (0.32, 55), (0.31, 52.5), (0.5, 100), (0.9, 100)]
)
def test_between_the_kept_quantiles_it_is_interpolated(risk, share):
    assert STANDING.percentile("1826", risk) == pytest.approx(share)


def test_of_another_target_nothing_is_known():
    assert STANDING.percentile("3652", 0.3) is None


def test_a_model_that_is_not_there_is_named(developed):
    locked = bundle.read(developed / "results" / "latest" / "bundle")
    with pytest.raises(StoreError, match=r"no such model \(value: nobody\). It has NPI, clinical"):
        locked.model("nobody")
    assert len(locked.refit_models()) == 22
