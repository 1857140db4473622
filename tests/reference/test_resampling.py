"""Optimism, instability and sample size against R loops, rms::validate and pmsampsize."""

import numpy as np
import pytest

from metasight.errors import EvaluationError
from metasight.validation.binary import binary_auc
from metasight.validation.bootstrap import draw
from metasight.validation.discrimination import harrell_c
from metasight.validation.instability import instability, optimism
from metasight.validation.sample_size import (
    development_binary,
    development_survival,
)
from oracles.hazard_fit import fit_hazard
from oracles.logistic_fit import fit_logistic

from .conftest import CLOSED, FITTED, SETS

H = 1826
MONTE_CARLO = 0.006


@pytest.fixture(scope="module")
def boot(reference):
    """Bootstrap models of GBSG2 on the exported resamples."""
    table = reference.cohort("gbsg2")
    terms = reference.value("gbsg2/cox_efron/terms")
    x = table[terms].to_numpy(float)
    time, event = table["time"].to_numpy(float), table["event"].to_numpy()
    path = reference.folder / "data" / "gbsg2_boot_idx.csv"
    indices = np.loadtxt(path, delimiter=",", dtype=int)
    # R counts rows from 1
    weights = [np.bincount(rows - 1, minlength=len(table)) for rows in indices]
    out = {"in": [], "out": [], "slope": [], "risk": []}
    for w in weights:
        fit = fit_hazard(time, event, x, H, weights=w)
        lp = (x - fit.centre) @ fit.coef
        out["in"].append(harrell_c(time, event, lp, weights=w).c)
        out["out"].append(harrell_c(time, event, lp).c)
        out["slope"].append(fit_hazard(time, event, lp, H).coef[0])
        out["risk"].append(fit.risk(x))
    out = {k: np.array(v) for k, v in out.items()}
    full = fit_hazard(time, event, x, H)
    out["original"] = full.risk(x)
    out["apparent"] = harrell_c(time, event, x @ full.coef).c
    return out


def test_optimism_on_the_exported_resamples(reference, boot):
    want = reference.resampled("gbsg2_boot")
    assert len(boot["in"]) == want["B"]
    assert np.allclose(boot["in"][:5], want["first5_boot_C"], atol=CLOSED, rtol=0)
    assert np.allclose(boot["out"][:5], want["first5_test_C"], atol=CLOSED, rtol=0)
    got = optimism(boot["apparent"], boot["in"], boot["out"])
    assert got.apparent == pytest.approx(want["apparent_C"], abs=CLOSED)
    assert got.optimism == pytest.approx(want["optimism"], abs=CLOSED)
    assert got.corrected == pytest.approx(want["corrected_C"], abs=CLOSED)


def test_slope_on_the_exported_resamples(reference, boot):
    want = reference.resampled("gbsg2_boot")
    assert np.allclose(boot["slope"][:5], want["first5_slope"], atol=FITTED, rtol=0)
    got = optimism(1.0, np.ones(boot["slope"].size), boot["slope"])
    assert got.corrected == pytest.approx(want["slope_optimism_corrected"], abs=FITTED)


def test_instability(reference, boot):
    want = reference.resampled("gbsg2_boot")
    assert np.allclose(boot["original"][:5], want["pred5_first5"], atol=FITTED, rtol=0)
    got = instability(boot["original"], boot["risk"])
    assert got.mape.mean() == pytest.approx(want["mape_mean"], abs=FITTED)
    assert got.mape.max() == pytest.approx(want["mape_max"], abs=FITTED)
    assert np.allclose(got.mape[:5], want["mape_first5"], atol=FITTED, rtol=0)
    intervals = np.column_stack([got.lower, got.upper])[:3]
    assert np.allclose(intervals, want["pred_ci_first3"], atol=FITTED, rtol=0)


@pytest.mark.parametrize("name", SETS)
def test_validate_of_rms(reference, name):
    table = reference.cohort(name)
    x = table[reference.value(f"{name}/cox_efron/terms")].to_numpy(float)
    time, event = table["time"].to_numpy(float), table["event"].to_numpy()
    full = fit_hazard(time, event, x, H)
    apparent = 2 * harrell_c(time, event, x @ full.coef).c - 1
    rows = []
    for w in draw(len(table), 400, 7)[1:]:
        try:
            lp = x @ fit_hazard(time, event, x, H, weights=w).coef
        except EvaluationError:
            continue  # a resample without a grade: rms leaves it out too
        rows.append(
            (
                2 * harrell_c(time, event, lp, weights=w).c - 1,
                2 * harrell_c(time, event, lp).c - 1,
                fit_hazard(time, event, lp, H).coef[0],
            )
        )
    assert len(rows) > 380
    inside, outside, slope = np.array(rows).T
    want = reference.value(f"{name}/rms_validate_B400")
    got = optimism(apparent, inside, outside)
    # rms::cph stops at 1e-4, which moves two pairs of GBSG2
    assert got.apparent == pytest.approx(want["Dxy_orig"], abs=1e-4)
    assert got.optimism == pytest.approx(want["Dxy_optimism"], abs=2 * MONTE_CARLO)
    assert got.corrected == pytest.approx(want["Dxy_corrected"], abs=2 * MONTE_CARLO)
    assert (got.corrected + 1) / 2 == pytest.approx(want["C_corrected"], abs=MONTE_CARLO)
    # the slope varies more from resample to resample than C does: two errors of its own mean
    error = 2 * 2**0.5 * slope.std() / slope.size**0.5
    assert slope.mean() == pytest.approx(want["slope_corrected"], abs=max(error, MONTE_CARLO))


def test_validate_of_rms_for_a_class(reference):
    table = reference.cohort("rotterdam")
    terms = reference.value("rotterdam_nodepos_binary/glm/terms")[1:]
    x, y = table[terms].to_numpy(float), table["nodepos"].to_numpy(float)
    apparent = fit_logistic(x, y).risk(x)
    dxy = 2 * binary_auc(apparent, y).auc - 1
    rows = []
    rng = np.random.default_rng(7)
    for _ in range(600):
        pick = rng.integers(0, y.size, y.size)
        risk = fit_logistic(x[pick], y[pick]).risk(x)
        lp = np.log(risk / (1 - risk))
        rows.append(
            (
                2 * binary_auc(risk[pick], y[pick]).auc - 1,
                2 * binary_auc(risk, y).auc - 1,
                fit_logistic(lp, y).coef[1],
                ((risk[pick] - y[pick]) ** 2).mean(),
                ((risk - y) ** 2).mean(),
            )
        )
    a, b, slope, brier_in, brier_out = np.array(rows).T
    want = reference.value("rotterdam_nodepos_binary/rms_validate_B400")
    assert dxy == pytest.approx(want["Dxy_orig"], abs=1e-4)  # rms bins by 0.0002
    got = optimism(dxy, a, b)
    assert got.corrected == pytest.approx(want["Dxy_corrected"], abs=MONTE_CARLO)
    assert slope.mean() == pytest.approx(want["slope_corrected"], abs=MONTE_CARLO)
    brier = optimism(((apparent - y) ** 2).mean(), brier_in, brier_out)
    assert brier.corrected == pytest.approx(want["B_corrected"], abs=MONTE_CARLO)


def test_development_survival(reference):
    want = reference.resampled("samplesize/pmsampsize_surv")
    given = want["inputs"]
    got = development_survival(
        r2_cox_snell=given["csrsquared"],
        parameters=given["parameters"],
        rate=given["rate"],
        timepoint=given["timepoint"],
        mean_follow_up=given["meanfup"],
    )
    assert (got.n, got.shrinkage_n, got.optimism_n, got.precision_n) == (
        want["n"],
        want["crit1"],
        want["crit2"],
        want["crit3"],
    )
    assert got.events == pytest.approx(want["events"], abs=CLOSED)


def test_development_binary(reference):
    want = reference.resampled("samplesize/pmsampsize_binary")
    given = want["inputs"]
    got = development_binary(
        r2_cox_snell=given["csrsquared"],
        parameters=given["parameters"],
        prevalence=given["prevalence"],
    )
    assert (got.n, got.shrinkage_n, got.optimism_n, got.precision_n) == (
        want["n"],
        want["crit1"],
        want["crit2"],
        want["crit3"],
    )
    assert round(got.expected_shrinkage, 3) == want["shrinkage"]
