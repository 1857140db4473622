"""A rough pose grows to the affine map that is true, and beats a wrong one."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from alignment.corruptions import Picture, restained, turned
from alignment.made_up import tissue, turn
from metasight.alignment.coarse import Pose
from metasight.alignment.matching import Matches, Pair
from metasight.alignment.rigid import agree, grow, laid, plausible, precision_um, support
from metasight.alignment.section import Section, evidence

MPP = 5.0


@pytest.fixture(scope="module")
def known():
    """A pair turned by 40°, and where points of the fixed section lie on the moving one."""
    x, y = np.meshgrid(np.linspace(120, 300, 4), np.linspace(130, 290, 4))
    one = Picture.of(tissue(6), np.stack([x.ravel(), y.ravel()], axis=1))
    other = turned(restained(one, 2), 40.0, mirrored=False)
    fixed, moving = (evidence(Section(rgb=p.rgb, mpp=MPP), 10.0) for p in (one, other))
    return Pair.of(fixed, moving), one.points * MPP, other.points * MPP


def true_matrix(points, moved) -> np.ndarray:
    design = np.column_stack([points, np.ones(len(points))])
    return np.linalg.lstsq(design, moved, rcond=None)[0].T


def off(matrix, points, moved) -> float:
    return float(np.linalg.norm(points @ matrix[:, :2].T + matrix[:, 2] - moved, axis=1).mean())


def pose(matrix) -> Pose:
    return Pose(matrix=matrix, mirrored=False, angle_degrees=0.0, correlation=0.5)


def test_a_pose_that_is_a_little_off_grows_to_the_truth(known):
    pair, points, moved = known
    truth = true_matrix(points, moved)
    rough = truth + np.array([[0, 0, 30.0], [0, 0, -25.0]])
    wrong = turn(150.0, (900.0, 1500.0))
    found = grow(pair, (pose(wrong), pose(rough)))
    assert off(rough, points, moved) > 35
    best = found[0]
    assert off(best.matrix, points, moved) < 8
    assert off(best.rigid, points, moved) < 12
    assert best.blocks >= 8
    assert all(a.explained >= b.explained for a, b in pairwise(found))
    # a rigid map neither stretches nor shears
    linear = best.rigid[:, :2]
    np.testing.assert_allclose(linear @ linear.T, np.eye(2), atol=1e-9)


def test_blocks_and_precision_follow_the_grid(known):
    pair, _, _ = known
    longest = max(pair.fixed.shape)
    blocks = laid(pair)
    assert blocks.size == max(24, longest // 8)
    assert blocks.step == max(8, longest // 16)
    assert precision_um(pair) == 40.0  # of 10 µm


def matches(away, score, at_edge) -> Matches:
    n = len(away)
    return Matches(
        points_um=np.zeros((n, 2)),
        offsets_um=np.column_stack([away, np.zeros(n)]),
        score=np.asarray(score, float),
        at_edge=np.asarray(at_edge),
        radius_um=100.0,
    )


def test_support_by_hand():
    """Geman–McClure: 1 in place, a quarter at the precision, none at the search's edge."""
    found = support(
        matches([0.0, 20.0, 40.0, 0.0, 0.0], [0.8, 0.8, 1.0, 0.9, -0.5], [0, 0, 0, 1, 0]), 20.0
    )
    np.testing.assert_allclose(found, [0.8, 0.2, 1 / 25, 0.0, 0.0])


@pytest.mark.parametrize(
    ("stretch", "shear", "told"),
    [
        (1.0, 0.0, True),
        (1.3, 0.0, True),
        (1.4, 0.0, False),
        (0.72, 0.0, False),
        (0.76, 0.0, True),
        (1.0, 0.3, True),
        (1.0, 0.8, False),
    ],
)
def test_what_tissue_can_stretch(stretch, shear, told):
    linear = turn(33.0)[:, :2] @ np.array([[stretch, shear], [0.0, 1.0]])
    assert plausible(np.column_stack([linear, [5.0, 7.0]])) is told


def test_maps_agree_where_they_put_the_corners(known):
    pair, _, _ = known
    one = turn(10.0, (100.0, 50.0))
    shifted = one + np.array([[0, 0, 3.0], [0, 0, 4.0]])
    assert agree(one, shifted, pair.fixed, 5.001)
    assert not agree(one, shifted, pair.fixed, 4.999)
    # 1° over a section of 2 mm puts its corners some 20 µm elsewhere on average
    assert not agree(one, turn(11.0, (100.0, 50.0)), pair.fixed, 10.0)
