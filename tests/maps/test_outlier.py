"""Outliers: told apart from the training slides, and slides like those left alone."""

from __future__ import annotations

import numpy as np
import pytest

from metasight.errors import MarkerError
from metasight.maps.outlier import OutlierScore, block_features, fit_outliers


def patients(n: int, seed: int, away: float = 0.0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    mix = np.random.default_rng(99).normal(size=(20, 20))
    return {
        f"P{i}": (rng.normal(size=(10, 20)) + 0.5 * rng.normal(size=20) + away) @ mix
        for i in range(n)
    }


def test_slides_from_elsewhere_score_higher_and_own_ones_are_not_flagged() -> None:
    model = fit_outliers(patients(24, 1))
    own = [model.score(b) for b in patients(40, 2).values()]
    other = [model.score(b) for b in patients(40, 3, away=2.5).values()]
    assert sum(s.flagged for s in own) <= 2
    assert all(s.flagged for s in other)
    assert min(s.score for s in other) > np.median([s.score for s in own])


def test_few_patients_set_no_threshold_and_no_block_is_flagged() -> None:
    model = fit_outliers(patients(2, 1))
    assert model.threshold == float("inf")
    assert model.score(np.zeros((0, 20))).flagged
    assert OutlierScore(score=float("nan"), threshold=3.0).flagged


def test_features_of_another_generator_are_refused() -> None:
    with pytest.raises(MarkerError, match="another generator"):
        fit_outliers(patients(5, 1)).score(np.zeros((3, 4)))
    with pytest.raises(MarkerError, match="no training tile"):
        fit_outliers({"P": np.zeros((0, 4))})


def test_blocks_are_means_and_spreads_over_tissue() -> None:
    features = np.zeros((1, 64, 32), np.float32)
    features[0, :32, :16] = 2.0
    tissue = np.zeros((64, 32), bool)
    tissue[:32] = True
    tissue[40, 3] = True  # too little of the second block
    found = block_features(features, tissue, 16.0)
    assert found.tolist() == [[1.0, 1.0]]


def test_constant_features_do_no_harm() -> None:
    blocks = {name: np.column_stack([b, np.ones(len(b))]) for name, b in patients(6, 1).items()}
    assert np.isfinite(fit_outliers(blocks).score(blocks["P0"]).score)
