"""Which slides a simulated patient gets: by turns where shares must hold, by chance where not."""

from __future__ import annotations

import numpy as np
import pytest

from metasight.simulate.breast.settings import BreastSettings
from metasight.simulate.breast.specimen import name_of, plan_of

SETTINGS = BreastSettings(patients=60, centres=3)


def plans(n: int, seed: int = 4, **changes):
    settings = SETTINGS.model_copy(update=changes)
    return [plan_of(settings, seed, k) for k in range(n)]


def test_names_count_from_one():
    assert [name_of(k) for k in (0, 9998, 9999)] == ["SIM-0001", "SIM-9999", "SIM-10000"]


@pytest.mark.parametrize("share", [0.1, 0.5, 0.7, 0.9])
def test_pairs_are_spread_evenly_over_the_patients(share):
    """Of the first n patients n · share have one, give or take two, for every n up to 200."""
    for seed in (1, 2):
        paired = np.cumsum([p.paired for p in plans(200, seed, pair_fraction=share)])
        assert np.abs(paired - share * np.arange(1, 201)).max() < 2.5


@pytest.mark.parametrize("share", [0.5, 0.7])
def test_pairs_do_not_keep_step_with_the_centres(share):
    """Every centre has about its share: a pattern of three would leave one without any."""
    told = plans(150, pair_fraction=share)
    for centre in range(3):
        mine = [p.paired for p in told if p.patients.centre[0] == centre]
        assert len(mine) == 50
        assert abs(sum(mine) - 50 * share) <= 4


@pytest.mark.parametrize(("share", "all_of_them"), [(0.0, False), (1.0, True)])
def test_none_and_all(share, all_of_them):
    told = plans(
        20,
        pair_fraction=share,
        spoilt_fraction=share,
        other_tissue_fraction=share,
        other_stain_fraction=share,
    )
    for p in told:
        assert p.paired == p.spoilt == p.other_tissue == p.other_stain == all_of_them


def test_a_patient_is_the_same_in_a_larger_cohort_with_other_slides():
    one = plan_of(SETTINGS, 4, 7)
    other = plan_of(SETTINGS.model_copy(update={"patients": 500, "spoilt_fraction": 1.0}), 4, 7)
    np.testing.assert_array_equal(one.patients.tls, other.patients.tls)
    np.testing.assert_array_equal(one.patients.tumour, other.patients.tumour)
    assert one.paired == other.paired
    assert plan_of(SETTINGS, 5, 7).patients.tls[0] != one.patients.tls[0]


def test_what_is_spoilt_does_not_say_who_has_pairs():
    told = plans(400, pair_fraction=0.5, spoilt_fraction=0.5)
    both = np.corrcoef([p.paired for p in told], [p.spoilt for p in told])[0, 1]
    assert abs(both) < 0.15
