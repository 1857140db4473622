"""GLCM features by hand, and their symmetries."""

from __future__ import annotations

import math

import numpy as np
import pytest

from metasight.features.radiomics.cooccurrence import features, glcm
from metasight.features.radiomics.definitions import DIRECTIONAL, names_of

NAMES = names_of("GLCM")


def of(matrix) -> dict[str, float]:
    (row,) = features(np.array([matrix], dtype=float))
    return dict(zip(NAMES, row.tolist(), strict=True))


def test_two_levels_that_always_alternate():
    """All pairs are (1, 2): p = ½ off the diagonal."""
    told = of([[0, 3], [3, 0]])
    wanted = {
        "joint maximum": 0.5,
        "joint average": 1.5,
        "joint variance": 0.25,
        "joint entropy": 1.0,
        "difference average": 1.0,
        "difference variance": 0.0,
        "difference entropy": 0.0,
        "sum average": 3.0,
        "sum variance": 0.0,
        "sum entropy": 0.0,
        "angular second moment": 0.5,
        "contrast": 1.0,
        "dissimilarity": 1.0,
        "inverse difference": 0.5,
        "normalised inverse difference": 1 / 1.5,
        "inverse difference moment": 0.5,
        "normalised inverse difference moment": 1 / 1.25,
        "inverse variance": 1.0,
        "correlation": -1.0,
        "autocorrelation": 2.0,
        "cluster tendency": 0.0,
        "cluster shade": 0.0,
        "cluster prominence": 0.0,
        "information correlation 1": -1.0,
        # HXY2 = 2 bit, HXY = 1 bit
        "information correlation 2": math.sqrt(1 - math.exp(-2)),
    }
    assert told == pytest.approx(wanted, abs=1e-12)


def test_three_levels_by_hand():
    """p(1,1) = ½, p(3,3) = ¼, p(1,3) = p(3,1) = ⅛: mean 1·⅝ + 3·⅜ = 1.75."""
    told = of([[4, 0, 1], [0, 0, 0], [1, 0, 2]])
    variance = 5 / 8 * 0.75**2 + 3 / 8 * 1.25**2
    assert told["joint average"] == pytest.approx(1.75)
    assert told["joint variance"] == pytest.approx(variance)
    assert told["contrast"] == pytest.approx(4 * 0.25)
    assert told["autocorrelation"] == pytest.approx(1 * 0.5 + 9 * 0.25 + 3 * 0.25)
    assert told["correlation"] == pytest.approx((3.5 - 1.75**2) / variance)
    # sums less 2 · 1.75: −1.5 (½), 0.5 (¼), 2.5 (¼)
    assert told["cluster shade"] == pytest.approx(0.5 * -(1.5**3) + 0.25 * (0.5**3 + 2.5**3))
    assert told["cluster prominence"] == pytest.approx(0.5 * 1.5**4 + 0.25 * (0.5**4 + 2.5**4))
    assert told["joint entropy"] == pytest.approx(0.5 + 0.25 * 2 + 2 * 0.125 * 3)
    assert told["inverse variance"] == pytest.approx(0.25 / 4)
    assert told["normalised inverse difference"] == pytest.approx(0.75 + 0.25 / (1 + 2 / 3))


def test_one_level_has_no_correlation():
    told = of([[8, 0], [0, 0]])
    assert math.isnan(told["correlation"])
    assert math.isnan(told["information correlation 1"])
    assert told["information correlation 2"] == 0
    assert told["angular second moment"] == 1
    assert told["joint entropy"] == 0


def test_matrices_without_a_pair_are_left_out():
    two = np.zeros((3, 2, 2))
    two[1] = [[2, 1], [1, 0]]
    assert features(two).shape == (1, 25)
    assert features(np.zeros((2, 2, 2))).shape == (0, 25)


@pytest.fixture
def levels() -> np.ndarray:
    rng = np.random.default_rng(1)
    found = rng.integers(1, 5, (3, 6, 6)).astype(np.int32)
    return found * (rng.random((3, 6, 6)) < 0.9)


def test_turned_upside_down_levels_change_only_what_depends_on_them(levels):
    """5 − i: contrast, energy and entropies stay, shade changes its sign, averages mirror."""
    other = np.where(levels > 0, 5 - levels, 0).astype(np.int32)
    one, two = (glcm(v, 4, 1, ("3D:mrg",))["3D:mrg"] for v in (levels, other))
    for name in ("contrast", "angular second moment", "joint entropy", "correlation"):
        assert one[name] == pytest.approx(two[name]), name
    assert one["cluster shade"] == pytest.approx(-two["cluster shade"])
    assert one["joint average"] + two["joint average"] == pytest.approx(5)


@pytest.mark.parametrize("turn", [lambda v: v[:, ::-1], lambda v: np.swapaxes(v, 1, 2)])
def test_merged_directions_do_not_see_a_flip(levels, turn):
    turned = np.ascontiguousarray(turn(levels))
    for aggregation in ("2D:smrg", "2.5D:vmrg", "3D:mrg"):
        one = glcm(levels, 4, 1, (aggregation,))[aggregation]
        two = glcm(turned, 4, 1, (aggregation,))[aggregation]
        assert one == pytest.approx(two), aggregation


def test_a_single_slice_is_the_same_in_2d_and_merged_over_slices(levels):
    one = levels[:1]
    told = glcm(one, 4, 1, DIRECTIONAL)
    assert told["2D:smrg"] == pytest.approx(told["2.5D:vmrg"])
    assert told["2D:avg"] == pytest.approx(told["2.5D:dmrg"])


def test_a_distance_beyond_the_region_has_no_pair(levels):
    far = glcm(levels, 4, 6, ("3D:mrg", "2D:avg"))
    assert all(math.isnan(v) for told in far.values() for v in told.values())
