"""From distances of held-out blocks to a predicted error."""

import numpy as np
import pytest

from metasight.alignment.error import (
    Calibration,
    Check,
    ErrorMap,
    in_place,
    local_distance,
    pooled,
)

EXTENT = 4000.0


def checked(distance, n=200, seed=0):
    points = np.random.default_rng(seed).uniform(0, EXTENT, (n, 2))
    values = np.broadcast_to(distance(points), n).astype(float)
    return Check(points_um=points, distance_um=values, score=np.ones(n), radius_um=280.0)


def test_wilson_against_its_published_interval():
    """Newcombe, Stat Med 1998;17:857, method 3: 81 of 263 gives 0.2553 to 0.3662 (95 %)."""
    n, share = 263, 81 / 263
    z = 1.959964
    by_hand = (
        share + z**2 / (2 * n) - z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n * n))
    ) / (1 + z**2 / n)
    assert by_hand == pytest.approx(0.2553, abs=1e-4)
    # ours counts four blocks as one and has z = 1.645: 4 × 263 blocks are that trial at 90 %
    near = checked(lambda p: np.where(np.arange(len(p)) < 4 * 81, 0.0, 200.0), n=4 * 263)
    assert 0.2553 < in_place(near, EXTENT) < share
    assert in_place(near, EXTENT) == pytest.approx(0.2630, abs=2e-3)


def test_a_few_blocks_in_place_prove_less_than_many():
    few, many = (checked(lambda p: 5.0, n=n) for n in (12, 400))
    assert in_place(few, EXTENT) < in_place(many, EXTENT) <= 1


def test_no_block_proves_nothing():
    nothing = checked(lambda p: 1.0, n=0)
    assert in_place(nothing, EXTENT) == 0
    np.testing.assert_allclose(local_distance(nothing, np.zeros((3, 2)), EXTENT), 280 / EXTENT)


def test_a_bad_corner_is_seen_in_the_corner_only():
    one = checked(lambda p: np.where((p > 2800).all(axis=1), 250.0, 10.0), n=800)
    good, bad = local_distance(one, np.array([[800.0, 800.0], [3500.0, 3500.0]]), EXTENT) * EXTENT
    assert good == 10
    assert bad == 250


def test_errors_grow_with_distance_and_keep_their_order():
    calibration = Calibration(factor_p50=0.06, power_p50=0.5, factor_p90=0.6, power_p90=0.75)
    p50, p90 = calibration.errors(np.geomspace(1e-5, 0.08, 50))
    assert (np.diff(p50) >= 0).all()
    assert (np.diff(p90) >= 0).all()
    assert (p90 > p50).all()


def test_pooling_equal_tiles_gives_them_back_and_one_bad_in_five_shows():
    p50, p90 = np.full(20, 10.0), np.full(20, 30.0)
    whole = pooled(p50, p90)
    assert whole[0] == pytest.approx(10, rel=0.05)
    assert whole[1] == pytest.approx(30, rel=0.2)
    p50[:4], p90[:4] = 200.0, 400.0
    assert pooled(p50, p90)[1] > 150
    assert pooled(p50[:0], p90[:0]) == (np.inf, np.inf)


def test_the_error_at_a_point_is_that_of_its_tile():
    """Two rows of three tiles of 10 µm from (100, 50); the middle one of the second is empty."""
    tiles = np.array([[1.0, 2.0, 3.0], [4.0, np.nan, 6.0]])
    told = ErrorMap(
        p50_um=2.0,
        p90_um=4.0,
        tile_p50_um=tiles,
        tile_p90_um=2 * tiles,
        tile_um=10.0,
        origin_um=(100.0, 50.0),
        in_place=0.9,
    )
    at = np.array([[101, 51], [115, 59.9], [125, 52], [105, 65], [128, 69], [115, 65], [99, 55]])
    p50, p90 = told.at(at.astype(float))
    np.testing.assert_array_equal(p50, [1, 2, 3, 4, 6, np.nan, np.nan])
    np.testing.assert_array_equal(p90, 2 * p50)
    for outside in ([131.0, 55.0], [105.0, 49.0], [105.0, 71.0]):
        assert np.isnan(told.at(np.array([outside]))[0]).all()
    centres = told.tile_centres_um()
    np.testing.assert_array_equal(centres, [[105, 55], [115, 55], [125, 55], [105, 65], [125, 65]])
    np.testing.assert_array_equal(told.at(centres)[0], [1, 2, 3, 4, 6])
