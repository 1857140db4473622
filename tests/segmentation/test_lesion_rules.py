"""Rules that outline a lesion: bridges, levels, the vote and what is cut through."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from metasight.segmentation.lesion_field import Field
from metasight.segmentation.lesion_rules import (
    VOTERS,
    Rule,
    core_of,
    cut_share,
    half_way,
    level_hu,
    majority,
    outline_by,
)

LUNG, CORE = -850.0, 20.0
MIDDLE = (30, 30, 30)


def field_of(dense: np.ndarray, hu: float = CORE) -> Field:
    values = np.where(dense, hu, LUNG).astype(np.float32)
    everywhere = np.ones(dense.shape, dtype=bool)
    return Field(
        image=sitk.GetImageFromArray(values),
        sharp=values,
        hu=values,
        faint=values,
        allowed=everywhere,
        lung=~dense,
        spacing_mm=1.0,
    )


def ball(radius: float) -> np.ndarray:
    z, y, x = np.ogrid[:61, :61, :61]
    return np.asarray((z - 30) ** 2 + (y - 30) ** 2 + (x - 30) ** 2 <= radius**2)


def with_vessel(radius: float, half_width: float) -> np.ndarray:
    z, y, _ = np.ogrid[:61, :61, :61]
    tube = ((z - 30) ** 2 + (y - 30) ** 2 <= half_width**2) & np.ones((61, 61, 61), dtype=bool)
    return ball(radius) | tube


@pytest.mark.parametrize("rule", VOTERS)
def test_a_vessel_half_as_wide_as_a_nodule_is_cut_off(rule: Rule) -> None:
    found = outline_by(field_of(with_vessel(6, 3)), rule, MIDDLE, CORE, LUNG)
    assert found[30, 30, 30] and not found[30, 30, :12].any()
    assert abs(found.sum() / ball(6).sum() - 1) < 0.3


def test_a_ball_without_vessel_stays_as_it_is() -> None:
    for rule in VOTERS:
        assert np.array_equal(outline_by(field_of(ball(8)), rule, MIDDLE, CORE, LUNG), ball(8))


def test_no_level_is_below_half_way_to_ground_glass() -> None:
    assert level_hu(Rule(level=0.25), -600.0, LUNG) == level_hu(Rule(level=None), -600.0, LUNG)
    assert level_hu(Rule(level=0.5), CORE, LUNG) == pytest.approx(-415.0)
    # calcium does not raise the border
    assert level_hu(Rule(level=0.5), 900.0, LUNG) == level_hu(Rule(level=0.5), 40.0, LUNG)


def test_nothing_dense_gives_an_empty_outline() -> None:
    nothing = np.zeros((61, 61, 61), dtype=bool)
    field = field_of(nothing)
    assert not outline_by(field, VOTERS[0], MIDDLE, CORE, LUNG).any()
    assert core_of(field, MIDDLE, -700.0, LUNG) == -700.0
    assert cut_share(field, nothing, CORE, LUNG) == 1.0


def test_the_core_is_that_of_the_deepest_part() -> None:
    assert core_of(field_of(ball(8)), (30, 30, 36), -300.0, LUNG) == CORE


def test_more_than_half_of_the_outlines_decide() -> None:
    a, b = ball(4), ball(6)
    assert np.array_equal(majority([a, a, b]), a)
    assert np.array_equal(majority([a, b, b]), b)
    assert np.array_equal(majority([a, b]), a)


def test_the_share_of_the_border_that_is_cut_grows_with_what_goes_on() -> None:
    shares = []
    for dense in (ball(8), with_vessel(8, 3), ball(8) | (np.arange(61) > 34)[:, None, None]):
        field = field_of(np.asarray(dense))
        shares.append(cut_share(field, ball(8), CORE, LUNG))
        assert half_way(field, MIDDLE, CORE, LUNG)[MIDDLE]
    assert shares[0] == 0.0 < shares[1] < shares[2] < 1.0
