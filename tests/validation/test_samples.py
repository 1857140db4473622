import numpy as np
import pytest

from metasight.validation.bootstrap import draw
from metasight.validation.brier import brier_score, integrated_brier, observed_risk
from metasight.validation.decision_curve import net_benefit, net_benefit_class
from metasight.validation.discrimination import harrell_c, uno_c
from metasight.validation.dynamic_auc import cumulative_dynamic_auc
from metasight.validation.links import to_cloglog
from metasight.validation.samples import concordance_samples, model_samples, target_samples
from metasight.validation.table import align
from oracles.calibration import grouped_calibration, mean_calibration, shift_to_mean
from oracles.class_calibration import binary_calibration
from oracles.hazard_fit import fit_hazard
from oracles.ordinal import generalised_c, ordinal_discrimination

from .conftest import predictions
from .test_evaluate import plan


@pytest.fixture(scope="module")
def aligned():
    return align(predictions(100), plan())


def test_repeats_are_averaged(aligned):
    model, target = aligned.models["model0"], aligned.targets[-1]
    w = draw(100, 3, 0)
    both = target_samples(target, model.risk[:, -1], model.strata, w, (0.2,), calibrate=False)
    each = [
        target_samples(target, model.risk[[k], -1], model.strata[[k]], w, (0.2,), calibrate=False)
        for k in (0, 1)
    ]
    for name in ("auc", "brier", "ipa", "oe", "net_benefit"):
        want = (getattr(each[0], name) + getattr(each[1], name)) / 2
        assert getattr(both, name) == pytest.approx(want)
    assert np.isnan(both.slope).all()


def test_the_first_row_is_the_point(aligned):
    got = model_samples(aligned, aligned.models["model0"], draw(100, 2, 0), 1800.0, ())
    data = aligned.data
    scores = [
        brier_score(data.time, data.status, r[-1][data.order], 1800).brier.value
        for r in aligned.models["model0"].risk
    ]
    assert got.targets["1800 days"].brier[0] == pytest.approx(np.mean(scores))
    assert got.integrated_brier.shape == (3,)


def test_more_weight_on_nobody_is_nan(aligned):
    none = np.zeros((1, 100), dtype=np.int32)
    model = aligned.models["model0"]
    assert np.isnan(concordance_samples(aligned, model, none, None, censoring=False)).all()


H = 1800
LIMITS = (0.1, 0.3)
DRAWS = draw(140, 3, 8)


def one_repeat(kind):
    """One model on 140 patients in one repeat of three folds."""
    aligned = align(predictions(140, kind=kind, models=1, repeats=1, seed=5), plan(kind, **ALONE))
    return aligned, aligned.models["model0"]


ALONE = {"reference_model": "model0", "headline_model": "model0"}


def as_they_came(data):
    """Times and status in the order of the patients."""
    time, status = np.empty(data.n), np.empty(data.n, dtype=np.int64)
    time[data.order], status[data.order] = data.time, data.status
    return time, status


@pytest.mark.parametrize("kind", ["survival", "competing"])
def test_every_metric_of_a_resample_is_that_of_the_repeated_patients(kind):
    aligned, model = one_repeat(kind)
    target, risk, fold = aligned.targets[-1], model.risk[0, -1], model.strata[0]
    got = target_samples(target, model.risk[:, -1], model.strata, DRAWS, LIMITS, calibrate=True)
    time, status = as_they_came(target.data)
    for b, weight in enumerate(DRAWS):
        rows = np.repeat(np.arange(140), weight)
        args = time[rows], status[rows], risk[rows], H
        score = brier_score(*args)
        auc = cumulative_dynamic_auc(*args, strata=fold[rows])
        benefit = net_benefit(*args, LIMITS)
        assert got.auc[b] == pytest.approx(auc.value)
        assert (got.brier[b], got.brier_null[b]) == pytest.approx(
            (score.brier.value, score.null.value)
        )
        assert got.ipa[b] == pytest.approx(score.ipa)
        assert got.oe[b] == pytest.approx(mean_calibration(*args).oe)
        assert got.net_benefit[b] == pytest.approx(benefit.model)
        assert got.treat_all[b] == pytest.approx(benefit.treat_all)
    fifths = [g.observed for g in grouped_calibration(time, status, risk, H)]
    assert got.groups[0] == pytest.approx(fifths)


@pytest.mark.parametrize("kind", ["survival", "competing"])
def test_slope_and_intercept_know_nothing_of_what_happens_after_the_horizon(kind):
    aligned, model = one_repeat(kind)
    target, risk = aligned.targets[-1], model.risk[0, -1]
    got = target_samples(target, model.risk[:, -1], model.strata, DRAWS, (), calibrate=True)
    time, status = as_they_came(target.data)
    known = np.where(time > H, 0, status)
    x = to_cloglog(risk)
    for b, weight in enumerate(DRAWS):
        rows = np.repeat(np.arange(140), weight)
        args = np.minimum(time, H)[rows], known[rows], x[rows], H
        fit = fit_hazard(*args, fine_gray=kind == "competing")
        assert got.slope[b] == pytest.approx(fit.coef[0], abs=1e-5)
        seen = observed_risk(time[rows], status[rows], H)
        shift = shift_to_mean(x[rows], seen, np.ones(rows.size))
        assert got.intercept[b] == pytest.approx(shift, abs=1e-8)


@pytest.mark.parametrize("at", [0, 1])
def test_a_threshold_of_the_stage_is_judged_as_a_class(at):
    aligned, model = one_repeat("nodal")
    target, risk = aligned.targets[at], model.risk[0, at]
    n = aligned.n
    draws = draw(n, 2, 3)
    got = target_samples(target, model.risk[:, at], model.strata, draws, LIMITS, calibrate=True)
    for b, weight in enumerate(draws):
        rows = np.repeat(np.arange(n), weight)
        y = (aligned.stage[rows] > at).astype(int)
        want = binary_calibration(risk[rows], y)
        assert got.slope[b] == pytest.approx(want.slope, abs=1e-7)
        assert got.intercept[b] == pytest.approx(want.intercept_large, abs=1e-7)
        assert got.oe[b] == pytest.approx(want.oe)
        assert (got.brier[b], got.brier_null[b]) == pytest.approx((want.brier, want.brier_null))
        assert got.ipa[b] == pytest.approx(want.ipa)
        benefit = net_benefit_class(risk[rows], y, LIMITS)
        assert got.net_benefit[b] == pytest.approx(benefit.model)
        assert got.treat_all[b] == pytest.approx(benefit.treat_all)


def test_c_of_the_stage_is_that_of_all_pairs_of_different_stages():
    aligned, model = one_repeat("nodal")
    n = aligned.n
    whole = model.strata * 0  # as one fold
    together = type(model)(risk=model.risk, ranking=model.ranking, strata=whole)
    got = concordance_samples(aligned, together, draw(n, 0, 0), None, censoring=False)
    assert got[0] == pytest.approx(generalised_c(model.ranking[0], aligned.stage))
    n1, n2 = model.risk[0]
    stages = ordinal_discrimination(np.column_stack([1 - n1, n1 - n2, n2]), aligned.stage)
    assert got[0] == pytest.approx(stages.c)
    for k, at in stages.thresholds.items():
        target = aligned.targets[k - 1]
        auc = target_samples(
            target, model.risk[:, k - 1], whole, draw(n, 0, 0), (), calibrate=False
        ).auc
        assert auc[0] == pytest.approx(at.auc)


def test_c_of_every_fold_is_its_own_and_stops_at_tau():
    aligned, model = one_repeat("survival")
    got = model_samples(aligned, model, draw(140, 0, 0), 1200.0, ())
    time, status = as_they_came(aligned.data)
    for fold in range(3):
        own = model.strata[0] == fold
        args = time[own], status[own], model.ranking[0][own]
        assert got.by_fold[fold] == pytest.approx(harrell_c(*args, tau=1200).c)
    args = time, status, model.ranking[0]
    assert got.harrell[0] == pytest.approx(harrell_c(*args, tau=1200, strata=model.strata[0]).c)
    assert got.uno[0] == pytest.approx(uno_c(*args, tau=1200, strata=model.strata[0]).c)


def test_the_integral_goes_to_the_last_horizon_within_tau():
    aligned, model = one_repeat("survival")
    got = model_samples(aligned, model, draw(140, 0, 0), 1200.0, ())
    time, status = as_they_came(aligned.data)
    days = (400, 800, 1200)
    scores = [brier_score(time, status, model.risk[0, k], h) for k, h in enumerate(days)]
    whole, null = (
        integrated_brier(days, [getattr(s, part).value for s in scores], tau=1200)
        for part in ("brier", "null")
    )
    assert got.integrated_brier[0] == pytest.approx(whole)
    assert got.integrated_ipa[0] == pytest.approx(1 - whole / null)


def test_with_one_horizon_within_tau_nothing_is_integrated():
    aligned, model = one_repeat("survival")
    got = model_samples(aligned, model, draw(140, 0, 0), 500.0, ())
    assert np.isnan(got.integrated_brier).all()
    assert np.isnan(got.integrated_ipa).all()


def test_only_headline_targets_are_calibrated():
    aligned, model = one_repeat("survival")
    got = model_samples(aligned, model, draw(140, 0, 0), 1800.0, LIMITS)
    for target in aligned.targets:
        found = got.targets[target.name]
        assert np.isfinite(found.slope).all() == target.headline
        assert found.net_benefit.shape == (1, len(LIMITS) if target.headline else 0)


@pytest.mark.parametrize("kind", ["survival", "competing", "nodal"])
def test_constant_risks_have_an_intercept_and_no_slope(kind):
    aligned, model = one_repeat(kind)
    target = aligned.targets[-1]
    flat = np.full_like(model.risk[:, -1], 0.3)
    got = target_samples(target, flat, model.strata, draw(aligned.n, 2, 1), (), calibrate=True)
    assert np.isnan(got.slope).all()
    assert np.isfinite(got.intercept).all()
    assert got.auc == pytest.approx(0.5)


def test_fewer_groups_than_fifths_leave_the_rest_empty():
    aligned, model = one_repeat("survival")
    risk = np.where(model.risk[:, -1] > np.median(model.risk[:, -1]), 0.4, 0.2)
    got = target_samples(
        aligned.targets[-1], risk, model.strata, draw(140, 0, 0), (), calibrate=False
    )
    assert got.groups.shape == (1, 5)
    assert np.isfinite(got.groups[0]).sum() == 2
