"""From distances of held-out blocks to a predicted error."""

import numpy as np
import pytest

from alignment.made_up import tissue, turn
from metasight.alignment.error import (
    Calibration,
    Check,
    ErrorMap,
    in_place,
    local_distance_um,
    pooled,
    predict,
    unmatched,
)
from metasight.alignment.matching import Pair
from metasight.alignment.placement import Piece, Placement
from metasight.alignment.section import Section, evidence

EXTENT = 4000.0
CALIBRATION_OF_TEST = Calibration(
    factor_p50=2.0,
    power_p50=0.5,
    factor_p90=3.0,
    power_p90=1.0,
    marks_p50_um=8.0,
    marks_p90_um=36.0,
)


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
    np.testing.assert_allclose(local_distance_um(nothing, np.zeros((3, 2)), EXTENT / 16), 280)


def test_a_bad_corner_is_seen_in_the_corner_only():
    one = checked(lambda p: np.where((p > 2800).all(axis=1), 250.0, 10.0), n=800)
    at = np.array([[800.0, 800.0], [3500.0, 3500.0]])
    good, bad = local_distance_um(one, at, EXTENT / 16)
    assert good == 10
    assert bad == 250


def test_errors_grow_with_distance_and_keep_their_order():
    p50, p90 = CALIBRATION_OF_TEST.errors(np.geomspace(0.1, 400, 50))
    assert (np.diff(p50) >= 0).all()
    assert (np.diff(p90) >= 0).all()
    assert (p90 > p50).all()


def test_experts_marks_are_added_in_squares_and_taken_off_again():
    own = CALIBRATION_OF_TEST.errors(np.array([9.0, 100.0]), marked=False)
    marked = CALIBRATION_OF_TEST.errors(np.array([9.0, 100.0]))
    # 2 · 9^0.5 = 6 and hypot(6, 8) = 10; 3 · 9 = 27 and hypot(27, 36) = 45
    assert own[0][0] == pytest.approx(6)
    assert own[1][0] == pytest.approx(27)
    assert marked[0][0] == pytest.approx(10)
    assert marked[1][0] == pytest.approx(45)
    told = ErrorMap(
        p50_um=10.0,
        p90_um=45.0,
        tile_p50_um=marked[0][None],
        tile_p90_um=np.array([[marked[1][0], np.nan]]),
        tile_um=100.0,
        origin_um=(0.0, 0.0),
        in_place=0.5,
    ).own(CALIBRATION_OF_TEST)
    assert (told.p50_um, told.p90_um) == (pytest.approx(6), pytest.approx(27))
    np.testing.assert_allclose(told.tile_p50_um, own[0][None])
    np.testing.assert_allclose(told.tile_p90_um, [[27, np.nan]])


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


MPP = 10.0


def same_section(moving=None) -> Pair:
    """A section and itself, or what became of it."""
    fixed = tissue(6)
    both = [
        evidence(Section(rgb=v, mpp=MPP), MPP) for v in (fixed, fixed if moving is None else moving)
    ]
    return Pair.of(*both)


def halves(pair: Pair) -> Placement:
    """The section in two pieces that meet in its middle, both where they were."""
    labels = np.zeros((2, 2), np.uint8)
    labels[:, 1] = 1
    piece = Piece(matrix=turn(0.0))
    return Placement(
        pieces=(piece, piece),
        labels=labels,
        label_spacing_um=max(pair.fixed.size_um) / 2,
        label_origin_um=pair.fixed.origin_um,
    )


def test_what_lies_beside_a_border_of_pieces_has_no_error():
    pair = same_section()
    near = checked(lambda p: 5.0)
    one = predict(pair, Placement.whole(Piece(matrix=turn(0.0)), pair.fixed.size_um), near)
    two = predict(pair, halves(pair), near)
    middle = np.array(pair.fixed.origin_um) + np.array(pair.fixed.size_um) / 2
    beside = np.array([[middle[0] + 0.05 * one.tile_um, middle[1]]])
    away = np.array([[middle[0] + 3 * one.tile_um, middle[1]]])
    assert np.isfinite(one.at(beside)[0]).all()
    assert np.isnan(two.at(beside)[0]).all()
    np.testing.assert_array_equal(two.at(away), one.at(away))


@pytest.mark.parametrize("cut_px", [188, 194, 200, 206, 212])
def test_a_tile_most_of_whose_tissue_was_put_on_glass_has_no_error(cut_px):
    moving = tissue(6)
    moving[:, :cut_px] = 245  # the left side is missing
    pair = same_section(moving)
    whole = Placement.whole(Piece(matrix=turn(0.0)), pair.fixed.size_um)
    told = predict(pair, whole, checked(lambda p: 5.0))
    row = pair.fixed.origin_um[1] + pair.fixed.size_um[1] / 2
    assert np.isnan(told.at(np.array([[1200.0, row]]))[0]).all()
    assert np.isfinite(told.at(np.array([[3000.0, row]]))[0]).all()
    # in the middle of the section tissue fills the tiles: what lies right of the cut is there
    centres = told.tile_centres_um()
    middle = centres[np.abs(centres[:, 1] - row) < 600]
    there = (middle[:, 0] + told.tile_um / 2 - 10.0 * cut_px) / told.tile_um
    assert there.min() > 0.5


def test_tissue_lost_on_one_side_is_missing_and_on_both_sides_unmatched():
    still = Piece(matrix=turn(0.0))
    size = (4200.0, 4200.0)
    whole = Placement.whole(still, size)
    assert unmatched(same_section(), whole) < 0.03
    missing = tissue(6)
    missing[:, :200] = 245
    assert unmatched(same_section(missing), whole) < 0.03
    # the left side lies elsewhere on the glass: it is on both sections, and nothing lies on it
    slid = np.full_like(np.vstack([missing, missing]), 245)
    slid[: len(missing)] = missing
    slid[len(missing) :, :200] = tissue(6)[:, :200]
    assert unmatched(same_section(slid), whole) > 0.3
