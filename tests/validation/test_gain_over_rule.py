"""Net benefit of risk and rule on the same patients, by hand."""

import numpy as np
import pytest

from metasight.errors import EvaluationError
from metasight.validation.gain_over_rule import gain_over_rule

RISK = np.array([0.05, 0.15, 0.25, 0.35, 0.45])
RULE = np.array([True, False, False, True, True])
DISEASE = np.array([False, False, True, False, True])


def test_gain_is_the_difference_of_net_benefits():
    (at,) = gain_over_rule(RISK, RULE, DISEASE, (0.2,), resamples=50, seed=1)
    # by risk three are treated, two of them ill; by the rule three, one of them ill; odds 1/4
    assert at.risk == pytest.approx(2 / 5 - 1 / 5 / 4)
    assert at.rule == pytest.approx(1 / 5 - 2 / 5 / 4)
    assert at.everybody == pytest.approx(2 / 5 - 3 / 5 / 4)
    assert at.gain.value == pytest.approx(at.risk - at.rule)
    low, high = at.gain.ends
    assert low <= at.gain.value <= high


def test_risk_and_rule_see_the_same_resamples():
    rule = RISK >= 0.2
    for at in gain_over_rule(RISK, rule, DISEASE, (0.2,), resamples=50, seed=1):
        assert (at.gain.value, *at.gain.ends) == (0.0, 0.0, 0.0)


def test_one_class_is_no_benefit():
    for disease in (np.zeros(5, dtype=bool), np.ones(5, dtype=bool)):
        with pytest.raises(EvaluationError, match="both classes are needed"):
            gain_over_rule(RISK, RULE, disease, (0.2,), resamples=10, seed=1)
    with pytest.raises(EvaluationError, match="both classes are needed"):
        gain_over_rule(RISK[:0], RULE[:0], DISEASE[:0], (0.2,), resamples=10, seed=1)
    with pytest.raises(EvaluationError, match="no resample"):
        gain_over_rule(RISK, RULE, DISEASE, (0.2,), resamples=0, seed=1)


def net(act, disease, threshold):
    """True positives less false positives at the odds of the threshold, a patient."""
    odds = threshold / (1 - threshold)
    return (act & disease).mean() - (act & ~disease).mean() * odds


def test_the_interval_is_that_of_the_gains_in_patients_drawn_anew():
    """The same resamples, drawn and counted one by one; those with one class are left out."""
    thresholds, resamples, seed = (0.1, 0.3), 60, 4
    rng = np.random.default_rng([seed, 0x7374])
    gains, left_out = [], 0
    for _ in range(resamples):
        rows = rng.integers(0, 5, 5)
        risk, rule, ill = RISK[rows], RULE[rows], DISEASE[rows]
        if not 0 < ill.sum() < 5:
            left_out += 1
            continue
        gains.append([net(risk >= t, ill, t) - net(rule, ill, t) for t in thresholds])
    assert left_out > 0
    found = gain_over_rule(RISK, RULE, DISEASE, thresholds, resamples=resamples, seed=seed)
    for k, at in enumerate(found):
        assert at.threshold == thresholds[k]
        assert at.gain.ends == pytest.approx(np.quantile(np.array(gains)[:, k], [0.025, 0.975]))
        assert at.risk == pytest.approx(net(thresholds[k] <= RISK, DISEASE, thresholds[k]))
    assert found[0].gain.ends != found[1].gain.ends
