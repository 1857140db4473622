"""Blocks are found where they were put."""

import numpy as np

from alignment.corruptions import Picture, warped
from alignment.made_up import tissue, turn
from metasight.alignment.matching import Blocks, Pair
from metasight.alignment.placement import Piece
from metasight.alignment.section import Section, evidence


def pair(shift_px=(0.0, 0.0)):
    one = Picture.of(tissue(8), np.zeros((0, 2)))
    other = warped(one, turn(0.0, shift_px), (420, 420))
    return Pair.of(*(evidence(Section(rgb=p.rgb, mpp=5.0), 5.0) for p in (one, other)))


def test_a_shift_is_measured_to_a_fraction_of_a_pixel():
    found = pair((6.0, -3.5)).match(Piece(matrix=turn(0.0)), Blocks(size=80, step=40, radius=16))
    assert len(found) > 15
    assert not found.at_edge.any()
    np.testing.assert_allclose(np.median(found.offsets_um, axis=0), [30.0, -17.5], atol=1.5)
    assert np.median(found.score) > 0.95


def test_a_placement_that_knows_the_shift_leaves_none():
    piece = Piece(matrix=turn(0.0, (30.0, -17.5)))
    found = pair((6.0, -3.5)).match(piece, Blocks(size=80, step=40, radius=16))
    np.testing.assert_allclose(np.median(found.offsets_um, axis=0), 0.0, atol=1.0)


def test_a_shift_beyond_the_window_is_not_taken_for_a_match():
    far = pair((40.0, 0.0)).match(Piece(matrix=turn(0.0)), Blocks(size=80, step=40, radius=8))
    away = np.linalg.norm(far.offsets_um, axis=1)
    assert (far.at_edge | (away > 10)).mean() > 0.6
    assert (far.weight[far.at_edge] == 0).all()


def test_only_where_asked():
    whole = pair()
    where = np.zeros(whole.fixed.shape, np.float32)
    where[:, : where.shape[1] // 2] = 1
    found = whole.match(Piece(matrix=turn(0.0)), Blocks(size=60, step=30, radius=8), where=where)
    x, _ = whole.fixed.centres_um()
    assert len(found) > 0
    assert found.points_um[:, 0].max() <= x[len(x) // 2] + 5
