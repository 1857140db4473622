import numpy as np
import pytest
from shapely import affinity
from shapely.geometry import Polygon, box

from metasight.errors import MarkerError
from metasight.maps.window import TissueWindow

L_SHAPE = Polygon([(0, 0), (400, 0), (400, 200), (200, 200), (200, 400), (0, 400)])


def test_area_of_polygons_with_a_hole():
    ring = box(100, 100, 500, 500) - box(200, 200, 300, 300)
    window = TissueWindow.from_polygons([ring], spacing_um=10)
    assert window.area_um2 == pytest.approx(ring.area)
    assert window.contains(np.array([250.0, 150, 90]), np.array([250.0, 150, 90])).tolist() == [
        False,
        True,
        False,
    ]


def test_set_covariance_is_that_of_the_shifted_polygon():
    window = TissueWindow.from_polygons([L_SHAPE], spacing_um=20)
    table = window.set_covariance_um2(140)
    m = table.shape[0] // 2
    for i, j in [(0, 0), (3, 0), (0, -4), (5, 5), (-5, 6), (7, -7)]:
        moved = affinity.translate(L_SHAPE, 20 * i, 20 * j)
        assert table[m + j, m + i] == pytest.approx(L_SHAPE.intersection(moved).area)


def test_set_covariance_beyond_the_window_is_zero():
    window = TissueWindow.rectangle(50, 50, spacing_um=10)
    table = window.set_covariance_um2(100)
    assert table[0, 0] == 0
    assert table[:, 0].max() == 0
    assert table.max() == 2500


def test_distance_to_the_edge_inside_an_l():
    window = TissueWindow.from_polygons([L_SHAPE], spacing_um=5)
    rng = np.random.default_rng(0)
    x, y = rng.uniform(0, 400, (2, 400))
    inside = window.contains(x, y)
    found = window.boundary_distance_um(x[inside], y[inside])
    truth = [L_SHAPE.boundary.distance(p) for p in _points(x[inside], y[inside])]
    assert np.abs(found - truth).max() < 5 / 2
    assert np.abs(found - truth).mean() < 0.5


def _points(x, y):
    from shapely import points

    return points(x, y)


def test_coarser_grid_keeps_the_area():
    window = TissueWindow.from_polygons([L_SHAPE], spacing_um=4)
    assert window.resampled(16).area_um2 == pytest.approx(L_SHAPE.area, rel=0.1)
    assert window.resampled(20).area_um2 == pytest.approx(L_SHAPE.area)


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: TissueWindow(mask=np.zeros((3, 3), dtype=bool), spacing_um=1), "empty"),
        (lambda: TissueWindow(mask=np.ones((3, 3), dtype=bool), spacing_um=0), "spacing"),
        (lambda: TissueWindow.rectangle(105, 100, spacing_um=10), "multiples"),
        (lambda: TissueWindow.from_polygons([], spacing_um=1), "polygons"),
    ],
)
def test_bad_windows(make, problem):
    with pytest.raises(MarkerError, match=problem):
        make()


def test_the_covered_share_is_that_of_the_polygon():
    window = TissueWindow.from_polygons([L_SHAPE], spacing_um=4)
    grid = TissueWindow(mask=np.ones((14, 14), dtype=bool), spacing_um=31.0, origin_um=(-9.0, 5.0))
    share = window.covered_share(grid)
    for row, column in [(0, 0), (3, 6), (6, 6), (6, 3), (12, 2), (13, 13)]:
        x, y = -9 + 31 * column, 5 + 31 * row
        truth = L_SHAPE.intersection(box(x, y, x + 31, y + 31)).area / 31**2
        assert share[row, column] == pytest.approx(truth, abs=1e-12)
    assert window.covered_share(window) == pytest.approx(window.mask.astype(float))
