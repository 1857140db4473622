"""Blocks are found where they were put."""

import numpy as np
import pytest

from alignment.corruptions import Picture, warped
from alignment.made_up import tissue, turn
from metasight.alignment.field import Field
from metasight.alignment.matching import Blocks, Pair, warp
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


@pytest.mark.parametrize(
    "matrix", [turn(0.0), turn(20.0, (60.0, -35.0)), turn(-7.0, mirrored=True)]
)
@pytest.mark.parametrize("bent", [False, True])
def test_a_pixel_shows_what_lies_at_its_centre_at_any_resolution(matrix, bent):
    """An image whose values are its own places in µm shows where each fixed pixel was put."""
    one = Section(rgb=tissue(8), mpp=5.0)
    fixed, moving = evidence(one, 20.0), evidence(one, 5.0)
    x, y = moving.centres_um()
    places = [np.broadcast_to(v, moving.shape).astype(np.float32) for v in (x, y[:, None])]
    field = None
    if bent:  # the same few micrometres everywhere
        field = Field(
            spacing_um=600.0, origin_um=(0.0, 0.0), coefficients_um=np.full((8, 8, 2), 13.0)
        )
    piece = Piece(matrix=matrix, field=field)
    if matrix[0, 0] < 0:  # bring the mirrored section back to where the image is
        piece = Piece(matrix=np.column_stack([matrix[:, :2], [2000.0, 200.0]]), field=field)
    columns, rows = np.meshgrid(*fixed.centres_um())
    put = piece.points(np.stack([columns.ravel(), rows.ravel()], axis=1))
    inside = ((put > [x[2], y[2]]) & (put < [x[-3], y[-3]])).all(axis=1)
    assert inside.sum() > 500
    for k, place in enumerate(places):
        shown = warp(place, moving, fixed, piece).ravel()
        # half a pixel would be 2.5 or 10 µm
        np.testing.assert_allclose(shown[inside], put[inside, k], atol=0.3)
