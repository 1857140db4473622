"""Pieces and their ground: points go to their own piece and come back from it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alignment.made_up import bent_piece, grid, turn
from metasight.alignment.placement import Piece, Placement
from metasight.errors import AlignmentError

TWO = Placement(
    pieces=(Piece(matrix=turn(0)), Piece(matrix=turn(0, (500.0, 0.0)))),
    labels=np.array([[0, 1], [0, 1]], np.uint8),
    label_spacing_um=100.0,
    label_origin_um=(20.0, 30.0),
)


def test_a_point_belongs_to_the_square_it_lies_in():
    # squares begin at (20, 30): the second column at x = 120
    points = np.array([[20.0, 30.0], [119.9, 31.0], [120.0, 31.0], [-50.0, 900.0], [900.0, -50.0]])
    assert TWO.piece_at(points).tolist() == [0, 0, 1, 0, 1]


def test_points_follow_their_own_piece():
    moved = TWO.points(np.array([[119.0, 50.0], [121.0, 50.0]]))
    assert moved.tolist() == [[119.0, 50.0], [621.0, 50.0]]


def test_and_come_back_from_where_a_piece_has_its_ground():
    back = TWO.back(np.array([[119.0, 50.0], [621.0, 50.0]]))
    np.testing.assert_allclose(back, [[119.0, 50.0], [121.0, 50.0]])


def test_of_two_answers_that_of_the_nearest_ground_counts():
    near_first = TWO.back(np.array([[230.0, 50.0]]))  # 0: 110 µm off at 230; 1: at −270
    assert near_first.tolist() == [[230.0, 50.0]]
    near_second = TWO.back(np.array([[600.0, 50.0]]))  # 0: at 600; 1: at 100, 20 µm off
    assert near_second.tolist() == [[100.0, 50.0]]


angles = st.floats(-180, 180)


@given(angles, st.floats(-500, 500), st.floats(0.5, 2.0), st.booleans())
def test_an_affine_piece_there_and_back(degrees, shift, stretch, mirrored):
    matrix = turn(degrees, (shift, -shift), mirrored=mirrored)
    matrix[:, 0] *= stretch
    piece = Piece(matrix=matrix)
    np.testing.assert_allclose(piece.back(piece.points(grid())), grid(), atol=1e-6)
    np.testing.assert_array_equal(piece.area_change(grid()), 1.0)


def test_area_change_is_the_jacobian_relative_to_the_affine_map():
    piece = bent_piece()
    at = grid(5)
    h = 0.01
    right, down = (piece.points(at + d) - piece.points(at - d) for d in ([h, 0], [0, h]))
    area = (right[:, 0] * down[:, 1] - right[:, 1] * down[:, 0]) / (2 * h) ** 2
    wanted = area / np.linalg.det(piece.matrix[:, :2])
    np.testing.assert_allclose(piece.area_change(at), wanted, rtol=1e-4)


@pytest.mark.parametrize(
    ("matrix", "problem"),
    [
        (np.eye(3), "2 × 3 matrix"),
        (np.array([[1.0, 0, np.nan], [0, 1, 0]]), "2 × 3 matrix"),
        (np.array([[1.0, 2, 0], [2, 4, 0]]), "flattens the section"),
    ],
)
def test_maps_that_are_none(matrix, problem):
    with pytest.raises(AlignmentError, match=problem):
        Piece(matrix=matrix)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"pieces": ()}, "needs a piece"),
        ({"labels": np.zeros((0, 0), np.uint8)}, "needs a piece"),
        ({"labels": np.array([[0, 2]], np.uint8)}, "names one that is not there"),
        ({"label_spacing_um": 0.0}, "not there"),
    ],
)
def test_placements_that_are_none(changes, problem):
    told = {"pieces": TWO.pieces, "labels": TWO.labels, "label_spacing_um": 100.0}
    with pytest.raises(AlignmentError, match=problem):
        Placement(**{**told, **changes})
