import pytest

from metasight.errors import EvaluationError
from metasight.validation.sample_size import (
    development_binary,
    development_survival,
)


def test_more_parameters_need_more_patients():
    sizes = [
        development_binary(r2_cox_snell=0.2, parameters=p, prevalence=0.3).n for p in (5, 10, 20)
    ]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[2]


def test_shrinkage_is_reached():
    got = development_binary(r2_cox_snell=0.1, parameters=10, prevalence=0.3)
    assert got.expected_shrinkage >= 0.9
    rare = development_survival(
        r2_cox_snell=0.05, parameters=10, rate=0.05, timepoint=5, mean_follow_up=6
    )
    assert rare.expected_shrinkage >= 0.9
    assert rare.events == pytest.approx(0.05 * 6 * rare.n)


def test_refusals():
    with pytest.raises(EvaluationError, match="prevalence"):
        development_binary(r2_cox_snell=0.1, parameters=5, prevalence=0)
    with pytest.raises(EvaluationError, match="r2_cox_snell"):
        development_binary(r2_cox_snell=0.9, parameters=5, prevalence=0.1)


def test_what_the_precision_of_the_overall_risk_asks_for_by_itself():
    """It is the third criterion alone, not the largest of the three."""
    found = development_survival(
        r2_cox_snell=0.05, parameters=20, rate=0.03, timepoint=5, mean_follow_up=6
    )
    assert found.precision_n == found.n > found.precision_alone_n
    easier = development_survival(
        r2_cox_snell=0.05, parameters=2, rate=0.03, timepoint=5, mean_follow_up=6
    )
    assert easier.precision_alone_n == found.precision_alone_n
