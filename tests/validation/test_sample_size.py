import math

import pytest
from scipy.stats import binom

from metasight.errors import EvaluationError
from metasight.validation.sample_size import (
    _incidence_width,
    development_binary,
    development_survival,
    largest_r2_binary,
    largest_r2_survival,
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


def test_the_example_of_pmsampsize_for_time_to_an_event():
    """Its help page: 5143 patients, 1039 for the second criterion, 692 events, R² up to 0.55."""
    found = development_survival(
        r2_cox_snell=0.051, parameters=30, rate=0.065, timepoint=2, mean_follow_up=2.07
    )
    assert (found.n, found.shrinkage_n, found.optimism_n, found.precision_n) == (
        5143,
        5143,
        1039,
        5143,
    )
    assert math.ceil(found.events) == 692
    assert round(found.expected_shrinkage, 3) == 0.9
    assert round(largest_r2_survival(0.065, 2.07), 2) == 0.55


def test_the_example_of_pmsampsize_for_a_class():
    """Its help page: 623, 662 and 221 patients by the three criteria."""
    found = development_binary(r2_cox_snell=0.288, parameters=24, prevalence=0.174)
    assert (found.n, found.shrinkage_n, found.optimism_n, found.precision_n) == (662, 623, 662, 221)
    assert found.events == pytest.approx(0.174 * 662)
    assert round(largest_r2_binary(0.174), 2) == 0.60


def test_the_largest_r2_of_a_class_is_that_of_its_likelihood_without_a_model():
    """100 patients, 30 cases: 1 − L₀^(2/n), L₀ the likelihood of one probability for all."""
    log_likelihood = 30 * math.log(0.3) + 70 * math.log(0.7)
    assert largest_r2_binary(0.3) == pytest.approx(1 - math.exp(2 * log_likelihood / 100))
    likeliest = max(binom.pmf(30, 100, p) for p in (0.25, 0.3, 0.35))
    assert likeliest == binom.pmf(30, 100, 0.3)


def test_the_shrinkage_that_was_asked_for_sets_the_first_criterion():
    """Riley 2019, equation 11: parameters over (S − 1) log(1 − R²/S)."""
    for shrinkage in (0.8, 0.9, 0.95):
        found = development_binary(
            r2_cox_snell=0.1, parameters=12, prevalence=0.3, shrinkage=shrinkage
        )
        want = 12 / ((shrinkage - 1) * math.log(1 - 0.1 / shrinkage))
        assert found.shrinkage_n == math.ceil(want)


def test_more_person_years_narrow_the_incidence_and_its_lower_end_is_not_below_0():
    wide, narrow = (_incidence_width(0.05, 5, years, 1.96) for years in (100, 400))
    assert wide > narrow > 0
    middle = 1 - math.exp(-0.25)
    assert _incidence_width(0.05, 5, 1e-3, 1.96) <= 1 - middle + 1e-12  # to 1 at most
    se = (0.05 / 400) ** 0.5
    ends = [1 - math.exp(-(0.05 + s * 1.96 * se) * 5) for s in (-1, 1)]
    assert narrow == pytest.approx(max(middle - ends[0], ends[1] - middle))


@pytest.mark.parametrize(
    "changes", [{"rate": 0.0}, {"mean_follow_up": -1.0}, {"r2_cox_snell": 0.0}, {"rate": 2e6}]
)
def test_what_no_study_has_is_refused_by_name(changes):
    (name,) = changes
    given = {"r2_cox_snell": 0.05, "parameters": 5, "rate": 0.05, "mean_follow_up": 6.0}
    with pytest.raises(EvaluationError, match=f"{name} is out of range") as error:
        development_survival(**{**given, **changes}, timepoint=5)
    assert "between" in error.value.remedy
