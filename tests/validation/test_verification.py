"""Verification-corrected accuracy: a published table, known truth, and where it must refuse."""

import numpy as np
import pytest
from scipy.special import expit

from metasight.errors import EvaluationError
from metasight.validation.binary import binary_auc
from metasight.validation.verification import (
    MEASURES,
    METHODS,
    Verified,
    _auc,
    corrected_accuracy,
    tipping_curve,
)
from oracles.begg_greenes import begg_greenes_table

# Hepatic scintigraphy (Drum and Christacopoulos 1972), the example of Begg and Greenes 1983
POSITIVE, NEGATIVE = (231, 32, 166), (27, 54, 140)


def scintigraphy() -> Verified:
    risk, disease = [], []
    for level, (diseased, healthy, unknown) in ((0.8, POSITIVE), (0.2, NEGATIVE)):
        risk += [level] * (diseased + healthy + unknown)
        disease += [1.0] * diseased + [0.0] * healthy + [np.nan] * unknown
    return Verified(
        risk=np.array(risk), disease=np.array(disease), covariates=np.zeros((len(risk), 0))
    )


def test_the_published_example():
    sensitivity, specificity = begg_greenes_table(POSITIVE, NEGATIVE)
    assert sensitivity == pytest.approx(0.836, abs=0.0005)
    assert specificity == pytest.approx(0.738, abs=0.0005)
    naive = corrected_accuracy(scintigraphy(), 0.5, "naive", seed=1, resamples=20)
    assert naive.sensitivity.value == pytest.approx(0.895, abs=0.0005)
    assert naive.specificity.value == pytest.approx(0.628, abs=0.0005)


@pytest.mark.parametrize("method", METHODS[1:])
def test_every_method_gives_the_closed_form_for_one_binary_test(method):
    found = corrected_accuracy(scintigraphy(), 0.5, method, seed=1, resamples=200, imputations=200)
    wanted = begg_greenes_table(POSITIVE, NEGATIVE)
    assert found.sensitivity.value == pytest.approx(wanted[0], abs=0.005)
    assert found.specificity.value == pytest.approx(wanted[1], abs=0.005)
    # the standard errors that Begg and Greenes' formula gives: 0.0254 and 0.0391 at their values
    half = (found.sensitivity.upper - found.sensitivity.lower) / 2 / 1.96
    assert half == pytest.approx(_variance_of_sensitivity() ** 0.5, rel=0.2)


def _variance_of_sensitivity() -> float:
    """Begg and Greenes 1983, by the delta method on the three binomial shares."""
    (a, b, u), (c, d, _) = POSITIVE, NEGATIVE
    p, q = a / (a + b), c / (c + d)
    m1, n = a + b + u, sum(POSITIVE) + sum(NEGATIVE)
    tau = m1 / n
    se = tau * p / (tau * p + (1 - tau) * q)
    logit_variance = 1 / (n * tau * (1 - tau)) + (1 - p) / (p * (a + b)) + (1 - q) / (q * (c + d))
    return (se * (1 - se)) ** 2 * logit_variance


def drawn(seed: int, n: int = 500, delta: float = 0.0) -> tuple[Verified, np.ndarray]:
    """Nodes examined in the young and low-risk; ``delta``: the unexamined are sicker."""
    rng = np.random.default_rng([seed, 5])
    age = rng.standard_normal(n)
    score = rng.standard_normal(n)
    examined = rng.random(n) < expit(0.8 - 0.8 * age - 0.7 * score)
    disease = rng.random(n) < expit(-1.6 + 1.2 * score + 0.5 * age + delta * ~examined)
    told = np.where(examined, disease.astype(float), np.nan)
    risk = expit(-1.6 + 1.2 * score)
    return Verified(risk=risk, disease=told, covariates=age[:, None]), disease


@pytest.mark.parametrize("method", METHODS[1:])
def test_selection_is_undone_and_naive_is_not(method):
    errors = {"naive": [], method: []}
    for seed in range(25):
        data, disease = drawn(seed)
        positive = data.risk >= 0.2
        truth = {
            "sensitivity": positive[disease].mean(),
            "specificity": (~positive)[~disease].mean(),
            "auc": binary_auc(data.risk, disease.astype(int)).auc,
            "prevalence": disease.mean(),
        }
        for how, missed in errors.items():
            found = corrected_accuracy(data, 0.2, how, seed=seed, resamples=2, imputations=10)
            missed.append([getattr(found, m).value - truth[m] for m in truth])
    bias = {how: np.abs(np.mean(e, axis=0)) for how, e in errors.items()}
    assert bias[method].max() < 0.03
    assert bias["naive"][0] > 0.05
    assert bias["naive"][3] > 0.04


def test_auc_with_everybody_examined_is_the_plain_one():
    data, disease = drawn(3)
    whole = Verified(
        risk=np.round(data.risk, 2), disease=disease.astype(float), covariates=data.covariates
    )
    plain = binary_auc(whole.risk, disease.astype(int))
    for method in METHODS:
        if method == "inverse_probability":
            continue  # being examined has no model then
        found = corrected_accuracy(whole, 0.2, method, seed=1, imputations=5).auc
        assert found.value == pytest.approx(plain.auc, abs=1e-9)
        assert found.upper - found.lower == pytest.approx(plain.upper - plain.lower, rel=0.2)


def test_auc_of_patients_who_are_cases_in_part_compares_nobody_with_himself():
    """Cases 0.5, 0.25, 1 and 0 at risks 0.2, 0.5, 0.5 and 0.9; each pair counted by hand.

    ====  =====  =====  ===========================================================
    case  of     wins   against the controls 0.5, 0.75, 0 and 1 (of the others)
    0.2   0.5    0      0.5 · (0.75 + 0 + 1) = 0.875 pairs
    0.5   0.25   0.125  0.25 · (0.5 + 0 + 1) = 0.375 pairs, 0.25 · 0.5 won
    0.5   1      0.875  1 · (0.5 + 0.75 + 1) = 2.25 pairs, 0.5 + 0.75 / 2 won
    ====  =====  =====  ===========================================================
    """
    risk = np.array([0.2, 0.5, 0.5, 0.9])
    cases = np.array([[0.5, 0.25, 1.0, 0.0]])
    (got,) = _auc(risk, cases, 1 - cases)
    assert got == pytest.approx((0.125 + 0.875) / (0.875 + 0.375 + 2.25), abs=1e-12)


def test_auc_of_patients_who_are_cases_in_part_by_every_pair():
    rng = np.random.default_rng(3)
    risk, cases = np.round(rng.random(30), 1), rng.random((2, 30))
    controls = 1 - cases
    score = (risk[:, None] > risk) + 0.5 * (risk[:, None] == risk)
    np.fill_diagonal(score, 0.0)
    other = 1 - np.eye(30)
    wanted = [(a @ score @ b) / (a @ other @ b) for a, b in zip(cases, controls, strict=True)]
    np.testing.assert_allclose(_auc(risk, cases, controls), wanted, rtol=1e-12)


def test_the_tipping_curve_turns_where_the_truth_does():
    data, disease = drawn(1, n=4000, delta=1.0)
    curve = tipping_curve(data, 0.2, (-1.0, 0.0, 1.0, 2.0), seed=1, resamples=20)
    assert set(curve.value) == set(MEASURES)
    prevalence = curve.value["prevalence"]
    assert np.all(np.diff(prevalence) > 0)
    assert prevalence[2] == pytest.approx(disease.mean(), abs=0.02)
    assert prevalence[1] < disease.mean() - 0.05


def test_a_share_of_one_has_an_interval():
    data, _ = drawn(2)
    found = corrected_accuracy(data, 1e-6, "naive", seed=1, resamples=50)
    cases = int(np.nansum(data.disease))
    assert found.sensitivity.value == found.sensitivity.upper == 1.0
    assert found.sensitivity.lower == pytest.approx(0.025 ** (1 / cases))
    assert found.specificity.value == 0.0
    assert 0 < found.specificity.upper < 0.05


def test_bytes_repeat():
    data, _ = drawn(2)
    first, second = (corrected_accuracy(data, 0.2, "begg_greenes", seed=4) for _ in range(2))
    assert first == second


def test_what_cannot_be_corrected_is_refused():
    data, _ = drawn(2)
    with pytest.raises(EvaluationError, match="too few examined"):
        Verified(
            risk=data.risk,
            disease=np.where(data.disease == 1, np.nan, data.disease),
            covariates=data.covariates,
        )
    with pytest.raises(EvaluationError, match="different patients"):
        Verified(risk=data.risk[1:], disease=data.disease, covariates=data.covariates)
    with pytest.raises(EvaluationError, match="complete"):
        Verified(risk=data.risk, disease=data.disease, covariates=data.covariates * np.nan)
    with pytest.raises(EvaluationError, match="threshold"):
        corrected_accuracy(data, 1.0, "naive", seed=1)
    with pytest.raises(EvaluationError, match="0 is among them"):
        tipping_curve(data, 0.2, (1.0, 2.0), seed=1)
    never = Verified(
        risk=data.risk,
        covariates=data.covariates,
        disease=np.where(data.covariates[:, 0] > 0, np.nan, data.disease),
    )
    with pytest.raises(EvaluationError, match="so unlikely to be examined"):
        corrected_accuracy(never, 0.2, "inverse_probability", seed=1)
