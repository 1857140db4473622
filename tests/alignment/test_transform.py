"""Composition, inversion, shapes and pixels."""

import numpy as np
import pytest
import shapely

from alignment.made_up import bent_transform, grid, torn_transform, turn
from metasight.alignment.field import Field
from metasight.alignment.placement import Piece, Placement
from metasight.alignment.transform import Transform
from metasight.errors import AlignmentError


def test_inverse_undoes_a_bend():
    transform = bent_transform()
    moved = transform.points(grid())
    assert np.linalg.norm(moved - grid() @ turn(25)[:, :2].T - [300, -80], axis=1).max() > 5
    np.testing.assert_allclose(transform.inverse().points(moved), grid(), atol=0.01)


def test_a_fold_has_no_inverse_and_says_so():
    coefficients = np.zeros((11, 13, 2))
    coefficients[:, 6:, 0] = -900.0  # 900 µm back within 200 µm
    field = Field(spacing_um=200.0, origin_um=(0.0, 0.0), coefficients_um=coefficients)
    folded = Transform.of(Placement.whole(Piece(matrix=turn(0.0), field=field), (2000, 1500)))
    with pytest.raises(AlignmentError, match="folds"):
        folded.inverse().points(grid())


def test_points_far_outside_have_an_inverse_too():
    far = np.array([[-3000.0, 500.0], [9000.0, -4000.0]])
    transform = bent_transform()
    np.testing.assert_allclose(transform.inverse().points(transform.points(far)), far, atol=0.01)


def test_inverse_undoes_a_tear():
    transform = torn_transform()
    np.testing.assert_allclose(
        transform.inverse().points(transform.points(grid())), grid(), atol=1e-6
    )


def test_composition_is_one_after_the_other():
    one, other = bent_transform(0), bent_transform(1)
    np.testing.assert_allclose(
        one.then(other).points(grid()), other.points(one.points(grid())), atol=1e-12
    )


def test_round_a_loop_is_the_identity():
    one, other = bent_transform(0), torn_transform()
    loop = one.then(other).then(other.inverse()).then(one.inverse())
    np.testing.assert_allclose(loop.points(grid()), grid(), atol=0.02)


def test_the_inverse_of_a_way_walks_it_backwards():
    """A turn and then a shift: undone in the other order they end elsewhere."""
    size = (2000.0, 1500.0)
    turned, shifted = turn(90), turn(0, (100.0, 40.0))
    way = Transform.affine(turned, size).then(Transform.affine(shifted, size))
    # (x, y) → (−y, x) → (100 − y, 40 + x), so (u, v) came from (v − 40, 100 − u)
    np.testing.assert_allclose(way.points(np.array([[300.0, 50.0]])), [[50.0, 340.0]], atol=1e-9)
    back = way.inverse().points(np.array([[50.0, 340.0], [0.0, 0.0]]))
    np.testing.assert_allclose(back, [[300.0, 50.0], [-40.0, 100.0]], atol=1e-9)


def test_the_inverse_of_three_legs_undoes_them_and_itself():
    way = bent_transform(0).then(torn_transform()).then(bent_transform(1))
    moved = way.points(grid())
    np.testing.assert_allclose(way.inverse().points(moved), grid(), atol=0.02)
    np.testing.assert_array_equal(way.inverse().inverse().points(grid()), moved)


def test_no_leg_is_the_identity():
    np.testing.assert_array_equal(Transform().points(grid()), grid())


@pytest.mark.parametrize("bad", [np.zeros(2), np.zeros((3, 3)), np.array([[0.0, np.nan]])])
def test_what_are_no_points_is_refused(bad):
    with pytest.raises(AlignmentError, match="points are"):
        bent_transform().points(bad)


def test_a_polygon_keeps_its_area_under_a_turn_and_follows_a_bend():
    square = shapely.box(500, 400, 900, 800)
    turned = Transform.affine(turn(40, (10, 20)), (2000, 1500)).shape(square)
    assert turned.area == pytest.approx(square.area, rel=1e-9)
    bent = bent_transform().shape(square)
    assert bent.is_valid
    edge = bent_transform().points(np.array([[700.0, 400.0]]))[0]
    assert bent.exterior.distance(shapely.Point(edge)) < 2  # µm, though no corner is there


def smooth_slide(box, mpp):
    """A moving slide defined everywhere, so that the truth of every pixel is known."""
    x, y, width, height = box
    columns, rows = int(np.ceil(width / mpp)), int(np.ceil(height / mpp))
    at_x = x + (np.arange(columns) + 0.5) * mpp
    at_y = y + (np.arange(rows) + 0.5) * mpp
    red = 127 + 100 * np.sin(at_x / 90)[None, :] * np.cos(at_y / 70)[:, None]
    return np.repeat(np.rint(red)[:, :, None], 3, axis=2).astype(np.uint8)


@pytest.mark.parametrize("transform", [bent_transform(), bent_transform().inverse()])
def test_a_warped_region_shows_what_lies_there(transform):
    box, mpp = (640.0, 320.0, 360.0, 240.0), 2.0
    shown = transform.warp_region(smooth_slide, box, mpp)
    assert shown.shape == (120, 180, 3)
    x, y = np.meshgrid(box[0] + (np.arange(180) + 0.5) * mpp, box[1] + (np.arange(120) + 0.5) * mpp)
    moved = transform.points(np.stack([x.ravel(), y.ravel()], axis=1))
    truth = 127 + 100 * np.sin(moved[:, 0] / 90) * np.cos(moved[:, 1] / 70)
    assert np.abs(shown[:, :, 0].ravel() - truth).max() < 3


def ramp(per_um):
    """A moving slide whose grey level rises by ``per_um`` along x and y; pixels hold the level
    at their centre, so that linear interpolation is exact to the rounding."""

    def read(box, mpp):
        x, y, width, height = box
        columns, rows = int(np.ceil(width / mpp)), int(np.ceil(height / mpp))
        level = per_um[0] * (x + (np.arange(columns) + 0.5) * mpp)[None, :]
        level = level + per_um[1] * (y + (np.arange(rows) + 0.5) * mpp)[:, None]
        return np.clip(np.rint(level), 0, 255).astype(np.uint8)

    return read


def halves(shift):
    """Two pieces with one and the same placement: warped pixel by pixel, without a lattice."""
    piece = Piece(matrix=turn(0, shift))
    labels = np.array([[0, 1]], np.uint8)
    return Transform.of(Placement(pieces=(piece, piece), labels=labels, label_spacing_um=100.0))


@pytest.mark.parametrize("of", [lambda s: Transform.affine(turn(0, s), (200.0, 200.0)), halves])
@pytest.mark.parametrize("per_um", [(2.0, 0.0), (0.0, 2.0)])
def test_a_pixel_is_the_moving_slide_under_its_centre(of, per_um):
    """2 grey levels a µm, pixels of 4 µm: half a pixel off would be 4 levels."""
    shift, mpp = (6.0, 11.0), 4.0
    shown = of(shift).warp_region(ramp(per_um), (8.0, 12.0, 80.0, 60.0), mpp)
    x = 8.0 + (np.arange(20) + 0.5) * mpp + shift[0]
    y = 12.0 + (np.arange(15) + 0.5) * mpp + shift[1]
    truth = np.clip(per_um[0] * x[None, :] + per_um[1] * y[:, None], 0, 255)
    assert np.abs(shown - truth).max() <= 1.0


def test_tiles_are_the_region_and_read_no_more_than_lies_under_them():
    transform, asked = torn_transform(), []

    def read(box, mpp):
        asked.append(max(box[2:]))
        return smooth_slide(box, mpp)

    whole = transform.warp_region(smooth_slide, (0.0, 0.0, 800.0, 600.0), 4.0)
    pieced = np.zeros_like(whole)
    for column, row, tile in transform.warp_tiles(read, (800.0, 600.0), 4.0, tile_px=64):
        pieced[row : row + tile.shape[0], column : column + tile.shape[1]] = tile
    assert np.abs(pieced.astype(int) - whole).max() <= 1
    assert max(asked) < 64 * 4.0 * 1.5


def test_a_region_too_large_is_refused_before_anything_is_read():
    def never(box, mpp):
        raise AssertionError("read")

    with pytest.raises(AlignmentError, match="too large"):
        bent_transform().warp_region(never, (0.0, 0.0, 20000.0, 20000.0), 1.0)
    with pytest.raises(AlignmentError, match="no pixel"):
        bent_transform().warp_region(never, (0.0, 0.0, 0.1, 0.1), 1.0)
