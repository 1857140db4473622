"""Simulated lung patients: shares that were asked for, and what the table and images tell."""

from __future__ import annotations

import numpy as np
import pytest

from metasight.simulate.lung.patients import (
    clinical_probabilities,
    draw_patients,
    draw_pet_and_staging,
    draw_sbrt,
    draw_stage,
    sbrt_probability,
    spread_over_centres,
    stage_probabilities,
)
from metasight.simulate.lung.settings import LungSettings

N = 6000


@pytest.fixture(scope="module")
def drawn():
    settings = LungSettings()
    people = draw_patients(np.random.default_rng(1), settings, spread_over_centres(settings, N))
    return settings, people, draw_stage(settings, people)


def test_stages_are_as_frequent_as_asked(drawn):
    settings, people, stage = drawn
    p = stage_probabilities(settings, people)
    np.testing.assert_allclose(p.sum(axis=1), 1)
    assert (p >= 0).all()
    wanted = [1 - settings.n1_share - settings.n2_share, settings.n1_share, settings.n2_share]
    np.testing.assert_allclose(p.mean(axis=0), wanted, atol=0.012)
    np.testing.assert_allclose(np.bincount(stage, minlength=3) / N, p.mean(axis=0), atol=0.02)


def test_stage_is_calibrated_to_its_own_probability(drawn):
    settings, people, stage = drawn
    p = 1 - stage_probabilities(settings, people)[:, 0]
    for low, high in ((0.0, 0.1), (0.1, 0.25), (0.25, 0.6)):
        there = (p >= low) & (p < high)
        assert (stage[there] > 0).mean() == pytest.approx(p[there].mean(), abs=0.03)


def test_the_table_knows_less_than_the_images(drawn):
    """Averaging over the images keeps the mean and takes away spread."""
    settings, people, _ = drawn
    whole, table = stage_probabilities(settings, people), clinical_probabilities(settings, people)
    np.testing.assert_allclose(table.sum(axis=1), 1)
    np.testing.assert_allclose(table.mean(axis=0), whole.mean(axis=0), atol=0.01)
    assert table[:, 0].std() < 0.8 * whole[:, 0].std()


def test_hospitals_come_in_turn():
    settings = LungSettings(centres=3)
    assert spread_over_centres(settings, 7).tolist() == [0, 1, 2, 0, 1, 2, 0]


def test_sizes_and_solid_parts_are_those_of_stage_one(drawn):
    settings, people, _ = drawn
    assert people.size_mm.min() >= 8
    assert people.size_mm.max() <= 39
    glass = people.ctr == 0
    assert glass.mean() == pytest.approx(settings.ground_glass_fraction, abs=0.02)
    part = (people.ctr > 0) & (people.ctr < 1)
    assert (people.solid_mm[part] >= 4.4).all()  # a solid part that a CT can show
    assert (people.solid_mm[glass] == 0).all()


def test_arms(drawn):
    settings, people, stage = drawn
    p = sbrt_probability(settings, people, stage)
    assert p.mean() == pytest.approx(settings.sbrt_share, abs=0.02)
    assert draw_sbrt(settings, people, stage).mean() == pytest.approx(p.mean(), abs=0.02)
    none = LungSettings(sbrt_share=0.0)
    assert not draw_sbrt(none, people, stage).any()


def test_not_at_random_ties_the_arm_to_the_stage(drawn):
    _, people, stage = drawn
    at_random, not_at_random = (
        sbrt_probability(LungSettings(not_at_random=v), people, stage) for v in (0.0, 1.0)
    )
    odds = [np.log(p / (1 - p)) for p in (at_random, not_at_random)]
    np.testing.assert_allclose(odds[1] - odds[0], stage, atol=1e-9)


def test_large_or_central_tumours_have_a_pet_or_staging(drawn):
    settings, people, _ = drawn
    pet, staged = draw_pet_and_staging(settings, people)
    needs = (people.size_mm >= 28) | people.central
    assert (pet | staged)[needs].all()
    assert not (pet | staged)[~needs].all()
