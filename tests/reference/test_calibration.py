"""Calibration and decision curves against rms, riskRegression, cmprsk and R's loess."""

import numpy as np
import pytest

from metasight.validation import curve_samples
from metasight.validation.bootstrap import draw
from metasight.validation.calibration import d_calibration
from metasight.validation.decision_curve import net_benefit, net_benefit_class
from metasight.validation.samples import target_samples
from metasight.validation.table import _stage_targets
from oracles.calibration import (
    calibration_slope,
    grouped_calibration,
    mean_calibration,
    pseudo_value_calibration,
    spline_calibration,
)
from oracles.class_calibration import (
    binary_calibration,
    loess_calibration,
    spline_class_calibration,
)

from .conftest import CLOSED, FITTED, SETS

H = 1826
PARTS = [(name, part) for name in SETS for part in ("apparent", "split/eval")]


def judged(reference, cox, name, part):
    if part == "apparent":
        model = cox[name]
        return model.time, model.event, model.risk([H])[:, 0]
    held = reference.held(name)
    return held["time"], held["event"], held["risk5"].to_numpy()


def indices(got, want):
    for ours, theirs in (("ici", "ICI"), ("e50", "E50"), ("e90", "E90"), ("emax", "Emax")):
        if theirs in want:
            assert getattr(got, ours) == pytest.approx(want[theirs], abs=CLOSED)


@pytest.mark.parametrize(("name", "part"), PARTS)
def test_observed_over_expected(reference, cox, name, part):
    got = mean_calibration(*judged(reference, cox, name, part), H)
    want = reference.value(f"{name}/{part}/OE_5y")
    assert got.observed == pytest.approx(want["obs_km"], abs=CLOSED)
    assert got.expected == pytest.approx(want["mean_pred"], abs=CLOSED)
    assert got.oe == pytest.approx(want["OE"], abs=CLOSED)


@pytest.mark.parametrize(("name", "part"), PARTS)
def test_slope(reference, cox, name, part):
    got = calibration_slope(*judged(reference, cox, name, part), H)
    want = reference.value(f"{name}/{part}/cal_slope")
    assert got.slope == pytest.approx(want["slope"], abs=FITTED)
    assert got.se == pytest.approx(want["se"], abs=FITTED)


@pytest.mark.parametrize(("name", "part"), PARTS)
def test_smoothed(reference, cox, name, part):
    got = spline_calibration(*judged(reference, cox, name, part), H)
    want = reference.value(f"{name}/{part}/ici_5y")
    assert np.allclose(got.knots, want["knots"], atol=CLOSED, rtol=0)
    assert np.allclose(got.observed[:6], want["obs_first6"], atol=CLOSED, rtol=0)
    indices(got, want)


@pytest.mark.parametrize(("name", "part"), PARTS)
def test_fifths(reference, cox, name, part):
    got = grouped_calibration(*judged(reference, cox, name, part), H)
    want = reference.value(f"{name}/{part}/fifths")
    assert [g.n for g in got] == [w["n"] for w in want]
    for g, w in zip(got, want, strict=True):
        assert g.mean_predicted == pytest.approx(w["mean_pred"], abs=CLOSED)
        assert g.observed == pytest.approx(w["obs"], abs=CLOSED)


def curve(got, want):
    assert np.allclose(got.model, [w["nb"] for w in want], atol=CLOSED, rtol=0)
    assert np.allclose(got.treat_all, [w["nb_all"] for w in want], atol=CLOSED, rtol=0)


@pytest.mark.parametrize(("name", "part"), PARTS)
def test_net_benefit(reference, cox, name, part):
    want = reference.value(f"{name}/{part}/net_benefit_5y")
    limits = [w["pt"] for w in want]
    curve(net_benefit(*judged(reference, cox, name, part), H, limits), want)


@pytest.mark.parametrize("name", SETS)
def test_d_calibration(reference, cox, name):
    model = cox[name]
    got = d_calibration(np.exp(-model.expected()), model.event)
    want = reference.value(f"{name}/apparent/dcal_survival_at_T")
    assert np.allclose(got.bins, want["bins"], atol=CLOSED, rtol=0)
    assert got.chisq == pytest.approx(want["chisq"], abs=CLOSED)
    assert got.p == pytest.approx(want["p"], abs=CLOSED)


def test_competing_observed_over_expected(reference):
    held = reference.held("rotterdam")
    want = reference.value("rotterdam/split/OE_5y")
    for column, key in (("csc5", "OE_csc"), ("fgr5", "OE_fgr")):
        got = mean_calibration(held["time"], held["status"], held[column], H)
        assert got.observed == pytest.approx(want["aj_cif"], abs=CLOSED)
        assert got.oe == pytest.approx(want[key], abs=CLOSED)


def test_competing_slope(reference):
    held = reference.held("rotterdam")
    want = reference.value("rotterdam/split/fg_cal_slope_cloglog_csc")
    got = calibration_slope(held["time"], held["status"], held["csc5"], H, as_crr=True)
    assert got.slope == pytest.approx(want["slope"], abs=CLOSED)
    assert got.se == pytest.approx(want["se"], abs=CLOSED)
    # our own convention (events leave G's risk set, Efron, full convergence) hardly differs
    ours = calibration_slope(held["time"], held["status"], held["csc5"], H)
    assert ours.slope == pytest.approx(want["slope"], abs=5e-4)


def test_competing_spline(reference):
    held = reference.held("rotterdam")
    want = reference.value("rotterdam/split/ici_finegray_rcs_csc")
    got = spline_calibration(held["time"], held["status"], held["csc5"], H, as_crr=True)
    assert np.allclose(got.knots, want["knots"], atol=CLOSED, rtol=0)
    indices(got, want)


def test_competing_pseudo_values(reference):
    held = reference.held("rotterdam")
    got = pseudo_value_calibration(held["time"], held["status"], held["csc5"], H)
    indices(got, reference.value("rotterdam/split/ici_pseudo_loess_csc"))


def test_competing_net_benefit(reference):
    held = reference.held("rotterdam")
    want = reference.value("rotterdam/split/net_benefit_5y_csc")
    limits = [w["pt"] for w in want]
    curve(net_benefit(held["time"], held["status"], held["csc5"], H, limits), want)


def test_class(reference):
    table = reference.table("nodepos_test_predictions")
    want = reference.value("rotterdam_nodepos_binary")
    got = binary_calibration(table["p"], table["y"])
    assert got.slope == pytest.approx(want["cal_slope"], abs=CLOSED)
    assert got.intercept == pytest.approx(want["cal_intercept_joint"], abs=CLOSED)
    assert got.intercept_large == pytest.approx(want["cal_in_the_large"], abs=CLOSED)
    # glm takes its standard errors from the last step but one
    assert got.slope_se == pytest.approx(want["cal_slope_se"], abs=FITTED)
    assert got.intercept_large_se == pytest.approx(want["cal_in_the_large_se"], abs=FITTED)
    assert got.oe == pytest.approx(want["OE"], abs=CLOSED)
    assert got.brier == pytest.approx(want["brier"], abs=CLOSED)
    assert got.brier_null == pytest.approx(want["brier_null"], abs=CLOSED)


def test_class_loess(reference):
    table = reference.table("nodepos_test_predictions")
    indices(
        loess_calibration(table["p"], table["y"]),
        reference.value("rotterdam_nodepos_binary/loess_ici"),
    )


def test_class_spline(reference):
    table = reference.table("nodepos_test_predictions")
    want = reference.value("rotterdam_nodepos_binary/rcs4_ici")
    got = spline_class_calibration(table["p"], table["y"])
    assert np.allclose(got.knots, want["knots"], atol=CLOSED, rtol=0)
    indices(got, want)


def test_class_net_benefit(reference):
    table = reference.table("nodepos_test_predictions")
    want = reference.value("rotterdam_nodepos_binary/net_benefit")
    limits = [w["pt"] for w in want]
    curve(net_benefit_class(table["p"], table["y"], limits), want)


@pytest.fixture(scope="module")
def nodal(reference):
    """The target of positive nodes as a study has it, and the risks; one repeat, one fold."""
    table = reference.table("nodepos_test_predictions")
    return _stage_targets(table["y"].to_numpy())[0], table["p"].to_numpy()[None]


def test_class_as_a_study_judges_it(reference, nodal):
    target, risk = nodal
    want = reference.value("rotterdam_nodepos_binary")
    limits = tuple(w["pt"] for w in want["net_benefit"])
    once = draw(risk.shape[1], 0, 0)
    fold = np.zeros(risk.shape, dtype=np.int64)
    got = target_samples(target, risk, fold, once, limits, calibrate=True)
    assert got.auc[0] == pytest.approx(want["auc"], abs=CLOSED)
    assert got.slope[0] == pytest.approx(want["cal_slope"], abs=FITTED)
    assert got.intercept[0] == pytest.approx(want["cal_in_the_large"], abs=FITTED)
    assert got.oe[0] == pytest.approx(want["OE"], abs=CLOSED)
    assert got.brier[0] == pytest.approx(want["brier"], abs=CLOSED)
    assert got.brier_null[0] == pytest.approx(want["brier_null"], abs=CLOSED)
    benefit = [w["nb"] for w in want["net_benefit"]]
    assert np.allclose(got.net_benefit[0], benefit, atol=CLOSED, rtol=0)


def test_indices_of_a_class_as_a_study_computes_them(reference, nodal, monkeypatch):
    monkeypatch.setattr(curve_samples, "N_KNOTS", 4)  # as in R's values; a study has three
    target, risk = nodal
    want = reference.value("rotterdam_nodepos_binary/rcs4_ici")
    _, (ici, e50, e90, _) = curve_samples.curve_samples(
        target, risk, draw(risk.shape[1], 20, 0), "nodal", 0.95
    )
    for ours, theirs in ((ici, "ICI"), (e50, "E50"), (e90, "E90")):
        assert ours.value == pytest.approx(want[theirs], abs=FITTED)
