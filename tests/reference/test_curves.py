"""Kaplan–Meier, Aalen–Johansen, Gray's test and follow-up against survival and cmprsk."""

import numpy as np
import pandas as pd
import pytest
from greenwood import AalenJohansen, KaplanMeier, Surv, grays_test

from metasight.validation.curves import aalen_johansen, kaplan_meier, median_follow_up
from oracles.calibration import pseudo_values

from .conftest import CLOSED, SETS


def at(times, grid, values):
    return np.asarray(values)[np.searchsorted(grid, times, side="right") - 1]


@pytest.mark.parametrize("name", SETS)
def test_kaplan_meier(reference, name):
    table, want = reference.cohort(name), reference.value(f"{name}/km")
    curve = kaplan_meier(table["time"], table["event"])
    assert np.allclose(curve.at(want["times"]), want["surv"], atol=CLOSED, rtol=0)
    assert np.allclose(curve.se_at(want["times"]), want["se"], atol=CLOSED, rtol=0)
    n_risk = [(table["time"] >= t).sum() for t in want["times"]]
    assert n_risk == want["n_risk"]


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize(("kind", "suffix"), [("log", "log"), ("log-log", "loglog")])
def test_kaplan_meier_intervals(reference, name, kind, suffix):
    table, want = reference.cohort(name), reference.value(f"{name}/km")
    fit = KaplanMeier(conf_type=kind).fit(Surv(table["time"], event=table["event"]))
    for bound, values in (("lower", fit.conf_low_), ("upper", fit.conf_high_)):
        got = at(want["times"], fit.time_, values)
        assert np.allclose(got, want[f"{bound}_{suffix}"], atol=CLOSED, rtol=0)


@pytest.mark.parametrize("name", SETS)
def test_plain_kaplan_meier_of_the_censoring(reference, name):
    # survfit(Surv(time, event == 0)): events at t are still in this curve's risk set, unlike
    # in the G of the weights
    table = reference.cohort(name)
    curve = kaplan_meier(table["time"], 1 - table["event"])
    want = reference.value(f"{name}/km_censoring_at_times")
    times = reference.value(f"{name}/times")
    assert np.allclose(curve.at(times), want, atol=CLOSED, rtol=0)


@pytest.mark.parametrize("name", SETS)
def test_median_follow_up(reference, name):
    table = reference.cohort(name)
    want = reference.value(f"{name}/median_fup_reverse_km")
    assert median_follow_up(table["time"], table["event"]) == want


def rotterdam_surv(table):
    states = table["status"].map({0: "censor", 1: "rec", 2: "dth"})
    return Surv(table["time"], event=pd.Categorical(states, categories=["censor", "rec", "dth"]))


def test_aalen_johansen(reference):
    table, times = reference.cohort("rotterdam"), reference.value("rotterdam/times")
    want = np.array(reference.value("rotterdam/aalen_johansen/pstate"))
    alive = kaplan_meier(table["time"], (table["status"] > 0).astype(int)).at(times)
    rec = aalen_johansen(table["time"], table["status"], cause=1).at(times)
    dth = aalen_johansen(table["time"], table["status"], cause=2).at(times)
    assert np.allclose(np.column_stack([alive, rec, dth]), want, atol=CLOSED, rtol=0)


def greenwood_incidence(table, times):
    frame = AalenJohansen().fit(rotterdam_surv(table)).to_frame(format="pandas")
    out = {}
    for cause, rows in frame.groupby("cause", sort=False):
        out[cause] = (
            at(times, rows["time"].to_numpy(), rows["estimate"]),
            at(times, rows["time"].to_numpy(), rows["std_error"]),
        )
    return out


def test_aalen_johansen_standard_errors(reference):
    table, times = reference.cohort("rotterdam"), reference.value("rotterdam/times")
    want = np.array(reference.value("rotterdam/aalen_johansen/se"))
    got = greenwood_incidence(table, times)
    assert np.allclose(got["rec"][1], want[:, 1], atol=CLOSED, rtol=0)
    assert np.allclose(got["dth"][1], want[:, 2], atol=CLOSED, rtol=0)


def test_cumulative_incidence_of_cmprsk(reference):
    table, times = reference.cohort("rotterdam"), reference.value("rotterdam/times")
    for cause in (1, 2):
        curve = aalen_johansen(table["time"], table["status"], cause=cause)
        want = reference.value(f"rotterdam/cmprsk_cuminc/est/{cause - 1}")
        assert np.allclose(curve.at(times), want, atol=CLOSED, rtol=0)
        variance = reference.value(f"rotterdam/cmprsk_cuminc/var/{cause - 1}")
        assert np.allclose(curve.se_at(times) ** 2, variance, atol=0, rtol=CLOSED)


def test_one_minus_kaplan_meier_is_more_than_the_incidence(reference):
    table, times = reference.cohort("rotterdam"), reference.value("rotterdam/times")
    naive = 1 - kaplan_meier(table["time"], (table["status"] == 1).astype(int)).at(times)
    want = reference.value("rotterdam/one_minus_km_recur")
    assert np.allclose(naive, want, atol=CLOSED, rtol=0)
    assert (naive > aalen_johansen(table["time"], table["status"]).at(times)).all()


@pytest.mark.parametrize("cause", [1, 2])
def test_gray(reference, cause):
    table = reference.cohort("rotterdam")
    result = grays_test(rotterdam_surv(table), table["grade3"], cause=cause)
    statistic, p, df = reference.value(f"rotterdam/gray_test_grade3/tests/{cause - 1}")
    assert result.statistic == pytest.approx(statistic, abs=1e-6)
    assert result.p_value == pytest.approx(p, abs=CLOSED)
    assert result.df == df


def test_pseudo_values(reference):
    held = reference.held("rotterdam")
    got = pseudo_values(held["time"], held["status"], 1826)
    first = reference.value("rotterdam/split/pseudo5_first10")
    assert np.allclose(got[:10], first, atol=CLOSED, rtol=0)
    assert got.mean() == pytest.approx(reference.value("rotterdam/split/pseudo5_mean"), abs=CLOSED)
