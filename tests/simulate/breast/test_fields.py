"""Fields of a block have the covariance that they state, within a section and in depth."""

from __future__ import annotations

import numpy as np
import pytest

from metasight.simulate.breast.fields import FieldSource

LENGTH_UM = 30.0


def source(seed: int) -> FieldSource:
    return FieldSource(seed=(seed,), shape=(256, 256), spacing_um=4.0)


def test_variance_and_covariance_within_a_section() -> None:
    fields = [source(s).field("nests", LENGTH_UM) for s in range(12)]
    assert np.mean([f.var() for f in fields]) == pytest.approx(1.0, abs=0.05)
    lag = 10  # 40 µm
    found = np.mean([(f[:, lag:] * f[:, :-lag]).mean() for f in fields])
    assert found == pytest.approx(np.exp(-((4.0 * lag) ** 2) / (4 * LENGTH_UM**2)), abs=0.05)


@pytest.mark.parametrize("gap_um", [5.0, 15.0])
def test_covariance_in_depth(gap_um: float) -> None:
    found = np.mean(
        [
            np.corrcoef(
                source(s).field("nests", LENGTH_UM).ravel(),
                source(s).field("nests", LENGTH_UM, gap_um).ravel(),
            )[0, 1]
            for s in range(8)
        ]
    )
    assert found == pytest.approx(1 - gap_um**2 / (4 * LENGTH_UM**2), abs=0.02)


def test_a_name_is_a_field() -> None:
    one = source(1)
    assert (one.field("a", 20) == one.field("a", 20)).all()
    assert abs(np.corrcoef(one.field("a", 20).ravel(), one.field("b", 20).ravel())[0, 1]) < 0.15
    assert (one.field("a", 20) != source(2).field("a", 20)).any()
