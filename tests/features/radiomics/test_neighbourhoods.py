"""NGTDM and NGLDM by hand: a voxel's level against the mean of those around it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from metasight.features.radiomics.neighbourhoods import neighbourhoods

BOTH = ("NGTDM", "NGLDM")


def of(levels, n_levels, *, coarseness=0, dimension="2D"):
    told = neighbourhoods(
        np.asarray(levels, dtype=np.int32), n_levels, coarseness, (dimension,), BOTH
    )
    return told["NGTDM"][dimension], told["NGLDM"][dimension]


def test_three_voxels_in_a_row():
    """Levels 1, 2, 4: differences from the neighbours' mean 1, |2 − 2.5| = 0.5 and 2."""
    tone, _ = of([[[1, 2, 4]]], 4)
    p = 1 / 3
    s = {1: 1.0, 2: 0.5, 4: 2.0}
    coarse = p * sum(s.values())
    assert tone["coarseness"] == pytest.approx(1 / coarse)
    pairs = 2 * p * p * ((1 - 2) ** 2 + (1 - 4) ** 2 + (2 - 4) ** 2)
    assert tone["contrast"] == pytest.approx(pairs / (3 * 2) * 3.5 / 3)
    weighted = 2 * p * (1 + 3 + 2)
    assert tone["busyness"] == pytest.approx(coarse / weighted)
    mixed = {(i, j): (s[i] + s[j]) / 2 for i in s for j in s}
    assert tone["complexity"] == pytest.approx(
        sum(abs(i - j) * m for (i, j), m in mixed.items()) / 3
    )
    assert tone["strength"] == pytest.approx(2 * 2 * p * (1 + 9 + 4) / 3.5)


def test_an_even_region_has_no_tone():
    tone, dependence = of(np.full((1, 3, 3), 2), 2)
    assert math.isnan(tone["coarseness"])
    assert (tone["contrast"], tone["busyness"], tone["complexity"], tone["strength"]) == (
        0,
        0,
        0,
        0,
    )
    # dependence counts the voxel itself: 4 corners of 4, 4 edges of 6, 1 middle of 9
    assert dependence["high dependence emphasis"] == pytest.approx((4 * 16 + 4 * 36 + 81) / 9)
    assert dependence["dependence count energy"] == pytest.approx((16 + 16 + 1) / 81)


def test_a_voxel_by_itself_has_no_neighbourhood():
    tone, dependence = of([[[1, 0, 3]]], 3)
    assert all(math.isnan(v) for v in tone.values())
    assert dependence["low dependence emphasis"] == 1


def test_coarseness_says_how_much_levels_may_differ():
    _, strict = of([[[1, 2, 4]]], 4)
    assert strict["high dependence emphasis"] == 1
    _, loose = of([[[1, 2, 4]]], 4, coarseness=1)
    assert loose["high dependence emphasis"] == pytest.approx((4 + 4 + 1) / 3)
    _, loosest = of([[[1, 2, 4]]], 4, coarseness=2)
    assert loosest["high dependence emphasis"] == pytest.approx((4 + 9 + 4) / 3)


def test_a_checkerboard_is_as_busy_as_can_be_and_stripes_are_less():
    y, x = np.indices((8, 8))
    board, stripes = 1 + (y + x) % 2, 1 + (x // 4) % 2
    busy = [of(v[None], 2)[0]["coarseness"] for v in (board, stripes)]
    assert busy[0] < busy[1]


def test_slices_merged_averaged_or_in_space():
    rng = np.random.default_rng(0)
    stack = rng.integers(1, 4, (4, 5, 5))
    alone, twice = stack[:1], np.repeat(stack[:1], 2, axis=0)
    for family in (0, 1):
        assert of(alone, 3, dimension="2D")[family] == pytest.approx(
            of(alone, 3, dimension="2.5D")[family]
        )
        # the same slice again changes no mean over slices
        assert of(twice, 3)[family] == pytest.approx(of(alone, 3)[family])
    assert of(twice, 3, dimension="3D")[1] != pytest.approx(of(alone, 3, dimension="3D")[1])
    turned = np.ascontiguousarray(stack.transpose(2, 1, 0))
    for family in (0, 1):
        assert of(stack, 3, dimension="3D")[family] == pytest.approx(
            of(turned, 3, dimension="3D")[family]
        )


def test_only_the_families_asked_for():
    levels = np.ones((1, 2, 2), dtype=np.int32)
    assert set(neighbourhoods(levels, 1, 0, ("2D",), ("NGLDM", "GLCM"))) == {"NGLDM"}
