"""No more flexible than it can prove on blocks it has not seen."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from alignment.made_up import bent_piece, tissue, turn
from metasight.alignment.matching import Matches, Pair
from metasight.alignment.placement import Piece
from metasight.alignment.refine import _keep, _seen_from, ground, refine, squares
from metasight.alignment.rigid import Candidate
from metasight.alignment.section import Section, evidence

MPP = 5.0


def moved_by(rgb: np.ndarray, piece: Piece) -> np.ndarray:
    """The image on which what lies at p on ``rgb`` lies at ``piece(p)``."""
    rows, columns = rgb.shape[:2]
    x, y = np.meshgrid((np.arange(columns) + 0.5) * MPP, (np.arange(rows) + 0.5) * MPP)
    at = piece.back(np.stack([x.ravel(), y.ravel()], axis=1)).reshape(rows, columns, 2)
    to = (at / MPP - 0.5).astype(np.float32)
    return cv2.remap(rgb, to[..., 0], to[..., 1], cv2.INTER_LINEAR, borderValue=(243, 243, 243))


def pair_of(piece: Piece) -> Pair:
    fixed = tissue(6)
    sections = [evidence(Section(rgb=v, mpp=MPP), MPP) for v in (fixed, moved_by(fixed, piece))]
    return Pair.of(*sections)


def candidate(matrix) -> Candidate:
    return Candidate(matrix=matrix, rigid=matrix, explained=1.0, blocks=20, mirrored=False)


def points(n: int = 8) -> np.ndarray:
    x, y = np.meshgrid(np.linspace(650, 1450, n), np.linspace(700, 1400, n))
    return np.stack([x.ravel(), y.ravel()], axis=1)


def off(found: Piece, truth: Piece) -> float:
    return float(np.linalg.norm(found.points(points()) - truth.points(points()), axis=1).mean())


def test_a_shift_stays_rigid_or_affine_and_is_found():
    truth = Piece(matrix=turn(3.0, (40.0, -30.0)))
    start = truth.matrix + np.array([[0, 0, 12.0], [0, 0, 9.0]])
    told = refine(pair_of(truth), candidate(start), None)
    assert told.model != "deformable" or told.held_out_um["deformable"] < told.held_out_um["rigid"]
    assert off(told.piece, truth) < 3.0
    assert set(told.held_out_um) == {"rigid", "affine", "deformable"}
    assert told.why.startswith("mean distance on blocks not fitted to: rigid")


def test_a_bend_is_followed_because_held_out_blocks_prove_it():
    bent = bent_piece(1, degrees=0.0)
    truth = Piece(matrix=turn(0.0, (20.0, 10.0)), field=bent.field)
    told = refine(pair_of(truth), candidate(truth.matrix), None)
    assert told.model == "deformable"
    assert told.held_out_um["deformable"] < told.held_out_um["affine"]
    assert off(told.piece, truth) < 0.6 * off(Piece(matrix=truth.matrix), truth)
    # each half's fit has seen only its own squares, and is near the whole one's
    for half in told.without:
        assert off(half, truth) < off(Piece(matrix=truth.matrix), truth)


def test_too_few_blocks_leave_the_candidate_as_it_is():
    truth = Piece(matrix=turn(0.0))
    pair = pair_of(truth)
    nowhere = np.zeros(pair.fixed.shape, np.float32)
    told = refine(pair, candidate(truth.matrix), nowhere)
    np.testing.assert_array_equal(told.piece.matrix, truth.matrix)
    assert told.held_out_um == {}
    assert told.why.startswith("too few blocks")


def test_the_chessboard_has_six_squares_along_the_longer_side():
    pair = pair_of(Piece(matrix=turn(0.0)))
    side = max(pair.fixed.size_um) / 6
    start = np.array(pair.fixed.origin_um)
    at = start + side * (np.array([[0, 0], [1, 0], [0, 1], [1, 1], [5, 0]]) + 0.5)
    assert squares(at, pair).tolist() == [True, False, False, True, False]


def test_matches_seen_from_another_placement_point_to_the_same_place():
    under, other = Piece(matrix=turn(10.0, (5.0, 6.0))), Piece(matrix=turn(-20.0, (50.0, 0.0)))
    rng = np.random.default_rng(0)
    seen = Matches(
        points_um=rng.uniform(0, 900, (12, 2)),
        offsets_um=rng.normal(0, 10, (12, 2)),
        score=np.ones(12),
        at_edge=np.zeros(12, bool),
        radius_um=60.0,
    )
    place = under.points(seen.points_um) + seen.offsets_um @ under.matrix[:, :2].T
    again = _seen_from(seen, under, other)
    np.testing.assert_allclose(
        other.points(again.points_um) + again.offsets_um @ other.matrix[:, :2].T, place
    )


@pytest.mark.parametrize("number", [0, 1])
def test_a_pieces_ground_on_the_pairs_grid(number):
    pair = pair_of(Piece(matrix=turn(0.0)))
    assert ground(np.zeros((1, 1), np.uint8), 0, pair) is None
    labels = np.zeros((10, 10), np.uint8)
    labels[:, 5:] = 1
    own = ground(labels, number, pair)
    assert own.shape == pair.fixed.shape
    assert own.mean() == pytest.approx(0.5, abs=0.01)
    assert own[:, 0].mean() == (1 - number)


def test_a_model_that_only_repeats_what_it_was_shown_is_not_kept():
    """White squares lie 6 µm to the right and black ones 6 to the left: no shift explains both.

    The mean shift of either half is nought on its own blocks and 12 µm off on the other half's;
    no shift at all is 6 off everywhere.
    """
    pair = pair_of(Piece(matrix=turn(0.0)))
    at = points(12)
    white = squares(at, pair)
    assert 40 < white.sum() < 104
    matches = Matches(
        points_um=at,
        offsets_um=np.column_stack([np.where(white, 6.0, -6.0), np.zeros(len(at))]),
        score=np.ones(len(at)),
        at_edge=np.zeros(len(at), bool),
        radius_um=60.0,
    )
    still = Piece(matrix=turn(0.0))

    def mean_shift(shown: Matches) -> Piece:
        return Piece(matrix=turn(0.0, shown.offsets_um.mean(axis=0)))

    fits = {"rigid": lambda _: still, "affine": mean_shift, "deformable": mean_shift}
    told = _keep(pair, fits, matches, still)
    assert told.held_out_um == pytest.approx({"rigid": 6.0, "affine": 12.0, "deformable": 12.0})
    assert told.model == "rigid"
