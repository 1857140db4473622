"""Concordance and AUC against survival, riskRegression, pec and pROC."""

import numpy as np
import pytest

from metasight.validation.binary import binary_auc, delong_test
from metasight.validation.bootstrap import draw, resampled_concordance, resampled_horizon
from metasight.validation.discrimination import harrell_c, pair_order, uno_c
from metasight.validation.dynamic_auc import auc_at_times, cumulative_dynamic_auc
from metasight.validation.ordering import follow_up
from oracles.contrasts import influence_difference

from .conftest import CLOSED, SETS

H = 1826
PARTS = [(name, part) for name in SETS for part in ("apparent", "split/eval")]


def judged(reference, cox, name, part):
    """Times, events, linear predictor and risks by the five times."""
    times = reference.value(f"{name}/times")
    if part == "apparent":
        model = cox[name]
        return model.time, model.event, model.lp, model.risk(times), times
    held = reference.held(name)
    risk = np.column_stack([held["risk5"]] * len(times))
    return held["time"], held["event"], held["lp"], risk, times


@pytest.mark.parametrize(("name", "part"), PARTS)
def test_harrell(reference, cox, name, part):
    time, event, lp, _, _ = judged(reference, cox, name, part)
    want = reference.value(f"{name}/{part}")
    got = harrell_c(time, event, lp)
    assert got.c == pytest.approx(want["harrell_c"], abs=CLOSED)
    assert got.se == pytest.approx(want["harrell_se"], abs=CLOSED)
    counts = want["harrell_counts"]
    assert (got.concordant, got.discordant, got.tied_risk, got.tied_time, got.tied_both) == (
        counts["concordant"],
        counts["discordant"],
        counts["tied.x"],
        counts["tied.y"],
        counts["tied.xy"],
    )
    cut = harrell_c(time, event, lp, tau=H)
    assert cut.c == pytest.approx(want["harrell_c_tau"], abs=CLOSED)


@pytest.mark.parametrize(("name", "part"), PARTS)
def test_uno(reference, cox, name, part):
    time, event, lp, _, _ = judged(reference, cox, name, part)
    want = reference.value(f"{name}/{part}")
    got = uno_c(time, event, lp, tau=H)
    assert got.c == pytest.approx(want["uno_c_tau"], abs=CLOSED)
    assert got.se == pytest.approx(want["uno_c_tau_se"], abs=CLOSED)
    beyond = uno_c(time, event, lp, tau=float(np.max(time)))
    assert beyond.c == pytest.approx(want["uno_c_notau"], abs=CLOSED)


@pytest.mark.parametrize(("name", "part"), PARTS)
def test_kernels_of_the_bootstrap_give_the_same_points(reference, cox, name, part):
    time, event, lp, risk, _ = judged(reference, cox, name, part)
    want = reference.value(f"{name}/{part}")
    data = follow_up(time, event)
    ones = draw(data.n, 1, 0)[:1]
    order = pair_order(time, event, lp)
    c = resampled_concordance(ones, data, order, tau=None, censoring=False)[0]
    uno = resampled_concordance(ones, data, order, tau=H, censoring=True)[0]
    at = resampled_horizon(
        ones, data, risk[data.order, -1], H, strata=np.zeros(data.n, dtype=np.int64)
    )
    assert c == pytest.approx(want["harrell_c"], abs=CLOSED)
    assert uno == pytest.approx(want["uno_c_tau"], abs=CLOSED)
    assert at.auc[0] == pytest.approx(want["auc"]["AUC"][-1], abs=CLOSED)
    assert at.brier[0] == pytest.approx(want["brier"]["Brier"][-1], abs=CLOSED)
    assert at.brier_null[0] == pytest.approx(want["brier"]["Brier"][4], abs=CLOSED)
    assert at.ipa[0] == pytest.approx(want["brier"]["IPA"][-1], abs=CLOSED)
    assert at.oe[0] == pytest.approx(want["OE_5y"]["OE"], abs=CLOSED)


@pytest.mark.parametrize(("name", "part"), PARTS)
def test_dynamic_auc(reference, cox, name, part):
    time, event, lp, risk, times = judged(reference, cox, name, part)
    want = reference.value(f"{name}/{part}/auc")
    for k, horizon in enumerate(times):
        got = cumulative_dynamic_auc(time, event, risk[:, k], horizon)
        assert got.value == pytest.approx(want["AUC"][k], abs=CLOSED)
        assert got.se == pytest.approx(want["se"][k], abs=CLOSED)
        assert got.lower == pytest.approx(want["lower"][k], abs=CLOSED)
        assert got.upper == pytest.approx(want["upper"][k], abs=CLOSED)
    assert np.allclose(auc_at_times(time, event, lp, times), want["AUC"], atol=CLOSED, rtol=0)


@pytest.mark.parametrize(("column", "model"), [("csc5", "CSC"), ("fgr5", "FGR")])
def test_competing_concordance(reference, column, model):
    held = reference.held("rotterdam")
    split = reference.value("rotterdam/split")
    weighted = uno_c(held["time"], held["status"], held[column], tau=H)
    assert weighted.c == pytest.approx(split["cindex_cr_pec"][model], abs=CLOSED)
    naive = harrell_c(held["time"], held["status"], held[column])
    assert naive.c == pytest.approx(split["wolbers_c_naive"][model], abs=CLOSED)


@pytest.mark.parametrize(("model", "row"), [("CSC", 0), ("FGR", 5)])
def test_competing_auc(reference, rotterdam_risks, model, row):
    held = reference.held("rotterdam")
    want = reference.value("rotterdam/split/auc")
    for k, horizon in enumerate(reference.value("rotterdam/times")):
        risk = rotterdam_risks[model][:, k]
        got = cumulative_dynamic_auc(held["time"], held["status"], risk, horizon)
        assert got.value == pytest.approx(want["AUC"][row + k], abs=CLOSED)
        assert got.se == pytest.approx(want["se"][row + k], abs=CLOSED)
        assert got.lower == pytest.approx(want["lower"][row + k], abs=CLOSED)
        assert got.upper == pytest.approx(want["upper"][row + k], abs=CLOSED)


def test_competing_auc_contrast(reference, rotterdam_risks):
    held = reference.held("rotterdam")
    want = reference.value("rotterdam/split/auc_contrast")
    for k, horizon in enumerate(reference.value("rotterdam/times")):
        fgr, csc = (
            cumulative_dynamic_auc(held["time"], held["status"], rotterdam_risks[m][:, k], horizon)
            for m in ("FGR", "CSC")
        )
        got = influence_difference(fgr, csc)
        assert got.difference == pytest.approx(want["delta.AUC"][k], abs=CLOSED)
        assert got.se == pytest.approx(want["se"][k], abs=CLOSED)
        assert got.lower == pytest.approx(want["lower"][k], abs=CLOSED)
        assert got.upper == pytest.approx(want["upper"][k], abs=CLOSED)
        assert got.p == pytest.approx(want["p"][k], abs=CLOSED)


def test_delong(reference):
    table = reference.table("nodepos_test_predictions")
    want = reference.value("rotterdam_nodepos_binary")
    got = binary_auc(table["p"], table["y"])
    assert got.auc == pytest.approx(want["auc"], abs=CLOSED)
    assert got.variance == pytest.approx(want["auc_var_delong"], abs=CLOSED)
    assert np.allclose([got.lower, got.upper], want["auc_ci"], atol=CLOSED, rtol=0)
    paired = want["delong_vs_size_only"]
    assert binary_auc(table["p_size_only"], table["y"]).auc == pytest.approx(
        paired["auc0"], abs=CLOSED
    )
    test = delong_test(table["p"], table["p_size_only"], table["y"])
    assert test.z == pytest.approx(paired["z"], abs=CLOSED)
    assert test.p == pytest.approx(paired["p"], abs=CLOSED)


def test_rank_statistics_of_val_prob(reference):
    table = reference.table("nodepos_test_predictions")
    want = reference.value("rotterdam_nodepos_binary/val_prob")
    # rms bins the risks by 0.0002 before it ranks them
    auc = binary_auc(np.floor(5000 * table["p"]), table["y"]).auc
    assert auc == pytest.approx(want["C (ROC)"], abs=CLOSED)
    assert 2 * auc - 1 == pytest.approx(want["Dxy"], abs=CLOSED)
