"""Cox, cause-specific and Fine–Gray fits against survival, riskRegression and cmprsk."""

import numpy as np
import pandas as pd
import pytest
from greenwood import CauseSpecificCox, CoxPH, FineGray, Surv

from oracles.hazard_fit import fine_gray_robust_se, fit_hazard
from oracles.logistic_fit import fit_logistic

from .conftest import CLOSED, FITTED, SETS, cause_specific_incidence

pytestmark = pytest.mark.filterwarnings("ignore:Covariates appear to be on very different scales")


def train(table):
    return table[table["test"] == 0].reset_index(drop=True)


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("ties", ["efron", "breslow"])
def test_cox(reference, name, ties):
    table, want = reference.cohort(name), reference.value(f"{name}/cox_{ties}")
    x = table[want["terms"]]
    fit = CoxPH(ties=ties).fit(Surv(table["time"], event=table["event"]), x)
    ours = fit_hazard(table["time"], table["event"], x, 1826, efron=ties == "efron")
    assert (len(table), int(table["event"].sum())) == (want["n"], want["nevent"])
    for coef, se, loglik in (
        (fit.coef_, fit.std_error_, (fit.loglik_null_, fit.loglik_)),
        (ours.coef, ours.se, ours.loglik),
    ):
        assert np.allclose(coef, want["coef"], atol=FITTED, rtol=0)
        assert np.allclose(se, want["se"], atol=FITTED, rtol=0)
        assert np.allclose(loglik, want["loglik"], atol=FITTED, rtol=0)


@pytest.mark.parametrize("name", SETS)
def test_proportional_hazards(reference, name):
    table, want = reference.cohort(name), reference.value(f"{name}/cox_zph")
    terms = reference.value(f"{name}/cox_efron/terms")
    fit = CoxPH().fit(Surv(table["time"], event=table["event"]), table[terms])
    got = fit.cox_zph(transform="km").to_frame(format="pandas")
    assert list(got["term"]) == want["terms"]
    assert np.allclose(got["chisq"], want["chisq"], atol=FITTED, rtol=FITTED)
    assert np.allclose(got["p_value"], want["p"], atol=FITTED, rtol=0)


@pytest.mark.parametrize("name", SETS)
def test_baseline_hazard_and_risks(reference, cox, name):
    model = cox[name]
    times = reference.value(f"{name}/times")
    at_zero = model.hazard(times) * np.exp(-model.fit.centre @ model.fit.coef)
    want = reference.value(f"{name}/basehaz0_at_times")
    assert np.allclose(at_zero, want, atol=FITTED, rtol=0)
    first = reference.value(f"{name}/apparent_pred_first10")
    # coxph does not centre 0/1 columns
    centre = np.where(np.isin(model.x, (-1, 0, 1)).all(axis=0), 0.0, model.x.mean(axis=0))
    lp = (model.x - centre) @ model.fit.coef
    assert np.allclose(lp[:10], first["lp_centered"], atol=FITTED, rtol=0)
    assert np.allclose(model.risk([1826])[:10, 0], first["risk5"], atol=FITTED, rtol=0)
    assert np.allclose(model.fit.risk(model.x)[:10], first["risk5"], atol=FITTED, rtol=0)


@pytest.mark.parametrize("name", SETS)
def test_cox_of_the_training_part(reference, name):
    table, want = train(reference.cohort(name)), reference.value(f"{name}/split/cox")
    x = table[want["terms"]]
    fit = fit_hazard(table["time"], table["event"], x, 1826)
    assert np.allclose(fit.coef, want["coef"], atol=FITTED, rtol=0)
    assert np.allclose(fit.se, want["se"], atol=FITTED, rtol=0)
    assert np.allclose(fit.loglik, want["loglik"], atol=FITTED, rtol=0)
    held = reference.held(name)
    risk = fit.risk(held[want["terms"]])
    split = reference.value(f"{name}/split")
    assert (split["n_train"], split["n_test"]) == (len(table), len(held))
    assert list(held["id"][:10]) == split["test_id_first10"]
    assert np.allclose(risk[:10], split["risk5_first10"], atol=FITTED, rtol=0)
    assert np.allclose(risk, held["risk5"], atol=FITTED, rtol=0)


def test_rotterdam_counts(reference):
    table, want = reference.cohort("rotterdam"), reference.value("rotterdam")
    counts = [int((table["status"] == k).sum()) for k in (1, 2, 0)]
    assert [len(table), *counts] == [want[k] for k in ("n", "n_recur", "n_death_first", "n_cens")]


@pytest.mark.parametrize("cause", [1, 2])
def test_crr(reference, cause):
    table = reference.cohort("rotterdam")
    want = reference.value(f"rotterdam/crr_cause{cause}")
    x = table[reference.value("rotterdam/crr_cause1/terms")]
    status = table["status"] if cause == 1 else table["status"].map({0: 0, 1: 2, 2: 1})
    fit = fit_hazard(table["time"], status, x, 1826, fine_gray=True, as_crr=True)
    assert np.allclose(fit.coef, want["coef"], atol=CLOSED, rtol=0)
    se = fine_gray_robust_se(table["time"], status, x, fit)
    assert np.allclose(se, want["se"], atol=CLOSED, rtol=0)
    if cause == 1:
        assert fit.loglik[1] == pytest.approx(want["loglik"], abs=FITTED)
        first = reference.value("rotterdam/crr_pred5_first10/cif5")
        assert np.allclose(fit.risk(x)[:10], first, atol=CLOSED, rtol=0)


@pytest.mark.parametrize("ties", ["breslow", "efron"])
def test_finegray_of_survival(reference, ties):
    table = reference.cohort("rotterdam")
    x = table[reference.value("rotterdam/crr_cause1/terms")]
    fit = fit_hazard(table["time"], table["status"], x, 1826, fine_gray=True, efron=ties == "efron")
    want = reference.value(f"rotterdam/finegray_coxph_{ties}/coef")
    assert np.allclose(fit.coef, want, atol=FITTED, rtol=0)


def test_finegray_robust_errors_of_greenwood(reference):
    table = reference.cohort("rotterdam")
    terms = reference.value("rotterdam/crr_cause1/terms")
    states = pd.Categorical.from_codes(table["status"], ["censor", "rec", "dth"])
    fit = FineGray(cause="rec").fit(Surv(table["time"], event=states), table[terms])
    want = reference.value("rotterdam/finegray_coxph_breslow")
    assert np.allclose(fit.coef_, want["coef"], atol=FITTED, rtol=0)
    assert np.allclose(fit.std_error_, want["robust_se"], atol=FITTED, rtol=0)


@pytest.mark.parametrize("cause", [1, 2])
def test_cause_specific_cox(reference, cause):
    table = reference.cohort("rotterdam")
    terms = reference.value("rotterdam/crr_cause1/terms")
    states = pd.Categorical.from_codes(table["status"], ["censor", "rec", "dth"])
    name = ["rec", "dth"][cause - 1]
    fit = CauseSpecificCox(cause=name).fit(Surv(table["time"], event=states), table[terms])
    want = reference.value(f"rotterdam/csc/coef{cause}")
    assert np.allclose(fit.coef_, want, atol=FITTED, rtol=0)


def test_cause_specific_incidence(reference):
    table = reference.cohort("rotterdam")
    x = table[reference.value("rotterdam/crr_cause1/terms")].to_numpy(float)
    got = cause_specific_incidence(table, x, x[:10], [1826])
    want = reference.value("rotterdam/csc_pred5_first10")
    assert np.allclose(got[:, 0], want, atol=FITTED, rtol=0)


def test_frozen_competing_risks(reference, rotterdam_risks):
    held = reference.held("rotterdam")
    assert np.allclose(rotterdam_risks["CSC"][:, -1], held["csc5"], atol=FITTED, rtol=0)
    # crr stops at 1e-6 of the log-likelihood
    assert np.allclose(rotterdam_risks["FGR"][:, -1], held["fgr5"], atol=FITTED, rtol=0)


def nodal(reference):
    table = reference.cohort("rotterdam")
    return table, reference.value("rotterdam_nodepos_binary/glm/terms")[1:]


def test_logistic(reference):
    table, terms = nodal(reference)
    rows = train(table)
    fit = fit_logistic(rows[terms], rows["nodepos"])
    want = reference.value("rotterdam_nodepos_binary/glm")
    assert np.allclose(fit.coef, want["coef"], atol=FITTED, rtol=0)
    # glm takes its standard errors from the last step but one
    assert np.allclose(fit.se, want["se"], atol=0, rtol=2e-5)
    held = table[table["test"] == 1]
    frozen = reference.table("nodepos_test_predictions")
    assert np.allclose(fit.risk(held[terms]), frozen["p"], atol=FITTED, rtol=0)
    counts = (len(rows), len(held))
    names = ("n_train", "n_test")
    assert counts == tuple(reference.value(f"rotterdam_nodepos_binary/{k}") for k in names)
    prevalence = reference.value("rotterdam_nodepos_binary/prev_test")
    assert frozen["y"].mean() == pytest.approx(prevalence, abs=CLOSED)


def test_logistic_of_everyone(reference):
    table, terms = nodal(reference)
    fit = fit_logistic(table[terms], table["nodepos"])
    want = reference.value("rotterdam_nodepos_binary/lrm_full")
    assert np.allclose(fit.coef, want["coef"], atol=FITTED, rtol=0)
    assert fit.deviance[0] - fit.deviance[1] == pytest.approx(want["LR"], abs=FITTED)
