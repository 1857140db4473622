"""Incidence by thirds of risk: the estimator of one group at a time, with bands."""

from __future__ import annotations

import numpy as np
import pytest

from metasight.validation.bootstrap import draw
from metasight.validation.curves import incidence_by
from metasight.validation.group_curves import GROUPS, group_curves
from metasight.validation.results import EvaluationPlan
from metasight.validation.subgroups import headline_target
from metasight.validation.table import align

from .conftest import predictions

TAU = 1800.0


def aligned(kind="survival", n=200):
    plan = EvaluationPlan(
        endpoint="dm",
        horizons_days=() if kind == "nodal" else (1200, 1800),
        tau_days=None if kind == "nodal" else TAU,
        reference_model="model1",
        headline_model="model0",
    )
    return align(predictions(n, kind=kind), plan)


def curves(kind="survival", n=200, seed=1):
    data = aligned(kind, n)
    draws = draw(data.n, 200, seed)
    return data, group_curves(
        data, "model0", headline_target(data), draws, tau=TAU, confidence=0.95
    )


@pytest.mark.parametrize("kind", ["survival", "competing"])
def test_a_curve_is_the_incidence_of_its_group(kind):
    data, found = curves(kind)
    assert [c.name for c in found] == list(GROUPS)
    risk = data.models["model0"].risk[:, -1].mean(axis=0)
    edges = np.quantile(risk, [1 / 3, 2 / 3])
    group = np.searchsorted(edges, risk, side="left")
    for k, c in enumerate(found):
        inside = (group == k)[data.data.order]
        assert c.n == inside.sum()
        for day in (0, 10, 35, 60):
            by_hand = incidence_by(
                data.data.time, data.data.status, np.ones(data.n), inside, c.days[day]
            )
            assert c.incidence[day] == pytest.approx(by_hand, abs=1e-12)
            assert c.at_risk[day] == (data.data.time[inside] >= c.days[day]).sum() or day == 60
        assert c.at_risk[0] == c.n


def test_groups_are_ordered_and_what_happens_in_them_too():
    _, found = curves()
    assert found[0].highest <= found[1].lowest <= found[1].highest <= found[2].lowest
    ends = [c.incidence[-1] for c in found]
    assert ends == sorted(ends)


def test_curves_rise_and_lie_in_their_bands():
    for c in curves()[1]:
        assert all(a <= b for a, b in zip(c.incidence, c.incidence[1:], strict=False))
        inside = [
            low <= v <= high for v, low, high in zip(c.incidence, c.lower, c.upper, strict=True)
        ]
        assert np.mean(inside) > 0.95
        assert list(c.at_risk) == sorted(c.at_risk, reverse=True)


def test_an_event_after_tau_is_none():
    data, found = curves()
    early = (data.data.status == 1) & (data.data.time <= TAU)
    assert sum(c.events for c in found) == early.sum()
    assert found[0].days[-1] == TAU


def test_small_groups_and_stages_have_no_curve():
    assert curves(n=24)[1] == ()
    data = aligned("nodal")
    draws = draw(data.n, 20, 1)
    target = headline_target(data)
    assert group_curves(data, "model0", target, draws, tau=TAU, confidence=0.95) == ()


def test_the_same_seed_gives_the_same_band():
    assert curves()[1] == curves()[1]
