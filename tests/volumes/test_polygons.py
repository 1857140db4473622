from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from matplotlib.path import Path as Polygon

from metasight.volumes.polygons import fill, fill_all

SHAPE = (12, 14)


def square(low: float, high: float) -> np.ndarray:
    return np.array([[low, low], [high, low], [high, high], [low, high]])


def test_a_pixel_is_inside_if_its_centre_is() -> None:
    inside = fill(square(1.6, 4.4), SHAPE)
    assert inside.sum() == 9 and inside[2:5, 2:5].all()


def test_shared_edges_share_no_pixel() -> None:
    left = np.array([[1.0, 1], [4, 1], [4, 6], [1, 6]])
    right = left + np.array([3.0, 0])
    both = fill(left, SHAPE).astype(int) + fill(right, SHAPE)
    assert both.max() == 1 and both.sum() == 6 * 5


def test_a_keyhole_is_a_ring() -> None:
    keyhole = np.array(
        [
            [0.5, 0.5],
            [9.5, 0.5],
            [9.5, 9.5],
            [0.5, 9.5],
            [0.5, 0.5],
            [3.5, 3.5],
            [3.5, 6.5],
            [6.5, 6.5],
            [6.5, 3.5],
            [3.5, 3.5],
        ]
    )
    inside = fill(keyhole, SHAPE)
    assert inside.sum() == 81 - 9
    assert not inside[4:7, 4:7].any()


def test_a_hole_and_an_island_whatever_the_order() -> None:
    rings = [square(0.5, 9.5), square(2.5, 7.5), square(4.5, 5.5)]
    for order in ([0, 1, 2], [2, 1, 0], [1, 2, 0]):
        assert fill_all([rings[i] for i in order], SHAPE).sum() == 81 - 25 + 1


def test_crossing_contours_are_one_region() -> None:
    assert fill_all([square(0.5, 4.5), square(2.5, 6.5)], SHAPE).sum() == 16 + 16 - 4


def test_what_lies_beyond_is_cut_off() -> None:
    assert fill(square(-5, 50), SHAPE).all()
    assert not fill(square(-9, -5), SHAPE).any()
    assert not fill(np.array([[1.0, 1], [5, 5]]), SHAPE).any()


@settings(max_examples=60, deadline=None)
@given(hnp.arrays(np.float64, st.tuples(st.integers(3, 3), st.just(2)), elements=st.floats(-3, 15)))
def test_triangles_agree_with_matplotlib(points: np.ndarray) -> None:
    points = points + np.array([[0.0137, 0.0071]])  # off the pixel centres, where rules differ
    y, x = np.indices(SHAPE)
    centres = np.column_stack([x.ravel(), y.ravel()])
    ours = fill(points, SHAPE).ravel()
    inner = Polygon(points).contains_points(centres, radius=-1e-6)
    outer = Polygon(points).contains_points(centres, radius=1e-6)
    sure = inner == outer
    np.testing.assert_array_equal(ours[sure], inner[sure])
