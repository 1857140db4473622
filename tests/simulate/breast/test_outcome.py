"""Outcomes against closed forms, and the oracle against what the settings promise."""

from __future__ import annotations

import numpy as np
import pytest

from metasight.simulate.breast.outcome import Risk, draw_outcome, oracle_in_population, risk_of
from metasight.simulate.breast.patients import draw_patients, spread_over_centres
from metasight.simulate.breast.settings import BreastSettings, Effects

NULL = Effects(tls=0, t_cells=0, mixing=0)
N = 20_000


def drawn(settings: BreastSettings, n: int = N, seed: int = 1):
    rng = np.random.default_rng(seed)
    patients = draw_patients(rng, spread_over_centres(settings, n))
    risk = risk_of(settings, patients)
    return patients, risk, draw_outcome(rng, risk)


def test_events_by_two_years_are_those_of_the_weibull() -> None:
    """Nobody is censored administratively before 5.4 years; dropout is 1.5 % a year."""
    n = N
    risk = Risk(
        clinical=np.zeros(n),
        image=np.zeros(n),
        centre=np.zeros(n),
        scale_years=8.0,
        death_per_year=np.full(n, 1e-9),
    )
    out = draw_outcome(np.random.default_rng(3), risk)
    years = 2.0
    # hazard of event by t with dropout hazard d, by numerical integration of f(t) exp(-d t)
    t = np.linspace(0, years, 4001)
    density = 1.3 / 8.0 * (t / 8.0) ** 0.3 * np.exp(-((t / 8.0) ** 1.3)) * np.exp(-0.015 * t)
    expected = float(np.trapezoid(density, t))
    found = float((out.metastasis_days <= years * 365.25).mean())
    assert found == pytest.approx(expected, abs=3 * np.sqrt(expected / n))


def test_the_share_of_events_is_the_one_asked_for() -> None:
    for share in (0.15, 0.35):
        _, _, out = drawn(BreastSettings(event_share=share))
        assert out.dmfs_event.mean() == pytest.approx(share, abs=0.015)


def test_order_of_times() -> None:
    _, _, out = drawn(BreastSettings(event_share=0.4))
    there = np.isfinite(out.metastasis_days)
    assert (out.metastasis_days[there] <= out.followup_days[there]).all()
    dead = np.isfinite(out.death_days)
    assert (out.death_days[dead] == out.followup_days[dead]).all()
    assert out.followup_days.min() >= 1


def test_planted_increment_is_about_eight_hundredths() -> None:
    found = oracle_in_population(BreastSettings(patients=400))
    assert found.increment == pytest.approx(0.08, abs=0.015)
    assert 0.62 < found.clinical < 0.72


def test_a_null_study_has_nothing_to_find() -> None:
    found = oracle_in_population(BreastSettings(effects=NULL), n=4000)
    assert found.increment == pytest.approx(0.0, abs=1e-9)
    _, risk, _ = drawn(BreastSettings(effects=NULL), n=500)
    assert (risk.image == 0).all()


def test_confounding_ties_the_centre_to_the_outcome_and_to_no_tissue() -> None:
    settings = BreastSettings(confounding=1.2, event_share=0.3)
    patients, risk, out = drawn(settings)
    share = [out.dmfs_event[patients.centre == c].mean() for c in range(3)]
    assert share[0] + 0.05 < share[1] < share[2] - 0.05
    assert np.corrcoef(patients.centre, risk.image)[0, 1] == pytest.approx(0, abs=0.03)
    plain = drawn(BreastSettings(event_share=0.3))
    even = [plain[2].dmfs_event[plain[0].centre == c].mean() for c in range(3)]
    assert max(even) - min(even) < 0.03
