"""Serial sections: every way round gives the same answer, and that answer is right."""

from dataclasses import replace

import numpy as np
import pytest

from alignment.corruptions import Picture, next_section, restained, turned
from alignment.made_up import tissue, turn
from metasight.alignment import AlignmentSettings, Section, align_stack
from metasight.alignment.align import Alignment
from metasight.alignment.error import Check, ErrorMap
from metasight.alignment.stack import Stack, solved
from metasight.alignment.transform import Transform
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


SIZE_UM = (2000.0, 1500.0)


def pair(shift_um: float, own_um: float, *, accepted: bool = True, tiles=(3, 4)) -> Alignment:
    """Two sections of which one lies further right, with the same error everywhere."""
    error = ErrorMap(
        p50_um=1.0,
        p90_um=1.0,
        tile_p50_um=np.ones(tiles),
        tile_p90_um=np.ones(tiles),
        tile_um=500.0,
        origin_um=(0.0, 0.0),
        in_place=0.5,
    ).with_tiles(np.ones(tiles, bool), *np.full((2, 12), [[own_um / 2], [own_um]]))
    return Alignment(
        transform=Transform.affine(turn(0.0, (shift_um, 0.0)), SIZE_UM),
        accepted=accepted,
        reasons=() if accepted else ("the pair was refused",),
        error=error,
        models=("affine",),
        why=("",),
        overlap=0.9,
        unmatched=0.05,
        runner_up=0.1,
        mirrored=False,
        checked=Check(
            points_um=np.zeros((0, 2)), distance_um=np.zeros(0), score=np.zeros(0), radius_um=1.0
        ),
    )


def of_three(**pairs: Alignment) -> Stack:
    white = [Section(rgb=np.full((150, 200, 3), 255, np.uint8), mpp=10.0)] * 3
    return solved(white, {(int(k[1]), int(k[2])): found for k, found in pairs.items()})


def own_errors(alignment: Alignment) -> tuple[float, float]:
    own = alignment.error.own()
    return float(np.nanmax(own.tile_p50_um)), float(np.nanmax(own.tile_p90_um))


@pytest.mark.parametrize("edge", ["p12", "p21"])
def test_a_refused_pair_is_brought_by_way_of_another_section(edge):
    step = pair(30.0 if edge == "p12" else -30.0, 40.0)
    stack = of_three(p01=pair(10.0, 30.0), p02=pair(0.0, 20.0, accepted=False), **{edge: step})
    found = stack.alignment(2)
    assert stack.ways[2] == (0, 1, 2)
    assert found.accepted
    np.testing.assert_allclose(found.transform.points(np.zeros((1, 2))), [[40.0, 0.0]])
    # (15, 20) and (30, 40) in squares
    assert own_errors(found) == pytest.approx((25.0, 50.0))
    assert len(found.models) == 2


def test_the_pair_itself_is_used_where_no_way_is_better():
    direct = pair(40.0, 45.0)
    stack = of_three(p01=pair(10.0, 30.0), p02=direct, p12=pair(30.0, 40.0))
    assert stack.ways[2] == (0, 2)
    assert own_errors(stack.alignment(2)) == pytest.approx((22.5, 45.0))


def test_a_way_that_adds_up_beyond_the_gate_is_refused():
    stack = of_three(p01=pair(0.0, 80.0), p02=pair(0.0, 20.0, accepted=False), p12=pair(0.0, 80.0))
    found = stack.alignment(2)
    assert not found.accepted
    assert "above the gate" in found.reasons[0]


def test_ways_that_contradict_each_other_are_not_as_good_as_they_say():
    agreeing = of_three(p01=pair(10.0, 20.0), p02=pair(45.0, 10.0), p12=pair(30.0, 20.0))
    assert own_errors(agreeing.alignment(2)) == pytest.approx((5.0, 10.0))
    contradicting = of_three(p01=pair(10.0, 20.0), p02=pair(190.0, 10.0), p12=pair(30.0, 20.0))
    found = contradicting.alignment(2)
    left = np.sqrt(150.0**2 - 2 * 20.0**2)
    assert own_errors(found) == pytest.approx((left / 2, left))
    assert not found.accepted


def test_tiles_that_a_step_of_the_way_knows_nothing_of_have_no_error():
    step = pair(0.0, 40.0)
    known = np.ones((3, 4), bool)
    tiles = np.full((2, 12), [[20.0], [40.0]])
    tiles[:, 5] = np.nan
    step = replace(step, error=step.error.with_tiles(known, *tiles))
    stack = of_three(p01=pair(0.0, 30.0), p02=pair(0.0, 9.0, accepted=False), p12=step)
    found = stack.alignment(2)
    assert np.isnan(found.error.tile_p90_um).sum() == 1
    assert np.isnan(found.error.tile_p90_um[1, 1])
    assert np.isfinite(found.error.p90_um)
    assert found.overlap == pytest.approx(0.9 * 11 / 12)


def test_a_section_that_no_way_leads_to_keeps_its_pairs_refusal():
    refused = pair(0.0, 20.0, accepted=False)
    stack = of_three(p01=pair(0.0, 20.0), p02=refused, p12=pair(0.0, 5.0, accepted=False))
    assert stack.alignment(2) is refused
