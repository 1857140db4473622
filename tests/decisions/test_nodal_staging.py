"""The guideline's rule, the risk after a negative EBUS, and what is said of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metasight.decisions.nodal_staging import (
    NOT_A_DEVICE,
    NodalRisks,
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


def risks(low, value, high, n2=(0.02, 0.06, 0.12)) -> NodalRisks:
    return NodalRisks(
        any_node=Estimate(value=value, lower=low, upper=high),
        n1=Estimate(value=0.06, lower=0.03, upper=0.10),
        n2=Estimate(value=n2[1], lower=n2[0], upper=n2[2]),
    )


def test_what_is_said_of_a_patient():
    rule = guideline(22.0, False, False, LIMITS)
    view = staging_view(rule, risks(0.07, 0.12, 0.21), LIMITS, evidence=EVIDENCE, pet_negative=True)
    assert view.above == (
        (0.05, True, True),
        (0.1, True, False),
        (0.15, False, False),
        (0.2, False, False),
    )
    text = " ".join(view.text)
    assert "12 % (95 % interval 7.0 % to 21 %), at or above 10 %" in text
    assert "N2, which the rule is about: 6.0 % (2.0 % to 12 %); N1: 6.0 %" in text
    assert "Risk of N2 after a negative EBUS: 3.7 %" in text  # 0.06 · 0.6 / (0.06 · 0.6 + 0.94)
    assert EVIDENCE in text
    assert "assumption" in text
    assert view.text[-1] == NOT_A_DEVICE


@pytest.mark.parametrize(
    ("pet_negative", "said"), [(False, "PET shows a node"), (None, "there is no PET/CT")]
)
def test_ebus_says_nothing_of_nodes_it_was_not_measured_in(pet_negative, said):
    rule = guideline(22.0, False, pet_negative is False or None, LIMITS)
    view = staging_view(
        rule, risks(0.4, 0.6, 0.8), LIMITS, evidence=EVIDENCE, pet_negative=pet_negative
    )
    assert view.after_ebus is None
    assert said in " ".join(view.text)


def test_a_risk_of_any_node_alone_is_not_taken_for_one_of_n2():
    rule = guideline(22.0, False, False, LIMITS)
    alone = NodalRisks(any_node=Estimate(value=0.2, lower=0.1, upper=0.3))
    chosen = StagingLimits(mediastinal_threshold=0.1)
    view = staging_view(rule, alone, chosen, evidence=EVIDENCE, pet_negative=True)
    text = " ".join(view.text)
    assert (view.after_ebus, view.agree) == (None, None)
    assert "N2, which the rule is about, is not known with an interval" in text
    assert "not stated: the risk of N2 is not known" in text


def test_what_is_called_central_is_said():
    means = "its centre in the inner two thirds"
    for central in (True, False):
        rule = guideline(22.0, central, False, LIMITS, central_means=means)
        assert any(f"central as defined here: {means}" in reason for reason in rule.reasons)


def test_abstaining_is_said_and_no_risk_is_shown():
    rule = guideline(22.0, False, None, LIMITS)
    view = staging_view(
        rule,
        None,
        LIMITS,
        evidence=EVIDENCE,
        pet_negative=None,
        abstains="the scan is unlike those the model learnt from",
    )
    assert view.risks is None
    assert view.after_ebus is None
    assert view.agree is None
    assert "gives no risk: the scan is unlike" in " ".join(view.text)
    assert NOT_A_DEVICE in view.text


def test_nonsense_is_refused():
    rule = guideline(22.0, False, False, LIMITS)
    risk = risks(0.05, 0.1, 0.2)
    for wrong in (
        lambda: require_risk(Estimate(value=0.3, lower=0.05, upper=0.2)),
        lambda: require_risk(Estimate(value=0.3)),
        lambda: after_negative_ebus(Estimate(value=0.3, lower=0.2, upper=1.2), LIMITS),
        lambda: staging_view(
            rule, risks(-0.1, 0.3, 0.4), LIMITS, evidence=EVIDENCE, pet_negative=True
        ),
        lambda: StagingLimits(mediastinal_threshold=0.0),
        lambda: StagingLimits(sensitivity=0.8),
        lambda: StagingLimits(thresholds=(0.2, 0.1)),
        lambda: guideline(-3.0, False, False, LIMITS),
        lambda: staging_view(rule, risk, LIMITS, evidence="", pet_negative=True),
        lambda: staging_view(rule, None, LIMITS, evidence=EVIDENCE, pet_negative=True),
        lambda: ebus_needed(0.2, 0.0, LIMITS),
    ):
        with pytest.raises(EvaluationError):
            wrong()


TABLE = {
    "largest_peripheral_mm": 25.0,
    "ebus_sensitivity": 0.5,
    "ebus_sensitivity_lower": 0.3,
    "ebus_sensitivity_upper": 0.6,
    "ebus_specificity": 0.98,
}


def test_limits_of_a_protocol_are_read_by_name_and_thresholds_put_in_order():
    assert StagingLimits.from_table(TABLE, (0.2, 0.05)) == StagingLimits(
        largest_peripheral_mm=25.0,
        thresholds=(0.05, 0.2),
        sensitivity=0.5,
        sensitivity_lower=0.3,
        sensitivity_upper=0.6,
        specificity=0.98,
    )


@pytest.mark.parametrize(
    ("table", "named"),
    [
        ({k: v for k, v in TABLE.items() if k != "ebus_specificity"}, "ebus_specificity"),
        ({**TABLE, "ebus_accuracy": 0.9}, "ebus_accuracy"),
        ({}, "ebus_sensitivity"),
    ],
)
def test_an_entry_that_is_missing_or_unknown_is_named(table, named):
    with pytest.raises(EvaluationError, match="missing or unknown") as error:
        StagingLimits.from_table(table, (0.1,))
    assert named in error.value.value
    assert error.value.where == "protocol [nodal_staging]"
    assert "largest_peripheral_mm" in error.value.remedy


@pytest.mark.parametrize(
    "changes",
    [
        {"sensitivity_upper": 1.01},
        {"sensitivity_lower": -0.01},
        {"sensitivity_lower": 0.45},
        {"specificity": 0.0},
        {"specificity": 1.1},
        {"thresholds": ()},
        {"thresholds": (0.0, 0.1)},
        {"thresholds": (0.1, 1.0)},
        {"thresholds": (0.1, 0.1)},
        {"largest_peripheral_mm": 0.0},
    ],
)
def test_limits_that_exist_can_be_used(changes):
    with pytest.raises(EvaluationError):
        StagingLimits(**changes)


def test_a_protocol_s_size_moves_the_rule():
    limits = StagingLimits(largest_peripheral_mm=20.0)
    assert guideline(20.0, False, False, limits).verdict == "optional"
    assert guideline(20.6, False, False, limits).verdict == "indicated"


@given(
    st.floats(0.001, 0.999),
    st.floats(0.0, 1.0),
    st.floats(0.05, 1.0),
)
def test_bayes_by_a_table_of_patients(risk, sensitivity, specificity):
    """Of everybody who is negative, the share that is ill."""
    missed, cleared = risk * (1 - sensitivity), (1 - risk) * specificity
    assert after_negative(risk, sensitivity, specificity) == pytest.approx(
        missed / (missed + cleared)
    )


@given(st.floats(0.02, 0.95), st.floats(0.01, 0.9))
def test_the_sensitivity_that_is_needed_brings_the_risk_to_the_target(risk, target):
    needed = ebus_needed(risk, target, LIMITS)
    if risk <= target:
        assert np.isnan(needed)
        return
    assert 0 <= needed <= 1
    assert after_negative(risk, needed, LIMITS.specificity) == pytest.approx(target)


@given(st.floats(0.0, 1.0), st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_a_negative_test_never_raises_a_risk_and_keeps_the_order_of_its_ends(a, b, c):
    lower, value, upper = sorted((a, b, c))
    rest = after_negative_ebus(Estimate(value=value, lower=lower, upper=upper), LIMITS)
    assert rest.lower <= rest.value <= rest.upper
    assert rest.value <= value + 1e-12


def test_a_risk_at_a_threshold_is_above_it_and_an_interval_that_ends_there_is_not_on_one_side():
    rule = guideline(22.0, False, False, LIMITS)
    at = risks(0.1, 0.1, 0.15)
    view = staging_view(rule, at, LIMITS, evidence=EVIDENCE, pet_negative=True)
    assert view.above == (
        (0.05, True, True),
        (0.1, True, True),  # its lower end is at the threshold: all of it is at or above
        (0.15, False, False),  # its upper end is: a part is not below
        (0.2, False, True),
    )


def test_rule_and_risk_of_n2_agree_where_both_point_one_way_at_the_protocols_threshold():
    """The risk of any node has no say: the rule is about the mediastinum."""
    chosen = StagingLimits(mediastinal_threshold=0.10)
    low, high = (
        risks(0.2, 0.3, 0.4, n2=(0.01, 0.02, 0.03)),
        risks(0.2, 0.3, 0.4, n2=(0.1, 0.2, 0.3)),
    )
    for size, risk, agree in ((22.0, low, True), (40.0, high, True), (40.0, low, False)):
        rule = guideline(size, False, False, chosen)
        view = staging_view(rule, risk, chosen, evidence=EVIDENCE, pet_negative=True)
        assert view.agree is agree
        text = " ".join(view.text)
        assert ("do not agree" in text) is not agree
        assert "at a risk of N2 of 10 % (the protocol's)" in text
    unknown = staging_view(
        guideline(None, None, None, chosen), high, chosen, evidence=EVIDENCE, pet_negative=None
    )
    assert unknown.agree is None
    assert "cannot be applied" in unknown.text[0]


def test_without_a_threshold_of_the_protocol_nothing_is_held_against_anything():
    rule = guideline(22.0, False, False, LIMITS)
    view = staging_view(rule, risks(0.2, 0.3, 0.4), LIMITS, evidence=EVIDENCE, pet_negative=True)
    assert view.agree is None
    assert "names no risk of N2" in " ".join(view.text)


def test_the_threshold_of_a_protocol_is_optional():
    assert StagingLimits.from_table(TABLE, (0.1,)).mediastinal_threshold is None
    given = StagingLimits.from_table({**TABLE, "mediastinal_threshold": 0.08}, (0.1,))
    assert given.mediastinal_threshold == 0.08


def test_the_patients_own_value_of_central_follows_the_rule():
    rule = guideline(22.0, True, False, LIMITS, central_means="inner two thirds")
    risks = NodalRisks(any_node=Estimate(value=0.2, lower=0.1, upper=0.3))
    own = "This patient’s CT: 0.48."
    told = staging_view(
        rule, risks, LIMITS, evidence=EVIDENCE, pet_negative=True, centrality=own
    ).text
    assert told[1] == own
    silent = staging_view(
        rule,
        None,
        LIMITS,
        evidence=EVIDENCE,
        pet_negative=True,
        abstains="too far",
        centrality=own,
    ).text
    assert silent[1] == own
    without = staging_view(rule, risks, LIMITS, evidence=EVIDENCE, pet_negative=True).text
    assert "" not in without
    assert len(without) == len(told) - 1
