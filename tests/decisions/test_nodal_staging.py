"""The guideline's rule, the risk after a negative EBUS, and what is said of them."""

import numpy as np
import pytest

from metasight.decisions.nodal_staging import (
    NOT_A_DEVICE,
    StagingLimits,
    after_negative,
    after_negative_ebus,
    ebus_needed,
    guideline,
    require_risk,
    staging_view,
)
from metasight.errors import EvaluationError
from metasight.estimate import Estimate

LIMITS = StagingLimits()
EVIDENCE = "400 patients of 4 centres, centres left out"


@pytest.mark.parametrize(
    ("size", "central", "pet", "verdict", "said"),
    [
        (22.0, False, False, "optional", "peripheral, 22 mm"),
        (30.0, False, False, "optional", "30 mm"),
        (30.6, False, False, "indicated", "31 mm, above 30 mm"),
        (22.0, True, False, "indicated", "central"),
        (22.0, False, True, "indicated", "positive on PET"),
        (None, True, None, "indicated", "central"),  # what is missing would not change it
        (22.0, False, None, "unknown", "PET/CT of the nodes is not known"),
        (None, False, False, "unknown", "size is not known"),
        (22.0, None, False, "unknown", "central is not known"),
    ],
)
def test_the_rule(size, central, pet, verdict, said):
    found = guideline(size, central, pet, LIMITS)
    assert found.verdict == verdict
    assert any(said in reason for reason in found.reasons)


def test_bayes_by_counting():
    """1,000 patients, 200 diseased, 80 of them found: 120 of 920 negatives are diseased."""
    assert after_negative(0.2, 0.4, 1.0) == pytest.approx(120 / 920)
    assert after_negative(0.2, 0.4, 0.9) == pytest.approx(120 / (120 + 720))
    assert after_negative(0.0, 0.4, 1.0) == 0
    assert after_negative(1.0, 1.0, 1.0) == 0


def test_the_interval_takes_the_worst_of_both():
    rest = after_negative_ebus(Estimate(value=0.2, lower=0.1, upper=0.3), LIMITS)
    assert rest.value == pytest.approx(120 / 920)
    assert rest.lower == pytest.approx(after_negative(0.1, 0.55, 1.0))
    assert rest.upper == pytest.approx(after_negative(0.3, 0.25, 1.0))


def test_sensitivity_needed_undoes_the_update():
    needed = ebus_needed(0.3, 0.1, LIMITS)
    assert after_negative(0.3, needed, 1.0) == pytest.approx(0.1)
    assert np.isnan(ebus_needed(0.05, 0.1, LIMITS))


def test_what_is_said_of_a_patient():
    rule = guideline(22.0, False, False, LIMITS)
    view = staging_view(
        rule, Estimate(value=0.12, lower=0.07, upper=0.21), LIMITS, evidence=EVIDENCE
    )
    assert view.above == (
        (0.05, True, True),
        (0.1, True, False),
        (0.15, False, False),
        (0.2, False, False),
    )
    assert view.agree is False
    text = " ".join(view.text)
    assert "12 % (7.0 % to 21 %), at or above 10 %" in text
    assert "7.6 %" in text  # 0.12 · 0.6 / (0.12 · 0.6 + 0.88)
    assert EVIDENCE in text
    assert "assumption" in text
    assert view.text[-1] == NOT_A_DEVICE


def test_abstaining_is_said_and_no_risk_is_shown():
    rule = guideline(22.0, False, None, LIMITS)
    view = staging_view(
        rule,
        None,
        LIMITS,
        evidence=EVIDENCE,
        abstains="the scan is unlike those the model learnt from",
    )
    assert view.risk is None
    assert view.after_ebus is None
    assert view.agree is None
    assert "gives no risk: the scan is unlike" in " ".join(view.text)
    assert NOT_A_DEVICE in view.text


def test_nonsense_is_refused():
    rule = guideline(22.0, False, False, LIMITS)
    risk = Estimate(value=0.1, lower=0.05, upper=0.2)
    for wrong in (
        lambda: require_risk(Estimate(value=0.3, lower=0.05, upper=0.2)),
        lambda: require_risk(Estimate(value=0.3)),
        lambda: after_negative_ebus(Estimate(value=0.3, lower=0.2, upper=1.2), LIMITS),
        lambda: staging_view(
            rule, Estimate(value=0.3, lower=-0.1, upper=0.4), LIMITS, evidence=EVIDENCE
        ),
        lambda: StagingLimits(sensitivity=0.8),
        lambda: StagingLimits(thresholds=(0.2, 0.1)),
        lambda: guideline(-3.0, False, False, LIMITS),
        lambda: staging_view(rule, risk, LIMITS, evidence=""),
        lambda: staging_view(rule, None, LIMITS, evidence=EVIDENCE),
        lambda: ebus_needed(0.2, 0.0, LIMITS),
    ):
        with pytest.raises(EvaluationError):
            wrong()
