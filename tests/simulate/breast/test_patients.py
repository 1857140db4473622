"""Simulated women: shares and correlations that are stated, latents that carry effects."""

from __future__ import annotations

import numpy as np
import pytest

from metasight.simulate.breast.patients import IMAGE_LATENTS, draw_patients, spread_over_centres
from metasight.simulate.breast.settings import BreastSettings

N = 20_000


@pytest.fixture(scope="module")
def women():
    return draw_patients(np.random.default_rng(0), np.arange(N) % 3)


def test_shares_are_those_of_women_operated_for_breast_cancer(women):
    assert np.median(women.tumour_size_mm) == pytest.approx(20, abs=1)
    assert (women.positive_nodes == 0).mean() == pytest.approx(0.60, abs=0.08)
    np.testing.assert_allclose(np.bincount(women.grade)[1:] / N, [0.20, 0.45, 0.35], atol=0.015)
    for grade, share in zip((1, 2, 3), (0.95, 0.88, 0.66), strict=True):
        assert women.er_positive[women.grade == grade].mean() == pytest.approx(share, abs=0.015)
    assert women.tumour_size_mm.min() >= 3
    assert women.positive_nodes.max() <= 40


def test_larger_tumours_have_more_nodes(women):
    large, small = women.tumour_size_mm > 30, women.tumour_size_mm < 12
    assert (women.positive_nodes[large] > 0).mean() > 1.8 * (women.positive_nodes[small] > 0).mean()


def test_latents_are_standard_normal_and_immune_states_go_together(women):
    for name in (*IMAGE_LATENTS, "exclusion", "tumour", "fat"):
        value = getattr(women, name)
        assert (value.mean(), value.std()) == (
            pytest.approx(0, abs=0.03),
            pytest.approx(1, abs=0.03),
        )
    assert np.corrcoef(women.tls, women.t_cells)[0, 1] == pytest.approx(0.4, abs=0.03)
    assert abs(np.corrcoef(women.mixing, women.t_cells)[0, 1]) < 0.03


def test_terms_of_the_hazard_by_hand(women):
    terms = women.clinical_terms()
    assert terms.shape == (N, 4)
    assert terms[0, 0] == pytest.approx(np.log2(women.tumour_size_mm[0] / 20))
    assert terms[0, 1] == pytest.approx(np.log(1 + women.positive_nodes[0]))
    assert terms[0, 2] == women.grade[0] - 2
    np.testing.assert_array_equal(women.image_terms()[:, 0], women.tls)


def test_hospitals_come_in_turn():
    assert spread_over_centres(BreastSettings(centres=2), 5).tolist() == [0, 1, 0, 1, 0]
