"""Cumulative incidence by risk group, by hand."""

import numpy as np
import pytest

from metasight.validation.risk_groups import incidence_by_risk_group, incidence_interval

TIME = np.array([10.0, 20.0, 30.0, 40.0, 50.0])
STATUS = np.array([1, 2, 0, 1, 0])


def groups(risk, edges=(0.1, 0.5), horizons=(25.0, 45.0, 60.0), shown=35.0):
    return incidence_by_risk_group(
        np.array(risk), TIME, STATUS, edges=edges, horizons_days=horizons, shown_days=shown
    )


def test_a_risk_at_an_edge_belongs_to_the_group_above():
    found = groups([0.05, 0.1, 0.3, 0.5, 1.0])
    assert [g.patients for g in found] == [1, 2, 2]
    assert [g.events for g in found] == [1, 0, 1]
    assert [(g.low, g.high) for g in found] == [(0.0, 0.1), (0.1, 0.5), (0.5, 1.0)]


def test_incidence_counts_the_competing_event_as_such():
    low, empty, _ = groups([0.0] * 5)
    # 1/5 at day 10; of the 4/5 left free 1/4 dies; at day 40 one of two has the event
    assert low.at[0].value == pytest.approx(1 / 5)
    assert low.at[1].value == pytest.approx(1 / 5 + 3 / 5 * 1 / 2)
    assert low.at[2] is None  # the longest follow-up is 50 days
    assert low.followed_to == 50.0
    assert low.days.max() <= 35.0
    assert empty.patients == 0
    assert empty.at == ()
    assert empty.followed_to is None


def test_the_interval_keeps_within_0_and_1():
    found = incidence_interval(0.5, 0.1)
    # by hand on the complementary log-log scale
    half = 1.959964 * 0.1 / (0.5 * np.log(2))
    level = np.log(np.log(2))
    ends = [1 - np.exp(-np.exp(level + s * half)) for s in (-1, 1)]
    assert found.ends == pytest.approx(tuple(ends), rel=1e-6)
    assert incidence_interval(0.97, 0.3).ends[1] <= 1
    assert incidence_interval(0.0, 0.2).ends == (0.0, 0.0)
    assert incidence_interval(0.4, 0.0).ends == (0.4, 0.4)
