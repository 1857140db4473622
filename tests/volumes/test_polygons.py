from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from matplotlib.path import Path as Polygon

from metasight.volumes.polygons import (
    AmbiguousOutlinesError,
    distance_mm,
    fill,
    fill_all,
    fill_region,
)

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


def star(radii: list[float], turn: float = 0.0) -> np.ndarray:
    """A polygon without crossings: one corner at each angle."""
    angle = turn + np.linspace(0, 2 * np.pi, len(radii), endpoint=False)
    return np.column_stack([6.1 + radii * np.cos(angle), 5.3 + radii * np.sin(angle)])


STARS = st.lists(st.floats(1.0, 5.0), min_size=3, max_size=9).map(np.asarray).map(star)


@given(STARS, st.integers(1, 4), st.randoms(use_true_random=False))
def test_any_polygon_drawn_n_times_is_drawn_once(polygon, times, random) -> None:
    """Exactly, from another corner, or in the other direction."""
    once = fill_region([polygon], SHAPE)
    copies = []
    for _ in range(times):
        turned = np.roll(polygon, random.randrange(len(polygon)), axis=0)
        copies.append(turned[::-1] if random.random() < 0.5 else turned)
    several = fill_region([polygon, *copies], SHAPE)
    np.testing.assert_array_equal(several.inside, once.inside)
    assert (several.n_repeated, several.n_holes) == (times, 0)


@given(STARS, st.integers(2, 4))
def test_any_polygon_that_goes_round_several_times_is_drawn_once(polygon, rounds) -> None:
    again = np.vstack([polygon] * rounds)
    closed = np.vstack([again, again[:1]])
    expected = fill_all([polygon], SHAPE)
    np.testing.assert_array_equal(fill_all([again], SHAPE), expected)
    np.testing.assert_array_equal(fill_all([closed], SHAPE), expected)


@given(STARS, st.integers(1, 3), st.integers(0, 2**32 - 1))
def test_a_polygon_redrawn_within_half_a_pixel_never_vanishes(polygon, times, seed) -> None:
    """It is drawn once, from one of the copies, or refused; it is never a hole in itself."""
    random = np.random.default_rng(seed)
    copies = [polygon + random.uniform(-0.2, 0.2, polygon.shape) for _ in range(times)]
    each = [fill(p, SHAPE) for p in (polygon, *copies)]
    try:
        found = fill_region([polygon, *copies], SHAPE)
    except AmbiguousOutlinesError:
        return
    assert any(np.array_equal(found.inside, one) for one in each)
    assert (found.n_repeated, found.n_holes) == (times, 0)


@given(st.lists(STARS, min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_the_order_of_contours_does_not_matter(polygons, random) -> None:
    mixed = list(polygons)
    random.shuffle(mixed)

    def found(given: list[np.ndarray]) -> object:
        try:
            return fill_region(given, SHAPE).inside.tolist()
        except AmbiguousOutlinesError:
            return "refused"

    assert found(mixed) == found(polygons)


def test_two_outlines_a_fifth_of_a_millimetre_apart_are_no_shell() -> None:
    fine = (60, 60)  # pixels of 0.1 mm, finer than any scan's
    inner, outer = square(12.3, 42.7), square(10.3, 44.7)
    found = fill_region([inner, outer], fine, pixel_mm=(0.1, 0.1))
    assert (found.n_repeated, found.n_holes) == (1, 0)
    assert found.inside.sum() == 34**2
    shell = fill_region([square(18.3, 36.7), outer], fine, pixel_mm=(0.1, 0.1))
    assert (shell.n_repeated, shell.n_holes, shell.hole_pixels) == (0, 1, 18**2)


def test_outlines_alike_one_by_one_but_not_together_are_refused() -> None:
    rings = [square(1.5 + k, 11.5 - k) for k in (0.0, 0.45, 0.9, 1.35)]
    with pytest.raises(AmbiguousOutlinesError, match="not all together"):
        fill_region(rings, (14, 14), pixel_mm=(0.5, 0.5))


def test_an_eccentric_cavity_is_a_hole() -> None:
    angle = np.linspace(0, 2 * np.pi, 72, endpoint=False)
    ring = np.column_stack([np.cos(angle), np.sin(angle)])
    outer, cavity = 20 + 15 * ring, 20 + 11 * ring + [2.5, 0.0]
    found = fill_region([outer, cavity], (40, 40), pixel_mm=(0.7, 0.7))
    assert (found.n_holes, found.n_repeated) == (1, 0)
    assert found.hole_pixels == pytest.approx(np.pi * 11**2, rel=0.02)


def test_distance_of_outlines_is_between_edges_not_corners() -> None:
    coarse = square(0.0, 10.0)
    fine = np.array([[x, 0.0] for x in range(10)] + [[10.0, y] for y in range(10)])
    fine = np.vstack(
        [fine, [[10.0 - x, 10.0] for x in range(10)], [[0.0, 10.0 - y] for y in range(10)]]
    )
    assert distance_mm(coarse, fine, 0.1) == pytest.approx(0.0, abs=1e-9)
    assert distance_mm(coarse, coarse + np.array([0.3, 0.4]), 0.1) == pytest.approx(0.5, abs=0.01)


def test_many_contours_on_a_slice_are_told_apart_quickly() -> None:
    """Vessels: a thousand small squares, each drawn twice."""
    places = [(x, y) for x in range(0, 96, 3) for y in range(0, 96, 3)]
    small = [square(0.5, 1.5) + np.array(place) for place in places]
    found = fill_region([*small, *small], (100, 100), pixel_mm=(0.7, 0.7))
    assert found.n_repeated == len(small) and found.inside.sum() == len(small)
