import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from metasight.errors import EvaluationError
from metasight.validation.binary import binary_auc, delong_test, delong_within, wald_test
from oracles.ordinal import generalised_c, ordinal_discrimination

RNG = np.random.default_rng(0)
Y = RNG.integers(0, 2, 60)
R = np.round(RNG.random(60) + 0.3 * Y, 1)


def test_auc_with_ties_is_that_of_sklearn():
    assert binary_auc(R, Y).auc == pytest.approx(roc_auc_score(Y, R))


def test_delong_of_a_risk_with_itself():
    got = delong_test(R, R, Y)
    assert (got.difference, got.p) == (0, 1)


def test_delong_is_antisymmetric():
    other = RNG.random(60)
    a, b = delong_test(R, other, Y), delong_test(other, R, Y)
    assert a.difference == -b.difference
    assert a.p == pytest.approx(b.p)


def test_wald():
    got = wald_test(1.96, 1.0)
    assert got.p == pytest.approx(0.05, abs=1e-4)


def test_two_stages_are_a_class():
    assert generalised_c(R, Y) == pytest.approx(binary_auc(R, Y).auc)


def test_three_stages_pair_by_pair():
    stage = RNG.integers(0, 3, 40)
    score = np.round(RNG.random(40), 1)
    above = pairs = 0.0
    for i in range(40):
        for j in range(40):
            if stage[i] > stage[j]:
                pairs += 1
                above += (score[i] > score[j]) + (score[i] == score[j]) / 2
    assert generalised_c(score, stage) == pytest.approx(above / pairs)


def test_ordinal_thresholds():
    stage = RNG.integers(0, 3, 50)
    p = RNG.dirichlet([1, 1, 1], 50)
    got = ordinal_discrimination(p, stage)
    assert got.thresholds[1].auc == pytest.approx(roc_auc_score(stage >= 1, 1 - p[:, 0]))
    assert got.thresholds[2].auc == pytest.approx(roc_auc_score(stage >= 2, p[:, 2]))
    few = stage.copy()
    few[few == 2] = 1
    assert set(ordinal_discrimination(p, few).thresholds) == {1}


def test_refusals():
    with pytest.raises(EvaluationError, match="one class"):
        binary_auc(R, np.ones(60))
    with pytest.raises(EvaluationError, match="too few"):
        binary_auc([0.1, 0.2, 0.3], [1, 0, 0])
    with pytest.raises(EvaluationError, match="one stage"):
        generalised_c(R, np.ones(60))
    with pytest.raises(EvaluationError, match="0 or 1"):
        binary_auc(R, Y * 2)


def test_delong_within_folds_is_the_plain_test_with_one_fold_and_pools_two():
    rng = np.random.default_rng(5)
    y = (rng.random(80) < 0.4).astype(int)
    a, b = y + rng.normal(0, 1.0, 80), y + rng.normal(0, 2.0, 80)
    plain = delong_test(a, b, y)
    one = delong_within(a[None], b[None], y, np.zeros((1, 80), int))
    assert one.difference == pytest.approx(plain.difference)
    assert one.se == pytest.approx(plain.se)
    fold = np.repeat([0, 1], 40)
    two = delong_within(a[None], b[None], y, fold[None])
    parts = [delong_test(a[fold == k], b[fold == k], y[fold == k]) for k in (0, 1)]
    w = np.array([y[fold == k].sum() * (1 - y[fold == k]).sum() for k in (0, 1)])
    w = w / w.sum()
    assert two.difference == pytest.approx(w @ [p.difference for p in parts])
    assert two.se == pytest.approx((w**2 @ [p.se**2 for p in parts]) ** 0.5)
    # risks of the second fold on another scale: nothing changes, for folds are not compared
    moved = delong_within((a + 10 * fold)[None], b[None], y, fold[None])
    assert moved.difference == pytest.approx(two.difference)
    with pytest.raises(EvaluationError, match="no fold has two"):
        delong_within(a[None], b[None], y, np.arange(80)[None])


def components(risk, y):
    """Structural components of DeLong 1988, patient by patient and pair by pair."""
    above = [
        [(a > b) + (a == b) / 2 for b in np.asarray(risk)[y == 0]] for a in np.asarray(risk)[y == 1]
    ]
    return np.mean(above, axis=1), np.mean(above, axis=0)


def test_delongs_variance_pair_by_pair():
    case, control = components(R, Y)
    got = binary_auc(R, Y, confidence=0.9)
    assert got.case_parts == pytest.approx(case)
    assert got.control_parts == pytest.approx(control)
    want = case.var(ddof=1) / case.size + control.var(ddof=1) / control.size
    assert got.variance == pytest.approx(want)
    assert got.upper - got.auc == pytest.approx(norm.ppf(0.95) * want**0.5)


def test_delongs_test_is_of_the_differences_of_the_components():
    other = np.round(np.random.default_rng(4).random(60), 1)
    (a, b), (c, d) = components(R, Y), components(other, Y)
    got = delong_test(R, other, Y)
    assert got.difference == pytest.approx(a.mean() - c.mean())
    want = (a - c).var(ddof=1) / a.size + (b - d).var(ddof=1) / b.size
    assert got.se == pytest.approx(want**0.5)


def test_an_interval_is_cut_at_one():
    perfect = binary_auc([0.1, 0.2, 0.3, 0.15, 0.9], [0, 0, 1, 0, 1])
    assert perfect.upper == 1
    assert perfect.auc == 1
