"""Fits to matches whose truth is known and of which a third is wrong."""

import numpy as np
import pytest

from alignment.made_up import turn
from metasight.alignment.fits import affine_step, after, deform, folds, rigid_step
from metasight.alignment.matching import Matches
from metasight.alignment.placement import Piece
from metasight.alignment.section import Evidence

SIZE = (2000.0, 1500.0)


@pytest.fixture
def fixed():
    image = np.ones((150, 200), np.float32)
    return Evidence(
        contrast=image, scanned=image, tissue=image, spacing_um=10.0, origin_um=(0.0, 0.0)
    )


def matched(move, wrong=0.33, seed=0):
    """Matches of a grid that ``move`` takes to where it truly goes, a share of them random."""
    rng = np.random.default_rng(seed)
    x, y = np.meshgrid(np.linspace(50, 1950, 20), np.linspace(50, 1450, 15))
    points = np.stack([x.ravel(), y.ravel()], axis=1)
    offsets = move(points) - points + rng.normal(0, 2, points.shape)
    lost = rng.random(len(points)) < wrong
    offsets[lost] = rng.uniform(-100, 100, (lost.sum(), 2))
    n = len(points)
    return Matches(
        points_um=points,
        offsets_um=offsets,
        score=np.full(n, 0.7),
        at_edge=np.zeros(n, bool),
        radius_um=100.0,
    )


def apply(matrix, points):
    return points @ matrix[:, :2].T + matrix[:, 2]


def test_rigid_step_finds_a_turn_among_mismatches():
    truth = turn(1.5, (20.0, -12.0))
    found = rigid_step(matched(lambda p: apply(truth, p)), 12.0)
    corners = np.array([[0, 0], [2000, 1500.0]])
    np.testing.assert_allclose(apply(found, corners), apply(truth, corners), atol=3)
    assert np.linalg.det(found[:, :2]) == pytest.approx(1.0)


def test_affine_step_finds_a_stretch_among_mismatches():
    truth = np.array([[1.03, 0.01, -8.0], [-0.02, 0.97, 15.0]])
    found = affine_step(matched(lambda p: apply(truth, p)), 12.0)
    corners = np.array([[0, 0], [2000, 1500.0]])
    np.testing.assert_allclose(apply(found, corners), apply(truth, corners), atol=3)


def test_after_is_one_step_then_the_map():
    one, other = turn(30, (5, 6)), turn(-10, (1, 2), mirrored=True)
    point = np.array([[3.0, 4.0]])
    np.testing.assert_allclose(apply(after(one, other), point), apply(one, apply(other, point)))


def test_deform_follows_a_smooth_bend_and_not_the_mismatches(fixed):
    def bend(p):
        return p + 25 * np.sin(p[:, ::-1] / 400)

    start = Piece(matrix=turn(0.0))
    piece = deform(matched(bend), start, fixed, knot_um=100.0, stiffness=3.0, precision_um=12.0)
    at = matched(bend, wrong=0).points_um
    away = np.linalg.norm(piece.points(at) - bend(at), axis=1)
    assert np.median(away) < 4
    assert np.median(np.linalg.norm(start.points(at) - bend(at), axis=1)) > 15
    assert not folds(piece, fixed, least=0.5, most=2.0)


def test_a_fold_is_seen(fixed):
    def fold(p):  # a strip laid over its neighbour
        return p - np.stack([150 * np.tanh((p[:, 0] - 1000) / 60), np.zeros(len(p))], axis=1)

    piece = deform(
        matched(fold, wrong=0),
        Piece(matrix=turn(0.0)),
        fixed,
        knot_um=100.0,
        stiffness=0.01,
        precision_um=200.0,
    )
    assert folds(piece, fixed, least=0.5, most=2.0)
