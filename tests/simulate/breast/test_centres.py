"""Laboratories: what they share, how they differ, and how far."""

from __future__ import annotations

import numpy as np
import pytest

from metasight.simulate.breast.centres import centre_of
from metasight.simulate.breast.settings import BreastSettings


def test_without_shifts_all_stain_and_scan_alike():
    settings = BreastSettings(centres=4, stain_shift=0.0, scanner_shift=0.0)
    first, *others = (centre_of(settings, 1, k) for k in range(4))
    for other in others:
        np.testing.assert_array_equal(other.haematoxylin, first.haematoxylin)
        np.testing.assert_array_equal(other.glass, first.glass)
        assert (other.eosin_strength, other.blur_um, other.gamma, other.jpeg) == (
            first.eosin_strength,
            first.blur_um,
            first.gamma,
            first.jpeg,
        )
    assert first.eosin_strength == first.haematoxylin_strength == first.gamma == 1.0


def test_scores_go_from_minus_one_to_one():
    settings = BreastSettings(centres=5)
    assert [centre_of(settings, 1, k).score for k in range(5)] == [-1, -0.5, 0, 0.5, 1]
    assert centre_of(BreastSettings(centres=1), 1, 0).score == 0


def test_a_centre_is_the_same_whatever_the_other_settings():
    plain, other = (
        centre_of(s, 7, 1) for s in (BreastSettings(), BreastSettings(patients=3, mpp=0.25))
    )
    assert plain.name == other.name
    np.testing.assert_array_equal(plain.eosin, other.eosin)
    assert centre_of(BreastSettings(), 8, 1).gamma != plain.gamma


@pytest.mark.parametrize("seed", range(5))
def test_stains_are_unit_vectors_and_glass_is_below_white(seed):
    for number in range(3):
        found = centre_of(BreastSettings(stain_shift=3, scanner_shift=3), seed, number)
        for stain in (found.haematoxylin, found.eosin):
            assert np.linalg.norm(stain) == pytest.approx(1)
            assert (stain > 0).all()
        assert (found.glass <= 243).all()
        assert found.blur_um >= 0.32
        assert found.noise >= 1.2


def test_the_last_centre_s_haematoxylin_is_the_bluer_one_on_average():
    settings = BreastSettings(centres=2)
    gap = [
        centre_of(settings, seed, 1).haematoxylin[0] - centre_of(settings, seed, 0).haematoxylin[0]
        for seed in range(60)
    ]
    assert np.mean(gap) > 0.02


def test_names_and_file_kinds():
    settings = BreastSettings(centres=6)
    found = [centre_of(settings, 1, k) for k in range(6)]
    assert [c.name for c in found] == ["North", "South", "East", "West", "Centre 5", "Centre 6"]
    assert [c.file_kind for c in found] == ["svs", "ome"] * 3
