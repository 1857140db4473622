"""Brier scores against riskRegression and pec."""

import numpy as np
import pytest

from metasight.validation.brier import brier_score, integrated_brier, prediction_error_curve
from metasight.validation.curves import kaplan_meier
from oracles.contrasts import influence_difference

from .conftest import CLOSED, SETS

H = 1826


def check(got, want, row):
    assert got.value == pytest.approx(want["Brier"][row], abs=CLOSED)
    assert got.se == pytest.approx(want["se"][row], abs=CLOSED)
    assert got.lower == pytest.approx(want["lower"][row], abs=CLOSED)
    assert got.upper == pytest.approx(want["upper"][row], abs=CLOSED)


@pytest.mark.parametrize("name", SETS)
def test_apparent(reference, cox, name):
    model, times = cox[name], reference.value(f"{name}/times")
    want = reference.value(f"{name}/apparent/brier")
    risk = model.risk(times)
    for k, horizon in enumerate(times):
        got = brier_score(model.time, model.event, risk[:, k], horizon)
        check(got.null, want, k)
        check(got.brier, want, len(times) + k)
        assert got.ipa == pytest.approx(want["IPA"][len(times) + k], abs=CLOSED)


@pytest.mark.parametrize("name", SETS)
def test_held(reference, cox, name):
    # the training model's risks by each year, its baseline found again from the training rows
    from oracles.hazard_fit import fit_hazard

    table, held = reference.cohort(name), reference.held(name)
    rows = table[table["test"] == 0]
    terms = reference.value(f"{name}/split/cox/terms")
    want = reference.value(f"{name}/split/eval/brier")
    for k, horizon in enumerate(reference.value(f"{name}/times")):
        fit = fit_hazard(rows["time"], rows["event"], rows[terms], horizon)
        got = brier_score(held["time"], held["event"], fit.risk(held[terms]), horizon)
        check(got.null, want, k)
        check(got.brier, want, 5 + k)
        assert got.ipa == pytest.approx(want["IPA"][5 + k], abs=CLOSED)


@pytest.mark.parametrize(("model", "row"), [("CSC", 5), ("FGR", 10)])
def test_competing(reference, rotterdam_risks, model, row):
    held = reference.held("rotterdam")
    want = reference.value("rotterdam/split/brier")
    for k, horizon in enumerate(reference.value("rotterdam/times")):
        risk = rotterdam_risks[model][:, k]
        got = brier_score(held["time"], held["status"], risk, horizon)
        check(got.null, want, k)
        check(got.brier, want, row + k)
        assert got.ipa == pytest.approx(want["IPA"][row + k], abs=CLOSED)


def test_competing_contrasts(reference, rotterdam_risks):
    held = reference.held("rotterdam")
    want = reference.value("rotterdam/split/brier_contrast")
    row = 0
    for k, horizon in enumerate(reference.value("rotterdam/times")):
        csc, fgr = (
            brier_score(held["time"], held["status"], rotterdam_risks[m][:, k], horizon)
            for m in ("CSC", "FGR")
        )
        pairs = [(csc.brier, csc.null), (fgr.brier, fgr.null), (fgr.brier, csc.brier)]
        for first, second in pairs:
            got = influence_difference(first, second)
            assert got.difference == pytest.approx(want["delta.Brier"][row], abs=CLOSED)
            assert got.se == pytest.approx(want["se"][row], abs=CLOSED)
            assert got.lower == pytest.approx(want["lower"][row], abs=CLOSED)
            assert got.upper == pytest.approx(want["upper"][row], abs=CLOSED)
            assert got.p == pytest.approx(want["p"][row], abs=CLOSED)
            row += 1


@pytest.mark.parametrize("name", SETS)
def test_pec(reference, cox, name):
    model = cox[name]
    # pec steps at the event times
    grid = np.append(np.unique(model.time[(model.event == 1) & (model.time <= H)]), H)
    risks = {
        "Reference": 1 - kaplan_meier(model.time, model.event).at(grid),
        "Cox": model.risk(grid),
    }
    want = reference.value(f"{name}/pec_ibs_0_t5")
    last = reference.value(f"{name}/pec_brier_t5")
    for label, ibs in zip(want["models"], want["ibs"], strict=True):
        scores = prediction_error_curve(model.time, model.event, risks[label], grid)
        assert scores[-1] == pytest.approx(last[label], abs=CLOSED)
        got = integrated_brier(grid, scores, tau=H, step=True)
        assert got == pytest.approx(ibs, abs=CLOSED)
