"""Windows of a torn section are found where they slid to."""

import numpy as np
import pytest

from alignment.corruptions import Picture, restained, torn
from alignment.made_up import tissue, turn
from metasight.alignment.matching import Pair
from metasight.alignment.rigid import Candidate
from metasight.alignment.section import Section, evidence
from metasight.alignment.slips import slips

MPP = 5.0


def first(matrix: np.ndarray) -> Candidate:
    return Candidate(matrix=matrix, rigid=matrix, mirrored=False, explained=100.0, blocks=100)


@pytest.mark.parametrize("twist", [-18.0, 0.0, 12.0])
def test_the_far_side_of_a_tear_is_among_the_answers(twist):
    x, y = np.meshgrid(np.linspace(90, 330, 13), np.linspace(110, 310, 11))
    one = Picture.of(tissue(6), np.stack([x.ravel(), y.ravel()], axis=1))
    other = torn(restained(one, 3), 0.0, share=0.4, gap=0.05, twist_degrees=twist)
    shift = np.linalg.norm(other.points - one.points - (other.points - one.points).min(0), axis=1)
    far = shift > np.median(shift) + 15
    stay = np.column_stack([np.eye(2), (other.points - one.points)[~far].mean(axis=0) * MPP])
    fixed, moving = (evidence(Section(rgb=p.rgb, mpp=MPP), MPP) for p in (one, other))
    pair = Pair.of(fixed, moving)
    best = np.inf
    for slip in slips(pair, first(stay)):
        matrix = slip.pose.matrix
        put = one.points[far] * MPP @ matrix[:, :2].T + matrix[:, 2]
        best = min(best, float(np.median(np.linalg.norm(put - other.points[far] * MPP, axis=1))))
        assert slip.gain >= 0.03
        assert slip.window.shape == pair.fixed.shape
    assert best < 60.0


def test_a_section_in_place_has_no_window_that_fits_much_better_elsewhere():
    rgb = tissue(6)
    pair = Pair.of(*(evidence(Section(rgb=rgb, mpp=MPP), MPP) for _ in range(2)))
    assert not slips(pair, first(turn(0.0)))
