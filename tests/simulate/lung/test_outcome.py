"""Course of simulated lung patients: order of days, and rates that were asked for."""

from __future__ import annotations

import numpy as np
import pytest

from metasight.simulate.lung.outcome import draw_outcome
from metasight.simulate.lung.patients import draw_patients, spread_over_centres
from metasight.simulate.lung.settings import LungSettings
from oracles.calibration import mean_calibration

N = 6000
YEAR = 365.25


@pytest.fixture(scope="module")
def people():
    settings = LungSettings()
    return draw_patients(np.random.default_rng(1), settings, spread_over_centres(settings, N))


def drawn(people, stage: int, *, sbrt: bool, seed: int = 2):
    rng = np.random.default_rng(seed)
    return draw_outcome(rng, people, np.full(N, stage), np.full(N, sbrt))


def test_nothing_is_seen_after_follow_up_and_all_are_whole_days(people):
    found = drawn(people, 1, sbrt=True)
    for days in (found.regional_days, found.death_days):
        seen = np.isfinite(days)
        assert (days[seen] <= found.followup_days[seen]).all()
        assert (days[seen] >= 1).all()
        assert (days[seen] % 1 == 0).all()
    died = np.isfinite(found.death_days)
    assert (found.followup_days[died] == found.death_days[died]).all()
    assert (found.followup_days[~died] >= 30).all()


def test_follow_up_ends_where_the_database_was_locked(people):
    """Treated early, followed long: the day of treatment and the follow-up reach one date."""
    found = drawn(people, 0, sbrt=False)
    lock = found.treatment_day + found.followup_days
    assert lock.max() <= 7.5 * YEAR
    assert found.treatment_day.min() >= (7.5 - 7.0) * YEAR - 1
    assert found.treatment_day.max() <= (7.5 - 1.5) * YEAR


def regional_by(found, years: float) -> float:
    """Incidence of regional recurrence, death competing."""
    time = np.fmin(found.regional_days, found.followup_days)
    status = np.where(
        np.isfinite(found.regional_days), 1, np.where(np.isfinite(found.death_days), 2, 0)
    )
    return mean_calibration(time, status, np.full(N, 0.5), years * YEAR).observed


@pytest.mark.parametrize(
    ("stage", "sbrt", "rate"), [(0, False, 0.008), (2, False, 0.09), (1, True, 0.22)]
)
def test_recurrence_comes_at_the_rate_of_its_stage_and_arm(people, stage, sbrt, rate):
    found = drawn(people, stage, sbrt=sbrt)
    events = np.isfinite(found.regional_days).sum()
    years = np.fmin(found.regional_days, found.followup_days).sum() / YEAR
    assert events / years == pytest.approx(rate, rel=0.13)


def test_nodes_that_stay_recur_more_often(people):
    surgery, sbrt = (regional_by(drawn(people, 1, sbrt=s), 2) for s in (False, True))
    assert sbrt > 2 * surgery


def test_the_old_the_node_positive_and_those_without_surgery_die_earlier(people):
    def deaths(found, who):
        return np.isfinite(found.death_days[who]).sum() / (found.followup_days[who].sum() / YEAR)

    everybody = np.ones(N, dtype=bool)
    old = people.age_years >= 75
    plain = drawn(people, 0, sbrt=False)
    assert deaths(plain, old) > 1.5 * deaths(plain, people.age_years <= 60)
    assert deaths(drawn(people, 2, sbrt=False), everybody) > 1.8 * deaths(plain, everybody)
    assert deaths(drawn(people, 0, sbrt=True), everybody) > 1.25 * deaths(plain, everybody)


def test_the_same_seed_gives_the_same_course(people):
    a, b, c = (drawn(people, 1, sbrt=True, seed=s) for s in (3, 3, 4))
    np.testing.assert_array_equal(a.regional_days, b.regional_days)
    assert not np.array_equal(a.followup_days, c.followup_days)
