"""A torn section is shared among its bodies; a whole one is not torn apart by the search."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from alignment.corruptions import Picture, bent, restained, torn
from alignment.made_up import tissue, turn
from metasight.alignment.matching import Pair
from metasight.alignment.pieces import Body, _inverse, _merged, _spread, bodies, share
from metasight.alignment.placement import Piece
from metasight.alignment.refine import Refined, refine
from metasight.alignment.rigid import Candidate, laid
from metasight.alignment.section import Section, evidence

MPP = 5.0


def candidate(matrix: np.ndarray) -> Candidate:
    return Candidate(matrix=matrix, rigid=matrix, mirrored=False, explained=100.0, blocks=100)


def fixed_at(matrix: np.ndarray) -> Refined:
    """A piece that nothing was fitted to."""
    piece = Piece(matrix=matrix)
    return Refined(piece=piece, without=(piece, piece), model="rigid", held_out_um={}, why="")


@pytest.fixture(scope="module")
def parted():
    """A section of which two fifths slid away to the right: pair, both maps, points, side."""
    x, y = np.meshgrid(np.linspace(90, 330, 9), np.linspace(110, 310, 7))
    one = Picture.of(tissue(6), np.stack([x.ravel(), y.ravel()], axis=1))
    other = torn(restained(one, 3), 0.0, share=0.4, gap=0.08, twist_degrees=0.0)
    fixed, moving = (evidence(Section(rgb=p.rgb, mpp=MPP), 10.0) for p in (one, other))
    shift = (other.points - one.points) * MPP
    far = shift[:, 0] > (shift[:, 0].min() + shift[:, 0].max()) / 2
    maps = [np.column_stack([np.eye(2), shift[side].mean(axis=0)]) for side in (~far, far)]
    return Pair.of(fixed, moving), maps, one.points * MPP, far


def label_at(labels: np.ndarray, points_um: np.ndarray, pair: Pair) -> np.ndarray:
    column, row = ((points_um - pair.fixed.origin_um) / pair.fixed.spacing_um).astype(int).T
    return labels[row, column]


def test_each_pixel_goes_to_the_piece_that_brings_its_tissue(parted):
    pair, maps, points, far = parted
    labels = share(pair, tuple(fixed_at(m) for m in maps))
    assert labels.shape == pair.fixed.shape
    found = label_at(labels, points, pair)
    assert (found == far).mean() > 0.93


def test_the_pieces_order_is_only_a_name(parted):
    pair, maps, _, _ = parted
    one = share(pair, tuple(fixed_at(m) for m in maps))
    other = share(pair, tuple(fixed_at(m) for m in maps[::-1]))
    assert (one == 1 - other).mean() > 0.999  # but for exact ties


def test_one_piece_has_all(parted):
    pair, maps, _, _ = parted
    np.testing.assert_array_equal(share(pair, (fixed_at(maps[0]),)), [[0]])


def test_the_second_body_is_found_where_it_lies(parted):
    pair, maps, points, far = parted
    found = bodies(pair, candidate(maps[0]))
    assert len(found) == 2
    np.testing.assert_array_equal(found[0].found.matrix, maps[0])
    second = found[1].refined.piece.matrix
    off = points @ second[:, :2].T + second[:, 2] - (points @ maps[1][:, :2].T + maps[1][:, 2])
    assert np.linalg.norm(off[far], axis=1).mean() < 30


def test_a_whole_section_has_one_body():
    one = Picture.of(tissue(6), np.zeros((0, 2)))
    fixed, moving = (evidence(Section(rgb=p.rgb, mpp=MPP), 10.0) for p in (one, restained(one, 4)))
    assert len(bodies(Pair.of(fixed, moving), candidate(turn(0.0)))) == 1


def test_a_section_that_is_only_bent_has_one_body():
    """A second body is judged beside a first one that may bend, not beside a stiff one."""
    one = Picture.of(tissue(6), np.zeros((1, 2)))
    other = bent(restained(one, 4), 2, amount=0.012, knots=5)
    fixed, moving = (evidence(Section(rgb=p.rgb, mpp=MPP), 10.0) for p in (one, other))
    assert len(bodies(Pair.of(fixed, moving), candidate(turn(0.0)))) == 1


def test_two_names_for_one_body_are_made_one(parted):
    pair, maps, _, _ = parted
    near = maps[0] + np.array([[0, 0, 15.0], [0, 0, 0]])
    twice = [Body.of(pair, candidate(m), refine(pair, candidate(m), None)) for m in (maps[0], near)]
    assert len(_merged(pair, twice)) == 1
    apart = [Body.of(pair, candidate(m), refine(pair, candidate(m), None)) for m in maps]
    assert _merged(pair, apart) is None


def test_ground_is_shared_in_patches_and_not_across_a_gap_of_glass(parted):
    """Every piece's ground is a few large patches: no island is smaller than what is looked for."""
    pair, maps, _, _ = parted
    labels = share(pair, tuple(fixed_at(m) for m in maps))
    tissue_px = pair.fixed.tissue > 0
    for number in (0, 1):
        own = ((labels == number) & tissue_px).astype(np.uint8)
        _, _, stats, _ = cv2.connectedComponentsWithStats(own)
        assert (stats[1:, cv2.CC_STAT_AREA] >= 0.06 * tissue_px.sum()).all()


def test_an_inverse_undoes_a_turn_with_a_mirror():
    matrix = turn(33.0, (120.0, -40.0), mirrored=True)
    back = _inverse(matrix)
    points = np.array([[0.0, 0.0], [500.0, 20.0], [-3.0, 900.0]])
    there = points @ matrix[:, :2].T + matrix[:, 2]
    np.testing.assert_allclose(there @ back[:, :2].T + back[:, 2], points, atol=1e-9)


def test_block_values_are_averaged_and_fade_where_there_are_no_blocks(parted):
    pair = parted[0]
    blocks = laid(pair)
    rows, columns = pair.fixed.shape
    step = blocks.step
    y, x = np.mgrid[step : rows // 2 : step, step : columns - step : step]
    points = np.stack([x.ravel(), y.ravel()], axis=1) * pair.fixed.spacing_um
    points = points + pair.fixed.origin_um
    field = _spread(points, np.full(len(points), 0.7), pair)
    # the mean of equal values is that value, however many there are; none is nought
    assert field[step * 2, columns // 2] == pytest.approx(0.7, rel=1e-3)
    assert field.max() <= 0.7 + 1e-5
    assert field[-1, columns // 2] < 0.01
