"""Serial sections: every way round gives the same answer, and that answer is right."""

import numpy as np
import pytest

from alignment.corruptions import Picture, next_section, restained, turned
from alignment.made_up import tissue
from metasight.alignment import AlignmentSettings, Section, align_stack
from metasight.errors import AlignmentError

MPP = 5.0


@pytest.fixture(scope="module")
def pictures():
    x, y = np.meshgrid(np.linspace(90, 330, 7), np.linspace(110, 310, 6))
    first = Picture.of(tissue(4), np.stack([x.ravel(), y.ravel()], axis=1))
    second = next_section(first, 10)
    third = next_section(second, 20)
    return first, turned(restained(second, 1), 40.0), turned(third, 200.0, mirrored=True)


@pytest.fixture(scope="module")
def stack(pictures):
    sections = [Section(rgb=p.rgb, mpp=MPP) for p in pictures]
    return align_stack(sections, reference=1, settings=AlignmentSettings(longest_px=512))


def test_each_pair_is_right(stack, pictures):
    for fixed, moving in ((0, 1), (1, 2), (0, 2), (2, 0)):
        put = stack.between(fixed, moving).points(pictures[fixed].points * MPP)
        away = np.linalg.norm(put - pictures[moving].points * MPP, axis=1)
        assert np.median(away) < 25  # µm, on sections of 2 mm


def test_round_a_loop_is_the_identity(stack, pictures):
    start = pictures[0].points * MPP
    loop = stack.between(0, 1).then(stack.between(1, 2)).then(stack.between(2, 0))
    np.testing.assert_allclose(loop.points(start), start, atol=0.5)


def test_pairs_left_over_agree_with_the_stack(stack):
    assert set(stack.loop_um) == {(1, 0), (1, 2), (0, 2)}
    assert max(stack.loop_um.values()) < 40
    assert stack.p90_um[1] == 0


def test_a_stranger_in_the_stack_is_left_out(pictures):
    sections = [Section(rgb=pictures[0].rgb, mpp=MPP), Section(rgb=tissue(77), mpp=MPP)]
    stack = align_stack(sections, settings=AlignmentSettings(longest_px=512))
    assert stack.to_section[1] is None
    assert stack.p90_um[1] == np.inf
    with pytest.raises(AlignmentError, match="could not be aligned"):
        stack.between(0, 1)


def test_a_stack_of_one_is_no_stack(pictures):
    with pytest.raises(AlignmentError, match="at least two"):
        align_stack([Section(rgb=pictures[0].rgb, mpp=MPP)])
